//! Comparisons that depend on who owns which field.

use super::case::{Case, PATIENCE, deployment};
use argosy_tests::AppState;
use serde_json::json;

fn map(keys: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: one}}\ndata: {keys}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_git_gives_up_is_removed_by_a_server_side_apply() -> anyhow::Result<()> {
    let case = Case::new("given-up").await?;
    case.commit(&[("one.yaml", &map("{kept: a, given: b}"))])?;
    let app = case.app().automated().sync_option("ServerSideApply=true");
    app.apply(&case.client).await?;
    app.wait_until_deployed(&case.client, PATIENCE).await?;
    case.kubectl(&["patch", "configmap", "one", "--type=merge", "-p", r#"{"data":{"other":"c"}}"#])?;
    let second = case.commit(&[("one.yaml", &map("{kept: a}"))])?;
    app.refresh(&case.client, "normal").await?;
    app.wait_for(&case.client, "at the second commit", PATIENCE, |s| s.is_deployed() && s.revision() == second).await?;
    case.until("the field is gone", || Ok(case.live("configmap", "one")?["data"] == json!({"kept": "a", "other": "c"})))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kubectl_once_applied_is_taken_over_and_can_be_given_up() -> anyhow::Result<()> {
    let case = Case::new("taken-over").await?;
    let file = case.plane.folder().join("taken-over.yaml");
    std::fs::write(&file, map("{kept: a, given: b}"))?;
    case.kubectl(&["apply", "--filename", &file.display().to_string()])?;
    case.commit(&[("one.yaml", &map("{kept: a}"))])?;
    let app = case.app().sync_option("ServerSideApply=true");
    app.apply(&case.client).await?;
    let state = case.sync(&app, json!({"syncOptions": ["ServerSideApply=true"]})).await?;
    assert_eq!((state.phase(), state.sync_status()), ("Succeeded", "Synced"), "{}", state.summary());
    assert_eq!(case.live("configmap", "one")?["data"], json!({"kept": "a"}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_a_named_manager_are_no_drift_and_those_of_others_are() -> anyhow::Result<()> {
    let case = Case::new("managers").await?;
    case.commit(&[("web.yaml", &deployment("web", "0", "ready"))])?;
    let rules = json!([{"group": "apps", "kind": "Deployment", "managedFieldsManagers": ["scaler"]}]);
    let app = case.app().set("/spec/ignoreDifferences", rules);
    app.apply(&case.client).await?;
    let state = case.sync(&app, json!({})).await?;
    assert_eq!((state.phase(), state.sync_status()), ("Succeeded", "Synced"), "{}", state.message());
    let scale = |manager: &str, replicas: u32| {
        let patch = json!({"spec": {"replicas": replicas}}).to_string();
        case.kubectl(&["patch", "deployment", "web", "-p", &patch, &format!("--field-manager={manager}")])
    };
    scale("somebody", 2)?;
    app.wait_for(&case.client, "OutOfSync", PATIENCE, |s| s.sync_status() == "OutOfSync").await?;
    scale("scaler", 3)?;
    let in_sync = |s: &AppState| s.sync_status() == "Synced";
    app.wait_for(&case.client, "Synced in spite of it", PATIENCE, in_sync).await?;
    Ok(())
}
