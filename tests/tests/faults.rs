//! An API server that misbehaves is waited out, and the work that it held up is
//! done afterwards. A Git host that hangs does not keep the controller from ending.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use argosy_tests::{ApiFault, ApiProxy, App, Failure, Options, PATIENCE, World, config_map, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_after_each_fault_of_a_cluster() -> anyhow::Result<()> {
    let settings = [("timeout.reconciliation", "2s"), ("timeout.reconciliation.jitter", "0s")];
    let world = World::start(Options::default(), &settings).await?;
    let client = world.plane.client().await?;
    let proxy = ApiProxy::start(&world.plane).await?;
    let url = proxy.url();
    world.plane.declare("cluster", "cluster-faulty", &[("name", "faulty"), ("server", &url), ("config", "{}")])?;
    let repo = world.git.repo("faults")?;
    let mut text = "zero".to_owned();
    let mut sha = repo.commit(&[("map.yaml", &config_map("faulty", &text))])?;
    // Refused at the very start, too.
    proxy.fail(ApiFault::Status(503));
    let app = App::new("faulty")
        .source(&repo.url_file(), ".", "HEAD")
        .into_namespace("faulty")
        .set("/spec/destination/server", url.as_str().into())
        .prune()
        .self_heal()
        .sync_option("CreateNamespace=true")
        .set(
            "/spec/syncPolicy/retry",
            serde_json::json!({"limit": 20, "backoff": {"duration": "1s", "maxDuration": "2s"}}),
        );
    app.apply(&client).await?;
    app.wait_for(&client, "without a cluster", PATIENCE, |s| s.sync_status() == "Unknown").await?;
    proxy.heal();
    app.wait_until_deployed(&client, PATIENCE).await?;
    for (name, fault) in [
        ("too-many", ApiFault::TooMany(1)),
        ("error", ApiFault::Status(500)),
        ("cut", ApiFault::Cut),
        ("hang", ApiFault::Hang),
    ] {
        let before = sha.clone();
        proxy.fail(fault);
        name.clone_into(&mut text);
        sha = repo.commit(&[("map.yaml", &config_map("faulty", &text))])?;
        // The commit is seen and cannot be deployed.
        let stuck = |s: &argosy_tests::AppState| {
            s.revision() != before || s.sync_status() == "Unknown" || s.phase() == "Running"
        };
        app.wait_for(&client, &format!("held up by {name}"), PATIENCE, stuck).await?;
        proxy.heal();
        app.wait_for(&client, &format!("deployed after {name}"), PATIENCE, |s| s.is_deployed() && s.revision() == sha)
            .await?;
        assert_eq!(world.plane.config_map_text("faulty", "faulty").await?, text, "{name}");
    }
    // The watches live: drift is undone.
    let patch = r#"{"data":{"text":"drift"}}"#;
    world.plane.kubectl_text(&["-n", "faulty", "patch", "configmap", "faulty", "--type=merge", "-p", patch])?;
    eventually(PATIENCE, || async {
        let found = world.plane.config_map_text("faulty", "faulty").await?;
        ensure!(found == text, "it is {found}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_ends_at_once_while_a_git_host_hangs() -> anyhow::Result<()> {
    let mut world = World::start(Options::default(), &[]).await?;
    let client = world.plane.client().await?;
    let url = world.git.repo("hanging")?.url_https();
    world.plane.declare("repository", "repo-hanging", &[("type", "git"), ("url", &url), ("insecure", "true")])?;
    world.git.fail(Failure::Hang);
    let app = App::new("hanging").source(&url, ".", "HEAD");
    app.apply(&client).await?;
    eventually(PATIENCE, || async {
        ensure!(!world.git.requests().is_empty(), "the host was not asked");
        Ok(())
    })
    .await;
    let began = Instant::now();
    let ended = world.argosy.stop();
    // A listing may take 15 seconds, and is not waited for.
    assert!(ended.success() && began.elapsed() < Duration::from_secs(13), "{ended} after {:?}", began.elapsed());
    // Nor is it told as if the host had refused.
    let state = app.get(&client).await?.context("the application is gone")?;
    assert_eq!(state.conditions(), []);
    Ok(())
}
