//! From a Git repository to a real cluster: a commit becomes live state, stays
//! it, and what happened is told.

use std::time::Duration;

use anyhow::Context;
use argosy_tests::{App, AppState, Argosy, ControlPlane, GitServer, Options, eventually};

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
    eventually(PATIENCE, || async {
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

    app.delete(&client).await?;
    let wanted = [
        "ResourceCreated: Unknown user created application".to_owned(),
        format!("OperationStarted: Initiated automated sync to '{first}'"),
        format!("OperationCompleted: Sync operation to {first} succeeded"),
        "ResourceUpdated: Updated sync status: OutOfSync -> Synced".to_owned(),
        "ResourceUpdated: Updated health status: Missing -> Healthy".to_owned(),
        "ResourceDeleted: Unknown user deleted application".to_owned(),
    ];
    let lines = "jsonpath={range .items[*]}{.reason}: {.message}{'\\n'}{end}";
    eventually(PATIENCE, || async {
        let events = plane.kubectl_text(&["-n", "argocd", "get", "events", "-o", lines])?;
        let missing = wanted.iter().find(|wanted| !events.contains(*wanted));
        anyhow::ensure!(missing.is_none(), "no {missing:?} in\n{events}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    let metrics = argosy.metrics().await.context("reading the metrics")?;
    let labels = [("name", "first"), ("phase", "Succeeded"), ("dry_run", "false")];
    assert!(metrics.sum("argocd_app_sync_total", &labels) >= 2.0, "two commits were synced");
    Ok(())
}
