//! Watches go on over restarts, forgotten history and new credentials.

use argosy_model::{GroupKind, ResourceKey};
use serde_json::json;

use crate::support::plane::{ADMIN, OTHER_ADMIN, Plane};
use crate::support::{bench, config, config_map, eventually, namespace};

#[tokio::test(flavor = "multi_thread")]
async fn watches_go_on_over_restarts_forgotten_history_and_new_credentials() {
    let plane = tokio::task::spawn_blocking(|| Plane::start(&[])).await.expect("starts");
    let bench = bench(&plane, ADMIN, Default::default()).await;
    bench.live.manage([GroupKind::new("", "ConfigMap")]);
    bench.synced().await;
    namespace(&bench, "going").await;
    let (lost, kept) = (config_map("going", "lost", "app", json!({})), config_map("going", "kept", "app", json!({})));
    bench.apply(&lost).await;
    bench.apply(&kept).await;
    let knows = |object: &serde_json::Value| bench.live.get(&ResourceKey::of(object)).is_some();
    let appears = async |name: &str| {
        let (writer, target) = (
            crate::support::bench(&plane, OTHER_ADMIN, Default::default()).await,
            config_map("going", name, "", json!({})),
        );
        eventually("a write", || async { writer.applier.apply(&argosy_cluster::ApplyTask::new(&target)).await.ok() })
            .await;
        eventually("what was written", || async { knows(&target).then_some(()) }).await;
    };

    // A new credential: nothing is listed again.
    let objects = bench.live.stats().objects as u64;
    let before = bench.live.stats().events;
    bench.connection.swap(&config(&plane, OTHER_ADMIN)).await.expect("swaps");
    appears("after-the-swap").await;
    let events = bench.live.stats().events - before;
    assert!(events < objects / 2, "{events} events with {objects} objects: something was listed again");
    assert!(bench.connection.swap(&config(&plane, "wrong-token")).await.is_err());
    appears("after-the-refused-swap").await;

    // A crash of the API server: watches resume.
    tokio::task::block_in_place(|| {
        plane.stop_server();
        plane.start_server();
    });
    appears("after-the-restart").await;
    assert!(knows(&lost) && knows(&kept));

    // History forgotten while we were away: the index is corrected in place.
    tokio::task::block_in_place(|| {
        plane.stop_server();
        plane.delete_and_forget("/registry/configmaps/going/lost");
        plane.start_server();
    });
    eventually("the deletion that was missed", || async { (!knows(&lost)).then_some(()) }).await;
    assert!(knows(&kept));
    appears("after-the-compaction").await;
    eventually("health", || async { bench.live.stats().failing.is_empty().then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_stream_lists_is_listed_by_pages() {
    let flags = &["--feature-gates=WatchList=false"];
    let plane = tokio::task::spawn_blocking(|| Plane::start(flags)).await.expect("starts");
    let first = bench(&plane, ADMIN, Default::default()).await;
    first.synced().await;
    namespace(&first, "pages").await;
    let targets: Vec<_> = (0..620).map(|n| config_map("pages", &format!("c-{n}"), "", json!({}))).collect();
    let applied = futures::future::join_all(targets.iter().map(|target| first.apply(target))).await;
    assert_eq!(applied.len(), 620);
    let second = bench(&plane, ADMIN, Default::default()).await;
    second.synced().await;
    assert!(second.live.stats().failing.is_empty());
    let maps = |bench: &crate::support::Bench| {
        bench.live.namespace_objects("pages").iter().filter(|o| &*o.key.kind == "ConfigMap").count()
    };
    assert_eq!(maps(&second), 620);
    first
        .applier
        .delete(&ResourceKey::of(&targets[0]), argosy_cluster::Propagation::Background, None)
        .await
        .expect("deletes");
    eventually("the deletion", || async { (maps(&second) == 619).then_some(()) }).await;
}
