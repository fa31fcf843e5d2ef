//! Every guard of automated sync, in its order.

use super::*;
use crate::health::Status;
use argosy_proto::v1alpha1::ResourceStatus;
use serde_json::{Value, json};

fn app(automated: Value, state: Value) -> Application {
    serde_json::from_value(json!({
        "metadata": {"name": "a"},
        "spec": {"project": "default", "source": {"repoURL": "r"}, "destination": {},
                 "syncPolicy": {"automated": automated}},
        "status": {"operationState": state},
    }))
    .expect("an application")
}

fn resource(name: &str, status: &str, prune: bool) -> ResourceStatus {
    ResourceStatus {
        kind: "ConfigMap".into(),
        name: name.into(),
        status: status.into(),
        requires_pruning: prune,
        ..ResourceStatus::default()
    }
}

fn decide(app: &Application, resources: Vec<ResourceStatus>, second: i64) -> AutoSync {
    let out_of_sync = resources.iter().any(|r| r.status == "OutOfSync");
    let only_prunes = out_of_sync && resources.iter().all(|r| r.status == "Synced" || r.requires_pruning);
    let summary = Summary { resources, out_of_sync, only_prunes, health: Status::Healthy };
    let heal_backoff = Backoff { first: Duration::from_secs(2), factor: 3.0, limit: Duration::from_secs(300) };
    let now = Timestamp::from_second(second).expect("in range");
    plan_auto_sync(app, &AutoSyncInput { summary: &summary, revisions: &["abc".into()], heal_backoff, now })
}

fn drifted() -> Vec<ResourceStatus> {
    vec![resource("a", "OutOfSync", false), resource("b", "Synced", false)]
}

#[test]
fn drift_starts_a_whole_sync_of_the_resolved_revision() {
    let AutoSync::Start(operation) = decide(&app(json!({}), Value::Null), drifted(), 0) else { panic!("started") };
    let sync = operation.sync.expect("a sync");
    assert_eq!((sync.revision.as_str(), sync.resources.len()), ("abc", 0));
    assert_eq!(operation.retry.expect("retries").limit, 5);
}

#[test]
fn disabled_synced_and_prune_only_applications_are_left_alone() {
    assert!(matches!(decide(&app(json!({"enabled": false}), Value::Null), drifted(), 0), AutoSync::Nothing(_)));
    let synced = vec![resource("a", "Synced", false)];
    assert!(matches!(decide(&app(json!({}), Value::Null), synced, 0), AutoSync::Nothing(_)));
    let prunes = vec![resource("a", "OutOfSync", true), resource("b", "Synced", false)];
    assert!(matches!(decide(&app(json!({}), Value::Null), prunes.clone(), 0), AutoSync::Nothing(_)));
    assert!(matches!(decide(&app(json!({"prune": true}), Value::Null), prunes, 0), AutoSync::Start(_)));
}

#[test]
fn wiping_everything_out_takes_permission() {
    let all = vec![resource("a", "OutOfSync", true)];
    let refused = decide(&app(json!({"prune": true}), Value::Null), all.clone(), 0);
    assert_eq!(
        refused,
        AutoSync::Refuse("Skipping sync attempt to [abc]: auto-sync will wipe out all resources".into())
    );
    assert!(matches!(
        decide(&app(json!({"prune": true, "allowEmpty": true}), Value::Null), all, 0),
        AutoSync::Start(_)
    ));
}

#[test]
fn a_failed_attempt_at_the_same_revision_is_not_repeated() {
    let state =
        json!({"phase": "Failed", "message": "no", "syncResult": {"revision": "abc", "source": {"repoURL": "r"}}});
    assert_eq!(
        decide(&app(json!({"selfHeal": true}), state), drifted(), 0),
        AutoSync::Refuse("Failed last sync attempt to [abc]: no".into())
    );
    let older =
        json!({"phase": "Failed", "message": "no", "syncResult": {"revision": "old", "source": {"repoURL": "r"}}});
    assert!(matches!(decide(&app(json!({}), older), drifted(), 0), AutoSync::Start(_)));
}

#[test]
fn drift_after_a_sync_is_healed_with_growing_waits_and_only_what_drifted() {
    let state = |attempts: i64| {
        json!({"phase": "Succeeded", "finishedAt": "1970-01-01T00:00:00Z",
               "operation": {"sync": {"autoHealAttemptsCount": attempts}},
               "syncResult": {"revision": "abc", "source": {"repoURL": "r"}}})
    };
    assert!(matches!(decide(&app(json!({}), state(0)), drifted(), 60), AutoSync::Nothing(_)));
    let heal = json!({"selfHeal": true});
    assert_eq!(decide(&app(heal.clone(), state(1)), drifted(), 1), AutoSync::Wait(Duration::from_secs(5)));
    let AutoSync::Start(operation) = decide(&app(heal, state(1)), drifted(), 6) else { panic!("started") };
    let sync = operation.sync.expect("a sync");
    assert_eq!((sync.auto_heal_attempts_count, sync.resources.len()), (2, 1));
}
