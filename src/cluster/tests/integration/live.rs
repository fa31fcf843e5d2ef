//! What the live state knows and keeps.

use argosy_cluster::live::Coverage;
use argosy_cluster::{ChangeKind, KindState};
use argosy_model::{GroupKind, ResourceKey};
use serde_json::json;

use crate::support::plane::{self, ADMIN, LIMITED};
use crate::support::{bench, config_map, eventually, namespace};

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_manages_is_known_by_its_metadata_alone() {
    let plane = plane::shared().await;
    let bench = bench(plane, ADMIN, Default::default()).await;
    bench.synced().await;
    namespace(&bench, "crowd").await;
    bench.live.manage([GroupKind::new("", "ConfigMap")]);
    bench.live.ready(&[GroupKind::new("", "ConfigMap")]).await;
    let filler = "x".repeat(4000);
    for n in 0..200 {
        bench.apply(&config_map("crowd", &format!("unrelated-{n}"), "", json!({"filler": filler}))).await;
    }
    let managed = config_map("crowd", "managed", "app", json!({"filler": filler}));
    bench.apply(&managed).await;
    let crowd = || bench.live.namespace_objects("crowd");
    eventually("all objects", || async { (crowd().len() >= 201).then_some(()) }).await;
    let full: Vec<_> = crowd().into_iter().filter(|o| o.is_full()).map(|o| o.key.name).collect();
    assert_eq!(full, ["managed".into()]);
    let stats = bench.live.stats();
    let each = stats.bytes / stats.objects;
    assert!(each < 500, "{each} bytes an object, of {}", stats.objects);
    let live = bench.live.get(&ResourceKey::of(&managed)).and_then(|o| o.full()).expect("kept whole");
    assert_eq!(live["data"]["filler"], json!(filler));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_shows_at_once_and_a_change_by_others_is_told() {
    let plane = plane::shared().await;
    let bench = bench(plane, ADMIN, Default::default()).await;
    bench.synced().await;
    namespace(&bench, "writes").await;
    bench.live.manage([GroupKind::new("", "ConfigMap")]);
    bench.live.ready(&[GroupKind::new("", "ConfigMap")]).await;
    let mut changes = bench.live.changes();
    let target = config_map("writes", "c", "writer", json!({"k": "1"}));
    bench.apply(&target).await;
    let key = ResourceKey::of(&target);
    let seen = bench.live.get(&key).and_then(|o| o.full()).expect("there without waiting");
    assert_eq!(seen["data"]["k"], json!("1"));
    assert_eq!(bench.live.owned_by("writer").len(), 1);
    loop {
        let batch = tokio::time::timeout(crate::support::PATIENCE, changes.next()).await.expect("a change");
        if let Some(change) = batch.changes.iter().find(|c| c.key == key) {
            assert_eq!((change.kind, change.root), (ChangeKind::Added, true));
            assert_eq!(change.apps, ["writer".into()]);
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_kind_is_reported_and_stops_no_other() {
    let plane = plane::shared().await;
    let admin = bench(plane, ADMIN, Default::default()).await;
    admin.synced().await;
    namespace(&admin, "rights").await;
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]);
    admin
        .apply(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "limited"}, "rules": rules}))
        .await;
    admin.apply(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "limited"}, "subjects": [{"kind": "User", "name": "limited", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "limited"}})).await;
    let seen = config_map("rights", "seen", "", json!({}));
    admin.apply(&seen).await;

    let limited = bench(plane, LIMITED, Default::default()).await;
    limited.synced().await;
    eventually("the object", || async { limited.live.get(&ResourceKey::of(&seen)) }).await;
    assert_eq!(limited.live.kind_state(&GroupKind::new("", "ConfigMap")), KindState::Synced);
    let secrets = limited.live.kind_state(&GroupKind::new("", "Secret"));
    assert!(matches!(&secrets, KindState::Failing(why) if why.contains("forbidden")), "{secrets:?}");
    assert!(limited.live.stats().failing.len() > 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_namespaces_named_nothing_outside_them_is_looked_at() {
    let plane = plane::shared().await;
    let admin = bench(plane, ADMIN, Default::default()).await;
    admin.synced().await;
    for name in ["inside", "outside"] {
        namespace(&admin, name).await;
        admin.apply(&config_map(name, "c", "", json!({}))).await;
    }
    let coverage = Coverage { namespaces: vec!["inside".to_owned()], ..Coverage::default() };
    let bench = bench(plane, ADMIN, coverage).await;
    bench.synced().await;
    let known = |namespace: &str| bench.live.get(&ResourceKey::new("", "ConfigMap", namespace, "c")).is_some();
    assert!(known("inside") && !known("outside"));
    assert!(bench.live.get(&ResourceKey::new("", "Namespace", "", "inside")).is_none());

    bench.live.cover(Coverage { namespaces: vec!["outside".to_owned()], ..Coverage::default() });
    eventually("the other namespace", || async { (known("outside") && !known("inside")).then_some(()) }).await;
}
