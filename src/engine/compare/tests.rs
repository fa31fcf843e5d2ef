//! Who belongs to whom, and what that makes of the application.

use super::*;
use serde_json::json;

fn object(kind: &str, name: &str, annotations: Value) -> Arc<Value> {
    let metadata = json!({"name": name, "namespace": "n", "annotations": annotations});
    Arc::new(json!({"apiVersion": "v1", "kind": kind, "metadata": metadata}))
}

fn tracked(name: &str, app: &str) -> Arc<Value> {
    object("ConfigMap", name, json!({"argocd.argoproj.io/tracking-id": format!("{app}:/ConfigMap:n/{name}")}))
}

fn paired(targets: &[Arc<Value>], owned: &[Arc<Value>], others: &[Arc<Value>]) -> Pairing {
    let tracking = Tracking::default();
    let context = PairContext {
        app: &AppKey::new("argocd", "app"),
        instance: "app",
        tracking: &tracking,
        owned,
        live: &|key| others.iter().find(|o| ResourceKey::of(o) == *key).cloned(),
        permits_live: &|_| true,
        permits_target: &|_| true,
    };
    pair_resources(targets, &context)
}

#[test]
fn targets_meet_their_live_objects_and_leftovers_are_pruned() {
    let (a, b) = (tracked("a", "app"), tracked("b", "app"));
    let pairing = paired(std::slice::from_ref(&a), &[a.clone(), b], &[]);
    let summary = summarize(&pairing.pairs, false);
    assert_eq!(summary.resources[0].status, "Synced");
    assert!(summary.resources[1].requires_pruning);
    assert!(summary.out_of_sync && summary.only_prunes);
}

#[test]
fn an_object_of_another_application_is_reported_as_shared() {
    let pairing = paired(&[tracked("a", "app")], &[], &[tracked("a", "other")]);
    assert_eq!(pairing.findings[0].message, "ConfigMap/a is part of applications argocd/app and other");
}

#[test]
fn a_copy_that_carries_a_foreign_identity_is_not_pruned() {
    let copy = object("ConfigMap", "copy", json!({"argocd.argoproj.io/tracking-id": "app:/ConfigMap:n/a"}));
    let summary = summarize(&paired(&[], &[copy], &[]).pairs, false);
    assert!(!summary.out_of_sync);
    assert!(!summary.resources[0].requires_pruning);
    assert_eq!(summary.resources[0].status, "");
}

#[test]
fn hooks_are_kept_apart_and_extraneous_objects_do_not_count() {
    let hook = object("Job", "h", json!({"argocd.argoproj.io/hook": "PreSync"}));
    let extra = object(
        "ConfigMap",
        "x",
        json!({"argocd.argoproj.io/tracking-id": "app:/ConfigMap:n/x",
               "argocd.argoproj.io/compare-options": "IgnoreExtraneous"}),
    );
    let pairing = paired(&[hook], &[extra], &[]);
    assert_eq!(pairing.hooks.len(), 1);
    let summary = summarize(&pairing.pairs, false);
    assert!(!summary.out_of_sync);
    assert_eq!(summary.resources[0].status, "OutOfSync");
}
