use serde_json::{Value, json};

use super::*;
use crate::failure::Failure;
use crate::store::{ObjectKey, Store};

fn user(name: &str, groups: &[&str]) -> Caller {
    Caller { name: name.to_owned(), groups: groups.iter().map(|g| (*g).to_owned()).collect(), ..Caller::default() }
}

fn store(objects: &[Value]) -> Store {
    let store = Store::in_memory();
    for object in objects {
        let resource = match object["kind"].as_str() {
            Some("Role") => "roles",
            Some("ClusterRole") => "clusterroles",
            Some("RoleBinding") => "rolebindings",
            _ => "clusterrolebindings",
        };
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let key = ObjectKey::new(
            GROUP,
            resource,
            &text(&object["metadata"]["namespace"]),
            &text(&object["metadata"]["name"]),
        );
        store.create(&key, object.clone()).unwrap();
    }
    store
}

fn reader() -> Store {
    store(&[
        json!({"kind": "ClusterRole", "metadata": {"name": "reader"}, "rules": [
            {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]},
            {"apiGroups": ["apps"], "resources": ["*/scale"], "verbs": ["update"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one"], "verbs": ["get"]},
            {"nonResourceURLs": ["/metrics", "/logs/*"], "verbs": ["get"]},
        ]}),
        json!({"kind": "RoleBinding", "metadata": {"name": "readers", "namespace": "web"},
            "subjects": [{"kind": "User", "name": "jane"}, {"kind": "ServiceAccount", "name": "bot"}],
            "roleRef": {"kind": "ClusterRole", "name": "reader"}}),
        json!({"kind": "ClusterRoleBinding", "metadata": {"name": "ops"},
            "subjects": [{"kind": "Group", "name": "ops"}],
            "roleRef": {"kind": "ClusterRole", "name": "reader"}}),
        json!({"kind": "ClusterRoleBinding", "metadata": {"name": "dangling"},
            "subjects": [{"kind": "User", "name": "lost"}],
            "roleRef": {"kind": "ClusterRole", "name": "gone"}}),
    ])
}

fn ask(store: &Store, user: &Caller, verb: &str, target: ResourceTarget<'_>) -> Decision {
    decide(&Access { user, verb, target: Target::Resource(target) }, store)
}

fn pods(namespace: &str) -> ResourceTarget<'_> {
    ResourceTarget { resource: "pods", namespace, ..ResourceTarget::default() }
}

#[test]
fn a_binding_of_a_namespace_counts_there_alone() {
    let (store, jane) = (reader(), user("jane", &[]));
    let decision = ask(&store, &jane, "list", pods("web"));
    assert!(decision.allowed);
    let reason = r#"RBAC: allowed by RoleBinding "readers/web" of ClusterRole "reader" to User "jane""#;
    assert_eq!(decision.reason, reason);
    assert!(!ask(&store, &jane, "list", pods("other")).allowed);
    assert!(!ask(&store, &jane, "list", pods("")).allowed);
    assert!(!ask(&store, &jane, "delete", pods("web")).allowed);
}

#[test]
fn service_accounts_of_the_bindings_namespace_are_meant_without_saying_so() {
    let store = reader();
    assert!(ask(&store, &user("system:serviceaccount:web:bot", &[]), "get", pods("web")).allowed);
    assert!(!ask(&store, &user("system:serviceaccount:other:bot", &[]), "get", pods("web")).allowed);
}

#[test]
fn subresources_are_named_or_matched_by_a_star_before_them() {
    let (store, ops) = (reader(), user("o", &["ops"]));
    let log = ResourceTarget { subresource: "log", ..pods("x") };
    let status = ResourceTarget { subresource: "status", ..pods("x") };
    let scale = ResourceTarget { group: "apps", resource: "deployments", subresource: "scale", ..pods("x") };
    assert!(ask(&store, &ops, "get", log).allowed);
    assert!(!ask(&store, &ops, "get", status).allowed);
    assert!(ask(&store, &ops, "update", scale).allowed);
    assert!(!ask(&store, &ops, "update", ResourceTarget { subresource: "", ..scale }).allowed);
}

#[test]
fn a_rule_with_names_says_nothing_about_collections() {
    let (store, ops) = (reader(), user("o", &["ops"]));
    let secret = |name| ResourceTarget { resource: "secrets", name, ..pods("x") };
    assert!(ask(&store, &ops, "get", secret("one")).allowed);
    assert!(!ask(&store, &ops, "get", secret("two")).allowed);
    assert!(!ask(&store, &ops, "get", secret("")).allowed);
}

#[test]
fn paths_are_matched_by_their_beginning() {
    let (store, ops) = (reader(), user("o", &["ops"]));
    let get = |path| decide(&Access { user: &ops, verb: "get", target: Target::Path(path) }, &store).allowed;
    assert!(get("/metrics") && get("/logs/a/b"));
    assert!(!get("/metrics/x") && !get("/logs"));
}

#[test]
fn masters_need_no_role_and_missing_roles_are_told_of() {
    let store = reader();
    assert!(ask(&store, &user("root", &[MASTERS]), "delete", pods("")).allowed);
    let decision = ask(&store, &user("lost", &[]), "get", pods("web"));
    assert_eq!(decision.reason, r#"RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found"#);
}

#[test]
fn refusals_are_worded_as_kubernetes_words_them() {
    let jane = user("jane<b>", &[]);
    let refuse = |verb, target| -> Failure { forbidden(&Access { user: &jane, verb, target }, "") };
    assert_eq!(
        refuse("list", Target::Resource(pods("web"))).message,
        "pods is forbidden: User \"jane&lt;b&gt;\" cannot list resource \"pods\" in API group \"\" in the namespace \"web\"",
    );
    let scale =
        ResourceTarget { group: "apps", resource: "deployments", subresource: "scale", namespace: "", name: "a" };
    assert_eq!(
        refuse("get", Target::Resource(scale)).message,
        "deployments.apps \"a\" is forbidden: User \"jane&lt;b&gt;\" cannot get resource \"deployments/scale\" in API group \"apps\" at the cluster scope",
    );
    assert_eq!(refuse("get", Target::Path("/x")).message, "forbidden: User \"jane&lt;b&gt;\" cannot get path \"/x\"");
}

#[test]
fn nobody_grants_more_than_they_have() {
    let (store, ops) = (reader(), user("o", &["ops"]));
    let role = |rules| json!({"kind": "Role", "metadata": {"name": "r", "namespace": "web"}, "rules": rules});
    let held = role(json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]));
    assert_eq!(check_role(&ops, &held, None, &store), Ok(()));
    let more = role(json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "delete", "watch"]}]));
    let message = "user \"o\" (groups=[\"ops\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\" \"watch\"]}";
    assert_eq!(check_role(&ops, &more, None, &store), Err(Escalation::Forbidden(message.to_owned())));
    assert_eq!(check_role(&user("root", &[MASTERS]), &more, None, &store), Ok(()));
}

#[test]
fn a_binding_gives_only_what_its_maker_has() {
    let store = reader();
    let binding = |role: &str| {
        json!({"kind": "ClusterRoleBinding", "metadata": {"name": "b"},
            "subjects": [], "roleRef": {"kind": "ClusterRole", "name": role}})
    };
    assert_eq!(check_binding(&user("o", &["ops"]), &binding("reader"), None, &store), Ok(()));
    let refused = check_binding(&user("x", &[]), &binding("reader"), None, &store);
    assert!(matches!(refused, Err(Escalation::Forbidden(_))), "{refused:?}");
    let missing = check_binding(&user("x", &[]), &binding("gone"), None, &store);
    assert!(matches!(missing, Err(Escalation::RoleNotFound(_))), "{missing:?}");
}

#[test]
fn a_fresh_cluster_lets_everyone_discover_and_review_themselves() {
    let store = store(&bootstrap_objects(true));
    let someone = user("s", &["system:authenticated"]);
    let review = ResourceTarget {
        group: "authorization.k8s.io",
        resource: "selfsubjectaccessreviews",
        ..ResourceTarget::default()
    };
    assert!(ask(&store, &someone, "create", review).allowed);
    let path = |user: &Caller, path| decide(&Access { user, verb: "get", target: Target::Path(path) }, &store).allowed;
    assert!(path(&someone, "/apis/apps/v1") && path(&user("a", &["system:unauthenticated"]), "/version"));
    assert!(!ask(&store, &someone, "list", pods("default")).allowed);
    assert!(bootstrap_objects(false).len() < bootstrap_objects(true).len());
}
