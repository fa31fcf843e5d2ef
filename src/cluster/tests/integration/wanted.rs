//! Whose objects are kept whole, and what happens when that changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use argosy_cluster::ChangeKind;
use argosy_cluster::live::Wanted;
use argosy_model::{GroupKind, ResourceKey};
use serde_json::{Value, json};

use crate::support::plane::{ADMIN, OTHER_ADMIN, Plane};
use crate::support::{Bench, PATIENCE, bench, config_map, eventually, namespace};

fn only(apps: &'static [&'static str]) -> Wanted {
    Wanted::only(|app| apps.contains(&app))
}

fn is_whole(bench: &Bench, object: &Value) -> bool {
    bench.live.get(&ResourceKey::of(object)).expect("stays known").is_full()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wanted_whole_is_read_in_place_and_let_go_of_again() {
    let plane = tokio::task::spawn_blocking(|| Plane::start(&[])).await.expect("starts");
    let bench = bench(&plane, ADMIN, Default::default()).await;
    bench.live.want(only(&["ours"]));
    bench.live.manage([GroupKind::new("", "ConfigMap")]);
    bench.synced().await;
    namespace(&bench, "parts").await;
    let filler = "x".repeat(4000);
    let map = |app: &str, n: usize| config_map("parts", &format!("{app}-{n}"), app, json!({"filler": filler}));
    let (ours, theirs): (Vec<Value>, Vec<Value>) = (0..20).map(|n| (map("ours", n), map("theirs", n))).unzip();
    // Written by somebody else, so that only the watch tells of them.
    let writer = crate::support::bench(&plane, OTHER_ADMIN, Default::default()).await;
    for object in ours.iter().chain(&theirs) {
        writer.apply(object).await;
    }
    let owned = || (bench.live.owned_by("ours").len(), bench.live.owned_by("theirs").len());
    eventually("all objects", || async { (owned() == (20, 20)).then_some(()) }).await;
    assert!(ours.iter().all(|object| is_whole(&bench, object)));
    assert!(!theirs.iter().any(|object| is_whole(&bench, object)));
    let before = bench.live.stats();
    assert_eq!(before.full_objects, 20);

    // More is wanted: this kind is listed once more, and nothing is ever missing meanwhile.
    let maps = bench.live.of_kind(&GroupKind::new("", "ConfigMap")).len() as u64;
    let mut changes = bench.live.changes();
    let done = Arc::new(AtomicBool::new(false));
    let looking = tokio::spawn({
        let (live, done, key) = (bench.live.clone(), done.clone(), ResourceKey::of(&ours[19]));
        async move {
            while !done.load(Ordering::Relaxed) {
                assert!(live.get(&key).is_some_and(|known| known.is_full()), "it was gone for a while");
                tokio::task::yield_now().await;
            }
        }
    });
    bench.live.want(only(&["ours", "theirs"]));
    tokio::time::timeout(PATIENCE, bench.live.complete_for("theirs")).await.expect("in time");
    assert!(theirs.iter().all(|object| is_whole(&bench, object)));
    tokio::time::timeout(PATIENCE, bench.live.complete()).await.expect("in time");
    done.store(true, Ordering::Relaxed);
    looking.await.expect("nothing was missing");
    let after = bench.live.stats();
    assert_eq!(after.full_objects, 40);
    assert!(after.full_bytes >= 2 * before.full_bytes - 1000, "{before:?}, {after:?}");
    let events = after.events - before.events;
    assert!(events <= maps + 10, "{events} events for {maps} objects of {}", after.objects);
    let key = ResourceKey::of(&theirs[0]);
    let body = bench.live.get(&key).and_then(|known| known.full()).expect("kept whole");
    assert_eq!(body["data"]["filler"], json!(filler));

    // From now on changes of it are told; that it became whole was none.
    let mut newer = theirs[0].clone();
    newer["data"] = json!({"filler": "y"});
    writer.apply(&newer).await;
    let batch = tokio::time::timeout(PATIENCE, changes.next()).await.expect("a change");
    let told: Vec<_> = batch.changes.iter().map(|change| (&change.key, change.kind)).collect();
    assert_eq!(told, [(&key, ChangeKind::Updated)]);

    // Less is wanted: what was let go of stays known, and is not kept whole when it is read.
    bench.live.want(only(&["ours"]));
    let stats = bench.live.stats();
    assert_eq!((stats.full_objects, stats.objects), (20, after.objects));
    assert!(stats.full_bytes <= before.full_bytes + 1000 && owned() == (20, 20));
    let read = bench.live.fetch(&key).await.expect("answers").expect("is there");
    assert_eq!(read["data"]["filler"], json!("y"));
    assert!(!is_whole(&bench, &theirs[0]));
    assert_eq!(bench.live.kinds_of(|app| app == "theirs"), [GroupKind::new("", "ConfigMap")].into());
}
