//! Apply, replace, delete and their dry runs.

use std::sync::Arc;

use argosy_cluster::{ApplyTask, Known, Mode, Propagation};
use argosy_model::{ResourceKey, object};
use serde_json::{Value, json};

use crate::support::plane::{self, ADMIN};
use crate::support::{Bench, bench, config_map, eventually, namespace};

async fn ready(name: &str) -> Bench {
    let bench = bench(plane::shared().await, ADMIN, Default::default()).await;
    bench.synced().await;
    namespace(&bench, name).await;
    bench
}

async fn message(bench: &Bench, task: ApplyTask<'_>) -> String {
    bench.applier.apply(&task).await.expect("applies").message
}

async fn failure(bench: &Bench, task: ApplyTask<'_>) -> String {
    bench.applier.apply(&task).await.expect_err("is refused").to_string()
}

/// Somebody else sets a field.
async fn others_set(bench: &Bench, key: &ResourceKey, data: Value) {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": key.name, "namespace": key.namespace}});
    object["data"] = data;
    let mode = Mode::ServerSide { manager: "somebody".to_owned(), migrate_from: None };
    bench.applier.apply(&ApplyTask { mode, ..ApplyTask::new(&object) }).await.expect("applies");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_side_apply_removes_what_left_the_manifest_and_keeps_what_others_set() {
    let bench = ready("three-way").await;
    let first = config_map("three-way", "c", "", json!({"kept": "1", "dropped": "1"}));
    let key = ResourceKey::of(&first);
    assert_eq!(message(&bench, ApplyTask::new(&first)).await, "configmap/c created");
    assert_eq!(message(&bench, ApplyTask::new(&first)).await, "configmap/c unchanged");
    others_set(&bench, &key, json!({"foreign": "1"})).await;
    let second = config_map("three-way", "c", "", json!({"kept": "2"}));
    assert_eq!(message(&bench, ApplyTask::new(&second)).await, "configmap/c configured");
    let live = bench.applier.get(&key).await.expect("reads").expect("exists");
    assert_eq!(live["data"], json!({"kept": "2", "foreign": "1"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_idea_of_the_live_object_does_no_harm() {
    let bench = ready("stale").await;
    let first = config_map("stale", "c", "", json!({"a": "1"}));
    let stale = bench.apply(&first).await;
    others_set(&bench, &ResourceKey::of(&first), json!({"foreign": "1"})).await;
    let second = config_map("stale", "c", "", json!({"a": "2"}));
    for live in [Known::Present(Arc::new(stale)), Known::Absent] {
        bench.applier.apply(&ApplyTask { live, ..ApplyTask::new(&second) }).await.expect("applies");
        let live = bench.applier.get(&ResourceKey::of(&first)).await.expect("reads").expect("exists");
        assert_eq!(live["data"], json!({"a": "2", "foreign": "1"}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_apply_takes_over_what_client_side_apply_set() {
    let bench = ready("server-side").await;
    let first = config_map("server-side", "c", "", json!({"a": "1", "dropped": "1"}));
    bench.apply(&first).await;
    let second = config_map("server-side", "c", "", json!({"a": "2"}));
    let own = argosy_model::names::FIELD_MANAGER;
    let mode = Mode::ServerSide { manager: own.to_owned(), migrate_from: Some(own.to_owned()) };
    let task = ApplyTask { mode, ..ApplyTask::new(&second) };
    assert_eq!(message(&bench, task.clone()).await, "configmap/c serverside-applied");
    let live = bench.applier.get(&ResourceKey::of(&first)).await.expect("reads").expect("exists");
    assert_eq!(live["data"], json!({"a": "2"}));
    let dry = ApplyTask { dry_run: true, ..task };
    assert_eq!(message(&bench, dry).await, "configmap/c serverside-applied (server dry run)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_validates_and_changes_nothing() {
    let bench = ready("dry").await;
    let target = config_map("dry", "c", "", json!({"a": "1"}));
    let key = ResourceKey::of(&target);
    for mode in [Mode::ClientSide, Mode::server_side(), Mode::Replace] {
        let task = ApplyTask { mode, dry_run: true, ..ApplyTask::new(&target) };
        assert!(message(&bench, task).await.contains("dry run)"));
        assert!(bench.applier.get(&key).await.expect("reads").is_none());
        assert!(bench.live.get(&key).is_none());
    }
    bench.apply(&target).await;
    let changed = config_map("dry", "c", "", json!({"a": "2"}));
    let before = bench.applier.get(&key).await.expect("reads").expect("exists");
    for mode in [Mode::ClientSide, Mode::server_side(), Mode::Replace] {
        message(&bench, ApplyTask { mode, dry_run: true, ..ApplyTask::new(&changed) }).await;
    }
    assert_eq!(bench.applier.get(&key).await.expect("reads").expect("exists"), before);
    let mut invalid = config_map("dry", "Not A Name", "", json!({}));
    assert!(failure(&bench, ApplyTask { dry_run: true, ..ApplyTask::new(&invalid) }).await.contains("Invalid value"));
    invalid = config_map("dry", "d", "", json!({}));
    invalid["unknown"] = json!(1);
    let strict = ApplyTask { dry_run: true, ..ApplyTask::new(&invalid) };
    assert!(failure(&bench, strict.clone()).await.contains("unknown field"));
    message(&bench, ApplyTask { validate: false, ..strict }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_with_keys_are_merged_by_the_clusters_own_schema() {
    let bench = ready("schema").await;
    let deployment = |containers: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "schema"},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers}}}})
    };
    let two = deployment(json!([{"name": "one", "image": "i:1"}, {"name": "two", "image": "i:1"}]));
    assert_eq!(message(&bench, ApplyTask::new(&two)).await, "deployment.apps/d created");
    assert_eq!(message(&bench, ApplyTask::new(&two)).await, "deployment.apps/d unchanged");
    let one = deployment(json!([{"name": "two", "image": "i:2"}]));
    assert_eq!(message(&bench, ApplyTask::new(&one)).await, "deployment.apps/d configured");
    let live = bench.applier.get(&ResourceKey::of(&two)).await.expect("reads").expect("exists");
    let containers = live["spec"]["template"]["spec"]["containers"].as_array().expect("containers");
    assert_eq!(containers.len(), 1);
    assert_eq!((&containers[0]["name"], &containers[0]["image"]), (&json!("two"), &json!("i:2")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_updated_is_recreated_only_by_force() {
    let bench = ready("force").await;
    let mut target = config_map("force", "c", "", json!({"a": "1"}));
    target["immutable"] = json!(true);
    let old = bench.apply(&target).await;
    target["data"] = json!({"a": "2"});
    assert!(failure(&bench, ApplyTask::new(&target)).await.contains("immutable"));
    bench.applier.apply(&ApplyTask { force: true, ..ApplyTask::new(&target) }).await.expect("recreates");
    let new = bench.applier.get(&ResourceKey::of(&target)).await.expect("reads").expect("exists");
    assert_ne!(object::uid(&old), object::uid(&new));
    let replace = ApplyTask { mode: Mode::Replace, ..ApplyTask::new(&target) };
    assert_eq!(message(&bench, replace.clone()).await, "configmap/c replaced");
    target["data"] = json!({"a": "3"});
    let forced = ApplyTask { mode: Mode::Replace, force: true, ..ApplyTask::new(&target) };
    assert_eq!(message(&bench, forced).await, "configmap/c replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_whose_role_changes_is_made_anew() {
    let bench = ready("binding").await;
    let binding = |role: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "b", "namespace": "binding"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}})
    };
    bench.apply(&binding("view")).await;
    let said = message(&bench, ApplyTask::new(&binding("edit"))).await;
    let name = "rolebinding.rbac.authorization.k8s.io/b";
    assert_eq!(said, format!("{name} reconciled. {name} configured"));
    let live = bench.applier.get(&ResourceKey::of(&binding("edit"))).await.expect("reads").expect("exists");
    assert_eq!(live["roleRef"]["name"], json!("edit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_kind_says_what_to_do() {
    let bench = ready("missing").await;
    let target = |api_version: &str, kind: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "namespace": "missing"}});
    let kind = target("nobody.example/v1", "Nothing");
    assert_eq!(
        failure(&bench, ApplyTask::new(&kind)).await,
        "The Kubernetes API could not find nobody.example/Nothing for requested resource missing/x. \
         Make sure the \"Nothing\" CRD is installed on the destination cluster."
    );
    let version = target("apps/v1beta1", "Deployment");
    let said = failure(&bench, ApplyTask::new(&version)).await;
    assert!(said.ends_with("Version \"v1\" of apps/Deployment is installed on the destination cluster."), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_about_secrets_do_not_tell_them() {
    let bench = ready("secrets").await;
    let secret = |extra: Value| {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "secrets"},
            "stringData": {"password": "canary-in-plain"}, "data": {"other": "Y2FuYXJ5LWVuY29kZWQ="}});
        for (field, value) in extra.as_object().expect("a map") {
            secret[field] = value.clone();
        }
        secret
    };
    let broken = [
        json!({"data": {"other": "canary-not-base64!"}}),
        json!({"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "canary-in-plain"}}),
        json!({"type": "canary-in-plain\n", "metadata": {"name": "canary-in-plain X", "namespace": "secrets"}}),
        json!({"stringData": {"password": {"nested": "canary-in-plain"}}}),
    ];
    for extra in broken {
        let target = secret(extra);
        for mode in [Mode::ClientSide, Mode::server_side(), Mode::Replace] {
            let said = failure(&bench, ApplyTask { mode, ..ApplyTask::new(&target) }).await;
            assert!(!said.contains("canary"), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_too_large_for_the_annotation_is_explained() {
    let bench = ready("large").await;
    let target = config_map("large", "c", "", json!({"filler": "x".repeat(300_000)}));
    let said = failure(&bench, ApplyTask::new(&target)).await;
    assert!(said.contains("ServerSideApply=true"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_very_object_is_deleted_and_a_finalizer_can_be_taken_off() {
    let bench = ready("deletion").await;
    let mut target = config_map("deletion", "c", "", json!({}));
    target["metadata"]["finalizers"] = json!(["argosy.dev/held", "argosy.dev/other"]);
    let live = bench.apply(&target).await;
    let key = ResourceKey::of(&target);
    let wrong = bench.applier.delete(&key, Propagation::Background, Some("0000")).await.expect_err("another object");
    assert!(wrong.is_conflict(), "{wrong:?}");
    bench.applier.delete(&key, Propagation::Background, Some(object::uid(&live))).await.expect("deletes");
    eventually("the mark", || async { bench.live.get(&key).filter(|o| o.deleting) }).await;
    for finalizer in ["argosy.dev/held", "argosy.dev/held", "argosy.dev/other"] {
        bench.applier.remove_finalizer(&key, finalizer).await.expect("removes");
    }
    eventually("the end", || async { bench.live.get(&key).is_none().then_some(()) }).await;
    bench.applier.delete(&key, Propagation::Background, None).await.expect("what is gone is deleted");
}
