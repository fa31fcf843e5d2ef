//! An operation that takes longer than the installation allows is ended, also
//! when nothing happens that would wake anybody.

use std::time::Duration;

use argosy_tests::{App, AppState, Argosy, ControlPlane, GitServer, Options, PATIENCE, eventually};
use serde_json::json;

/// A Job whose pod is never scheduled, as there is no node.
const HOOK: &str = r#"
apiVersion: batch/v1
kind: Job
metadata:
  name: hook
  annotations: {argocd.argoproj.io/hook: PreSync}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: main, image: none}]}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_ends_when_its_time_is_over_running_or_waiting_for_a_retry() -> anyhow::Result<()> {
    let plane = ControlPlane::start(Options { controller_manager: true, ..Options::default() }).await?;
    plane.install().await?;
    let git = GitServer::start()?;
    let _argosy = Argosy::controller(&plane).env("ARGOCD_APPLICATION_CONTROLLER_SYNC_TIMEOUT", "3").start().await?;
    let client = plane.client().await?;
    let repo = git.repo("slow")?;
    repo.commit(&[
        ("hook/hook.yaml", HOOK),
        ("bad/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {text: [1]}\n"),
    ])?;
    let ended = |s: &AppState| s.0.get("operation").is_none() && s.phase() == "Failed";
    let (terminated, why) = ("Operation terminated", ", triggered by controller sync timeout");
    for (name, path) in [("slow-hook", "hook"), ("slow-retry", "bad")] {
        plane.kubectl_text(&["create", "namespace", name])?;
        let app = App::new(name).source(&repo.url_file(), path, "HEAD").into_namespace(name);
        app.apply(&client).await?;
        app.wait_for(&client, "compared", PATIENCE, |s| !s.sync_status().is_empty()).await?;
        let retry = json!({"limit": 5, "backoff": {"duration": "1h", "maxDuration": "1h"}});
        app.merge(&client, &json!({"operation": {"sync": {}, "retry": retry}})).await?;
        let state = app.wait_for(&client, "ended", Duration::from_secs(20), ended).await?;
        let message = state.message();
        assert!(message.starts_with(terminated) && message.ends_with(why), "{name}: {message}");
    }
    eventually(PATIENCE, || async {
        let jobs = plane.kubectl_text(&["-n", "slow-hook", "get", "jobs", "-o", "name"])?;
        anyhow::ensure!(jobs.is_empty(), "{jobs}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    Ok(())
}
