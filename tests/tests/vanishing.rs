//! When a repository or a cluster is not there any more, its applications say so
//! without being asked; the last state stands, and they recover by themselves.

use std::time::Duration;

use argosy_tests::{App, AppState, Argosy, ControlPlane, Failure, GitServer, Options, PATIENCE, config_map};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// Nobody is woken by time within a test.
const NEVER: [(&str, &str); 2] = [("timeout.reconciliation", "1h"), ("timeout.reconciliation.jitter", "0s")];

fn is_lost(state: &AppState, text: &str) -> bool {
    state.sync_status() == "Unknown"
        && state.conditions().iter().any(|(kind, message)| *kind == "ComparisonError" && message.contains(text))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_vanishes_is_told_of_and_comes_back_by_itself() -> anyhow::Result<()> {
    let plane = ControlPlane::start(Options::default()).await?;
    plane.install().await?;
    plane.set_config("argocd-cm", &[("timeout.reconciliation", "2s"), ("timeout.reconciliation.jitter", "0s")])?;
    let git = GitServer::start()?;
    let argosy = Argosy::controller(&plane).env("ARGOCD_REPO_ERROR_GRACE_PERIOD_SECONDS", "1").start().await?;
    let client = plane.client().await?;
    let repo = git.repo("vanishing")?;
    let commit = repo.commit(&[("map.yaml", &config_map("one", "1"))])?;
    plane.declare("repository", "repo-vanishing", &[("url", &repo.url_https()), ("insecure", "true")])?;
    let following = App::new("following").source(&repo.url_https(), ".", "HEAD").self_heal();
    let pinned = App::new("pinned").source(&repo.url_https(), ".", &commit).into_namespace("kube-public").self_heal();
    for app in [&following, &pinned] {
        app.apply(&client).await?;
        app.wait_until_deployed(&client, PATIENCE).await?;
    }
    git.fail(Failure::Status(503));
    let lost = |s: &AppState| is_lost(s, "Failed to load target state: failed to generate manifest for source 1 of 1");
    let state = following.wait_for(&client, "without its repository", Duration::from_secs(45), lost).await?;
    assert_eq!((state.health(), state.revision()), ("Healthy", &*commit), "{}", state.summary());
    assert!(state.resource("ConfigMap", "one").is_some(), "the last state stands");
    assert_eq!(plane.config_map_text("default", "one").await?, "1");
    // A commit that is here already needs nobody.
    let state = pinned.get(&client).await?.expect("it is there");
    assert!(state.is_deployed() && state.conditions().is_empty(), "{}", state.summary());
    git.heal();
    let state = following.wait_until_deployed(&client, Duration::from_secs(60)).await?;
    assert!(state.conditions().is_empty(), "{}", state.summary());
    drop(argosy);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_vanishes_is_told_of_and_comes_back_by_itself() -> anyhow::Result<()> {
    let (plane, mut remote) =
        tokio::try_join!(ControlPlane::start(Options::default()), ControlPlane::start(Options::default()))?;
    plane.install().await?;
    plane.set_config("argocd-cm", &NEVER)?;
    let git = GitServer::start()?;
    let argosy = Argosy::controller(&plane).start().await?;
    let client = plane.client().await?;
    let (identity, url) = (remote.admin_identity(), remote.url());
    let config = json!({"tlsClientConfig": {
        "caData": STANDARD.encode(remote.authority_pem()),
        "certData": STANDARD.encode(&identity.certificate_pem), "keyData": STANDARD.encode(&identity.key_pem),
    }});
    plane.declare("cluster", "cluster-far", &[("name", "far"), ("server", &url), ("config", &config.to_string())])?;
    let repo = git.repo("staying")?;
    repo.commit(&[("map.yaml", &config_map("one", "1"))])?;
    let home = App::new("at-home").source(&repo.url_file(), ".", "HEAD").automated();
    let far = |name: &str, namespace: &str| {
        let destination = json!({"name": "far", "namespace": namespace});
        App::new(name).source(&repo.url_file(), ".", "HEAD").set("/spec/destination", destination).automated()
    };
    let (first, second) = (far("far-1", "default"), far("far-2", "kube-public"));
    for app in [&home, &first, &second] {
        app.apply(&client).await?;
        app.wait_until_deployed(&client, PATIENCE).await?;
    }
    let connected = [("server", &*url)];
    assert_eq!(argosy.metrics().await?.sum("argocd_cluster_connection_status", &connected), 1.0);

    remote.stop_apiserver();
    let lost = |s: &AppState| is_lost(s, "Failed to load live state: ") && s.health() == "Unknown";
    for app in [&first, &second] {
        let state = app.wait_for(&client, "without its cluster", Duration::from_secs(45), lost).await?;
        assert!(state.resource("ConfigMap", "one").is_some(), "the last state stands: {}", state.summary());
    }
    let state = home.get(&client).await?.expect("it is there");
    assert!(state.is_deployed(), "the others are not concerned: {}", state.summary());
    assert_eq!(argosy.metrics().await?.sum("argocd_cluster_connection_status", &connected), 0.0);

    remote.restart_apiserver().await?;
    for app in [&first, &second] {
        let state = app.wait_until_deployed(&client, Duration::from_secs(60)).await?;
        assert!(state.conditions().is_empty(), "{}", state.summary());
    }
    assert_eq!(argosy.metrics().await?.sum("argocd_cluster_connection_status", &connected), 1.0);
    Ok(())
}
