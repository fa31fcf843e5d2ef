//! Letting an Application go.

use super::case::{Case, HOOK, OPTIONS, PATIENCE, POLICY, WAVE, config_map, deployment, job};
use argosy_tests::{App, poll_until};
use serde_json::json;

async fn gone(case: &Case, app: &App) -> anyhow::Result<()> {
    let absent = || async {
        let state = app.get(&case.client).await?;
        anyhow::ensure!(
            state.is_none(),
            "it is there: {:?}",
            state.map(|s| (s.summary(), s.0["metadata"]["finalizers"].clone()))
        );
        Ok::<_, anyhow::Error>(())
    };
    poll_until(PATIENCE, absent).await.map_err(|reason| anyhow::anyhow!("{} does not go: {reason}", app.name()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_takes_its_resources_along_but_for_what_is_to_stay() -> anyhow::Result<()> {
    let case = Case::new("cascade").await?;
    let held = config_map("late", "x", &[(WAVE, "5")])
        .to_string()
        .replace("name: late", "name: late\n  finalizers: [test/hold]");
    case.commit(&[
        ("early.yaml", &config_map("early", "x", &[])),
        ("late.yaml", &held),
        ("web.yaml", &deployment("web", "0", "ready")),
        ("kept.yaml", &config_map("kept", "x", &[(OPTIONS, "Delete=false")])),
        ("helm.yaml", &config_map("helm", "x", &[("helm.sh/resource-policy", "keep")])),
    ])?;
    let app = case.app().automated().cascade();
    app.apply(&case.client).await?;
    app.wait_until_deployed(&case.client, PATIENCE).await?;
    app.delete(&case.client).await?;
    // The highest wave first, and the next only when that is gone.
    case.until("the last wave is on its way", || {
        Ok(case.get("configmap", "late")?.is_some_and(|o| o["metadata"]["deletionTimestamp"].is_string()))
    })
    .await?;
    assert!(case.get("configmap", "early")?.is_some() && case.get("deployment", "web")?.is_some());
    case.kubectl(&["patch", "configmap", "late", "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#])?;
    gone(&case, &app).await?;
    let left = case.kubectl(&["get", "configmap,deployment,pod", "-o", "name"])?;
    assert_eq!(left, "configmap/helm\nconfigmap/kept\nconfigmap/kube-root-ca.crt\n", "in the foreground, pods and all");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_without_finalizer_leaves_its_resources() -> anyhow::Result<()> {
    let case = Case::new("orphans").await?;
    case.commit(&[("one.yaml", &config_map("one", "x", &[])), ("web.yaml", &deployment("web", "0", "ready"))])?;
    let app = case.app().automated();
    app.apply(&case.client).await?;
    app.wait_until_deployed(&case.client, PATIENCE).await?;
    app.delete(&case.client).await?;
    gone(&case, &app).await?;
    assert!(case.get("configmap", "one")?.is_some());
    // Made again it takes them over; and goes in the background.
    let app = case
        .app()
        .automated()
        .set("/metadata/finalizers", json!(["resources-finalizer.argocd.argoproj.io/background"]));
    app.apply(&case.client).await?;
    app.wait_until_deployed(&case.client, PATIENCE).await?;
    app.delete(&case.client).await?;
    gone(&case, &app).await?;
    assert!(case.get("configmap", "one")?.is_none() && case.get("deployment", "web")?.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_before_and_after_a_deletion() -> anyhow::Result<()> {
    let case = Case::new("farewell").await?;
    case.commit(&[
        ("one.yaml", &config_map("one", "x", &[])),
        ("before.yaml", &job("name: before", &[(HOOK, "PreDelete"), (POLICY, "HookSucceeded")], "never-ready")),
        ("after.yaml", &job("name: after", &[(HOOK, "PostDelete"), (POLICY, "HookFailed")], "ready")),
    ])?;
    let app = case.app().automated().cascade();
    app.apply(&case.client).await?;
    let state = app.wait_until_deployed(&case.client, PATIENCE).await?;
    let finalizers: Vec<&str> = state.list("/metadata/finalizers").iter().filter_map(|f| f.as_str()).collect();
    for wanted in ["pre-delete-finalizer.argocd.argoproj.io", "post-delete-finalizer.argocd.argoproj.io"] {
        assert!(finalizers.contains(&wanted) && finalizers.contains(&&*format!("{wanted}/cleanup")), "{finalizers:?}");
    }
    assert!(case.get("job", "before")?.is_none() && case.get("job", "after")?.is_none(), "they are no part of a sync");
    app.delete(&case.client).await?;
    case.until("the first hook runs", || Ok(case.get("job", "before")?.is_some())).await?;
    assert!(case.get("configmap", "one")?.is_some(), "the resources wait for the hook");
    case.until("its pod is there", || Ok(!case.kubectl(&["get", "pods", "-o", "name"])?.is_empty())).await?;
    case.kubectl(&["label", "pod", "--all", "argosy.test/pod=ready", "--overwrite"])?;
    gone(&case, &app).await?;
    assert!(case.get("configmap", "one")?.is_none());
    assert!(case.get("job", "after")?.is_some(), "it ran, and stays as it did not fail");
    case.until("the succeeded hook goes", || Ok(case.get("job", "before")?.is_none())).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_operation_is_over_before_its_application_goes() -> anyhow::Result<()> {
    let case = Case::new("busy").await?;
    case.commit(&[
        ("one.yaml", &config_map("one", "x", &[])),
        ("hook.yaml", &job("name: hook", &[(HOOK, "PostSync")], "never-ready")),
    ])?;
    let app = case.app().cascade();
    app.apply(&case.client).await?;
    let marker = case.request(&app, json!({"sync": {}})).await?;
    case.says(&app, &marker, "waiting for completion of hook").await?;
    app.delete(&case.client).await?;
    app.refresh(&case.client, "normal").await?;
    let refreshed =
        |s: &argosy_tests::AppState| s.0.pointer("/metadata/annotations/argocd.argoproj.io~1refresh").is_none();
    app.wait_for(&case.client, "refreshed", PATIENCE, refreshed).await?;
    assert!(case.get("configmap", "one")?.is_some(), "nothing is deleted under a running operation");
    case.kubectl(&["label", "pod", "--all", "argosy.test/pod=ready", "--overwrite"])?;
    gone(&case, &app).await?;
    assert!(case.get("configmap", "one")?.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_of_an_undeclared_cluster_is_let_go() -> anyhow::Result<()> {
    let case = Case::new("nocluster").await?;
    case.commit(&[("one.yaml", &config_map("one", "x", &[]))])?;
    let app = case.app().cascade().set("/spec/destination/server", json!("https://nowhere.example.com"));
    app.apply(&case.client).await?;
    let invalid = |s: &argosy_tests::AppState| s.conditions().iter().any(|(kind, _)| *kind == "InvalidSpecError");
    app.wait_for(&case.client, "invalid", PATIENCE, invalid).await?;
    app.delete(&case.client).await?;
    gone(&case, &app).await
}
