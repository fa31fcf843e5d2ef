//! Hooks around a deletion that fail.

use super::case::{Case, HOOK, PATIENCE, config_map, job, text};
use argosy_tests::{App, AppState, poll_until};

/// Ends the hook's pod with this label's word, waiting for the pod.
async fn end_with(case: &Case, word: &str) -> anyhow::Result<()> {
    case.until("the hook's pod is there", || {
        let pods = case.kubectl(&["get", "pods", "-l", "argosy.test/pod=never-ready", "-o", "name"])?;
        Ok(!pods.is_empty())
    })
    .await?;
    case.kubectl(&[
        "label",
        "pod",
        "-l",
        "argosy.test/pod=never-ready",
        &format!("argosy.test/pod={word}"),
        "--overwrite",
    ])?;
    Ok(())
}

async fn says(case: &Case, app: &App, text: &str) -> anyhow::Result<AppState> {
    let told = |s: &AppState| s.conditions().iter().any(|(kind, m)| *kind == "DeletionError" && m.starts_with(text));
    app.wait_for(&case.client, &format!("saying {text}"), PATIENCE, told).await
}

async fn gone(case: &Case, app: &App) -> anyhow::Result<()> {
    let gone = || async {
        let state = app.get(&case.client).await?;
        anyhow::ensure!(state.is_none(), "it is there: {:?}", state.map(|s| s.summary()));
        Ok::<_, anyhow::Error>(())
    };
    poll_until(PATIENCE, gone).await.map_err(|reason| anyhow::anyhow!("it does not go: {reason}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_fails_before_the_deletion_keeps_everything_and_is_tried_again() -> anyhow::Result<()> {
    let case = Case::new("before-fails").await?;
    case.commit(&[
        ("one.yaml", &config_map("one", "x", &[])),
        ("before.yaml", &job("name: before", &[(HOOK, "PreDelete")], "never-ready")),
    ])?;
    let app = case.app().automated().cascade();
    app.apply(&case.client).await?;
    app.wait_until_deployed(&case.client, PATIENCE).await?;
    app.delete(&case.client).await?;
    case.until("the hook runs", || Ok(case.get("job", "before")?.is_some())).await?;
    let first = text(&case.live("job", "before")?, "/metadata/uid").to_owned();
    end_with(&case, "fails").await?;
    says(&case, &app, "PreDelete hook(s) failed: before: Job has reached the specified backoff limit").await?;
    assert!(case.get("configmap", "one")?.is_some(), "the resources stay");
    assert!(
        case.events()?.contains("StatusRefreshed: Unable to delete application resources: PreDelete hook(s) failed")
    );
    case.until("the hook runs again", || {
        Ok(case.get("job", "before")?.is_some_and(|again| text(&again, "/metadata/uid") != first))
    })
    .await?;
    end_with(&case, "ready").await?;
    gone(&case, &app).await?;
    assert!(case.get("configmap", "one")?.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_fails_after_the_deletion_keeps_the_application_and_is_tried_again() -> anyhow::Result<()> {
    let case = Case::new("after-fails").await?;
    case.commit(&[
        ("one.yaml", &config_map("one", "x", &[])),
        ("after.yaml", &job("name: after", &[(HOOK, "PostDelete")], "never-ready")),
    ])?;
    let app = case.app().automated().cascade();
    app.apply(&case.client).await?;
    app.wait_until_deployed(&case.client, PATIENCE).await?;
    app.delete(&case.client).await?;
    case.until("the hook runs", || Ok(case.get("job", "after")?.is_some())).await?;
    assert!(case.get("configmap", "one")?.is_none(), "the resources went first");
    end_with(&case, "fails").await?;
    says(&case, &app, "PostDelete hook(s) failed: after: Job has reached the specified backoff limit").await?;
    end_with(&case, "ready").await?;
    gone(&case, &app).await
}
