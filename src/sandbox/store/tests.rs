//! What a store promises.

use futures::{FutureExt as _, StreamExt as _};
use serde_json::json;

use super::*;

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("", "configmaps", "a", name)
}

fn object(data: &str) -> Value {
    json!({"metadata": {"name": "x"}, "data": {"k": data}})
}

fn put(store: &Store, name: &str, data: &str) -> Arc<Object> {
    store
        .update(&key(name), None, |_| Ok::<_, ()>(Some(object(data))))
        .or_else(|_| store.create(&key(name), object(data)))
        .expect("writes")
}

#[test]
fn versions_rise_over_all_objects_and_are_in_the_values() {
    let store = Store::in_memory();
    let a = store.create(&key("a"), object("1")).expect("creates");
    let b = store.create(&ObjectKey::new("apps", "deployments", "a", "a"), object("1")).expect("creates");
    assert_eq!((a.version, b.version, store.version()), (1, 2, 2));
    assert_eq!(b.value["metadata"]["resourceVersion"], "2");
    assert_eq!(store.create(&key("a"), object("1")), Err(StoreError::Exists));
}

#[test]
fn a_write_based_on_an_old_version_is_a_conflict() {
    let store = Store::in_memory();
    put(&store, "a", "1");
    put(&store, "a", "2");
    let late = store.update(&key("a"), Some(1), |_| Ok::<_, ()>(Some(object("3"))));
    assert_eq!(late, Err(UpdateError::Store(StoreError::Conflict { current: 2 })));
    assert_eq!(store.delete(&key("a"), Some(1)), Err(StoreError::Conflict { current: 2 }));
    assert_eq!(store.delete(&key("a"), Some(2)).expect("deletes").version, 3);
    assert_eq!(store.delete(&key("a"), None), Err(StoreError::NotFound));
}

#[test]
fn what_changes_nothing_is_no_write() {
    let store = Store::in_memory();
    put(&store, "a", "1");
    assert_eq!(put(&store, "a", "1").version, 1);
    assert_eq!(store.update(&key("a"), None, |_| Ok::<_, ()>(None)).expect("fine").version, 1);
    assert_eq!(store.update(&key("a"), None, |_| Err("no")), Err(UpdateError::Refused("no")));
    assert_eq!(store.version(), 1);
}

#[tokio::test]
async fn a_watch_begins_after_its_version_and_sees_only_its_namespace() {
    let store = Store::in_memory();
    put(&store, "a", "1");
    put(&store, "a", "2");
    store.create(&ObjectKey::new("", "configmaps", "other", "a"), object("1")).expect("creates");
    let mut watch = store.watch("", "configmaps", Some("a"), 1).expect("watches");
    assert!(matches!(watch.next().await, Some(WatchEvent::Modified(o)) if o.version == 2));
    assert_eq!(watch.next().now_or_never(), None, "it waits");
    store.delete(&key("a"), None).expect("deletes");
    assert!(matches!(watch.next().await, Some(WatchEvent::Deleted(o)) if o.version == 4));
}

#[tokio::test]
async fn what_is_forgotten_is_too_old() {
    let store = Store::with_history(2);
    let mut slow = store.watch("", "configmaps", None, 0).expect("watches");
    for n in 0..4 {
        put(&store, "a", &n.to_string());
    }
    assert_eq!(store.watch("", "configmaps", None, 1).err(), Some(TooOld { asked: 1, oldest: 2 }));
    assert!(store.watch("", "configmaps", None, 2).is_ok());
    assert_eq!(slow.next().await, None, "a reader that fell behind is sent away");
}

#[test]
fn a_list_can_be_had_as_it_was() {
    let store = Store::in_memory();
    put(&store, "a", "1");
    put(&store, "b", "1");
    put(&store, "a", "2");
    store.delete(&key("b"), None).expect("deletes");
    put(&store, "c", "1");
    let at = |version| {
        let list = store.list_at("", "configmaps", None, version).expect("is remembered");
        list.iter().map(|o| o.version).collect::<Vec<_>>()
    };
    assert_eq!(at(1), [1]);
    assert_eq!(at(2), [1, 2]);
    assert_eq!(at(3), [3, 2]);
    assert_eq!(at(5), [3, 5]);
}

#[test]
fn an_object_goes_with_its_last_finalizer() {
    let store = Store::in_memory();
    let deleting = |finalizers: Value| json!({"metadata": {"name": "a", "deletionTimestamp": "1970-01-01T00:00:00Z", "finalizers": finalizers}});
    store.create(&key("a"), deleting(json!(["x", "y"]))).expect("creates");
    store.update(&key("a"), None, |_| Ok::<_, ()>(Some(deleting(json!(["y"]))))).expect("updates");
    assert!(store.get(&key("a")).is_some());
    store.update(&key("a"), None, |_| Ok::<_, ()>(Some(deleting(json!([]))))).expect("updates");
    assert_eq!(store.get(&key("a")), None);
}

#[tokio::test]
async fn the_changes_begin_with_what_is_there() {
    let store = Store::in_memory();
    put(&store, "a", "1");
    let mut changes = store.changes();
    put(&store, "a", "2");
    let first = changes.next().await.expect("changes");
    assert!(matches!(&first.event, WatchEvent::Added(o) if o.version == 1));
    let second = changes.next().await.expect("changes");
    assert_eq!(second.previous.as_ref().map(|o| o.version), Some(1));
    assert_eq!(second.event.object().version, 2);
}

#[tokio::test]
async fn a_store_on_disk_goes_on_where_it_was_with_higher_versions() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("state");
    let store = Store::open(&file, DEFAULT_HISTORY).expect("opens");
    put(&store, "a", "1");
    put(&store, "b", "1");
    store.delete(&key("a"), None).expect("deletes");
    store.committed(store.version()).await.expect("is written");
    drop(store);
    let store = Store::open(&file, DEFAULT_HISTORY).expect("opens again");
    assert_eq!(store.len(), 1);
    assert_eq!(store.get(&key("b")).expect("is there").version, 2);
    assert!(store.version() > 3);
    assert!(store.watch("", "configmaps", None, 3).is_err(), "the history is gone");
    assert!(put(&store, "b", "2").version > store.get(&key("b")).map_or(0, |o| o.version) - 1);
}

#[test]
fn what_could_not_be_read_again_is_not_taken() {
    let nested = |depth: usize| (0..depth).fold(json!("x"), |inner, _| json!({"k": inner}));
    let with = |depth: usize| json!({"metadata": {"name": "a"}, "data": nested(depth)});
    let store = Store::in_memory();
    store.create(&key("a"), with(126)).expect("creates");
    let again = store.get(&key("a")).expect("is there");
    assert_eq!(again.value["data"], nested(126), "it is read from its text");
    assert_eq!(store.create(&key("b"), with(127)), Err(StoreError::TooDeep));
    let deeper = store.update(&key("a"), None, |_| Ok::<_, ()>(Some(with(127))));
    assert_eq!(deeper, Err(UpdateError::Store(StoreError::TooDeep)));
}

#[tokio::test]
async fn large_versions_are_remembered_for_a_shorter_time() {
    let store = Store::in_memory();
    let large = "x".repeat(50_000);
    for n in 0..200 {
        put(&store, "a", &format!("{large}{n}"));
    }
    assert!(store.follow("", "configmaps", None, 100).is_err(), "more than a megabyte ago");
    let mut recent = store.follow("", "configmaps", None, store.version() - 20).expect("is remembered");
    assert_eq!(recent.catch_up().expect("is remembered").len(), 20);
}
