//! What git no longer has.

use super::case::{Case, OPTIONS, PATIENCE, WAVE, config_map, results};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn pruning_is_asked_for_and_refused_object_by_object() -> anyhow::Result<()> {
    let case = Case::new("prune").await?;
    case.commit(&[
        ("stays.yaml", &config_map("stays", "x", &[])),
        ("goes.yaml", &config_map("goes", "x", &[(WAVE, "3")])),
        ("goes-first.yaml", &config_map("goes-first", "x", &[(WAVE, "5")])),
        ("kept.yaml", &config_map("kept", "x", &[(OPTIONS, "Prune=false")])),
        (
            "extra.yaml",
            &config_map(
                "extra",
                "x",
                &[("argocd.argoproj.io/compare-options", "IgnoreExtraneous"), (OPTIONS, "Prune=false")],
            ),
        ),
    ])?;
    let app = case.app();
    app.apply(&case.client).await?;
    case.sync(&app, json!({})).await?;
    let gone = ["app/goes.yaml", "app/goes-first.yaml", "app/kept.yaml", "app/extra.yaml"];
    gone.iter().fold(case.repo.change("main"), |change, path| change.remove(path)).commit()?;

    let skipped = case.sync(&app, json!({})).await?;
    assert_eq!(skipped.phase(), "Succeeded");
    let done = results(&skipped);
    assert!(done.contains(&"ConfigMap/goes: PruneSkipped Succeeded ignored (requires pruning)".to_owned()), "{done:?}");
    assert_eq!(skipped.sync_status(), "OutOfSync");

    let pruned = case.sync(&app, json!({"prune": true, "syncOptions": ["PruneLast=true"]})).await?;
    assert_eq!(pruned.phase(), "Succeeded", "{}", pruned.message());
    let done = results(&pruned);
    assert!(done[0].starts_with("ConfigMap/stays"), "prunes come last: {done:?}");
    assert!(done.contains(&"ConfigMap/goes: Pruned Succeeded pruned".to_owned()), "{done:?}");
    assert!(done.contains(&"ConfigMap/kept: PruneSkipped Succeeded ignored (no prune)".to_owned()), "{done:?}");
    assert!(case.get("configmap", "goes")?.is_none() && case.get("configmap", "kept")?.is_some());
    assert_eq!(pruned.resource("ConfigMap", "kept").map(|r| r["requiresPruning"].clone()), Some(json!(true)));

    // What may be extraneous does not make the application OutOfSync.
    case.kubectl(&["delete", "configmap", "kept"])?;
    let state = app.wait_for(&case.client, "Synced", PATIENCE, |s| s.sync_status() == "Synced").await?;
    assert_eq!(state.resource("ConfigMap", "extra").map(|r| r["status"].clone()), Some(json!("OutOfSync")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_waits_for_a_person_where_it_is_to_be_confirmed() -> anyhow::Result<()> {
    let case = Case::new("confirm").await?;
    case.commit(&[
        ("stays.yaml", &config_map("stays", "x", &[])),
        ("goes.yaml", &config_map("goes", "x", &[(OPTIONS, "Prune=confirm")])),
    ])?;
    let app = case.app();
    app.apply(&case.client).await?;
    case.sync(&app, json!({})).await?;
    case.repo.change("main").remove("app/goes.yaml").commit()?;
    let marker = case.request(&app, json!({"sync": {"prune": true}})).await?;
    case.says(&app, &marker, "waiting for pruning confirmation of v1/ConfigMap/goes").await?;
    assert!(case.get("configmap", "goes")?.is_some());
    let now = case.kubectl(&[
        "get",
        "application",
        "-n",
        "argocd",
        &case.name,
        "-o",
        "jsonpath={.status.operationState.startedAt}",
    ])?;
    app.merge(&case.client, &json!({"metadata": {"annotations": {"argocd.argoproj.io/deletion-approved": now}}}))
        .await?;
    let state = case.ended(&app, &marker).await?;
    assert_eq!(state.phase(), "Succeeded", "{}", state.message());
    assert!(case.get("configmap", "goes")?.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn automated_pruning_never_empties_an_application_by_itself() -> anyhow::Result<()> {
    let case = Case::new("empty").await?;
    case.commit(&[("only.yaml", &config_map("only", "x", &[]))])?;
    let app = case.app().prune();
    app.apply(&case.client).await?;
    app.wait_until_deployed(&case.client, PATIENCE).await?;
    let empty = case.repo.change("main").remove("app/only.yaml").write("app/README", "nothing").commit()?;
    app.refresh(&case.client, "normal").await?;
    let refused = format!("Skipping sync attempt to [{empty}]: auto-sync will wipe out all resources");
    let says = |s: &argosy_tests::AppState| s.conditions().contains(&("SyncError", refused.as_str()));
    app.wait_for(&case.client, "refused", PATIENCE, says).await?;
    assert!(case.get("configmap", "only")?.is_some());
    app.merge(&case.client, &json!({"spec": {"syncPolicy": {"automated": {"allowEmpty": true}}}})).await?;
    app.refresh(&case.client, "normal").await?;
    case.until("it is emptied on request", || Ok(case.get("configmap", "only")?.is_none())).await?;
    let state = app.wait_for(&case.client, "Synced", PATIENCE, |s| s.sync_status() == "Synced").await?;
    assert!(!state.conditions().iter().any(|(kind, _)| *kind == "SyncError"), "{}", state.summary());
    Ok(())
}
