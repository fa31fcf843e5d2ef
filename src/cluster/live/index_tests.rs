//! What the index promises, without a cluster.

use std::sync::Arc;

use argosy_model::{Gvk, ResourceKey};
use serde_json::{Value, json};

use super::changes::ChangeKind;
use super::index::{Index, ScopeId, Via};
use super::options::LiveOptions;
use super::wanted::Wanted;
use super::wire::{Observed, Reading};

fn reading(gvk: &Gvk) -> Reading {
    Reading {
        gvk: gvk.clone(),
        full: true,
        tree: true,
        pinned: None,
        wanted: Arc::default(),
        settings: Arc::new(LiveOptions::default()),
    }
}

struct Bench {
    index: Index,
    epoch: u32,
    wanted: Arc<Wanted>,
}

impl Bench {
    fn new() -> Self {
        let mut index = Index::default();
        let epoch = index.begin();
        Self { index, epoch, wanted: Arc::default() }
    }

    fn scope(&mut self, object: &Value) -> ScopeId {
        (self.index.kind_id(&Gvk::of(object)), None)
    }

    fn see(&mut self, object: &Value) -> Option<super::Change> {
        let scope = self.scope(object);
        let reading = Reading { wanted: self.wanted.clone(), ..reading(&Gvk::of(object)) };
        let seen = Observed::read(&object.to_string(), &reading).expect("reads");
        self.index.put(scope.0, Via::Watch { scope, epoch: self.epoch }, seen)
    }

    fn record(&mut self, object: &Value) -> Option<super::Change> {
        let scope = self.scope(object);
        let seen = Observed::read(&object.to_string(), &reading(&Gvk::of(object))).expect("reads");
        self.index.put(scope.0, Via::Write, seen)
    }

    fn lose(&mut self, object: &Value) -> Option<super::Change> {
        let scope = self.scope(object);
        let seen = Observed::read(&object.to_string(), &reading(&Gvk::of(object))).expect("reads");
        self.index.remove(scope.0, scope, &seen)
    }

    fn knows(&self, object: &Value) -> bool {
        self.index.lookup(&ResourceKey::of(object)).is_some()
    }

    /// Names of the objects that are kept whole.
    fn whole(&self) -> Vec<&str> {
        let whole = self.index.entries.iter().flatten().filter(|entry| entry.full().is_some());
        let mut names: Vec<&str> = whole.map(|entry| &*entry.name).collect();
        names.sort_unstable();
        names
    }

    fn want(&mut self, apps: &'static [&'static str]) {
        self.wanted = Arc::new(Wanted::only(|app| apps.contains(&app)));
        self.index.let_go(&self.wanted, &Default::default());
    }
}

fn object(kind: &str, name: &str, version: u64) -> Value {
    json!({"apiVersion": if kind == "ReplicaSet" || kind == "Deployment" || kind == "StatefulSet" { "apps/v1" } else { "v1" },
           "kind": kind,
           "metadata": {"name": name, "namespace": "n", "uid": format!("uid-{name}"), "resourceVersion": version.to_string()}})
}

fn owned(mut object: Value, owner: &str) -> Value {
    object["metadata"]["ownerReferences"] = json!([{"uid": format!("uid-{owner}"), "kind": "X", "name": owner}]);
    object
}

fn tracked(mut object: Value, app: &str) -> Value {
    let key = ResourceKey::of(&object);
    let id = argosy_model::tracking::format_id(app, &key);
    object["metadata"]["annotations"] = json!({"argocd.argoproj.io/tracking-id": id});
    object
}

#[test]
fn a_child_concerns_the_application_of_its_root_even_when_it_came_first() {
    let mut bench = Bench::new();
    bench.see(&owned(object("Pod", "p", 1), "rs"));
    bench.see(&owned(object("ReplicaSet", "rs", 2), "d"));
    let root = bench.see(&tracked(object("Deployment", "d", 3), "app")).expect("is news");
    assert!(root.root && root.apps == ["app".into()]);
    let pod = bench.lose(&owned(object("Pod", "p", 4), "rs")).expect("is news");
    assert!(!pod.root);
    assert_eq!((pod.kind, pod.apps), (ChangeKind::Removed, vec!["app".into()]));
}

#[test]
fn a_new_version_alone_is_no_change() {
    let mut bench = Bench::new();
    let config = tracked(object("ConfigMap", "c", 1), "app");
    assert!(bench.see(&config).is_some());
    let mut newer = config.clone();
    newer["metadata"]["resourceVersion"] = json!("2");
    assert!(bench.see(&newer).is_none());
    newer["data"] = json!({"k": "v"});
    newer["metadata"]["resourceVersion"] = json!("3");
    assert_eq!(bench.see(&newer).expect("is news").kind, ChangeKind::Updated);
}

#[test]
fn an_object_that_changes_hands_concerns_both_applications() {
    let mut bench = Bench::new();
    bench.see(&tracked(object("ConfigMap", "c", 1), "old"));
    let mut apps = bench.see(&tracked(object("ConfigMap", "c", 2), "new")).expect("is news").apps;
    apps.sort();
    assert_eq!(apps, ["new".into(), "old".into()]);
    assert_eq!(bench.index.roots_of("old").count(), 0);
}

#[test]
fn an_old_event_does_not_undo_a_newer_write() {
    let mut bench = Bench::new();
    bench.see(&object("ConfigMap", "c", 5));
    bench.record(&tracked(object("ConfigMap", "c", 9), "app"));
    bench.see(&object("ConfigMap", "c", 7));
    assert_eq!(bench.index.roots_of("app").count(), 1);
}

#[test]
fn a_write_answered_after_its_object_was_deleted_does_not_bring_it_back() {
    let mut bench = Bench::new();
    let config = object("ConfigMap", "c", 5);
    bench.see(&config);
    bench.lose(&object("ConfigMap", "c", 8));
    assert!(bench.record(&object("ConfigMap", "c", 6)).is_none());
    assert!(!bench.knows(&config));
}

#[test]
fn a_listing_takes_out_what_it_does_not_confirm_but_not_what_is_newer_than_itself() {
    let mut bench = Bench::new();
    let (old, kept, written) =
        (object("ConfigMap", "old", 1), object("ConfigMap", "kept", 2), object("ConfigMap", "w", 20));
    bench.see(&old);
    bench.see(&kept);
    bench.epoch = bench.index.begin();
    bench.see(&kept);
    bench.record(&written);
    let scope = bench.scope(&old);
    let gone = bench.index.sweep(scope, bench.epoch, 10);
    assert_eq!(gone.len(), 1);
    assert!(!bench.knows(&old) && bench.knows(&kept) && bench.knows(&written));
}

#[test]
fn owner_references_in_a_circle_end() {
    let mut bench = Bench::new();
    bench.see(&owned(object("ConfigMap", "a", 1), "b"));
    bench.see(&owned(object("ConfigMap", "b", 2), "a"));
    let id = bench.index.lookup(&ResourceKey::new("", "ConfigMap", "n", "a")).expect("known");
    assert_eq!(bench.index.descend([id]).len(), 2);
    assert!(bench.index.apps_of(id).is_empty());
}

#[test]
fn relations_by_convention_are_found() {
    let mut bench = Bench::new();
    let mut set = tracked(object("StatefulSet", "db", 1), "app");
    set["spec"] = json!({"volumeClaimTemplates": [{"metadata": {"name": "data"}}]});
    bench.see(&set);
    bench.see(&object("PersistentVolumeClaim", "data-db-0", 2));
    bench.see(&object("PersistentVolumeClaim", "other-db-0", 3));
    bench.see(&tracked(object("Service", "s", 4), "app"));
    bench.see(&object("Endpoints", "s", 5));
    let names = |index: &Index, kind: &str, name: &str| {
        let group = if kind == "StatefulSet" { "apps" } else { "" };
        let id = index.lookup(&ResourceKey::new(group, kind, "n", name)).expect("known");
        index.children(id).into_iter().filter_map(|c| index.entry(c)).map(|e| e.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&bench.index, "StatefulSet", "db"), ["data-db-0"]);
    assert_eq!(names(&bench.index, "Service", "s"), ["s"]);
}

#[test]
fn an_object_known_by_its_metadata_takes_less_than_500_bytes() {
    let mut bench = Bench::new();
    for n in 0..20_000u64 {
        let mut config = owned(object("ConfigMap", &format!("a-rather-long-name-of-a-config-map-{n}"), n + 1), "x");
        config["metadata"]["uid"] = json!(format!("0c9d3f0e-1b2a-4c3d-8e4f-{n:012x}"));
        config["metadata"]["ownerReferences"][0]["uid"] = json!(format!("1c9d3f0e-1b2a-4c3d-8e4f-{:012x}", n / 3));
        let gvk = Gvk::of(&config);
        let seen =
            Observed::read(&config.to_string(), &Reading { full: false, tree: false, ..reading(&gvk) }).expect("reads");
        let scope = bench.scope(&config);
        bench.index.put(scope.0, Via::Watch { scope, epoch: bench.epoch }, seen);
    }
    let sizes = bench.index.sizes();
    assert_eq!(sizes.objects, 20_000);
    assert!(sizes.bytes / sizes.objects < 500, "{} bytes each", sizes.bytes / sizes.objects);
}

#[test]
fn what_is_wanted_less_is_let_go_of_and_stays_known() {
    let mut bench = Bench::new();
    let mut deployment = tracked(object("Deployment", "d", 1), "a");
    deployment["spec"] = json!({"template": {"spec": {"containers": [{"image": "i"}]}}});
    bench.see(&deployment);
    bench.see(&tracked(object("ConfigMap", "c", 2), "b"));
    bench.see(&owned(object("ReplicaSet", "rs", 3), "d"));
    assert_eq!(bench.whole(), ["c", "d"]);
    let before = bench.index.sizes();
    bench.want(&["b"]);
    assert_eq!(bench.whole(), ["c"]);
    let after = bench.index.sizes();
    assert!(after.full_bytes < before.full_bytes && after.bytes <= before.bytes, "{before:?}, {after:?}");
    // Who belongs to whom and what a tree shows of it are the same as ever.
    assert_eq!(bench.index.roots_of("a").count(), 1);
    let id = bench.index.lookup(&ResourceKey::of(&deployment)).expect("known");
    let summary = bench.index.entry(id).and_then(|entry| entry.summary()).expect("is kept");
    assert_eq!(summary.images, ["i".into()]);
    assert_eq!(bench.index.children(id).len(), 1);
    // What comes is not kept whole either, and changes of what nobody here works for are none.
    deployment["metadata"]["resourceVersion"] = json!("4");
    deployment["spec"]["minReadySeconds"] = json!(3);
    assert!(bench.see(&deployment).is_none());
    assert_eq!(bench.whole(), ["c"]);
}

#[test]
fn what_is_wanted_more_is_missed_by_kind_and_told_of_where_it_may_have_changed() {
    let mut bench = Bench::new();
    bench.want(&["b"]);
    let (same, other) = (tracked(object("ConfigMap", "same", 1), "a"), tracked(object("ConfigMap", "other", 2), "a"));
    bench.see(&same);
    bench.see(&other);
    bench.see(&tracked(object("Secret", "s", 3), "b"));
    assert!(bench.index.lacking(&bench.wanted).is_empty());
    bench.want(&["a", "b"]);
    let kinds = bench.index.lacking(&bench.wanted);
    assert_eq!(kinds, [argosy_model::GroupKind::new("", "ConfigMap")].into());
    assert_eq!(bench.index.lacking_of("a"), kinds);
    assert!(bench.index.lacking_of("b").is_empty());
    // Read once more: the version known is no news, whoever compared another one hears of it.
    assert!(bench.see(&same).is_none());
    let mut newer = other.clone();
    newer["metadata"]["resourceVersion"] = json!("5");
    assert_eq!(bench.see(&newer).expect("is news").kind, ChangeKind::Updated);
    assert!(bench.index.lacking(&bench.wanted).is_empty());
    assert_eq!(bench.whole(), ["other", "s", "same"]);
}
