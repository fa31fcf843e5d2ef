//! The roles of a project count within the project and nowhere else.

use argosy_auth::rbac::{MatchMode, Policy, ProjectPolicy, Sources, Subject};
use serde_json::{Value, json};

fn policy(text: &str, default_role: &str) -> Policy {
    Policy::compile(&Sources { policy: text, default_role, ..Sources::default() }).expect("a policy")
}

fn project(name: &str, roles: Value) -> ProjectPolicy {
    let project = json!({"metadata": {"name": name}, "spec": {"roles": roles}});
    ProjectPolicy::compile(&serde_json::from_value(project).expect("a project"), MatchMode::Glob)
}

fn web() -> ProjectPolicy {
    project(
        "web",
        json!([
            {"name": "dev", "groups": ["dev-team", "role:shared"], "policies": [
                "p, proj:web:dev, applications, sync, web/*, allow",
                "p, proj:web:dev, applications, sync, web/prod, deny",
                "p, proj:web:dev, repositories, get, web/*, allow",
            ]},
            {"name": "ops", "groups": ["\"a, b\""], "policies": ["p, proj:web:ops, logs, get, web/*, allow"]},
        ]),
    )
}

fn asks(policy: &Policy, project: Option<&ProjectPolicy>, name: &str, groups: &[&str], request: &str) -> bool {
    let [resource, action, object] = request.split(' ').collect::<Vec<_>>()[..] else { panic!("three words") };
    let subject = Subject { name: name.to_owned(), groups: groups.iter().map(|group| (*group).to_owned()).collect() };
    let answer = policy.permits(&subject, resource, action, object, project);
    let explanation = policy.explain(&subject, resource, action, object, project);
    assert_eq!(explanation.permitted, answer, "{name} {groups:?} {request}: {explanation}");
    answer
}

#[test]
fn groups_of_a_role_may_do_what_the_role_may() {
    let (policy, web) = (policy("", ""), web());
    let dev = |request| asks(&policy, Some(&web), "ann", &["dev-team"], request);
    assert!(dev("applications sync web/shop"));
    assert!(!dev("applications sync web/prod"), "it is denied");
    assert!(!dev("applications delete web/shop"));
    assert!(dev("repositories get web/https://host/a"));
    assert!(dev("projects get web"), "who has a role may get the project");
    assert!(!dev("projects update web"));
    assert!(!dev("logs get web/shop"), "that is another role");
    assert!(asks(&policy, Some(&web), "ann", &["a, b"], "logs get web/shop"), "a group with a comma is quoted");
    assert!(!asks(&policy, Some(&web), "ann", &["other"], "applications sync web/shop"));
    assert!(!asks(&policy, None, "ann", &["dev-team"], "applications sync web/shop"));
}

#[test]
fn a_project_says_nothing_about_what_is_not_its_own() {
    let policy = policy("", "");
    let wide = project(
        "web",
        json!([{"name": "dev", "groups": ["dev-team"], "policies": [
            "p, proj:web:dev, *, *, *, allow", "g, ann, role:admin",
        ]}]),
    );
    let dev = |request| asks(&policy, Some(&wide), "ann", &["dev-team"], request);
    for request in [
        "applications get infra/dns",
        "applications get web",
        "accounts update web/x",
        "projects get infra",
        "extensions invoke web/x",
        "write-repositories get web/https://host",
    ] {
        assert!(!dev(request), "{request}");
    }
    assert!(dev("clusters update web/https://host"));
}

#[test]
fn roles_of_the_policy_may_hold_roles_of_a_project() {
    let (policy, web) =
        (policy("g, ann, role:shared\np, role:shared, logs, get, web/*, allow\ng, bob, proj:web:ops", ""), web());
    assert!(asks(&policy, Some(&web), "ann", &[], "applications sync web/shop"));
    assert!(asks(&policy, Some(&web), "ann", &[], "logs get web/shop"));
    assert!(!asks(&policy, Some(&web), "ann", &[], "applications sync web/prod"));
    assert!(asks(&policy, Some(&web), "bob", &[], "logs get web/shop"));
}

#[test]
fn denials_of_the_policy_and_of_a_project_outweigh_permissions_of_either() {
    let text = "p, role:dev, applications, *, *, allow\ng, dev-team, role:dev\np, role:no, logs, get, web/*, deny\ng, \"a, b\", role:no";
    let (policy, web) = (policy(text, ""), web());
    assert!(asks(&policy, Some(&web), "ann", &["dev-team"], "applications delete web/prod"));
    assert!(!asks(&policy, Some(&web), "ann", &["dev-team"], "applications sync web/prod"));
    assert!(asks(&policy, None, "ann", &["dev-team"], "applications sync web/prod"));
    assert!(!asks(&policy, Some(&web), "ann", &["a, b"], "logs get web/shop"));
}

#[test]
fn a_token_of_a_role_has_that_role_in_its_project_only() {
    let text = "p, proj:web:dev, applications, get, infra/*, allow\np, proj:web:dev, clusters, get, *, allow";
    let (policy, web) = (policy(text, ""), web());
    let infra =
        project("infra", json!([{"name": "dev", "policies": ["p, proj:web:dev, applications, get, infra/*, allow"]}]));
    let token = |project, request| asks(&policy, project, "proj:web:dev", &[], request);
    assert!(token(Some(&web), "applications sync web/shop"));
    assert!(!token(Some(&web), "applications sync web/prod"));
    assert!(token(Some(&web), "projects get web"));
    assert!(!token(Some(&infra), "applications get infra/dns"), "no other project has a say");
    assert!(token(None, "applications get infra/dns"), "without a project the policy alone has");
    assert!(token(None, "clusters get x"));
    // Groups in such a token are not looked at.
    assert!(!asks(&policy, Some(&web), "proj:web:none", &["dev-team"], "applications sync web/shop"));
    assert!(!asks(&policy, Some(&web), "proj:web:dev:x", &[], "applications sync web/shop"));
}

#[test]
fn the_default_role_counts_in_a_project_too() {
    let (policy, web) = (policy("p, proj:web:dev, applications, get, other, allow", "proj:web:dev"), web());
    assert!(asks(&policy, Some(&web), "ann", &[], "applications sync web/shop"));
    assert!(!asks(&policy, Some(&web), "", &[], "applications sync web/shop"), "not for nobody");
}

#[test]
fn a_project_with_a_line_that_cannot_be_read_allows_nothing_and_denies_what_it_did() {
    let text = "p, role:dev, applications, *, *, allow\ng, dev-team, role:dev";
    let policy = policy(text, "");
    let large = "x".repeat(5_000);
    for bad in
        ["p, proj:web:dev, applications, get, web/*", "nonsense", "p, \"", &format!("p, a, {large}, b, c, allow")]
    {
        let broken = project(
            "web",
            json!([{"name": "dev", "groups": ["dev-team", "other"], "policies": [
                "p, proj:web:dev, applications, get, web/*, allow", "p, proj:web:dev, applications, sync, web/prod, deny", bad,
            ]}]),
        );
        assert!(!asks(&policy, Some(&broken), "ann", &["other"], "applications get web/shop"));
        assert!(asks(&policy, Some(&broken), "ann", &["dev-team"], "applications sync web/shop"));
        assert!(!asks(&policy, Some(&broken), "ann", &["dev-team"], "applications sync web/prod"));
    }
    let denial = format!("p, proj:web:dev, applications, {large}, web/*, deny");
    let broken = project("web", json!([{"name": "dev", "groups": ["dev-team"], "policies": [denial]}]));
    assert!(!asks(&policy, Some(&broken), "ann", &["dev-team"], "applications sync web/shop"));
}

#[test]
fn permissions_in_a_project_are_those_outside_where_it_has_no_say() {
    let (policy, web) = (policy("p, ann, applications, get, *, allow", ""), web());
    let subject = Subject::named("ann");
    let permissions = policy.for_subject(&subject);
    let within = permissions.within(&web);
    for object in ["web/shop", "infra/dns"] {
        assert!(permissions.permits("applications", "get", object));
        assert!(within.permits("applications", "get", object));
        assert!(!within.permits("applications", "sync", object));
    }
}
