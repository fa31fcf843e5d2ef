use super::*;
use serde_json::json;

fn app(name: &str, version: u64) -> (AppKey, Application) {
    let object = json!({"metadata": {"name": name, "namespace": "n", "resourceVersion": version.to_string()}});
    (AppKey::new("n", name), serde_json::from_value(object).expect("an application"))
}

fn apply(store: &Store<Application>, name: &str, version: u64) {
    let (key, object) = app(name, version);
    store.on_event(Event::Applied { key, object, forced: false }, |_| true);
}

fn delete(store: &Store<Application>, name: &str, version: u64) {
    let event = Event::Deleted { key: AppKey::new("n", name), version: version.to_string() };
    store.on_event(event, |_| true);
}

fn version(app: &Application) -> &str {
    &app.metadata().resource_version
}

#[test]
fn a_slow_subscriber_sees_the_latest_state_against_what_it_knew() {
    let store = Store::new(1);
    apply(&store, "a", 1);
    let mut changes = store.subscribe();
    assert!(matches!(changes.try_next(), Some(Change::Applied { old: None, .. })));
    (2..1000).for_each(|v| apply(&store, "a", v));
    let Some(Change::Applied { old: Some(old), new, .. }) = changes.try_next() else { panic!("a change") };
    assert_eq!((version(&old), version(&new)), ("1", "999"));
    assert!(changes.try_next().is_none());
}

#[test]
fn what_came_and_went_unread_leaves_nothing_behind() {
    let store = Store::new(1);
    let mut changes = store.subscribe();
    for v in 1..100 {
        apply(&store, &format!("a{v}"), v * 2);
        delete(&store, &format!("a{v}"), v * 2 + 1);
    }
    assert!(changes.try_next().is_none());
}

#[test]
fn an_older_state_does_not_replace_a_newer_one() {
    let store = Store::new(1);
    apply(&store, "a", 5);
    let (key, written) = app("a", 7);
    assert_eq!(version(&store.on_written(&key, written)), "7");
    apply(&store, "a", 6);
    delete(&store, "a", 6);
    assert_eq!(store.get(&key).as_deref().map(version), Some("7"));
    delete(&store, "a", 8);
    assert!(store.get(&key).is_none());
}

#[test]
fn the_late_answer_to_a_write_does_not_bring_a_deleted_object_back() {
    let store = Store::new(1);
    apply(&store, "a", 5);
    delete(&store, "a", 7);
    let (key, written) = app("a", 6);
    store.on_written(&key, written);
    assert!(store.get(&key).is_none());
}

#[tokio::test]
async fn a_writer_gets_back_what_was_written_though_others_have_gone_on() {
    let store = Store::new(1);
    apply(&store, "a", 9);
    let (key, written) = app("a", 7);
    assert_eq!(version(&*store.keep(&key, written).await), "7");
    assert_eq!(store.get(&key).as_deref().map(version), Some("9"));
}

#[test]
fn a_malformed_object_is_reported_alone_and_comes_back_when_mended() {
    let store = Store::new(1);
    apply(&store, "a", 1);
    apply(&store, "b", 2);
    let mut changes = store.subscribe();
    while changes.try_next().is_some() {}
    store.on_event(Event::Malformed { key: AppKey::new("n", "a"), error: "bad".into() }, |_| true);
    assert!(matches!(changes.try_next(), Some(Change::Malformed { error, .. }) if &*error == "bad"));
    assert_eq!((store.len(), store.malformed().len()), (1, 1));
    apply(&store, "a", 3);
    assert!(matches!(changes.try_next(), Some(Change::Applied { old: None, .. })));
    assert!(store.malformed().is_empty());
}

#[test]
fn a_sync_removes_only_what_its_watch_is_responsible_for() {
    let store = Store::new(2);
    apply(&store, "a", 1);
    apply(&store, "b", 2);
    store.on_event(Event::Synced { keys: HashSet::new() }, |key| &*key.name == "a");
    assert_eq!(store.list().len(), 1);
}

#[test]
fn a_restored_backup_replaces_what_looks_newer() {
    let store = Store::new(1);
    apply(&store, "a", 100);
    let (key, object) = app("a", 10);
    store.on_event(Event::Applied { key: key.clone(), object, forced: true }, |_| true);
    assert_eq!(store.get(&key).as_deref().map(version), Some("10"));
}

#[tokio::test]
async fn changes_end_with_the_store() {
    let store: Arc<Store<Application>> = Store::new(0);
    store.synced().await;
    let mut changes = store.subscribe();
    drop(store);
    assert!(changes.next().await.is_none());
}

#[tokio::test]
async fn watches_that_were_replaced_before_they_came_through_are_not_waited_for() {
    let store: Arc<Store<Application>> = Store::new(1);
    store.expect_watches(3);
    store.on_first_sync();
    store.expect_watches(1);
    store.on_first_sync();
    store.synced().await;
    store.expect_watches(2);
    store.synced().await;
}
