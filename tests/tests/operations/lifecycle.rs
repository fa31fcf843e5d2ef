//! The life of an operation: requested, retried, terminated, remembered.

use super::case::{Case, HOOK, PATIENCE, config_map, job, results, text};
use argosy_tests::AppState;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn deployments_are_remembered_and_an_older_one_is_brought_back() -> anyhow::Result<()> {
    let case = Case::new("history").await?;
    let mut commits = Vec::new();
    let app = case.app().set("/spec/revisionHistoryLimit", json!(2));
    for number in 0..3 {
        commits.push(case.commit(&[("one.yaml", &config_map("one", &number.to_string(), &[]))])?);
        app.apply(&case.client).await?;
        let state = case.sync(&app, json!({})).await?;
        assert_eq!(state.phase(), "Succeeded", "{}", state.message());
    }
    let state = case.sync(&app, json!({"revision": commits[0]})).await?;
    assert_eq!(state.phase(), "Succeeded", "{}", state.message());
    assert_eq!(case.live("configmap", "one")?["data"]["text"], json!("0"));
    let history = state.list("/status/history");
    let ids: Vec<_> = history.iter().map(|h| (h["id"].as_i64(), text(h, "/revision"))).collect();
    assert_eq!(ids, [(Some(2), commits[2].as_str()), (Some(3), commits[0].as_str())]);
    let last = &history[1];
    assert_eq!(text(last, "/initiatedBy/username"), "somebody");
    assert_eq!(text(last, "/source/path"), "app");
    assert!(text(last, "/deployStartedAt") <= text(last, "/deployedAt") && !text(last, "/deployedAt").is_empty());
    assert_eq!(state.text("/status/operationState/syncResult/revision"), commits[0]);
    // The target is the tip still.
    assert_eq!((state.sync_status(), state.revision()), ("OutOfSync", commits[2].as_str()));
    let events = case.events()?;
    assert!(events.contains(&format!("OperationStarted: somebody initiated sync to {}", commits[0])), "{events}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_terminated_and_its_running_hook_goes() -> anyhow::Result<()> {
    let case = Case::new("terminate").await?;
    case.commit(&[
        ("hook.yaml", &job("name: hook", &[(HOOK, "PreSync")], "never-ready")),
        ("one.yaml", &config_map("one", "1", &[])),
    ])?;
    let app = case.app();
    app.apply(&case.client).await?;
    let marker = case.request(&app, json!({"sync": {}, "retry": {"limit": 3}})).await?;
    case.says(&app, &marker, "waiting for completion of hook batch/Job/hook").await?;
    app.merge(&case.client, &json!({"status": {"operationState": {"phase": "Terminating"}}})).await?;
    let state = case.ended(&app, &marker).await?;
    assert_eq!((state.phase(), state.message()), ("Failed", "Operation terminated"), "{:?}", results(&state));
    assert!(results(&state)[0].contains("Failed"), "{:?}", results(&state));
    case.until("the hook goes", || Ok(case.get("job", "hook")?.is_none())).await?;
    assert!(case.get("configmap", "one")?.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_operation_is_retried_with_growing_waits() -> anyhow::Result<()> {
    let case = Case::new("retries").await?;
    case.commit(&[("one.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {text: [1]}\n")])?;
    let app = case.app();
    app.apply(&case.client).await?;
    let retry = json!({"limit": 2, "backoff": {"duration": "4s", "factor": 2, "maxDuration": "1m"}});
    let marker = case.request(&app, json!({"sync": {}, "retry": retry})).await?;
    let first = case.says(&app, &marker, ". Retrying attempt #1 at ").await?;
    assert_eq!(first.phase(), "Running");
    assert!(!first.text("/status/operationState/finishedAt").is_empty());
    case.says(&app, &marker, ". Retrying attempt #2 at ").await?;
    let last = case.ended(&app, &marker).await?;
    assert_eq!(last.phase(), "Failed");
    assert!(last.message().ends_with(" (retried 2 times)."), "{}", last.message());
    assert_eq!(last.0.pointer("/status/operationState/retryCount"), Some(&json!(2)));

    // One that succeeds in between ends the retries; it waits for what is missing.
    case.commit(&[("one.yaml", &config_map("one", "1", &[]).replace("name: one", "name: one\n  namespace: later"))])?;
    let marker = case.request(&app, json!({"sync": {}, "retry": retry})).await?;
    case.says(&app, &marker, ". Retrying attempt #1 at ").await?;
    case.plane.kubectl_text(&["create", "namespace", "later"])?;
    let state = case.ended(&app, &marker).await?;
    assert_eq!((state.phase(), state.list("/status/history").len()), ("Succeeded", 1), "{}", state.message());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_failed_is_not_tried_again_by_itself() -> anyhow::Result<()> {
    let case = Case::new("failed").await?;
    let bad =
        case.commit(&[("one.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {text: [1]}\n")])?;
    let app = case.app().self_heal().set("/spec/syncPolicy/retry", json!({"limit": 0}));
    app.apply(&case.client).await?;
    let refused = format!("Failed last sync attempt to [{bad}]: one or more objects failed to apply, reason: ");
    let says = |s: &AppState| s.conditions().iter().any(|(kind, m)| *kind == "SyncError" && m.starts_with(&refused));
    let state = app.wait_for(&case.client, "refused", PATIENCE, says).await?;
    let started = state.text("/status/operationState/startedAt").to_owned();
    app.refresh(&case.client, "hard").await?;
    let refreshed = |s: &AppState| s.0.pointer("/metadata/annotations/argocd.argoproj.io~1refresh").is_none();
    let state = app.wait_for(&case.client, "refreshed", PATIENCE, refreshed).await?;
    assert_eq!(state.text("/status/operationState/startedAt"), started);
    // A new revision is another matter.
    case.commit(&[("one.yaml", &config_map("one", "1", &[]))])?;
    app.refresh(&case.client, "normal").await?;
    let state = app.wait_until_deployed(&case.client, PATIENCE).await?;
    assert!(state.conditions().is_empty(), "{}", state.summary());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn self_heal_repairs_what_drifted_and_nothing_else() -> anyhow::Result<()> {
    let case = Case::new("heal").await?;
    case.commit(&[("one.yaml", &config_map("one", "1", &[])), ("two.yaml", &config_map("two", "1", &[]))])?;
    let app = case.app().self_heal();
    app.apply(&case.client).await?;
    app.wait_until_deployed(&case.client, PATIENCE).await?;
    let healed = |name: &str, times: i64| {
        let only = json!([{"kind": "ConfigMap", "name": name, "namespace": case.name}]);
        move |s: &AppState| {
            let sync: Option<&Value> = s.0.pointer("/status/operationState/operation/sync");
            s.is_deployed()
                && sync.is_some_and(|o| o["resources"] == only && o["autoHealAttemptsCount"] == json!(times))
        }
    };
    case.kubectl(&["patch", "configmap", "two", "--type=merge", "-p", r#"{"data":{"text":"drift"}}"#])?;
    let state = app.wait_for(&case.client, "healed", PATIENCE, healed("two", 1)).await?;
    assert_eq!(case.live("configmap", "two")?["data"]["text"], json!("1"));
    assert_eq!(state.list("/status/history").len(), 1, "a repair is no deployment");
    case.kubectl(&["delete", "configmap", "one"])?;
    app.wait_for(&case.client, "healed again", PATIENCE, healed("one", 2)).await?;
    assert!(case.get("configmap", "one")?.is_some());
    // The next repair waits a while, whatever little happens to the application meanwhile.
    case.kubectl(&["patch", "configmap", "two", "--type=merge", "-p", r#"{"data":{"text":"drift"}}"#])?;
    app.wait_for(&case.client, "drifted", PATIENCE, |s| s.sync_status() == "OutOfSync").await?;
    app.merge(&case.client, &json!({"metadata": {"labels": {"looked-at": "yes"}}})).await?;
    app.wait_for(&case.client, "healed once more", PATIENCE, healed("two", 3)).await?;
    Ok(())
}
