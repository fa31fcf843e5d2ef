//! Credentials of an owner's own, on a real cluster: made for its epoch,
//! exchanged while applications are synced, removed by the next owner and when
//! the cluster is let go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use argosy_tests::{
    App, Argosy, ControlPlane, Etcd, GitServer, Metrics, Options, PATIENCE, Repo, World, config_map, eventually,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

/// Makes a service account that may do everything; a token of it.
fn deployer(remote: &ControlPlane) -> anyhow::Result<String> {
    remote.kubectl_text(&["-n", "default", "create", "serviceaccount", "deployer"])?;
    let account = "--serviceaccount=default:deployer";
    remote.kubectl_text(&["create", "clusterrolebinding", "deployer", "--clusterrole=cluster-admin", account])?;
    remote.service_account_token("default", "deployer")
}

fn declare(plane: &ControlPlane, remote: &ControlPlane, url: &str, token: &str) -> anyhow::Result<()> {
    let tls = json!({"caData": STANDARD.encode(remote.authority_pem())});
    let config = json!({"bearerToken": token, "tlsClientConfig": tls}).to_string();
    plane.declare("cluster", "cluster-remote", &[("name", "far-away"), ("server", url), ("config", &config)])
}

/// An application of all that a repository has, in a namespace of its own on the cluster
/// at an address.
fn far_app(name: &str, repo: &Repo, url: &str) -> App {
    App::new(name)
        .source(&repo.url_file(), ".", "HEAD")
        .into_namespace(name)
        .sync_option("CreateNamespace=true")
        .set("/spec/destination/server", url.into())
}

/// Names of the marks on a cluster.
async fn marks(remote: &ControlPlane) -> anyhow::Result<BTreeSet<String>> {
    let secrets: Api<Secret> = Api::namespaced(remote.client().await?, "default");
    let marks = secrets.list_metadata(&ListParams::default().labels("argosy.dev/fence")).await?;
    Ok(marks.items.into_iter().filter_map(|mark| mark.metadata.name).collect())
}

/// Names of the subjects on a cluster.
async fn subjects(remote: &ControlPlane) -> anyhow::Result<BTreeSet<String>> {
    let accounts: Api<ServiceAccount> = Api::namespaced(remote.client().await?, "default");
    let subjects = accounts.list(&ListParams::default().labels("argosy.dev/fence")).await?;
    Ok(subjects.items.into_iter().filter_map(|subject| subject.metadata.name).collect())
}

fn exchanges(metrics: &Metrics, url: &str, result: &str) -> f64 {
    metrics.sum("argosy_credential_rotations_total", &[("server", url), ("result", result)])
}

fn stands(metrics: &Metrics, url: &str, kind: &str) -> bool {
    metrics.sum("argosy_fence", &[("server", url), ("kind", kind)]) > 0.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_exchanged_over_and_over_and_no_sync_notices() -> anyhow::Result<()> {
    let settings = [("timeout.reconciliation", "2s"), ("timeout.reconciliation.jitter", "0s")];
    let (world, remote) =
        tokio::try_join!(World::start(Options::default(), &settings), ControlPlane::start(Options::default()))?;
    let client = world.plane.client().await?;
    // Tokens live for ten minutes at least; they are exchanged as if they did for 4 s.
    world.plane.set_config("argocd-cmd-params-cm", &[("controller.credential.lifetime.seconds", "4")])?;
    let (token, url) = (deployer(&remote)?, remote.url());
    declare(&world.plane, &remote, &url, &token)?;
    let repo = world.git.repo("fenced")?;
    let mut revision = repo.commit(&[("map.yaml", &config_map("far", "0"))])?;
    let app = far_app("fenced", &repo, &url).prune();
    app.apply(&client).await?;
    app.wait_for(&client, "deployed", PATIENCE, |s| s.is_deployed() && s.revision() == revision).await?;
    let metrics = world.argosy.metrics().await?;
    assert!(stands(&metrics, &url, "token"));
    assert!(metrics.sum("argosy_credential_expiry_timestamp_seconds", &[("server", &url)]) > 1.7e9);
    let listed = |m: &Metrics| m.sum("argocd_cluster_events_total", &[("server", &url), ("kind", "ClusterRole")]);
    let (before, made) = (listed(&metrics), exchanges(&metrics, &url, "promoted"));
    for number in 1..=6 {
        revision = repo.commit(&[("map.yaml", &config_map("far", &number.to_string()))])?;
        app.wait_for(&client, "at the next commit", PATIENCE, |s| s.is_deployed() && s.revision() == revision).await?;
    }
    let metrics = eventually(PATIENCE, || async {
        let metrics = world.argosy.metrics().await?;
        ensure!(exchanges(&metrics, &url, "promoted") >= made + 4.0, "not exchanged often enough yet");
        ensure!(metrics.sum("argosy_credential_revocation_duration_seconds_count", &[]) >= 1.0, "none refused yet");
        Ok::<_, anyhow::Error>(metrics)
    })
    .await;
    assert_eq!(exchanges(&metrics, &url, "failed") + exchanges(&metrics, &url, "refused"), 0.0);
    let requests = |code: &str| {
        let host = url.trim_start_matches("https://");
        metrics.sum("argocd_kubectl_requests_total", &[("host", host), ("code", code)])
    };
    assert_eq!(requests("401"), 0.0);
    let after = listed(&metrics);
    assert!(after < before + 10.0, "ClusterRoles were listed again: {before}, then {after}");
    println!("{} exchanges, {} requests answered", exchanges(&metrics, &url, "promoted"), requests("200"));

    // The declared credential becomes useless: what is worked with stays in use, and it is said.
    let mut world = world;
    declare(&world.plane, &remote, &url, "wrong-canary-7731")?;
    world.argosy.wait_for_log("the cluster's credential stays in use", PATIENCE).await?;
    revision = repo.commit(&[("map.yaml", &config_map("far", "last"))])?;
    app.wait_for(&client, "at the last commit", PATIENCE, |s| s.is_deployed() && s.revision() == revision).await?;
    assert!(!world.argosy.log().contains("canary-7731"));
    declare(&world.plane, &remote, &url, &token)?;

    // Another strength, while running.
    world.plane.kubectl_text(&["-n", "argocd", "annotate", "secret", "cluster-remote", "argosy.dev/fence=binding"])?;
    eventually(PATIENCE, || async {
        ensure!(stands(&world.argosy.metrics().await?, &url, "binding"), "no subject yet");
        ensure!(subjects(&remote).await?.len() == 1, "not one subject");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    revision = repo.commit(&[("map.yaml", &config_map("far", "bound"))])?;
    app.wait_for(&client, "synced by the subject", PATIENCE, |s| s.is_deployed() && s.revision() == revision).await?;

    // Let go: nothing stays behind.
    world.plane.kubectl_text(&["-n", "argocd", "delete", "secret", "cluster-remote"])?;
    eventually(PATIENCE, || async {
        let left = (marks(&remote).await?, subjects(&remote).await?);
        ensure!(left.0.is_empty() && left.1.is_empty(), "{left:?}");
        ensure!(
            remote.kubectl_text(&["get", "clusterrolebindings", "-l", "argosy.dev/fence"])?.trim().is_empty(),
            "bound"
        );
        Ok::<_, anyhow::Error>(())
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_owner_had_is_removed_by_the_next_one_and_one_that_wakes_late_disturbs_nobody() -> anyhow::Result<()>
{
    let (plane, remote, etcd) = tokio::try_join!(
        ControlPlane::start(Options::default()),
        ControlPlane::start(Options::default()),
        Etcd::start(1)
    )?;
    plane.install().await?;
    plane.set_config("argocd-cm", &[("timeout.reconciliation", "2s"), ("timeout.reconciliation.jitter", "0s")])?;
    let (git, client) = (GitServer::start()?, plane.client().await?);
    let repo = git.repo("owners")?;
    let first = repo.commit(&[("map.yaml", &config_map("far", "one"))])?;
    let (token, url) = (deployer(&remote)?, remote.url());
    declare(&plane, &remote, &url, &token)?;
    let endpoints = etcd.endpoints().join(",");
    let controller = || {
        let starter = Argosy::controller(&plane).arg("--etcd-endpoints").arg(&endpoints);
        starter.env("ARGOSY_ETCD_LEASE_SECONDS", "5").env("ARGOSY_ETCD_PREFIX", "/fence-test").start()
    };
    let (one, two) = tokio::try_join!(controller(), controller())?;
    let app = far_app("owned", &repo, &url).prune();
    app.apply(&client).await?;
    app.wait_for(&client, "deployed", PATIENCE, |s| s.is_deployed() && s.revision() == first).await?;
    let owner_of = async |replicas: [&Argosy; 2]| {
        let [one, two] = [replicas[0].metrics().await?, replicas[1].metrics().await?];
        match [stands(&one, &url, "token"), stands(&two, &url, "token")] {
            [true, false] => Ok(0),
            [false, true] => Ok(1),
            both => Err(anyhow::anyhow!("owners: {both:?}")),
        }
    };
    let owner = eventually(PATIENCE, || owner_of([&one, &two])).await;
    let [mut owner, other] = if owner == 0 { [one, two] } else { [two, one] };
    let before = eventually(PATIENCE, || async {
        let marks = marks(&remote).await?;
        ensure!(marks.len() == 1, "{marks:?}");
        Ok::<_, anyhow::Error>(marks)
    })
    .await;

    // It sleeps; another takes over, and its mark goes.
    owner.pause();
    let second = repo.commit(&[("map.yaml", &config_map("far", "two"))])?;
    app.wait_for(&client, "taken over", PATIENCE, |s| s.is_deployed() && s.revision() == second).await?;
    let after = marks(&remote).await?;
    assert!(after.len() == 1 && after.is_disjoint(&before), "{before:?}, then {after:?}");
    owner.resume();
    let third = repo.commit(&[("map.yaml", &config_map("far", "three"))])?;
    app.wait_for(&client, "at the third commit", PATIENCE, |s| s.is_deployed() && s.revision() == third).await?;
    assert_eq!(remote.config_map_text("owned", "far").await?, "three");

    // It dies for good; whoever owns the cluster in the end has the one mark.
    owner.kill9();
    let fourth = repo.commit(&[("map.yaml", &config_map("far", "four"))])?;
    app.wait_for(&client, "at the fourth commit", PATIENCE, |s| s.is_deployed() && s.revision() == fourth).await?;
    eventually(PATIENCE, || async {
        let marks = marks(&remote).await?;
        ensure!(marks.len() == 1 && marks.is_disjoint(&before), "{marks:?}");
        ensure!(stands(&other.metrics().await?, &url, "token"), "it has not the cluster");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_cluster_refuses_the_earlier_owner_nobody_waits_for_its_lease() -> anyhow::Result<()> {
    let (plane, remote, etcd) = tokio::try_join!(
        ControlPlane::start(Options::default()),
        ControlPlane::start(Options::default()),
        Etcd::start(1)
    )?;
    plane.install().await?;
    plane.set_config("argocd-cm", &[("timeout.reconciliation", "1s"), ("timeout.reconciliation.jitter", "0s")])?;
    plane.set_config("argocd-cmd-params-cm", &[("controller.fence", "binding")])?;
    let (git, client) = (GitServer::start()?, plane.client().await?);
    let repo = git.repo("hurried")?;
    let mut revision = repo.commit(&[("map.yaml", &config_map("far", "0"))])?;
    let (token, url) = (deployer(&remote)?, remote.url());
    declare(&plane, &remote, &url, &token)?;
    let endpoints = etcd.endpoints().join(",");
    // No test waits as long as this lease lasts.
    let lease = Duration::from_secs(600);
    let controller = || {
        let starter = Argosy::controller(&plane).arg("--etcd-endpoints").arg(&endpoints);
        starter.env("ARGOSY_ETCD_LEASE_SECONDS", &lease.as_secs().to_string()).start()
    };
    let mut running = vec![];
    for _ in 0..3 {
        running.push(controller().await?);
    }
    let app = far_app("hurried", &repo, &url).automated();
    app.apply(&client).await?;
    app.wait_for(&client, "deployed", PATIENCE, |s| s.is_deployed() && s.revision() == revision).await?;

    // First a pause, then a death. Links must stand before they can break.
    for (number, dies) in [false, true].into_iter().enumerate() {
        let owner = eventually(PATIENCE, || async {
            let mut owner = None;
            for (number, one) in running.iter().enumerate() {
                let metrics = one.metrics().await?;
                let links = metrics.sum("argosy_fleet_links", &[("state", "stands")]);
                ensure!(links >= (running.len() - 1) as f64, "{links} links of {number} stand");
                owner = owner.or(stands(&metrics, &url, "binding").then_some(number));
            }
            owner.context("nobody has the fence")
        })
        .await;
        let mut owner = running.remove(owner);
        if dies {
            owner.kill9();
        } else {
            owner.pause();
        }
        let text = (number + 1).to_string();
        revision = repo.commit(&[("map.yaml", &config_map("far", &text))])?;
        app.wait_for(&client, "taken over", PATIENCE, |s| s.is_deployed() && s.revision() == revision).await?;
        assert_eq!(subjects(&remote).await?.len(), 1, "the earlier owner still has a subject");
        if !dies {
            // It wakes up believing to own, is refused, and hears that it does not.
            owner.resume();
            owner.wait_for_log("cluster no longer owned", PATIENCE).await?;
            running.push(owner);
            let text = config_map("far", "awake");
            revision = repo.commit(&[("map.yaml", &text)])?;
            app.wait_for(&client, "after that", PATIENCE, |s| s.is_deployed() && s.revision() == revision).await?;
        }
    }
    let state = app.get(&client).await?.context("it is there")?;
    let history = state.0["status"]["history"].as_array().map_or(0, Vec::len);
    assert_eq!(history, 4, "four commits, and as many syncs: {}", state.0["status"]["history"]);
    assert_eq!(remote.config_map_text("hurried", "far").await?, "2");
    Ok(())
}

/// Passes connections on and counts those that are open.
async fn counting(remote: &ControlPlane) -> anyhow::Result<(String, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("binding")?;
    let address = format!("https://{}", listener.local_addr().context("a bound listener has an address")?);
    let open = Arc::new(AtomicUsize::new(0));
    let (counted, upstream) = (open.clone(), remote.url().replace("https://", ""));
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let (open, upstream) = (counted.clone(), upstream.clone());
            tokio::spawn(async move {
                let Ok(mut to) = TcpStream::connect(upstream).await else { return };
                open.fetch_add(1, Ordering::SeqCst);
                // Either side may just go.
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    Ok((address, open))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_secret_is_deleted_is_let_go_of_at_once() -> anyhow::Result<()> {
    let (mut world, remote) =
        tokio::try_join!(World::start(Options::default(), &[]), ControlPlane::start(Options::default()))?;
    let client = world.plane.client().await?;
    // Without a fence: nothing is left to be cleaned up over another connection.
    world.plane.set_config("argocd-cmd-params-cm", &[("controller.fence", "none")])?;
    let token = deployer(&remote)?;
    let (url, open) = counting(&remote).await?;
    declare(&world.plane, &remote, &url, &token)?;
    let repo = world.git.repo("let-go")?;
    repo.commit(&[("map.yaml", &config_map("far", "one"))])?;
    let waits = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: never\nspec:\n  template:\n    spec:\n      \
                 restartPolicy: Never\n      containers: [{name: c, image: i}]\n";
    let hook = waits.replace("metadata:\n", "metadata:\n  annotations: {argocd.argoproj.io/hook: PostSync}\n");
    repo.commit(&[("hook.yaml", &hook)])?;
    let app = far_app("let-go", &repo, &url).automated();
    app.apply(&client).await?;
    // A sync that waits for a hook which never ends.
    app.wait_for(&client, "syncing", PATIENCE, |s| s.phase() == "Running").await?;
    assert!(open.load(Ordering::SeqCst) > 0);
    assert!(stands(&world.argosy.metrics().await?, &url, "lease"));
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "argocd");
    secrets.delete("cluster-remote", &Default::default()).await?;
    let deleted = Instant::now();
    eventually(PATIENCE, || async {
        ensure!(open.load(Ordering::SeqCst) == 0, "{} connections", open.load(Ordering::SeqCst));
        Ok::<_, anyhow::Error>(())
    })
    .await;
    let took = deleted.elapsed();
    println!("let go of after {took:?}");
    // A cluster that is only let go of is kept for half a minute.
    assert!(took < Duration::from_secs(10), "{took:?}");
    // The attempt is over; what comes after it is the policy for retries.
    app.wait_for(&client, "without its cluster", PATIENCE, |s| s.message().contains("not found")).await?;
    world.argosy.check_running()?;
    Ok(())
}
