//! Over a million decisions, a policy answers as the reference model does when an
//! interpreter of such models evaluates it.
//!
//! Each policy is small, because the interpreter looks at every rule every time; the
//! globs of the reference are compared by a matcher that only knows text, `*` and
//! `?`. A disagreement prints the policy and the question.

use std::collections::HashMap;

use argosy_auth::rbac::{Policy, Sources, Subject};
use casbin::function_map::OperatorFunction;
use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter, MgmtApi};
use futures::executor::block_on;

const MODEL: &str = "
[request_definition]
r = sub, res, act, obj
[policy_definition]
p = sub, res, act, obj, eft
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = g(r.sub, p.sub) && matches(r.res, p.res) && matches(r.act, p.act) && matches(r.obj, p.obj)
";

const POLICIES: usize = 1_000;
const DECISIONS: usize = 1_000;

const NAMES: &[&str] = &["ann", "bob", "team-a", "team-b", "role:dev", "role:all"];
const RESOURCES: &[&str] = &["applications", "applicationsets", "*", "*", "app*"];
const ACTIONS: &[&str] = &["get", "update", "update/*", "a*/*", "*", "*", "?et"];
const OBJECTS: &[&str] = &[
    "*",
    "*/*",
    "web/*",
    "web/shop",
    "web/ns/*",
    "web/*shop",
    "w?b/*",
    "*",
    "web/*",
    "infra/*",
    "*shop*",
    "web/s*p",
    "x/**/y",
];
const ASKED_RESOURCES: &[&str] = &["applications", "applicationsets", "logs"];
const ASKED_ACTIONS: &[&str] =
    &["get", "sync", "update", "update/apps/Deployment/ns/x", "action/apps/Deployment/restart"];
const ASKED_OBJECTS: &[&str] =
    &["web/shop", "web/ns/shop", "web/", "web", "infra/dns", "wab/shop", "x/a/b/y", "", "web/ship", "shop"];

/// Numbers that are the same on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }

    fn pick(&mut self, texts: &[&'static str]) -> &'static str {
        texts[self.below(texts.len())]
    }
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => glob(rest, text) || !text.is_empty() && glob(pattern, &text[1..]),
        [b'?', rest @ ..] => !text.is_empty() && glob(rest, &text[1..]),
        [c, rest @ ..] => text.first() == Some(c) && glob(rest, &text[1..]),
    }
}

fn draw_lines(numbers: &mut Numbers) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let rules = (0..=numbers.below(5)).map(|_| {
        owned(&[
            numbers.pick(NAMES),
            numbers.pick(RESOURCES),
            numbers.pick(ACTIONS),
            numbers.pick(OBJECTS),
            numbers.pick(&["allow", "allow", "deny", "none"]),
        ])
    });
    let mut rules: Vec<_> = rules.collect();
    rules.sort();
    rules.dedup();
    let links = (0..numbers.below(5)).map(|_| owned(&[numbers.pick(NAMES), numbers.pick(NAMES)]));
    let mut links: Vec<_> = links.filter(|link| link[0] != link[1]).collect();
    links.sort();
    links.dedup();
    (rules, links)
}

fn reference(rules: &[Vec<String>], links: &[Vec<String>]) -> Enforcer {
    block_on(async {
        let model = DefaultModel::from_str(MODEL).await.expect("a model");
        let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await.expect("an enforcer");
        enforcer.add_function(
            "matches",
            OperatorFunction::Arg2(|text, pattern| {
                let (text, pattern) = (text.to_string(), pattern.to_string());
                glob(pattern.as_bytes(), text.as_bytes()).into()
            }),
        );
        enforcer.add_policies(rules.to_vec()).await.expect("rules");
        enforcer.add_grouping_policies(links.to_vec()).await.expect("links");
        enforcer
    })
}

fn text(rules: &[Vec<String>], links: &[Vec<String>]) -> String {
    let lines = |kind: &'static str, lines: &[Vec<String>]| -> Vec<String> {
        lines.iter().map(|fields| format!("{kind}, {}", fields.join(", "))).collect()
    };
    [lines("p", rules), lines("g", links)].concat().join("\n")
}

/// Compares policies from a seed; gives how many questions were answered by yes.
fn compare(seed: u64, policies: usize) -> usize {
    let (mut numbers, mut permitted) = (Numbers(seed), 0);
    for _ in 0..policies {
        let (rules, links) = draw_lines(&mut numbers);
        let enforcer = reference(&rules, &links);
        let default_role = numbers.pick(&["", "", "role:all", "ann"]);
        let policy_text = text(&rules, &links);
        let sources = Sources { policy: &policy_text, default_role, ..Sources::default() };
        let policy = Policy::compile(&sources).expect("a policy");
        let is_member = |name: &str| links.iter().any(|link| link[0] == name);
        // The interpreter is asked the same question once.
        let mut known = HashMap::new();
        for _ in 0..DECISIONS {
            let groups = [(); 2].map(|()| numbers.pick(&["team-a", "team-b", "team-c", "role:dev"]));
            let groups = &groups[..numbers.below(3)];
            let name = numbers.pick(&["ann", "bob", "ann", "bob", "eve"]);
            let subject =
                Subject { name: name.to_owned(), groups: groups.iter().map(|group| (*group).to_owned()).collect() };
            let (resource, action, object) =
                (numbers.pick(ASKED_RESOURCES), numbers.pick(ASKED_ACTIONS), numbers.pick(ASKED_OBJECTS));
            let mut ask = |name: &'static str| {
                *known
                    .entry((name, resource, action, object))
                    .or_insert_with_key(|question| enforcer.enforce(*question).expect("an answer"))
            };
            let expected = !default_role.is_empty() && ask(default_role)
                || ask(name)
                || groups.iter().any(|group| is_member(group) && ask(group));
            let found = policy.permits(&subject, resource, action, object, None);
            assert_eq!(
                found, expected,
                "{subject:?} {resource} {action} {object} by {default_role:?} and\n{policy_text}"
            );
            permitted += usize::from(found);
        }
    }
    permitted
}

#[test]
fn a_million_decisions_are_those_of_the_reference() {
    let workers = 4;
    let permitted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..workers).map(|seed| scope.spawn(move || compare(seed + 1, POLICIES / workers as usize))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no disagreement")).sum()
    });
    let all = POLICIES * DECISIONS;
    assert!((all / 40..all / 2).contains(&permitted), "{permitted} of {all} say little");
}
