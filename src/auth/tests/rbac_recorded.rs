//! Globs, expressions and whole decisions are answered as Argo CD v3.5.1 answered
//! them; the questions were drawn at random. Left out is where its globs stray from
//! their own grammar: `?` alone matches the empty text, and letters beyond ASCII or an
//! alternative that is missing at the end confuse it.

use argosy_auth::rbac::{MatchMode, Policy, ProjectPolicy, Sources, Subject};
use serde::Deserialize;

const GLOBS: &str = include_str!("data/rbac_globs.jsonl");
const EXPRESSIONS: &str = include_str!("data/rbac_expressions.jsonl");
const DECISIONS: &str = include_str!("data/rbac_decisions.jsonl");

#[derive(Deserialize)]
struct Recorded {
    policy: String,
    default: String,
    projects: Vec<serde_json::Value>,
    /// Subject, groups, resource, action, object, answer.
    asks: Vec<(String, Vec<String>, String, String, String, bool)>,
}

fn check_patterns(recorded: &str, match_mode: &str) {
    let mut count = 0;
    for line in recorded.lines() {
        let (pattern, text, expected): (String, String, bool) = serde_json::from_str(line).expect("a record");
        let policy = format!("p, s, r, get, \"{}\", allow", pattern.replace('"', "\"\""));
        let sources = Sources { policy: &policy, match_mode, ..Sources::default() };
        let policy = Policy::compile(&sources).expect("a policy");
        let found = policy.permits(&Subject::named("s"), "r", "get", &text, None);
        assert_eq!(found, expected, "{pattern:?} and {text:?}");
        count += 1;
    }
    assert!(count > 250, "{count} records");
}

#[test]
fn globs_match_what_they_matched() {
    check_patterns(GLOBS, "glob");
}

#[test]
fn expressions_match_what_they_matched() {
    check_patterns(EXPRESSIONS, "regex");
}

#[test]
fn decisions_are_what_they_were() {
    let (mut count, mut permitted) = (0, 0);
    for line in DECISIONS.lines() {
        let recorded: Recorded = serde_json::from_str(line).expect("a record");
        let sources = Sources { policy: &recorded.policy, default_role: &recorded.default, ..Sources::default() };
        let policy = Policy::compile(&sources).expect("a policy");
        let projects: Vec<_> = recorded
            .projects
            .into_iter()
            .map(|project| serde_json::from_value(project).expect("a project"))
            .map(|project| ProjectPolicy::compile(&project, MatchMode::Glob))
            .collect();
        for (name, groups, resource, action, object, expected) in recorded.asks {
            let subject = Subject { name, groups };
            let first = object.split('/').next().unwrap_or_default();
            let project = projects.iter().find(|project| project.name() == first);
            let found = policy.permits(&subject, &resource, &action, &object, project);
            let explanation = policy.explain(&subject, &resource, &action, &object, project);
            assert_eq!(found, expected, "{subject:?} {resource} {action} {object}: {explanation}\n{}", recorded.policy);
            assert_eq!(found, explanation.permitted, "{explanation}");
            count += 1;
            permitted += usize::from(found);
        }
    }
    assert!(count > 500 && permitted > 50, "{permitted} of {count}");
}
