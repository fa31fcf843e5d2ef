//! Other clusters: declared by Secrets, reached as these say, waited for when
//! they are away.

use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_tests::{
    App, AppState, Argosy, ControlPlane, GitServer, Options, PATIENCE, Repo, World, config_map, eventually,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

struct Scene {
    world: World,
    /// Another cluster.
    remote: ControlPlane,
    repo: Repo,
}

async fn scene() -> anyhow::Result<Scene> {
    let settings = [("timeout.reconciliation", "2s"), ("timeout.reconciliation.jitter", "0s")];
    let (world, remote) =
        tokio::try_join!(World::start(Options::default(), &settings), ControlPlane::start(Options::default()))?;
    let repo = world.git.repo("clusters")?;
    repo.commit(&[("map.yaml", &config_map("far", "one"))])?;
    remote.kubectl_text(&["-n", "default", "create", "serviceaccount", "deployer"])?;
    remote.kubectl_text(&[
        "create",
        "clusterrolebinding",
        "deployer",
        "--clusterrole=cluster-admin",
        "--serviceaccount=default:deployer",
    ])?;
    Ok(Scene { world, remote, repo })
}

impl Scene {
    fn app(&self, name: &str) -> App {
        App::new(name)
            .source(&self.repo.url_file(), ".", "HEAD")
            .into_namespace(name)
            .prune()
            .self_heal()
            .sync_option("CreateNamespace=true")
    }

    fn declare(&self, config: &serde_json::Value, more: &[(&str, &str)]) -> anyhow::Result<()> {
        let (config, url) = (config.to_string(), self.remote.url());
        let fields = [&[("name", "far-away"), ("server", &*url), ("config", &*config)], more].concat();
        self.world.plane.declare("cluster", "cluster-remote", &fields)
    }

    fn tls(&self) -> serde_json::Value {
        json!({"caData": STANDARD.encode(self.remote.authority_pem())})
    }

    fn token(&self, token: &str) -> serde_json::Value {
        json!({"bearerToken": token, "tlsClientConfig": self.tls()})
    }

    async fn text(&self, app: &str) -> anyhow::Result<String> {
        self.remote.config_map_text(app, "far").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_cluster_is_deployed_to_through_all_that_happens_to_it() -> anyhow::Result<()> {
    let mut scene = scene().await?;
    let client = scene.world.plane.client().await?;
    let url = scene.remote.url();

    // A wrong credential is the cluster's trouble alone, and mended by its Secret.
    scene.declare(&scene.token("wrong-canary-2290"), &[])?;
    let by_server = scene.app("by-server").set("/spec/destination/server", url.as_str().into());
    let by_name = scene.app("by-name").set("/spec/destination", json!({"name": "far-away", "namespace": "by-name"}));
    let home = scene.app("at-home");
    for app in [&by_server, &by_name, &home] {
        app.apply(&client).await?;
    }
    home.wait_until_deployed(&client, PATIENCE).await?;
    let refused = |s: &AppState| {
        s.sync_status() == "Unknown"
            && s.conditions().iter().any(|(k, m)| *k == "ComparisonError" && m.contains("Failed to load live state"))
    };
    let state = by_server.wait_for(&client, "refused", PATIENCE, refused).await?;
    assert!(!state.0.to_string().contains("canary-2290") && !scene.world.argosy.log().contains("canary-2290"));
    let metrics = scene.world.argosy.metrics().await?;
    assert_eq!(metrics.sum("argocd_cluster_connection_status", &[("server", &url)]), 0.0);
    let token = scene.remote.service_account_token("default", "deployer")?;
    scene.declare(&scene.token(&token), &[])?;
    for app in [&by_server, &by_name] {
        app.wait_until_deployed(&client, Duration::from_secs(20)).await?;
        assert_eq!(scene.text(app.name()).await?, "one");
    }
    let metrics = scene.world.argosy.metrics().await?;
    assert_eq!(metrics.sum("argocd_cluster_connection_status", &[("server", &url)]), 1.0);
    assert!(metrics.get("argocd_cluster_info", &[("server", &url), ("name", "far-away")]).is_some());
    assert!(metrics.sum("argocd_cluster_api_resource_objects", &[("server", &url)]) > 10.0);

    // Another credential takes over, of another kind, without anything being listed again.
    let listed =
        |m: &argosy_tests::Metrics| m.sum("argocd_cluster_events_total", &[("server", &url), ("kind", "ClusterRole")]);
    let before = listed(&scene.world.argosy.metrics().await?);
    assert!(before > 10.0, "{before} events of ClusterRoles");
    let identity = scene.remote.admin_identity();
    let mut tls = scene.tls();
    tls["certData"] = STANDARD.encode(&identity.certificate_pem).into();
    tls["keyData"] = STANDARD.encode(&identity.key_pem).into();
    scene.declare(&json!({"tlsClientConfig": tls}), &[])?;
    let argosy = &mut scene.world.argosy;
    argosy.wait_for_log("the cluster's new credential is in use", PATIENCE).await?;
    let argosy: &Argosy = argosy;
    scene.remote.kubectl_text(&["-n", "default", "delete", "clusterrolebinding", "deployer"])?;
    let second = scene.repo.commit(&[("map.yaml", &config_map("far", "two"))])?;
    for app in [&by_server, &by_name] {
        app.wait_for(&client, "at the second commit", PATIENCE, |s| s.is_deployed() && s.revision() == second).await?;
    }
    let after = listed(&argosy.metrics().await?);
    assert!(after < before + 10.0, "ClusterRoles were listed again: {before}, then {after}");

    // A cluster that is away is waited out, and nothing is lost meanwhile.
    scene.remote.stop_apiserver();
    let third = scene.repo.commit(&[("map.yaml", &config_map("far", "three"))])?;
    home.wait_for(&client, "at the third commit", PATIENCE, |s| s.is_deployed() && s.revision() == third).await?;
    by_server.wait_for(&client, "without its cluster", PATIENCE, |s| !s.is_deployed() || s.revision() == third).await?;
    scene.remote.restart_apiserver().await?;
    for app in [&by_server, &by_name] {
        app.wait_for(&client, "at the third commit", PATIENCE, |s| s.is_deployed() && s.revision() == third).await?;
        assert_eq!(scene.text(app.name()).await?, "three");
    }

    // The home cluster's API server is killed in the middle of work.
    let fourth = scene.repo.commit(&[("map.yaml", &config_map("far", "four"))])?;
    scene.world.plane.stop_apiserver();
    scene.world.plane.restart_apiserver().await?;
    for app in [&by_server, &by_name, &home] {
        app.wait_for(&client, "at the fourth commit", PATIENCE, |s| s.is_deployed() && s.revision() == fourth).await?;
    }

    // Confined to namespaces, it goes on in these.
    scene.declare(&json!({"tlsClientConfig": tls}), &[("namespaces", "by-server, by-name")])?;
    scene.remote.kubectl_text(&["-n", "by-server", "delete", "configmap", "far"])?;
    eventually(PATIENCE, || scene.text("by-server")).await;
    by_server.wait_until_deployed(&client, PATIENCE).await?;

    // No longer declared, it is let go.
    scene.world.plane.kubectl_text(&["-n", "argocd", "delete", "secret", "cluster-remote"])?;
    let unknown =
        |s: &AppState| s.conditions().iter().any(|(k, m)| *k == "InvalidSpecError" && m.contains("not found"));
    by_server.wait_for(&client, "without a cluster", PATIENCE, unknown).await?;
    scene.world.argosy.wait_for_log("the cluster is declared no more", PATIENCE).await?;
    assert_eq!(scene.text("by-server").await?, "four");
    scene.declare(&json!({"tlsClientConfig": tls}), &[])?;
    by_server.wait_until_deployed(&client, PATIENCE).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_and_a_repository_that_hang_keep_nobody_else_waiting() -> anyhow::Result<()> {
    let world = World::start(Options::default(), &[("timeout.reconciliation", "2s")]).await?;
    let client = world.plane.client().await?;
    let repo = world.git.repo("hanging")?;
    repo.commit(&[("map.yaml", &config_map("good", "one"))])?;
    // Takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").context("binding")?;
    let server = format!("https://{}", silent.local_addr().context("a bound listener has an address")?);
    let config = json!({"bearerToken": "t", "tlsClientConfig": {"insecure": true}}).to_string();
    world.plane.declare(
        "cluster",
        "cluster-silent",
        &[("name", "silent"), ("server", &server), ("config", &config)],
    )?;
    let git = GitServer::start()?;
    let mute = git.repo("mute")?;
    world.plane.declare("repository", "repo-mute", &[("url", &mute.url_https()), ("insecure", "true")])?;
    git.fail(argosy_tests::Failure::Hang);
    // More than there are passes at once.
    for index in 0..100 {
        let (to_silent, of_mute) = (format!("to-silent-{index}"), format!("of-mute-{index}"));
        App::new(&to_silent)
            .source(&repo.url_file(), ".", "HEAD")
            .set("/spec/destination/server", server.as_str().into())
            .apply(&client)
            .await?;
        App::new(&of_mute).source(&mute.url_https(), ".", "HEAD").apply(&client).await?;
    }
    let good = App::new("beside").source(&repo.url_file(), ".", "HEAD").automated();
    good.apply(&client).await?;
    // Ten seconds for each of those before it that is connected to.
    good.wait_until_deployed(&client, Duration::from_secs(25)).await?;
    git.heal();
    mute.commit(&[("map.yaml", &config_map("mute", "one"))])?;
    eventually(PATIENCE, || async {
        let state = App::new("of-mute-7").get(&client).await?.context("it is there")?;
        ensure!(state.sync_status() == "OutOfSync", "{}", state.summary());
        Ok::<_, anyhow::Error>(())
    })
    .await;
    Ok(())
}
