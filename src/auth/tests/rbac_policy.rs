//! What policies say: the built-in roles, lines, roles, denials, match modes.

use std::collections::BTreeMap;

use argosy_auth::rbac::{
    ACTIONS, LineFault, MatchMode, Policy, PolicyError, RESOURCES, Sources, Subject, check_request, groups_from_claims,
    object, policy_text, resource_named, validate_policy,
};
use serde_json::json;

fn policy(text: &str) -> Policy {
    Policy::compile(&Sources { policy: text, ..Sources::default() }).expect("a policy")
}

fn expressions(text: &str) -> Policy {
    Policy::compile(&Sources { policy: text, match_mode: "regex", ..Sources::default() }).expect("a policy")
}

fn asks(policy: &Policy, name: &str, request: &str) -> bool {
    let [resource, action, object] = request.split(' ').collect::<Vec<_>>()[..] else { panic!("three words") };
    let subject = Subject::named(name);
    let answer = policy.permits(&subject, resource, action, object, None);
    let explanation = policy.explain(&subject, resource, action, object, None);
    assert_eq!(explanation.permitted, answer, "{name} {request}: {explanation}");
    answer
}

fn in_groups(policy: &Policy, groups: &[&str], request: &str) -> bool {
    let [resource, action, object] = request.split(' ').collect::<Vec<_>>()[..] else { panic!("three words") };
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    policy.permits(&Subject { name: "eve".to_owned(), groups }, resource, action, object, None)
}

#[test]
fn the_built_in_roles_allow_what_they_always_did() {
    let builtin = Policy::builtin();
    // Actions of role:admin by resource; of these, role:readonly has `get`.
    let table = [
        ("clusters", "get create update delete"),
        ("projects", "get create update delete"),
        ("applications", "get create update delete sync override update/x delete/x action/x"),
        ("applicationsets", "get create update delete"),
        ("repositories", "get create update delete"),
        ("write-repositories", "get create update delete"),
        ("certificates", "get create update delete"),
        ("accounts", "get update"),
        ("gpgkeys", "get create delete"),
        ("logs", "get"),
        ("exec", "create"),
        ("extensions", ""),
    ];
    assert_eq!(table.len(), RESOURCES.len());
    let actions = ACTIONS.iter().copied().chain(["update/x", "delete/x", "action/x"]);
    for (action, (resource, allowed)) in actions.flat_map(|action| table.map(|row| (action, row))) {
        let expected = allowed.split(' ').any(|one| one == action);
        let request = format!("{resource} {action} project/object");
        assert_eq!(asks(&builtin, "role:admin", &request), expected, "{request}");
        assert_eq!(asks(&builtin, "admin", &request), expected, "{request}");
        let reads = expected && action == "get";
        assert_eq!(asks(&builtin, "role:readonly", &request), reads, "{request}");
        assert!(!asks(&builtin, "somebody", &request));
        assert!(!asks(&builtin, "", &request));
    }
    assert!(!asks(&builtin, "admin", "applications get no-project"));
    assert!(asks(&builtin, "admin", "applications get project/namespace/name"));
    assert!(asks(&builtin, "admin", "certificates get "));
}

#[test]
fn a_denial_outweighs_every_permission_of_the_same_name() {
    let lines = "p, ann, applications, *, web/*, allow\np, role:cautious, applications, delete, web/prod, deny\n";
    let first = policy(&format!("{lines}g, ann, role:cautious"));
    assert!(asks(&first, "ann", "applications delete web/test"));
    assert!(!asks(&first, "ann", "applications delete web/prod"));
    assert!(asks(&first, "ann", "applications sync web/prod"));
    // What one group denies, another may allow: each is asked by itself.
    let other = policy(
        "p, role:a, applications, get, *, allow\np, role:b, applications, get, *, deny\ng, a, role:a\ng, b, role:b",
    );
    assert!(in_groups(&other, &["a", "b"], "applications get web/shop"));
    assert!(in_groups(&other, &["b", "a"], "applications get web/shop"));
    assert!(!in_groups(&other, &["b"], "applications get web/shop"));
}

#[test]
fn the_default_role_is_asked_first_and_its_yes_is_enough() {
    let text = "p, ann, clusters, get, *, deny";
    let sources = Sources { policy: text, default_role: "role:readonly", ..Sources::default() };
    let policy = Policy::compile(&sources).expect("a policy");
    assert_eq!(policy.default_role(), "role:readonly");
    assert!(asks(&policy, "ann", "clusters get x"));
    assert!(asks(&policy, "", "clusters get x"));
    assert!(!asks(&policy, "ann", "clusters update x"));
}

#[test]
fn groups_count_where_a_line_makes_them_members() {
    let policy = policy(
        "p, readers, logs, get, *, allow\np, role:dev, logs, get, *, allow\ng, dev-team, role:dev\ng, \"a, b\", role:dev",
    );
    assert!(in_groups(&policy, &["other", "dev-team"], "logs get web/shop"));
    assert!(in_groups(&policy, &["a, b"], "logs get web/shop"));
    assert!(!in_groups(&policy, &["readers"], "logs get web/shop"));
    assert!(asks(&policy, "readers", "logs get web/shop"));
    assert!(asks(&policy, "role:dev", "logs get web/shop"));
}

#[test]
fn roles_are_inherited_over_ten_links_and_circles_do_no_harm() {
    let mut text = String::from("p, r10, logs, get, a, allow\np, r11, logs, get, b, allow\ng, r3, r0\ng, r5, r5\n");
    (0..11).for_each(|n| text.push_str(&format!("g, r{n}, r{}\n", n + 1)));
    let policy = policy(&text);
    assert!(asks(&policy, "r0", "logs get a"));
    assert!(!asks(&policy, "r0", "logs get b"));
    assert!(asks(&policy, "r1", "logs get b"));
}

#[test]
fn resource_actions_are_apart_from_the_actions_themselves() {
    let plain = policy(
        "p, ann, applications, update, web/*, allow\np, ann, applications, action/apps/Deployment/*, web/*, allow",
    );
    let pod = object::resource_action("update", "apps", "Deployment", "ns", "x");
    assert!(asks(&plain, "ann", "applications update web/shop"));
    assert!(!asks(&plain, "ann", &format!("applications {pod} web/shop")));
    let restart = object::custom_action("apps", "Deployment", "restart");
    assert!(asks(&plain, "ann", &format!("applications {restart} web/shop")));
    assert!(!asks(&plain, "ann", "applications action/batch/Job/restart web/shop"));
    let fine = policy("p, ann, applications, update/*, web/*, allow\np, ann, applications, update/*/Secret/*, *, deny");
    assert!(asks(&fine, "ann", &format!("applications {pod} web/shop")));
    assert!(!asks(&fine, "ann", "applications update web/shop"));
    assert!(!asks(&fine, "ann", "applications update//Secret/ns/x web/shop"));
}

#[test]
fn lines_are_comma_separated_values() {
    let policy = policy(
        "\n  # a comment, of sorts\n\r\n\tp,ann,logs,get,a,allow  \r\np, \"bob\", logs , get, a, allow\n\
         p, \"c\"\"d\", \"logs\", get, \"{a,b}\", allow\nm, ignored\np, eve, logs, get, a, maybe",
    );
    assert!(asks(&policy, "ann", "logs get a"));
    assert!(!asks(&policy, "bob", "logs get a"), "the space after a field belongs to it");
    assert!(policy.permits(&Subject::named("bob"), "logs ", "get", "a", None));
    assert!(asks(&policy, "c\"d", "logs get b"));
    assert!(!asks(&policy, "eve", "logs get a"), "another effect is none");
}

#[test]
fn a_line_that_cannot_be_read_is_named() {
    let fault = |text: &str| match Policy::compile(&Sources { policy: text, ..Sources::default() }) {
        Err(PolicyError::Line { line, fault }) => (line, fault),
        other => panic!("{other:?}"),
    };
    assert_eq!(fault("#\n\np, a, b, c, d"), (3, LineFault::Fields { found: 5, expected: 6 }));
    assert_eq!(fault("g, a"), (1, LineFault::Fields { found: 2, expected: 3 }));
    assert_eq!(fault("p"), (1, LineFault::Fields { found: 1, expected: 6 }));
    assert_eq!(fault("some words"), (1, LineFault::Kind));
    assert_eq!(fault("p2, a, b, c, d, allow"), (1, LineFault::Kind));
    assert_eq!(fault(", a"), (1, LineFault::Kind));
    assert_eq!(fault("p, a\"b\", c, d, e, allow"), (1, LineFault::BareQuote));
    assert_eq!(fault("p, \"a, c, d, e, allow"), (1, LineFault::Quote));
    assert_eq!(fault("p, \"a\" , c, d, e, allow"), (1, LineFault::Quote));
    let error = Policy::compile(&Sources { policy: "p, hunter2", ..Sources::default() }).expect_err("no policy");
    assert_eq!(error.to_string(), "line 1 of the policy: 2 fields where 6 are expected");
}

#[test]
fn all_policy_keys_make_one_policy() {
    let data = [
        ("policy.z.csv", "z"),
        ("policy.csv", "main"),
        ("policy.a.csv", "a"),
        ("policy.default", "no"),
        ("x.csv", "no"),
    ];
    let data: BTreeMap<String, String> =
        data.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    assert_eq!(policy_text(&data), "main\na\nz");
}

#[test]
fn scopes_say_which_claims_hold_groups() {
    let scopes = |text| Policy::compile(&Sources { scopes: text, ..Sources::default() }).map(|p| p.scopes().to_vec());
    assert_eq!(scopes("").expect("scopes"), ["groups"]);
    assert_eq!(scopes("[email, cognito:groups]").expect("scopes"), ["email", "cognito:groups"]);
    assert!(scopes("[]").expect("scopes").is_empty());
    assert!(matches!(scopes("{"), Err(PolicyError::Scopes(_))));
    let claims = json!({"groups": ["a", 1, "b"], "email": "x@y", "number": 5, "sub": "s"});
    let claims = claims.as_object().expect("an object");
    let of = |scopes: &[&str]| groups_from_claims(claims, &scopes.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
    assert_eq!(of(&["groups"]), ["a", "b"]);
    assert_eq!(of(&["email", "number", "none", "groups"]), ["x@y", "a", "b"]);
}

#[test]
fn expressions_are_found_anywhere_and_one_that_cannot_be_read_denies() {
    let policy = expressions(
        "p, ann, applications, get, ^web/.*-dev$, allow\np, bob, app, g, web, allow\n\
         p, eve, applications, get, .*, allow\np, eve, applications, get, (, deny\np, dan, *, get, .*, allow",
    );
    assert_eq!(policy.match_mode(), MatchMode::Regex);
    assert!(asks(&policy, "ann", "applications get web/shop-dev"));
    assert!(!asks(&policy, "ann", "applications get web/shop-prod"));
    assert!(asks(&policy, "bob", "applicationsets get my-web/x"));
    assert!(!asks(&policy, "eve", "applications get web/shop"));
    assert!(!asks(&policy, "dan", "logs get web/shop"));
    assert!(asks(&policy, "admin", "applications sync web/shop"), "the built-in rules are globs");
    assert!(!asks(&policy, "role:readonly", "applications sync web/shop"));
    // The same text as globs.
    let globs = self::policy("p, ann, applications, get, ^web/.*-dev$, allow\np, dan, *, get, *, allow");
    assert!(!asks(&globs, "ann", "applications get web/shop-dev"));
    assert!(asks(&globs, "dan", "logs get web/shop"));
}

#[test]
fn an_explanation_names_the_rule_and_the_way_to_it() {
    let policy = policy(
        "p, role:dev, logs, get, web/*, allow\np, role:base, logs, get, web/secret, deny\ng, ann, team\ng, team, role:dev\ng, team, role:base",
    );
    let explain = |object| policy.explain(&Subject::named("ann"), "logs", "get", object, None).to_string();
    assert_eq!(
        explain("web/shop"),
        "allowed by 'p, role:dev, logs, get, web/*, allow' (line 1 of the policy) for ann > team > role:dev"
    );
    assert_eq!(
        explain("web/secret"),
        "denied by 'p, role:base, logs, get, web/secret, deny' (line 2 of the policy) for ann > team > role:base"
    );
    assert_eq!(explain("x"), "denied: no rule allows it");
}

#[test]
fn roles_without_rules_are_told_and_are_no_error() {
    let text = "p, role:a, logs, get, *, allow\ng, ann, role:a\ng, bob, role:b\ng, eve, role:c\ng, role:c, role:a";
    assert_eq!(validate_policy(text).expect("a policy"), ["role:b"]);
    assert!(validate_policy("p, x").is_err());
}

#[test]
fn questions_of_people_are_held_against_what_there_is() {
    assert_eq!(resource_named("app"), "applications");
    assert_eq!(resource_named("xyz"), "xyz");
    assert_eq!(check_request("applications", "action/apps/Deployment/restart"), Ok(()));
    assert_eq!(check_request("logs", "get"), Ok(()));
    let message = |resource, action| check_request(resource, action).expect_err("no such thing").to_string();
    assert_eq!(message("xyz", "get"), "'xyz' is not a valid resource name");
    assert_eq!(message("logs", "sync"), "'sync' is not a valid action for logs");
    assert_eq!(message("applications", "sync/x"), "'sync/x' is not a valid action for applications");
}

#[test]
fn objects_are_named_with_their_project() {
    assert_eq!(object::application("p", "argocd", "a", "argocd"), "p/a");
    assert_eq!(object::application("p", "", "a", "argocd"), "p/a");
    assert_eq!(object::application("p", "team", "a", "argocd"), "p/team/a");
    assert_eq!(object::scoped("", "https://host"), "https://host");
    assert_eq!(object::scoped("p", "https://host"), "p/https://host");
    assert_eq!(object::normalized("applications", "p/argocd/a", "argocd"), "p/a");
    assert_eq!(object::normalized("applications", "p/team/a", "argocd"), "p/team/a");
    assert_eq!(object::normalized("accounts", "p/argocd/a", "argocd"), "p/argocd/a");
    assert_eq!(object::normalized("clusters", "https://k8s", "argocd"), "https://k8s");
}
