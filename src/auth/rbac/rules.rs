//! The rules of a policy, arranged so that a decision looks at few of them.
//!
//! Rules with the same patterns of resource and action are a family. Within a
//! family, rules are kept by the literal text that their object begins with, sorted;
//! each such prefix knows the longest other one that it begins with itself. All
//! prefixes of an object are then found by one binary search and a walk along
//! those: the last prefix that sorts before the object begins with all of them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use super::pattern::{Pattern, Patterns};
use super::roles::RoleId;

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) resource: &'a str,
    pub(super) action: &'a str,
    pub(super) object: &'a str,
}

/// What a rule says to what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// One rule; patterns are numbers in the policy's list.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) role: RoleId,
    pub(super) resource: usize,
    pub(super) action: usize,
    pub(super) object: usize,
    pub(super) effect: Effect,
    /// As its author wrote it.
    pub(super) text: String,
    /// The line that it stands on.
    pub(super) origin: Origin,
}

/// Where a rule was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the policy that is built in.
    BuiltIn,
    /// In this line of the configured policy, from 1.
    Policy(usize),
    /// In a role of this project.
    Project(String),
}

/// All rules of a policy or a project.
#[derive(Debug, Default)]
pub(super) struct Rules {
    patterns: Vec<Pattern>,
    all: Vec<Rule>,
    families: Vec<Family>,
    /// Families by resource, where that is one literal text.
    by_resource: HashMap<String, Vec<usize>>,
    /// The families whose resource is a pattern.
    with_patterns: Vec<usize>,
}

#[derive(Debug)]
struct Family {
    resource: usize,
    action: usize,
    allow: Index,
    deny: Index,
}

/// Rules by the prefix of their object.
#[derive(Debug, Default)]
struct Index {
    /// Sorted by text.
    prefixes: Vec<Prefix>,
    /// Pattern of the object and who the rule is for, in the order of `prefixes`, and
    /// those of one prefix by pattern.
    entries: Vec<(usize, RoleId)>,
}

#[derive(Debug)]
struct Prefix {
    /// The first bytes of `text`, which decide nearly every comparison.
    key: u128,
    text: String,
    /// The longest other prefix that it begins with.
    parent: Option<usize>,
    entries: std::ops::Range<usize>,
}

// === impl Rules ===

impl Rules {
    pub(super) fn new(patterns: Patterns, all: Vec<Rule>) -> Self {
        let mut grouped: BTreeMap<(usize, usize), Vec<&Rule>> = BTreeMap::new();
        for rule in &all {
            grouped.entry((rule.resource, rule.action)).or_default().push(rule);
        }
        let (mut families, mut by_resource, mut with_patterns) = (Vec::new(), HashMap::<_, Vec<_>>::new(), Vec::new());
        for ((resource, action), rules) in grouped {
            let number = families.len();
            match patterns.get(resource) {
                Pattern::Literal(text) => by_resource.entry(text.clone()).or_default().push(number),
                _ => with_patterns.push(number),
            }
            let index = |effect| Index::new(&patterns, rules.iter().filter(|rule| rule.effect == effect));
            families.push(Family { resource, action, allow: index(Effect::Allow), deny: index(Effect::Deny) });
        }
        Self { patterns: patterns.into_all(), all, families, by_resource, with_patterns }
    }

    /// Shows the role of each matching rule of this effect to `found`, unless it is
    /// not `wanted`, until it says that this is enough; whether it did.
    pub(super) fn search(
        &self,
        effect: Effect,
        request: Request<'_>,
        wanted: &impl Fn(RoleId) -> bool,
        found: &mut impl FnMut(RoleId) -> bool,
    ) -> bool {
        let named = self.by_resource.get(request.resource).into_iter().flatten();
        let matched = self.with_patterns.iter();
        let matched =
            matched.filter(|family| self.patterns[self.families[**family].resource].matches(request.resource));
        named.chain(matched).map(|family| &self.families[*family]).any(|family| {
            let index = if effect == Effect::Allow { &family.allow } else { &family.deny };
            !index.prefixes.is_empty()
                && self.patterns[family.action].matches(request.action)
                && index.search(&self.patterns, request.object, wanted, found)
        })
    }

    /// The rules that match, in the order of the policy.
    pub(super) fn matching<'a>(&'a self, request: Request<'a>) -> impl Iterator<Item = &'a Rule> + 'a {
        self.all.iter().filter(move |rule| {
            self.patterns[rule.resource].matches(request.resource)
                && self.patterns[rule.action].matches(request.action)
                && self.patterns[rule.object].matches(request.object)
        })
    }

    /// Who rules are for, once for each rule of this effect.
    pub(super) fn roles(&self, effect: Effect) -> impl Iterator<Item = RoleId> + '_ {
        self.all.iter().filter(move |rule| rule.effect == effect).map(|rule| rule.role)
    }
}

// === impl Index ===

impl Index {
    fn new<'a, 'r: 'a>(patterns: &Patterns, rules: impl Iterator<Item = &'a &'r Rule>) -> Self {
        let mut by_prefix: BTreeMap<&str, Vec<(usize, RoleId)>> = BTreeMap::new();
        for rule in rules {
            by_prefix.entry(patterns.get(rule.object).prefix()).or_default().push((rule.object, rule.role));
        }
        let (mut prefixes, mut all) = (Vec::<Prefix>::with_capacity(by_prefix.len()), Vec::new());
        for (text, mut entries) in by_prefix {
            let mut parent = prefixes.len().checked_sub(1);
            while let Some(at) = parent.filter(|at| !text.starts_with(&prefixes[*at].text)) {
                parent = prefixes[at].parent;
            }
            entries.sort_unstable();
            entries.dedup();
            let begin = all.len();
            all.append(&mut entries);
            prefixes.push(Prefix { key: key(text), text: text.to_owned(), parent, entries: begin..all.len() });
        }
        Self { prefixes, entries: all }
    }

    fn search(
        &self,
        patterns: &[Pattern],
        object: &str,
        wanted: &impl Fn(RoleId) -> bool,
        found: &mut impl FnMut(RoleId) -> bool,
    ) -> bool {
        let wanted_key = key(object);
        let is_before = |prefix: &Prefix| match prefix.key.cmp(&wanted_key) {
            Ordering::Equal => prefix.text.as_str() <= object,
            order => order == Ordering::Less,
        };
        let mut next = self.prefixes.partition_point(is_before).checked_sub(1);
        while let Some(prefix) = next.map(|at| &self.prefixes[at]) {
            next = prefix.parent;
            if !object.starts_with(&prefix.text) {
                continue;
            }
            // One pattern is often there for many roles and then matched once.
            let mut known = None;
            for (pattern, role) in &self.entries[prefix.entries.clone()] {
                if !wanted(*role) {
                    continue;
                }
                let matches = match known {
                    Some((seen, matches)) if seen == pattern => matches,
                    _ => patterns[*pattern].matches(object),
                };
                known = Some((pattern, matches));
                if matches && found(*role) {
                    return true;
                }
            }
        }
        false
    }
}

/// The first sixteen bytes as a number. It orders texts as they are ordered, but for
/// those of which it is the same.
fn key(text: &str) -> u128 {
    let mut first = [0; 16];
    let length = text.len().min(first.len());
    first[..length].copy_from_slice(&text.as_bytes()[..length]);
    u128::from_be_bytes(first)
}
