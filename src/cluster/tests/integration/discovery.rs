//! Kinds come and go.

use std::time::Duration;

use argosy_cluster::{KindState, Propagation};
use argosy_model::{GroupKind, Gvk, ResourceKey};
use serde_json::json;

use crate::support::plane::{self, ADMIN};
use crate::support::{bench, definition, eventually, namespace};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_kind_is_watched_soon_and_a_deleted_one_is_forgotten() {
    let plane = plane::shared().await;
    let bench = bench(plane, ADMIN, Default::default()).await;
    bench.synced().await;
    namespace(&bench, "kinds").await;
    let kind = GroupKind::new("test.argosy.dev", "Widget");
    assert_eq!(bench.live.kind_state(&kind), KindState::Unwatched);

    bench.apply(&definition("widgets", "Widget")).await;
    bench.applier.wait_established("widgets.test.argosy.dev", Duration::from_secs(20)).await.expect("established");
    let gvk = Gvk::new("test.argosy.dev", "v1", "Widget");
    let widget = json!({"apiVersion": "test.argosy.dev/v1", "kind": "Widget",
        "metadata": {"name": "w", "namespace": "kinds"}, "spec": {"size": 1}});
    bench.apply(&widget).await;
    let key = ResourceKey::of(&widget);
    eventually("the widget", || async { bench.live.get(&key) }).await;
    assert!(bench.discovery.catalog().api_versions().contains(&gvk.to_string()));
    // It is known from its write, and the server may still be preparing to list its kind.
    eventually("the kind", || async { (bench.live.kind_state(&kind) == KindState::Synced).then_some(()) }).await;

    let crd = ResourceKey::new("apiextensions.k8s.io", "CustomResourceDefinition", "", "widgets.test.argosy.dev");
    bench.applier.delete(&crd, Propagation::Background, None).await.expect("deletes");
    eventually("the kind to go", || async {
        (bench.live.kind_state(&kind) == KindState::Unwatched && bench.live.get(&key).is_none()).then_some(())
    })
    .await;
    assert!(bench.discovery.catalog().get(&gvk).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_defined_by_somebody_else_is_followed_soon() {
    let plane = plane::shared().await;
    let (watching, other) =
        (bench(plane, ADMIN, Default::default()).await, bench(plane, ADMIN, Default::default()).await);
    watching.synced().await;
    other.synced().await;
    other.apply(&definition("gears", "Gear")).await;
    other.applier.wait_established("gears.test.argosy.dev", Duration::from_secs(20)).await.expect("established");
    let established = std::time::Instant::now();
    let kind = GroupKind::new("test.argosy.dev", "Gear");
    eventually("the kind", || async { (watching.live.kind_state(&kind) == KindState::Synced).then_some(()) }).await;
    let took = established.elapsed();
    // Without the change being heard of it would be a minute.
    assert!(took < Duration::from_secs(30), "{took:?}");
    let crd = ResourceKey::new("apiextensions.k8s.io", "CustomResourceDefinition", "", "gears.test.argosy.dev");
    other.applier.delete(&crd, Propagation::Background, None).await.expect("deletes");
}
