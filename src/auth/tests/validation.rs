//! Projects and applications are told what is wrong with them, in the words
//! their users know.

use argosy_auth::application::{
    ClusterName, Condition, ConditionKind, DestinationError, project_missing, resolve_destination,
    validate_application, validate_namespace,
};
use argosy_auth::project::{Rules, Scope, ViolationKind, validate_project};
use argosy_proto::v1alpha1::{AppProject, ApplicationDestination, ApplicationSpec};
use serde_json::{Value, json};

fn project(spec: Value) -> AppProject {
    serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).expect("a project")
}

fn violations(spec: Value) -> Vec<String> {
    validate_project(&project(spec)).err().unwrap_or_default().into_iter().map(|v| v.message).collect()
}

fn cluster(server: &str, name: &str) -> ClusterName {
    ClusterName { server: server.to_owned(), name: name.to_owned() }
}

fn conditions(project_spec: Value, app_spec: Value) -> Vec<String> {
    let rules = Rules::compile(&project(project_spec), &Scope::default());
    let spec: ApplicationSpec = serde_json::from_value(app_spec).expect("a spec");
    let clusters = [cluster("https://a", "a"), cluster("https://b1", "b"), cluster("https://b2", "b")];
    let destination = resolve_destination(&spec.destination.clone().unwrap_or_default(), &clusters);
    let found = validate_application(&spec, &rules, destination.as_ref().copied());
    assert!(found.iter().all(|c| c.kind == ConditionKind::InvalidSpecError));
    found.into_iter().map(|c| c.message).collect()
}

#[test]
fn a_sound_project_is_accepted() {
    let spec = json!({
        "sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}, {"name": "a", "namespace": "*"}],
        "roles": [{"name": "ci", "policies": ["p, proj:p:ci, applications, sync, p/*, allow",
            "p, proj:p:ci, applications, action/apps/Deployment/restart, p/ns/app, deny"], "groups": ["my-org:team", "\"a, b\""]}],
        "syncWindows": [{"kind": "deny", "schedule": "0 22 * * *", "duration": "1h", "applications": ["*"]}],
        "destinationServiceAccounts": [{"server": "*", "namespace": "{a,b}", "defaultServiceAccount": "x:y"}],
    });
    assert_eq!(violations(spec), Vec::<String>::new());
}

#[test]
fn repeated_and_senseless_entries_are_named() {
    let spec = json!({
        "sourceRepos": ["!*", "https://a", "https://a"],
        "sourceNamespaces": ["x", "x"],
        "destinations": [{"server": "!*", "namespace": "!*"}, {"name": "c", "namespace": "n"}, {"name": "c", "namespace": "n"}],
    });
    assert_eq!(
        violations(spec),
        [
            "server has an invalid format, '!*'",
            "namespace has an invalid format, '!*'",
            "destination 'c/n' already added",
            "source namespace 'x' already added",
            "source repository has an invalid format, '!*'",
            "source repository 'https://a' already added",
        ]
    );
}

#[test]
fn roles_are_checked_to_the_last_word_of_a_policy() {
    let roles = |policy: &str| json!({"roles": [{"name": "ci", "policies": [policy]}]});
    for (policy, want) in [
        ("p, proj:p:ci", "must be of the form: 'p, sub, res, act, obj, eft'"),
        ("p, proj:q:ci, applications, get, p/*, allow", "policy subject must be: 'proj:p:ci', not 'proj:q:ci'"),
        ("p, proj:p:ci, projects, get, p/*, allow", "project resource must be:"),
        ("p, proj:p:ci, applications, fly, p/*, allow", "invalid action 'fly'"),
        ("p, proj:p:ci, applications, get, q/*, allow", "object must be of form 'p/*'"),
        ("p, proj:p:ci, applications, get, p/a/b/c, allow", "object must be of form 'p/*'"),
        ("p, proj:p:ci, applications, get, p/*, maybe", "effect must be: 'allow' or 'deny'"),
    ] {
        let found = violations(roles(policy));
        assert_eq!(found.len(), 1, "{policy}");
        assert!(found[0].starts_with(&format!("invalid policy rule '{policy}': {want}")), "{found:?}");
    }
    let spec = json!({"roles": [
        {"name": "-x", "groups": ["a,b", " ", "x ", "a\"b"]}, {"name": "y", "groups": ["g", "g"]}, {"name": "y"},
    ]});
    assert_eq!(
        violations(spec),
        [
            "role 'y' already exists",
            "invalid role name '-x'. Must consist of alphanumeric characters, '-' or '_', and must start and end with \
             an alphanumeric character",
            "group 'a,b' must be quoted",
            "group '' is empty",
            "group 'x' contains a trailing space",
            "group 'a\"b' contains invalid characters",
            "group 'g' already exists for role 'y'",
        ]
    );
}

#[test]
fn windows_and_accounts_are_checked() {
    let spec = json!({
        "syncWindows": [
            {"kind": "deny", "schedule": "0 22 * * *", "duration": "1h", "applications": ["*"]},
            {"kind": "deny", "schedule": "0 22 * * *", "duration": "1h", "applications": ["*"], "manualSync": true},
            {"kind": "maybe", "schedule": "0 22 * * *", "duration": "1h", "clusters": ["*"]},
            {"kind": "deny", "schedule": "0 25 * * *", "duration": "1h", "clusters": ["*"]},
            {"kind": "deny", "schedule": "0 2 * * *", "duration": "60", "clusters": ["*"]},
            {"kind": "deny", "schedule": "0 3 * * *", "duration": "1h"},
        ],
        "destinationServiceAccounts": [{"server": "!x", "namespace": "[", "defaultServiceAccount": "a*"}],
    });
    let found = violations(spec);
    let starts = [
        "sync window with kind 'deny', schedule '0 22 * * *', and duration '1h' already exists",
        "kind 'maybe' mismatch: can only be allow or deny",
        "cannot parse schedule '0 25 * * *': ",
        "cannot parse duration '60': ",
        "window 'deny':'0 3 * * *':'1h' requires one of application, cluster or namespace",
        "server has an invalid format, '!x'",
        "namespace has an invalid format, '['",
        "defaultServiceAccount has an invalid format, 'a*'",
    ];
    assert_eq!(found.len(), starts.len(), "{found:?}");
    for (message, start) in found.iter().zip(starts) {
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn a_violation_says_which_status_it_is() {
    let kinds =
        |spec| validate_project(&project(spec)).expect_err("is wrong").into_iter().map(|v| v.kind).collect::<Vec<_>>();
    assert_eq!(kinds(json!({"sourceRepos": ["!*"]})), [ViolationKind::Invalid]);
    assert_eq!(kinds(json!({"roles": [{"name": "a"}, {"name": "a"}]})), [ViolationKind::Duplicate]);
}

#[test]
fn an_application_within_its_project_has_no_conditions() {
    let open = json!({"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}]});
    let app = json!({
        "source": {"repoURL": "https://host/a", "path": "."}, "destination": {"name": "a", "namespace": "x"}, "project": "p",
    });
    assert_eq!(conditions(open, app), Vec::<String>::new());
}

#[test]
fn what_a_project_does_not_permit_is_told_source_first() {
    let app = |destination: Value| json!({"source": {"repoURL": "https://host/a", "path": "."}, "destination": destination, "project": "p"});
    assert_eq!(
        conditions(json!({}), app(json!({"server": "https://a/", "namespace": "x"}))),
        [
            "application repo https://host/a is not permitted in project 'p'",
            "application destination server 'https://a' and namespace 'x' do not match any of the allowed destinations \
             in project 'p'",
        ]
    );
    assert_eq!(
        conditions(json!({"sourceRepos": ["*"]}), app(json!({"name": "a", "namespace": "x"}))),
        [
            "application destination server 'a' and namespace 'x' do not match any of the allowed destinations in project 'p'"
        ]
    );
}

#[test]
fn a_source_that_says_too_little_hides_the_rest() {
    let one = "spec.source.repoURL and either spec.source.path or spec.source.chart are required";
    assert_eq!(conditions(json!({}), json!({"project": "p"})), [one]);
    assert_eq!(
        conditions(json!({}), json!({"source": {"repoURL": "https://charts", "chart": "c"}})),
        ["spec.source.targetRevision is required if the manifest source is a helm chart"]
    );
    assert_eq!(
        conditions(
            json!({"sourceRepos": ["*"]}),
            json!({"sources": [{"repoURL": "https://a", "ref": "values"}, {"repoURL": "https://b"}]})
        ),
        ["spec.source.repoURL and either source.path, source.chart, or source.ref are required for source https://b"]
    );
    assert_eq!(
        conditions(json!({}), json!({"sourceHydrator": {"drySource": {}, "syncSource": {}, "hydrateTo": {}}})),
        [
            "spec.sourceHydrator.drySource.repoURL is required",
            "spec.sourceHydrator.syncSource.targetBranch is required",
            "when spec.sourceHydrator.hydrateTo is set, spec.sourceHydrator.hydrateTo.targetBranch is required",
        ]
    );
}

#[test]
fn a_destination_must_mean_one_known_cluster() {
    let clusters = [cluster("https://a", "a"), cluster("https://b1", "b"), cluster("https://b2", "b")];
    let resolve = |server: &str, name: &str| {
        let destination = ApplicationDestination {
            server: server.to_owned(),
            name: name.to_owned(),
            ..ApplicationDestination::default()
        };
        resolve_destination(&destination, &clusters).cloned().map_err(|e: DestinationError| e.to_string())
    };
    assert_eq!(resolve("", "a"), Ok(clusters[0].clone()));
    assert_eq!(resolve("https://a/", ""), Ok(clusters[0].clone()));
    for (server, name, want) in [
        ("", "", "Destination server missing from app spec"),
        ("https://a", "a", "application destination can't have both name and server defined: a https://a"),
        ("", "c", "there are no clusters with this name: c"),
        ("", "b", "there are 2 clusters with the same name: [https://b1 https://b2]"),
        ("https://c", "", "error getting cluster by server \"https://c\": cluster \"https://c\" not found"),
    ] {
        assert_eq!(resolve(server, name), Err(want.to_owned()));
    }
}

#[test]
fn a_missing_project_and_a_foreign_namespace_are_conditions() {
    assert_eq!(project_missing("x").message, "Application referencing project x which does not exist");
    let scope = Scope { control_plane_namespace: "argocd", ..Scope::default() };
    let rules = Rules::compile(&project(json!({"sourceNamespaces": ["team"]})), &scope);
    assert_eq!(validate_namespace("app", "team", &rules), None);
    assert_eq!(
        validate_namespace("app", "other", &rules),
        Some(Condition {
            kind: ConditionKind::UnknownError,
            message: "application 'app' in namespace 'other' is not allowed to use project p".to_owned(),
        })
    );
}
