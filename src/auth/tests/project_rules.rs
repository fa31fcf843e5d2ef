//! A project permits what its entries say, and nothing that cannot be read.

use argosy_auth::project::{GlobalProject, Rules, Scope, ScopedCluster, select_globals};
use argosy_auth::{Decision, Reason};
use argosy_model::{GroupKind, ResourceKey};
use argosy_proto::v1alpha1::AppProject;
use proptest::prelude::*;
use serde_json::{Value, json};

fn project(spec: Value) -> AppProject {
    serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).expect("a project")
}

fn rules(spec: Value) -> Rules {
    Rules::compile(&project(spec), &Scope { control_plane_namespace: "argocd", ..Scope::default() })
}

fn source(entries: &[&str], url: &str) -> bool {
    rules(json!({"sourceRepos": entries})).permits_source(url).permitted
}

/// Entries are `(server, name, namespace)`.
fn destination(entries: &[(&str, &str, &str)], server: &str, name: &str, namespace: &str) -> bool {
    let entries: Vec<Value> =
        entries.iter().map(|(s, n, ns)| json!({"server": s, "name": n, "namespace": ns})).collect();
    rules(json!({"destinations": entries})).permits_destination(server, name, namespace).permitted
}

#[test]
fn a_source_needs_an_entry_that_holds() {
    assert!(!source(&[], "https://host/a"));
    assert!(source(&["*"], "https://host/a/b/c"));
    assert!(source(&["https://host/*"], "https://Host/a.git"));
    assert!(!source(&["https://host/*"], "https://host/a/b"));
    assert!(source(&["https://host/**"], "https://host/a/b"));
    assert!(source(&["ssh://git@host/org/*"], "git@HOST:org/repo.git"));
    assert!(source(&["https://*.example.com/**"], "https://git.example.com/a/b"));
    assert!(!source(&["https://*.example.com/**"], "https://evil.com/x.example.com/a"));
}

#[test]
fn a_denied_source_is_denied_wherever_the_entry_stands() {
    for entries in [&["!https://host/secret/**", "*"], &["*", "!https://host/secret/**"]] {
        assert!(!source(entries, "https://host/secret/a"));
        assert!(source(entries, "https://host/open/a"));
    }
    assert!(source(&["!https://host/a"], "https://host/b"));
    assert_eq!(
        rules(json!({"sourceRepos": ["!https://host/a"]})).permits_source("https://host/a"),
        Decision { permitted: false, reason: Reason::DeniedBy("!https://host/a".to_owned()) }
    );
}

#[test]
fn a_denial_of_a_source_is_not_walked_around() {
    for url in [
        "https://user@host/secret/a",
        "https://user:pw@host:443/secret/a.git",
        "https://host//secret/a",
        "https://host/secret/a/",
        "https://host/./secret/a",
        "https://host/x/../secret/a",
        "https://host/%73ecret/a",
        "HTTPS://HOST/Secret/A",
    ] {
        assert!(!source(&["*", "!https://host/secret/*"], url), "{url}");
    }
    assert!(!source(&["*", "!git@host:secret/*"], "ssh://git@host:22/secret/a"));
}

#[test]
fn a_destination_needs_its_cluster_and_its_namespace() {
    assert!(!destination(&[], "https://a", "a", "x"));
    assert!(destination(&[("*", "", "*")], "https://a", "a", "x"));
    assert!(destination(&[("", "a", "x-*")], "https://a", "a", "x-1"));
    assert!(!destination(&[("", "a", "x-*")], "https://b", "b", "x-1"));
    assert!(!destination(&[("https://a", "", "x")], "https://a", "a", "y"));
    assert!(destination(&[("https://*.svc", "", "x")], "https://kubernetes.default.svc", "in-cluster", "x"));
}

#[test]
fn a_denied_destination_is_denied_wherever_the_entry_stands() {
    let system = [("*", "", "*"), ("*", "", "!kube-system")];
    assert!(!destination(&system, "https://a", "a", "kube-system"));
    assert!(destination(&system, "https://a", "a", "default"));
    let by_server = [("*", "", "*"), ("!https://a", "", "kube-system")];
    assert!(!destination(&by_server, "https://a", "", "kube-system"));
    assert!(destination(&by_server, "https://a", "", "default"));
    let by_name = [("*", "", "*"), ("", "!prod", "*")];
    assert!(!destination(&by_name, "https://a", "prod", "x"));
    assert!(destination(&by_name, "https://a", "dev", "x"));
    let namespace_by_name = [("*", "", "*"), ("", "prod", "!kube-system")];
    assert!(!destination(&namespace_by_name, "https://a", "prod", "kube-system"));
    let elsewhere = [("*", "", "*"), ("https://a", "", "!other")];
    assert!(destination(&elsewhere, "https://b", "", "other"));
}

#[test]
fn a_project_may_be_held_to_its_own_clusters() {
    let project = project(json!({
        "destinations": [{"server": "*", "namespace": "*"}], "permitOnlyProjectScopedClusters": true,
    }));
    let own = [ScopedCluster { server: "https://a".to_owned(), name: "a".to_owned(), namespaces: Vec::new() }];
    let rules = Rules::compile(&project, &Scope { clusters: &own, ..Scope::default() });
    assert!(rules.permits_destination("https://a", "a", "x").permitted);
    assert_eq!(rules.permits_destination("https://b", "b", "x").reason, Reason::NotProjectScoped);
}

#[test]
fn what_belongs_to_a_project_is_permitted_in_it() {
    let namespaces = vec!["x".to_owned()];
    let own = [ScopedCluster { server: "https://a".to_owned(), name: "a".to_owned(), namespaces }];
    let repositories = ["https://host/own".to_owned()];
    let scope = Scope { clusters: &own, repositories: &repositories, ..Scope::default() };
    let rules = Rules::compile(&project(json!({})), &scope);
    assert!(rules.permits_source("https://host/own.git").permitted);
    assert!(rules.permits_destination("https://a", "a", "x").permitted);
    assert!(!rules.permits_destination("https://a", "a", "y").permitted);
}

#[test]
fn cluster_scoped_kinds_must_be_listed_and_namespaced_ones_need_not() {
    let namespace = GroupKind::new("", "Namespace");
    let deployment = GroupKind::new("apps", "Deployment");
    let none = rules(json!({}));
    assert!(!none.permits_kind(&namespace, false, "x").permitted);
    assert!(none.permits_kind(&deployment, true, "x").permitted);

    let some = rules(json!({
        "clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": "team-*"}, {"group": "*.io", "kind": "*"}],
        "clusterResourceBlacklist": [{"group": "", "kind": "Namespace", "name": "team-secret"}],
        "namespaceResourceWhitelist": [{"group": "apps", "kind": "*"}],
        "namespaceResourceBlacklist": [{"group": "apps", "kind": "DaemonSet"}],
    }));
    assert!(some.permits_kind(&namespace, false, "team-a").permitted);
    assert!(!some.permits_kind(&namespace, false, "team-secret").permitted);
    assert!(!some.permits_kind(&namespace, false, "kube-system").permitted);
    assert!(some.permits_kind(&GroupKind::new("cert-manager.io", "ClusterIssuer"), false, "x").permitted);
    assert!(some.permits_kind(&deployment, true, "x").permitted);
    assert!(!some.permits_kind(&GroupKind::new("apps", "DaemonSet"), true, "x").permitted);
    assert!(!some.permits_kind(&GroupKind::new("", "ConfigMap"), true, "x").permitted);
}

#[test]
fn an_empty_list_of_namespaced_kinds_permits_none() {
    let deployment = GroupKind::new("apps", "Deployment");
    let permits = |spec| rules(spec).permits_kind(&deployment, true, "x").permitted;
    assert!(!permits(json!({"namespaceResourceWhitelist": []})));
    assert!(permits(json!({"namespaceResourceWhitelist": null})));
    assert!(permits(json!({})));
    // Nor does it become another by being written.
    let object = json!({"metadata": {"name": "p"}, "spec": {"namespaceResourceWhitelist": []}});
    let project: AppProject = serde_json::from_value(object).expect("a project");
    let written = serde_json::to_value(&project).expect("JSON");
    assert_eq!(written["spec"]["namespaceResourceWhitelist"], json!([]));
}

#[test]
fn a_live_object_is_judged_by_its_own_namespace() {
    let rules = rules(json!({"destinations": [{"server": "*", "namespace": "mine"}]}));
    let in_namespace = |ns| ResourceKey::new("apps", "Deployment", ns, "x");
    assert!(rules.permits_live_resource(&in_namespace("mine"), true, "https://a", "a").permitted);
    assert!(!rules.permits_live_resource(&in_namespace("theirs"), true, "https://a", "a").permitted);
    let role = ResourceKey::new("rbac.authorization.k8s.io", "ClusterRole", "", "x");
    assert!(!rules.permits_live_resource(&role, false, "https://a", "a").permitted);
}

#[test]
fn applications_come_from_the_control_plane_or_a_listed_namespace() {
    let rules = rules(json!({"sourceNamespaces": ["team-*", "/^app[0-9]+$/", "/(/"]}));
    for (namespace, want) in
        [("argocd", true), ("", true), ("team-a", true), ("app12", true), ("app12x", false), ("other", false)]
    {
        assert_eq!(rules.permits_source_namespace(namespace).permitted, want, "{namespace}");
    }
}

#[test]
fn a_project_inherits_from_the_global_projects_that_select_it() {
    let global: AppProject = serde_json::from_value(json!({
        "metadata": {"name": "global"},
        "spec": {
            "sourceRepos": ["https://shared/*"],
            "clusterResourceBlacklist": [{"group": "", "kind": "Node"}],
            "syncWindows": [{"kind": "deny", "schedule": "0 0 * * *", "duration": "1h", "applications": ["*"]}],
        },
    }))
    .expect("a project");
    let mut project = project(json!({"clusterResourceWhitelist": [{"group": "*", "kind": "*"}]}));
    let settings: Vec<GlobalProject> = serde_json::from_value(json!([
        {"projectName": "global", "labelSelector": {"matchExpressions": [{"key": "opt", "operator": "In", "values": ["prod"]}]}},
        {"projectName": "absent", "labelSelector": {}},
        {"projectName": "p", "labelSelector": {}},
    ]))
    .expect("settings");
    let find = |name: &str| (name == "global").then_some(&global);
    assert!(select_globals(&project, &settings, find).is_empty());

    project.metadata.as_mut().expect("has metadata").labels.insert("opt".to_owned(), "prod".to_owned());
    let globals = select_globals(&project, &settings, find);
    let rules = Rules::compile(&project, &Scope { globals: &globals, ..Scope::default() });
    assert!(rules.permits_source("https://shared/a").permitted);
    assert!(!rules.permits_kind(&GroupKind::new("", "Node"), false, "n").permitted);
    assert!(rules.permits_kind(&GroupKind::new("", "Namespace"), false, "n").permitted);
    assert_eq!(rules.project().spec.as_ref().expect("has a spec").sync_windows.len(), 1);
}

#[test]
fn the_first_matching_entry_names_the_service_account() {
    let rules = rules(json!({"destinationServiceAccounts": [
        {"server": "https://a", "namespace": "x", "defaultServiceAccount": "deployer"},
        {"server": "*", "namespace": "x", "defaultServiceAccount": "infra:admin"},
        {"server": "*", "namespace": "bad", "defaultServiceAccount": "*"},
        {"server": "*", "namespace": "", "defaultServiceAccount": "own"},
    ]}));
    let account = |server, namespace| rules.service_account(server, namespace, "home");
    assert_eq!(account("https://a", "x").expect("valid").as_deref(), Some("system:serviceaccount:x:deployer"));
    assert_eq!(account("https://b", "x").expect("valid").as_deref(), Some("system:serviceaccount:infra:admin"));
    assert_eq!(account("https://b", "").expect("valid").as_deref(), Some("system:serviceaccount:home:own"));
    assert_eq!(account("https://b", "y").expect("valid"), None);
    assert!(account("https://b", "bad").is_err());
}

#[test]
fn what_is_too_long_to_read_is_on_the_side_of_denial() {
    let long = "a".repeat(5000);
    let deny = format!("!{long}");
    assert!(!source(&["*", &deny], "https://host/a"));
    assert!(!source(&[&long], &long));
    assert_eq!(rules(json!({"sourceRepos": ["*"]})).permits_source(&long).reason, Reason::TooLong);
    assert!(!destination(&[("*", "", "*"), ("*", "", &deny)], "https://a", "a", "x"));
}

proptest! {
    #[test]
    fn no_entry_and_no_text_makes_a_rule_fail_or_hang(
        entries in proptest::collection::vec("!?[a-z/:@.*?{}\\[\\],!\\\\%-]{0,60}", 0..8),
        text in "[a-z/:@.*{}%\\[\\] -]{0,80}",
    ) {
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        let first = source(&entries, &text);
        prop_assert_eq!(first, source(&entries, &text));
        let triples: Vec<_> = entries.iter().map(|e| (*e, *e, *e)).collect();
        let _ = destination(&triples, &text, &text, &text);
        let _ = rules(json!({"sourceNamespaces": entries})).permits_source_namespace(&text);
    }

    #[test]
    fn one_more_denial_never_permits_what_a_list_with_an_allowance_denied(
        denied in "[a-z]{1,4}", asked in "[a-z]{1,4}",
    ) {
        let allow = "https://host/*";
        let deny = format!("!https://host/{denied}");
        let url = format!("https://host/{asked}");
        prop_assert_eq!(source(&[allow, &deny], &url), asked != denied);
    }
}
