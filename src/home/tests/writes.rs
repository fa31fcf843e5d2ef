//! Writing Applications, projects, settings and credentials to a real API server.

#[path = "support/world.rs"]
#[expect(dead_code, reason = "shared with the other tests, which use all of it")]
mod world;

use std::sync::Arc;

use argosy_home::settings::Names;
use argosy_home::{Access, Cascade, Deletion, Error, Home};
use argosy_model::AppKey;
use argosy_proto::resource::CustomResource;
use argosy_proto::v1alpha1::{AppProject, Application, ApplicationSet, Cluster, RepoCreds, Repository};
use argosy_tests::{ControlPlane, eventually, shared};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use world::{DEADLINE, app, apply, home, install};

async fn plane() -> &'static ControlPlane {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let plane = shared().await;
    INSTALLED.get_or_init(|| install(plane)).await;
    plane
}

/// A namespace of its own, and a home in it.
async fn fresh(name: &str) -> (&'static ControlPlane, String, Home) {
    let plane = plane().await;
    let namespace = plane.namespace(name).await.expect("a namespace");
    let home = home(plane.client().await.expect("a client"), &namespace).await;
    (plane, namespace, home)
}

fn typed<T: CustomResource>(object: Value) -> T {
    serde_json::from_value(object).expect("of its kind")
}

fn get(plane: &ControlPlane, namespace: &str, what: &str) -> Value {
    let text = plane.kubectl_text(&["get", what, "-n", namespace, "-o", "json"]).expect("there");
    serde_json::from_str(&text).expect("JSON")
}

/// The values of a Secret as text.
fn values(secret: &Value) -> Value {
    use base64::Engine as _;
    let decode = |value: &Value| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().expect("text")).expect("base64");
        Value::String(String::from_utf8(bytes).expect("text"))
    };
    let data = secret["data"].as_object().expect("data");
    data.iter().map(|(key, value)| (key.clone(), decode(value))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_in_the_store_when_it_was_made_and_out_when_it_was_deleted() {
    let (_, namespace, home) = fresh("create").await;
    let key = AppKey::new(&namespace, "a");
    let wanted: Application = typed(app("", "a"));
    let made = home.create_application(&wanted).await.expect("made");
    assert!(Arc::ptr_eq(&made, &home.apps().get(&key).expect("in the store")));
    let again = home.create_application(&wanted).await;
    assert!(matches!(again, Err(Error::AlreadyExists(_))), "{again:?}");
    let another = Deletion { uid: Some("another".to_owned()), ..Deletion::default() };
    let refused = home.delete_application(&key, &another).await;
    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    home.delete_application(&key, &Deletion::default()).await.expect("deleted");
    assert!(home.apps().get(&key).is_none());
    let gone = home.delete_application(&key, &Deletion::default()).await;
    assert!(matches!(gone, Err(Error::NotFound(_))), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cascade_is_written_as_finalizers_before_the_deletion() {
    let (_, namespace, home) = fresh("cascade").await;
    let key = AppKey::new(&namespace, "a");
    home.create_application(&typed(app(&namespace, "a"))).await.expect("made");
    let foreground = Deletion { cascade: Cascade::Foreground, ..Deletion::default() };
    home.delete_application(&key, &foreground).await.expect("being deleted");
    let deleting = home.apps().get(&key).expect("held by its finalizer");
    let metadata = deleting.metadata();
    assert!(metadata.deletion_timestamp.is_some());
    assert_eq!(metadata.finalizers, ["resources-finalizer.argocd.argoproj.io/foreground"]);
    let orphan = Deletion { cascade: Cascade::Orphan, ..Deletion::default() };
    // Without the finalizer that held it, the object goes with the first step.
    let outcome = home.delete_application(&key, &orphan).await;
    assert!(matches!(outcome, Ok(()) | Err(Error::NotFound(_))), "{outcome:?}");
    eventually(DEADLINE, || async { if home.apps().get(&key).is_none() { Ok(()) } else { Err("still there") } }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_nobody_here_knows_survive_an_update() {
    let (plane, namespace, home) = fresh("unknown").await;
    let mut project = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
        "metadata": {"name": "p", "namespace": namespace}, "spec": {"sourceRepos": ["*"]}});
    project["spec"]["fromTheFuture"] = json!({"a": [1, 2]});
    // As a later version of the definition would have it.
    let open = r#"[{"op": "add", "value": true,
        "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-preserve-unknown-fields"}]"#;
    let patch = ["patch", "crd", "appprojects.argoproj.io", "--type=json", "-p", open];
    plane.kubectl_text(&patch).expect("the definition is changed");
    eventually(DEADLINE, || async { plane.apply_yaml(&project.to_string()) }).await;
    let key = AppKey::new(&namespace, "p");
    eventually(DEADLINE, || async { home.projects().get(&key).map(drop).ok_or("unknown") }).await;
    let updated = home
        .update_project(&key, None, |project: &mut AppProject| {
            project.spec.get_or_insert_default().description = "new".to_owned();
            Ok::<_, Error>(())
        })
        .await
        .expect("updated");
    assert!(Arc::ptr_eq(&updated, &home.projects().get(&key).expect("known")));
    let raw = home.get_raw::<AppProject>(&key).await.expect("there");
    assert_eq!(raw["spec"]["description"], "new");
    assert_eq!(raw["spec"]["fromTheFuture"], json!({"a": [1, 2]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_neither_undoes_the_other() {
    let (plane, namespace, one) = fresh("two").await;
    let two = home(plane.client().await.expect("a client"), &namespace).await;
    let key = AppKey::new(&namespace, "a");
    let first = one.create_application(&typed(app(&namespace, "a"))).await.expect("made");
    let write = async |home: &Home, who: &str| {
        for i in 0..20 {
            let label = |app: &mut Application| {
                app.metadata_mut().labels.insert(format!("{who}-{i}"), "x".to_owned());
                Ok::<_, Error>(())
            };
            home.update_application(&key, None, label).await.expect("written");
        }
    };
    tokio::join!(write(&one, "one"), write(&two, "two"));
    let raw = one.get_raw::<Application>(&key).await.expect("there");
    assert_eq!(raw["metadata"]["labels"].as_object().map(|labels| labels.len()), Some(40));
    // Bound to a version, nothing is tried again.
    let stale = first.metadata().resource_version.as_str();
    let refused = one.update_application(&key, Some(stale), |_| Ok::<_, Error>(())).await;
    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    // What the editor refuses is not written.
    let refused = one.update_application(&key, None, |_| Err(Error::Rejected("no".to_owned()))).await;
    assert!(matches!(refused, Err(Error::Rejected(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn application_sets_are_watched_from_the_first_question_on() {
    let (plane, namespace, home) = fresh("sets").await;
    let set = |name: &str| {
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"generators": [{"list": {"elements": [{"a": "b"}]}}], "template": {"metadata": {"name": "x"}, "spec": {"project": "default",
                "destination": {}}}}})
    };
    apply(plane, &set("early"));
    home.application_sets().synced().await;
    assert!(home.application_sets().get(&AppKey::new(&namespace, "early")).is_some());
    home.create_application_set(&typed::<ApplicationSet>(set("late"))).await.expect("made");
    let late = AppKey::new(&namespace, "late");
    assert!(home.application_sets().get(&late).is_some());
    home.delete_application_set(&late, &Deletion::default()).await.expect("deleted");
    assert!(home.application_sets().get(&late).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_follow_an_edit_before_it_returns() {
    let (plane, namespace, home) = fresh("edit").await;
    let put = async |name: &str, key: &str, value: &str| {
        let set = |data: &mut std::collections::BTreeMap<String, String>| {
            data.insert(key.to_owned(), value.to_owned());
            Ok::<_, Error>(())
        };
        home.edit_settings_map(name, set).await.expect("written")
    };
    assert_eq!(put(Names::CONFIG, "url", "https://argosy").await.api.url, "https://argosy");
    assert_eq!(put(Names::RBAC, "policy.default", "role:readonly").await.rbac.default_role, "role:readonly");
    assert_eq!(put(Names::RBAC, "policy.b.csv", "p, b").await.rbac.policy, "\np, b");
    assert_eq!(put(Names::SECRET, "webhook.github.secret", "s").await.webhooks.github.expose(), "s");
    assert_eq!(put(Names::TLS_CERTS, "host", "PEM").await.raw.tls_certs["host"], "PEM");
    for name in ["configmap/argocd-cm", "configmap/argocd-tls-certs-cm", "secret/argocd-secret"] {
        let object = get(plane, &namespace, name);
        assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/part-of"], "argocd", "{name}");
    }
    let other = home.edit_settings_map("other", |_| Ok::<_, Error>(())).await;
    assert!(matches!(other, Err(Error::Rejected(_))), "{:?}", other.map(drop));
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_are_written_as_argo_cd_writes_them() {
    let (plane, namespace, home) = fresh("repos").await;
    let repository = Repository {
        repo: "https://host/r.git".into(),
        r#type: "git".into(),
        project: "team".into(),
        username: "u".into(),
        password: "p".into(),
        insecure: true,
        ..Repository::default()
    };
    home.create_repository(&repository, Access::Read).await.expect("made");
    let stored = home.stored_repository("https://HOST/r", "team", Access::Read).expect("known at once");
    assert_eq!(stored.to_repository(), repository);
    let secret = get(plane, &namespace, &format!("secret/{}", stored.secret_name));
    assert_eq!(secret["metadata"]["labels"], json!({"argocd.argoproj.io/secret-type": "repository"}));
    assert_eq!(secret["metadata"]["annotations"], json!({"managed-by": "argocd.argoproj.io"}));
    let expected = json!({"url": "https://host/r.git", "type": "git", "project": "team", "username": "u",
        "password": "p", "insecure": "true"});
    assert_eq!(values(&secret), expected);
    let again = home.create_repository(&repository, Access::Read).await;
    assert!(matches!(again, Err(Error::AlreadyExists(_))), "{again:?}");
    // What is not set any more is taken back.
    let anonymous = Repository { username: String::new(), password: String::new(), insecure: false, ..repository };
    home.update_repository(&anonymous, Access::Read).await.expect("updated");
    let stored = home.stored_repository("https://host/r", "team", Access::Read).expect("known");
    assert_eq!(stored.to_repository(), anonymous);
    let other_project = home.delete_repository("https://host/r", "", Access::Read).await;
    assert!(matches!(other_project, Err(Error::NotFound(_))), "{other_project:?}");
    home.delete_repository("https://host/r", "team", Access::Read).await.expect("deleted");
    assert!(home.repositories().declared().is_empty());
    assert!(plane.kubectl_text(&["get", "secret", &stored.secret_name, "-n", &namespace]).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_a_person_made_loses_its_label_and_stays() {
    let (plane, namespace, home) = fresh("declared").await;
    let declared = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"url": "https://host/x", "note": "mine"},
        "metadata": {"name": "mine", "namespace": namespace, "labels": {"argocd.argoproj.io/secret-type": "repo-creds"}}});
    apply(plane, &declared);
    eventually(DEADLINE, || async { home.stored_repo_creds("https://host/x", Access::Read).ok_or("unknown") }).await;
    let deeper = home.delete_repo_creds("https://host/x/y", Access::Read).await;
    assert!(matches!(deeper, Err(Error::NotFound(_))), "{deeper:?}");
    home.delete_repo_creds("https://host/x", Access::Read).await.expect("released");
    assert!(home.stored_repo_creds("https://host/x", Access::Read).is_none());
    let secret = get(plane, &namespace, "secret/mine");
    assert_eq!(secret["metadata"]["labels"], Value::Null);
    assert_eq!(values(&secret)["note"], "mine");
    // The template's own spelling of Azure's keys.
    let template = RepoCreds {
        url: "https://dev.azure.com/o".into(),
        azure_service_principal_client_id: "c".into(),
        ..RepoCreds::default()
    };
    home.create_repo_creds(&template, Access::Write).await.expect("made");
    let stored = home.stored_repo_creds("https://dev.azure.com/o", Access::Write).expect("known");
    assert_eq!(stored.to_repo_creds(), template);
    assert!(stored.secret_name.starts_with("creds-write-"));
    let secret = get(plane, &namespace, &format!("secret/{}", stored.secret_name));
    assert_eq!(values(&secret), json!({"url": "https://dev.azure.com/o", "azureServicePrincipalClientID": "c"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_are_written_as_argo_cd_writes_them() {
    let (plane, namespace, home) = fresh("clusters").await;
    let mut cluster = Cluster {
        server: "https://prod:6443".into(),
        name: "prod".into(),
        namespaces: vec!["a".into(), "b".into()],
        shard: Some(1),
        labels: [("env".to_owned(), "prod".to_owned())].into(),
        ..Cluster::default()
    };
    cluster.config.get_or_insert_default().bearer_token = "t".into();
    let made = home.create_cluster(&cluster).await.expect("made");
    assert!(made.secret_name.starts_with("cluster-prod-"));
    assert_eq!((made.shard, &*made.labels["env"], made.namespaces.len()), (Some(1), "prod", 2));
    let secret = get(plane, &namespace, &format!("secret/{}", made.secret_name));
    let expected = json!({"server": "https://prod:6443", "name": "prod", "namespaces": "a,b", "shard": "1",
        "config": "{\"bearerToken\":\"t\",\"tlsClientConfig\":{\"insecure\":false}}"});
    assert_eq!(values(&secret), expected);
    let again = home.create_cluster(&cluster).await;
    assert!(matches!(again, Err(Error::AlreadyExists(_))), "{again:?}");
    cluster.shard = None;
    cluster.labels.clear();
    let updated = home.update_cluster(&cluster).await.expect("updated");
    assert_eq!((updated.shard, updated.labels.len()), (None, 0));
    home.delete_cluster("https://prod:6443").await.expect("deleted");
    assert!(home.clusters().by_server("https://prod:6443").is_err());
    let implicit = home.delete_cluster("https://kubernetes.default.svc").await;
    assert!(matches!(implicit, Err(Error::NotFound(_))), "{implicit:?}");
    let disable = |data: &mut std::collections::BTreeMap<String, String>| {
        data.insert("cluster.inClusterEnabled".to_owned(), "false".to_owned());
        Ok::<_, Error>(())
    };
    home.edit_settings_map(Names::CONFIG, disable).await.expect("written");
    let own = Cluster { server: "https://kubernetes.default.svc".into(), ..Cluster::default() };
    let refused = home.create_cluster(&own).await;
    assert!(matches!(refused, Err(Error::Rejected(_))), "{refused:?}");
}
