//! No text makes a policy panic, hang or grow without bounds, and what is decided
//! fast is what is decided rule by rule.

use std::time::{Duration, Instant};

use argosy_auth::rbac::{MatchMode, Policy, PolicyError, ProjectPolicy, Sources, Subject};
use proptest::prelude::*;
use serde_json::json;

fn compile(policy: &str, match_mode: &str) -> Result<Policy, PolicyError> {
    Policy::compile(&Sources { policy, match_mode, ..Sources::default() })
}

/// Far above what a slow machine needs, far below what hangs.
const BOUND: Duration = Duration::from_secs(120);

#[test]
fn hostile_patterns_are_matched_or_refused_in_bounded_time() {
    let begin = Instant::now();
    let text = "a".repeat(4_096);
    for (mode, pattern) in [
        ("glob", "*a".repeat(2_000)),
        ("glob", "{a,b}".repeat(800)),
        ("glob", "{a*,*b}".repeat(500)),
        ("glob", "{".repeat(4_000)),
        ("glob", "[".repeat(4_000)),
        ("glob", "{a,".repeat(30)),
        ("glob", "?".repeat(4_096)),
        ("regex", "(a*)*".repeat(800)),
        ("regex", "(a|aa)+$".to_owned()),
        ("regex", "((((a{1000}){1000}){1000}){1000})".to_owned()),
        ("regex", "(".repeat(4_000)),
        ("regex", "\\pL{1000}".repeat(10)),
        ("regex", "[a-z".repeat(1_000)),
    ] {
        let policy = format!("p, ann, applications, get, \"{pattern}\", allow");
        match compile(&policy, mode) {
            Ok(policy) => {
                policy.permits(&Subject::named("ann"), "applications", "get", &text, None);
                policy.permits(&Subject::named("ann"), "applications", "get", &text.replace("aa", "ab"), None);
            }
            Err(error) => assert!(matches!(error, PolicyError::Pattern { line: 1 }), "{error}"),
        }
    }
    assert!(begin.elapsed() < BOUND);
}

#[test]
fn brackets_and_colons_in_any_order_are_read_or_refused() {
    for pattern in ["[[:]", "[[:]]", "[[:", "[[::]]", "[a[:]b]", "[[:^:]]", "[[:alpha:]]"] {
        let _ = compile(&format!("p, ann, applications, get, \"{pattern}\", allow"), "regex");
        let project = json!({"metadata": {"name": "web"}, "spec": {"roles": [
            {"name": "dev", "policies": [format!("p, proj:web:dev, applications, action/{pattern}, web/*, allow")]},
        ]}});
        ProjectPolicy::compile(&serde_json::from_value(project).expect("a project"), MatchMode::Regex);
    }
}

#[test]
fn what_is_beyond_a_limit_is_an_error_and_its_line_is_named() {
    let long = format!("#\np, ann, applications, get, {}, allow", "a".repeat(4_097));
    assert!(matches!(compile(&long, ""), Err(PolicyError::Pattern { line: 2 })));
    assert!(matches!(compile(&"#\n".repeat(2 << 20), ""), Err(PolicyError::Length { length: 4_194_304 })));
    let names: String = (0..60_000).map(|n| format!("g,a{n},b{n}\n")).collect();
    assert!(matches!(compile(&names, ""), Err(PolicyError::Names { .. })));
    let expressions: String = (0..5_000).map(|n| format!("p, a, b, c, x{n}, allow\n")).collect();
    assert!(matches!(compile(&expressions, "regex"), Err(PolicyError::Pattern { .. })));
    assert!(compile(&expressions, "glob").is_ok());
}

#[test]
fn a_question_that_is_too_long_is_answered_by_no() {
    let policy = compile("p, ann, *, *, *, allow", "").expect("a policy");
    let ask = |text: &str| policy.permits(&Subject::named("ann"), "applications", "get", text, None);
    assert!(ask(&"a".repeat(4_096)));
    assert!(!ask(&"a".repeat(4_097)));
}

#[test]
fn a_large_net_of_roles_is_walked_in_bounded_time() {
    let begin = Instant::now();
    let mut text: String =
        (0..300).flat_map(|a| (0..100).map(move |b| format!("g,r{a},r{}\n", (a * 7 + b) % 300))).collect();
    text.push_str("p, r299, logs, get, *, allow\np, r298, logs, get, x, deny\n");
    let policy = compile(&text, "").expect("a policy");
    let subject = Subject { name: "ann".to_owned(), groups: (0..300).map(|n| format!("r{n}")).collect() };
    let permissions = policy.for_subject(&subject);
    assert!(permissions.permits("logs", "get", "y"));
    assert!(!permissions.permits("logs", "get", "x"));
    assert!(begin.elapsed() < BOUND);
}

/// Lines that are nearly right, so that much of what is drawn is looked at.
fn any_policy() -> impl Strategy<Value = String> {
    let name = || "(ann|team|role:a|role:b|proj:web:dev|)";
    let pattern = "[a-cw/*?{},\\[\\]!^\\\\().|+$-]{0,8}|web/\\*|\\*|applications|get";
    let rule =
        (name(), pattern, pattern, pattern, "allow|deny|x").prop_map(|(subject, resource, action, object, effect)| {
            format!("p, {subject}, \"{resource}\", \"{action}\", \"{object}\", {effect}")
        });
    let link = (name(), name()).prop_map(|(member, role)| format!("g, {member}, {role}"));
    proptest::collection::vec(prop_oneof![6 => rule, 3 => link, 1 => "[pg,\" a\\PC]{0,12}"], 0..12)
        .prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in any_policy(), noise in "\\PC{0,40}", mode in "glob|regex") {
        let _ = compile(&noise, &mode);
        let _ = Policy::compile(&Sources { policy: "", default_role: &noise, scopes: &noise, match_mode: &noise });
        if let Ok(policy) = compile(&text, &mode) {
            policy.permits(&Subject::named(noise.clone()), &noise, &noise, &noise, None);
        }
    }

    #[test]
    fn what_is_decided_fast_is_what_is_decided_rule_by_rule(
        text in any_policy(),
        more in any_policy(),
        mode in "glob|regex",
        default_role in "|role:a|proj:web:dev",
        name in "ann|eve|proj:web:dev|proj:x:y|",
        groups in proptest::collection::vec("team|role:a|other", 0..3),
        resource in "applications|projects|[a-c]{0,3}",
        action in "get|[a-c/]{0,3}",
        object in "web/[a-c]{0,3}|web|[a-cw/]{0,5}",
    ) {
        let sources = Sources { policy: &text, default_role: &default_role, scopes: "", match_mode: &mode };
        if let Ok(policy) = Policy::compile(&sources) {
            let project = json!({"metadata": {"name": "web"}, "spec": {"roles": [
                {"name": "dev", "policies": more.lines().collect::<Vec<_>>(), "groups": ["team"]},
            ]}});
            let project = serde_json::from_value(project).expect("a project");
            let project = ProjectPolicy::compile(&project, MatchMode::of(&mode));
            let subject = Subject { name, groups };
            for project in [None, Some(&project)] {
                let fast = policy.permits(&subject, &resource, &action, &object, project);
                let slow = policy.explain(&subject, &resource, &action, &object, project);
                prop_assert_eq!(fast, slow.permitted, "{}", slow);
            }
        }
    }
}
