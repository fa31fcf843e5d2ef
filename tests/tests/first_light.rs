//! From a Git repository to a real cluster: a commit becomes live state, stays
//! it, and what happened is told.

use std::time::Duration;

use anyhow::Context;
use argosy_tests::{App, AppState, Argosy, ControlPlane, GitServer, Options};

const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: greeting\ndata:\n  text: hello\n";

async fn world() -> anyhow::Result<(ControlPlane, Argosy, GitServer)> {
    let plane = ControlPlane::start(Options { controller_manager: true, ..Options::default() }).await?;
    plane.install().await?;
    let argosy = Argosy::controller(&plane).start().await?;
    Ok((plane, argosy, GitServer::start()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_deployed_kept_and_followed() -> anyhow::Result<()> {
    let (plane, argosy, git) = world().await?;
    let client = plane.client().await?;
    let repo = git.repo("plain")?;
    let first = repo.commit(&[("app/config.yaml", CONFIG)])?;
    let app = App::new("first").source(&repo.url_file(), "app", "HEAD").prune().self_heal();
    app.apply(&client).await?;
    let state = app.wait_until_deployed(&client, PATIENCE).await?;
    assert_eq!(state.revision(), first);
    assert_eq!(plane.kubectl_text(&["get", "configmap", "greeting", "-o", "jsonpath={.data.text}"])?, "hello");

    // Drift is undone.
    plane.kubectl_text(&["patch", "configmap", "greeting", "--type=merge", "-p", r#"{"data":{"text":"changed"}}"#])?;
    argosy_tests::eventually(PATIENCE, || async {
        let text = plane.kubectl_text(&["get", "configmap", "greeting", "-o", "jsonpath={.data.text}"])?;
        anyhow::ensure!(text == "hello", "it is {text}");
        Ok::<_, anyhow::Error>(())
    })
    .await;

    // A new commit is found; what it no longer has is pruned.
    let other = CONFIG.replace("greeting", "farewell");
    let second = repo.change("main").remove("app/config.yaml").write("app/other.yaml", &other).commit()?;
    app.refresh(&client, "normal").await?;
    app.wait_for(&client, "at the second commit", PATIENCE, |s: &AppState| s.is_deployed() && s.revision() == second)
        .await?;
    let names = plane.kubectl_text(&["get", "configmap", "-o", "name"])?;
    assert!(names.contains("configmap/farewell") && !names.contains("configmap/greeting"), "{names}");

    let events = plane.kubectl_text(&[
        "-n",
        "argocd",
        "get",
        "events",
        "-o",
        "jsonpath={range .items[*]}{.reason}: {.message}{'\\n'}{end}",
    ])?;
    for wanted in [
        format!("OperationStarted: Initiated automated sync to '{first}'"),
        format!("OperationCompleted: Sync operation to {first} succeeded"),
        "ResourceUpdated: Updated sync status: OutOfSync -> Synced".to_owned(),
        "ResourceUpdated: Updated health status: Missing -> Healthy".to_owned(),
    ] {
        assert!(events.contains(&wanted), "no {wanted:?} in\n{events}");
    }
    let metrics = argosy.metrics().await.context("metrics")?;
    drop(metrics);
    Ok(())
}
