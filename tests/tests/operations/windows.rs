//! Sync windows of a project.

use super::case::{Case, PATIENCE, config_map};
use argosy_tests::{App, AppState};
use serde_json::{Value, json};

/// Opens every minute for an hour: it is never closed.
const ALWAYS: &str = "* * * * *";
/// Opens on the 30th of February.
const NEVER: &str = "0 0 30 2 *";

/// A project with these windows, of the case's name.
fn set_windows(case: &Case, windows: &Value) -> anyhow::Result<()> {
    let project = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
        "metadata": {"name": case.name, "namespace": "argocd"},
        "spec": {
            "sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}], "syncWindows": windows,
        },
    });
    case.plane.apply_yaml(&project.to_string()).map(|_| ())
}

fn window(kind: &str, schedule: &str, more: Value) -> Value {
    let mut window = json!({"kind": kind, "schedule": schedule, "duration": "1h", "applications": ["*"]});
    if let (Some(window), Value::Object(more)) = (window.as_object_mut(), more) {
        window.extend(more);
    }
    window
}

/// Waits until the application knows that it is out of sync, answers a refresh
/// after that, and has begun nothing.
async fn holds_still(case: &Case, app: &App) -> anyhow::Result<()> {
    app.wait_for(&case.client, "OutOfSync", PATIENCE, |s| s.sync_status() == "OutOfSync").await?;
    app.refresh(&case.client, "normal").await?;
    let refreshed = |s: &AppState| s.0.pointer("/metadata/annotations/argocd.argoproj.io~1refresh").is_none();
    let state = app.wait_for(&case.client, "refreshed", PATIENCE, refreshed).await?;
    assert_eq!(state.sync_status(), "OutOfSync", "{}", state.summary());
    assert!(state.0.get("operation").is_none(), "{}", state.summary());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deny_window_holds_back_automated_syncs_and_those_of_people_unless_it_lets_them_through() -> anyhow::Result<()>
{
    let case = Case::new("denied").await?;
    set_windows(&case, &json!([window("deny", ALWAYS, json!({}))]))?;
    case.commit(&[("one.yaml", &config_map("one", "1", &[]))])?;
    let app = case.app().project("denied").automated();
    app.apply(&case.client).await?;
    holds_still(&case, &app).await?;

    // A person's sync waits too, and says why.
    let marker = case.request(&app, json!({"sync": {}})).await?;
    let state = case.says(&app, &marker, "Sync operation blocked by sync window").await?;
    assert_eq!(state.phase(), "Running");
    assert!(case.get("configmap", "one")?.is_none());
    // It goes on as soon as the window lets people through; nobody asks again.
    set_windows(&case, &json!([window("deny", ALWAYS, json!({"manualSync": true}))]))?;
    let state = case.ended(&app, &marker).await?;
    assert_eq!(state.phase(), "Succeeded", "{}", state.message());
    assert_eq!(case.live("configmap", "one")?["data"]["text"], json!("1"));

    // That does not open it for automated syncs.
    case.commit(&[("one.yaml", &config_map("one", "2", &[]))])?;
    app.refresh(&case.client, "normal").await?;
    holds_still(&case, &app).await?;
    assert_eq!(case.live("configmap", "one")?["data"]["text"], json!("1"));
    // Without a window it happens by itself.
    set_windows(&case, &json!([]))?;
    app.wait_until_deployed(&case.client, PATIENCE).await?;
    assert_eq!(case.live("configmap", "one")?["data"]["text"], json!("2"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_are_allow_windows_one_must_be_open() -> anyhow::Result<()> {
    let case = Case::new("allowed").await?;
    set_windows(&case, &json!([window("allow", NEVER, json!({"manualSync": true}))]))?;
    case.commit(&[("one.yaml", &config_map("one", "1", &[]))])?;
    let app = case.app().project("allowed").automated();
    app.apply(&case.client).await?;
    holds_still(&case, &app).await?;
    let state = case.sync(&app, json!({})).await?;
    assert_eq!(state.phase(), "Succeeded", "{}", state.message());

    case.commit(&[("one.yaml", &config_map("one", "2", &[]))])?;
    app.refresh(&case.client, "normal").await?;
    holds_still(&case, &app).await?;
    let windows = json!([window("allow", NEVER, json!({})), window("allow", ALWAYS, json!({}))]);
    set_windows(&case, &windows)?;
    app.wait_until_deployed(&case.client, PATIENCE).await?;
    assert_eq!(case.live("configmap", "one")?["data"]["text"], json!("2"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_of_other_applications_are_none_of_ours() -> anyhow::Result<()> {
    let case = Case::new("unwindowed").await?;
    let others = json!({"applications": ["other-*"], "namespaces": ["elsewhere"], "clusters": ["far-*"]});
    let both = json!({"applications": ["*"], "namespaces": ["elsewhere"], "andOperator": true});
    set_windows(&case, &json!([window("deny", ALWAYS, others), window("deny", ALWAYS, both)]))?;
    case.commit(&[("one.yaml", &config_map("one", "1", &[]))])?;
    let app = case.app().project("unwindowed").automated();
    app.apply(&case.client).await?;
    app.wait_until_deployed(&case.client, PATIENCE).await?;
    Ok(())
}
