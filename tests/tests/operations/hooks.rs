//! Hooks around a sync.

use super::case::{Case, HOOK, POLICY, WAVE, config_map, job, results, text};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_around_a_sync_and_go_as_their_policies_say() -> anyhow::Result<()> {
    let case = Case::new("hooks").await?;
    case.commit(&[
        ("before.yaml", &job("name: before", &[(HOOK, "PreSync"), (POLICY, "HookSucceeded")], "ready")),
        ("during.yaml", &job("name: during", &[(HOOK, "Sync"), (WAVE, "1")], "ready")),
        ("after.yaml", &job("generateName: after-", &[(HOOK, "PostSync"), (POLICY, "HookFailed")], "ready")),
        ("never.yaml", &job("name: never", &[(HOOK, "SyncFail")], "ready")),
        ("skipped.yaml", &config_map("skipped", "x", &[(HOOK, "Skip")])),
        ("config.yaml", &config_map("config", "x", &[])),
    ])?;
    let app = case.app();
    app.apply(&case.client).await?;
    let state = case.sync(&app, json!({})).await?;
    assert_eq!((state.phase(), state.message()), ("Succeeded", "successfully synced (no more tasks)"), "{:#}", state.0);
    let done = results(&state);
    assert_eq!(done.len(), 4, "{done:?}");
    assert!(done[0].starts_with("Job/before: Synced Succeeded"), "{done:?}");
    assert!(done[1].starts_with("ConfigMap/config: Synced"), "{done:?}");
    assert!(done[2].starts_with("Job/during: Synced Succeeded"), "{done:?}");
    assert!(done[3].starts_with("Job/after-") && done[3].contains("-postsync-"), "{done:?}");
    let first = state.list("/status/operationState/syncResult/resources")[0].clone();
    assert_eq!((first["hookType"].as_str(), first["syncPhase"].as_str()), (Some("PreSync"), Some("PreSync")));
    case.until("the succeeded hook goes", || Ok(case.get("job", "before")?.is_none())).await?;
    let during = case.live("job", "during")?;
    let finalizers = during["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    assert!(!finalizers.iter().any(|f| f == "argocd.argoproj.io/hook-finalizer"), "{finalizers:?}");
    assert!(case.get("job", "never")?.is_none() && case.get("configmap", "skipped")?.is_none());
    assert_eq!(state.sync_status(), "Synced", "{:#}", state.0["status"]["resources"]);

    let again = case.sync(&app, json!({})).await?;
    assert_eq!(again.phase(), "Succeeded", "{}", again.message());
    let second = case.live("job", "during")?;
    assert_ne!(text(&during, "/metadata/uid"), text(&second, "/metadata/uid"), "before its creation the old one goes");
    let jobs = case.kubectl(&["get", "jobs", "-o", "name"])?;
    assert_eq!(jobs.lines().filter(|l| l.contains("/after-")).count(), 2, "each run has a name of its own: {jobs}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_with_a_name_of_its_own_may_look_different_at_each_commit() -> anyhow::Result<()> {
    let case = Case::new("changing").await?;
    let hook = |image: &str| job("name: migrate", &[(HOOK, "PreSync")], "ready").replace("image: none", image);
    let app = case.app();
    app.apply(&case.client).await?;
    for image in ["image: first", "image: second"] {
        case.commit(&[("hook.yaml", &hook(image)), ("config.yaml", &config_map("config", image, &[]))])?;
        let state = case.sync(&app, json!({})).await?;
        assert_eq!(state.phase(), "Succeeded", "{}", state.message());
        let live = case.live("job", "migrate")?;
        assert_eq!(text(&live, "/spec/template/spec/containers/0/image"), &image["image: ".len()..]);
    }
    // What no API server takes is refused before the old one goes.
    let before = case.live("job", "migrate")?;
    case.commit(&[("hook.yaml", &hook("image: third, ports: 7"))])?;
    let state = case.sync(&app, json!({})).await?;
    assert_eq!(state.phase(), "Failed", "{}", state.message());
    assert_eq!(text(&case.live("job", "migrate")?, "/metadata/uid"), text(&before, "/metadata/uid"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_hook_fails_the_sync_and_its_answer_runs() -> anyhow::Result<()> {
    let case = Case::new("failing").await?;
    case.commit(&[
        ("before.yaml", &job("name: before", &[(HOOK, "PreSync"), (POLICY, "HookFailed")], "fails")),
        ("answer.yaml", &job("name: answer", &[(HOOK, "SyncFail")], "ready")),
        ("config.yaml", &config_map("config", "x", &[])),
    ])?;
    let app = case.app();
    app.apply(&case.client).await?;
    let state = case.sync(&app, json!({})).await?;
    assert_eq!(state.phase(), "Failed", "{}", state.message());
    let message = "one or more synchronization tasks completed unsuccessfully, reason: Job has reached the specified backoff limit";
    assert_eq!(state.message(), message);
    let done = results(&state);
    assert!(done[0].starts_with("Job/before: Synced Failed Job has reached"), "{done:?}");
    assert!(done[1].starts_with("Job/answer: Synced Succeeded"), "{done:?}");
    assert!(case.get("configmap", "config")?.is_none(), "nothing is applied after a failed hook");
    case.until("the failed hook goes", || Ok(case.get("job", "before")?.is_none())).await?;
    assert!(state.list("/status/history").is_empty());
    let events = case.events()?;
    assert!(events.contains("OperationCompleted: Sync operation to") && events.contains(message), "{events}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn selective_syncs_strategy_apply_and_dry_runs_leave_hooks_alone() -> anyhow::Result<()> {
    let case = Case::new("partial").await?;
    case.commit(&[
        ("before.yaml", &job("name: before", &[(HOOK, "PreSync")], "ready")),
        ("one.yaml", &config_map("one", "x", &[])),
        ("two.yaml", &config_map("two", "x", &[])),
    ])?;
    let app = case.app();
    app.apply(&case.client).await?;
    let names =
        || case.kubectl(&["get", "configmap,job", "-o", "name"]).map(|t| t.replace("configmap/kube-root-ca.crt\n", ""));

    let dry = case.sync(&app, json!({"dryRun": true})).await?;
    assert_eq!((dry.phase(), dry.message()), ("Succeeded", "successfully synced (no more tasks)"));
    assert_eq!(names()?, "");
    assert!(dry.list("/status/history").is_empty());

    let partial = case.sync(&app, json!({"resources": [{"kind": "ConfigMap", "name": "one"}]})).await?;
    assert_eq!(partial.phase(), "Succeeded", "{}", partial.message());
    assert_eq!(names()?, "configmap/one\n");
    assert!(partial.list("/status/history").is_empty(), "a partial sync is no deployment");
    assert_eq!(partial.sync_status(), "OutOfSync");
    assert!(case.events()?.contains("OperationCompleted: Partial sync operation to"));

    let applied = case.sync(&app, json!({"syncStrategy": {"apply": {}}})).await?;
    assert_eq!(applied.phase(), "Succeeded", "{}", applied.message());
    assert_eq!(names()?, "configmap/one\nconfigmap/two\n");
    assert_eq!(applied.list("/status/history").len(), 1);
    Ok(())
}
