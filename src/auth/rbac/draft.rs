//! A policy while its lines are being read.

use super::MatchMode;
use super::line::{Line, RuleText};
use super::pattern::{Patterns, Reading};
use super::roles::{Graph, RoleId, Roles, TooManyNames};
use super::rules::{Effect, Origin, Rule, Rules};

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    roles: Roles,
    patterns: Patterns,
    rules: Vec<Rule>,
}

/// A line was understood and is not looked at all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Names,
    Pattern,
}

// === impl Draft ===

impl Draft {
    pub(super) fn add(&mut self, line: &Line, mode: MatchMode, origin: Origin) -> Result<(), Limit> {
        match line {
            Line::Link { member, role } => Ok(self.roles.link(member, role)?),
            Line::Rule(rule) => self.add_rule(rule, mode, origin),
        }
    }

    /// A rule counts as soon as its patterns match, in their order. An expression
    /// that cannot be read fails the question that comes to it, which is therefore
    /// answered by no: the rule denies what its earlier patterns match. A glob that
    /// cannot be read only matches nothing.
    fn add_rule(&mut self, rule: &RuleText, mode: MatchMode, origin: Origin) -> Result<(), Limit> {
        let role = self.roles.number(&rule.subject)?;
        let mut effect = match rule.effect.as_str() {
            "allow" => Some(Effect::Allow),
            "deny" => Some(Effect::Deny),
            // Any other effect is none.
            _ => None,
        };
        let mut patterns = [0; 3];
        let mut is_broken = false;
        for (pattern, text) in patterns.iter_mut().zip([&rule.resource, &rule.action, &rule.object]) {
            let reading = if is_broken { Reading::Unreadable } else { self.patterns.read(mode, text) };
            *pattern = match reading {
                Reading::Pattern(pattern) => pattern,
                Reading::TooLarge => return Err(Limit::Pattern),
                Reading::Unreadable if mode == MatchMode::Glob => return Ok(()),
                Reading::Unreadable => {
                    is_broken = true;
                    effect = Some(Effect::Deny);
                    self.patterns.any()
                }
            };
        }
        if let Some(effect) = effect {
            self.push(rule, role, patterns, effect, origin);
        }
        Ok(())
    }

    /// The same where nobody is there to be told: whether the line is looked at. A
    /// denial that is not denies everything in its stead.
    pub(super) fn add_or_deny(&mut self, line: &Line, mode: MatchMode, origin: Origin) -> bool {
        let added = self.add(line, mode, origin.clone());
        if let (Err(Limit::Pattern), Line::Rule(rule)) = (added, line)
            && rule.effect == "deny"
            && let Some(role) = self.roles.find(&rule.subject)
        {
            let any = self.patterns.any();
            self.push(rule, role, [any; 3], Effect::Deny, origin);
        }
        added.is_ok()
    }

    fn push(&mut self, rule: &RuleText, role: RoleId, patterns: [usize; 3], effect: Effect, origin: Origin) {
        let RuleText { subject, resource: res, action: act, object: obj, effect: eft } = rule;
        let text = format!("p, {subject}, {res}, {act}, {obj}, {eft}");
        let [resource, action, object] = patterns;
        self.rules.push(Rule { role, resource, action, object, effect, text, origin });
    }

    /// Forgets every rule that allows something.
    pub(super) fn keep_denials(&mut self) {
        self.rules.retain(|rule| rule.effect == Effect::Deny);
    }

    pub(super) fn finish(self) -> (Roles, Rules) {
        (self.roles, Rules::new(self.patterns, self.rules))
    }
}

impl From<TooManyNames> for Limit {
    fn from(_: TooManyNames) -> Self {
        Self::Names
    }
}
