//! Operations between two attempts.

use super::case::{Case, PATIENCE, config_map};
use argosy_tests::AppState;
use serde_json::json;

/// No API server takes it.
const BAD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {text: [1]}\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_waits_for_a_retry_is_terminated_at_once() -> anyhow::Result<()> {
    let case = Case::new("impatient").await?;
    case.commit(&[("one.yaml", BAD)])?;
    let app = case.app();
    app.apply(&case.client).await?;
    let retry = json!({"limit": 5, "backoff": {"duration": "1h", "maxDuration": "1h"}});
    let marker = case.request(&app, json!({"sync": {}, "retry": retry})).await?;
    case.says(&app, &marker, ". Retrying attempt #1 at ").await?;
    app.merge(&case.client, &json!({"status": {"operationState": {"phase": "Terminating"}}})).await?;
    let state = case.ended(&app, &marker).await?;
    assert_eq!(state.phase(), "Failed", "{}", state.message());
    assert!(state.message().starts_with("Operation terminated"), "{}", state.message());
    assert_eq!(state.0.pointer("/status/operationState/retryCount"), Some(&json!(1)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_takes_up_what_was_committed_meanwhile_only_where_it_is_to_refresh() -> anyhow::Result<()> {
    for (name, refresh) in [("refreshing", true), ("pinned", false)] {
        let case = Case::new(name).await?;
        let bad = case.commit(&[("one.yaml", BAD)])?;
        let retry = json!({"limit": 1, "refresh": refresh, "backoff": {"duration": "15s", "maxDuration": "15s"}});
        let app = case.app().automated().set("/spec/syncPolicy/retry", retry);
        app.apply(&case.client).await?;
        let waits = |s: &AppState| s.message().contains(". Retrying attempt #1 at ");
        let state = app.wait_for(&case.client, "waiting for a retry", PATIENCE, waits).await?;
        let started = state.text("/status/operationState/startedAt").to_owned();
        let good = case.commit(&[("one.yaml", &config_map("one", "1", &[]))])?;
        let over = |s: &AppState| !matches!(s.phase(), "Running" | "Terminating");
        let state = app.wait_for(&case.client, "done with it", PATIENCE, over).await?;
        assert_eq!(state.text("/status/operationState/startedAt"), started, "it is the same operation");
        let done = (state.phase(), state.text("/status/operationState/syncResult/revision"));
        if refresh {
            assert_eq!(done, ("Succeeded", &*good), "{}", state.message());
            assert_eq!(case.live("configmap", "one")?["data"]["text"], json!("1"));
        } else {
            assert_eq!(done, ("Failed", &*bad), "{}", state.message());
            assert!(state.message().ends_with(" (retried 1 times)."), "{}", state.message());
        }
    }
    Ok(())
}
