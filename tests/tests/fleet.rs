//! Two controllers and an API replica that agree through etcd: each cluster has one
//! owner, whichever replica is asked knows the answer, and the death of one is
//! made good by the other without anything being done twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_proto::application::ApplicationResourcePatchRequest;
use argosy_tests::{App, AppState, Argosy, ControlPlane, Etcd, GitServer, Options, PATIENCE, config_map, eventually};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// Seconds after which a silent controller is taken for dead.
const LEASE: &str = "5";

/// The same API server under several addresses: several clusters to Argosy.
fn address(plane: &ControlPlane, number: usize) -> String {
    if number == 0 { plane.url() } else { format!("{}?x={number}", plane.url()) }
}

fn declare(plane: &ControlPlane, number: usize) -> anyhow::Result<()> {
    let identity = plane.admin_identity();
    let config = json!({"tlsClientConfig": {
        "caData": STANDARD.encode(plane.authority_pem()),
        "certData": STANDARD.encode(&identity.certificate_pem),
        "keyData": STANDARD.encode(&identity.key_pem),
    }});
    let (name, server) = (format!("cluster-{number}"), address(plane, number));
    plane.declare("cluster", &name, &[("name", &name), ("server", &server), ("config", &config.to_string())])
}

/// The clusters that a controller says it is connected to.
async fn connected(controller: &Argosy) -> anyhow::Result<BTreeSet<String>> {
    let metrics = controller.metrics().await?;
    let status = metrics.samples().iter().filter(|s| s.name == "argocd_cluster_connection_status" && s.value > 0.0);
    Ok(status.filter_map(|s| s.labels.get("server").cloned()).filter(|s| s.starts_with("https://127.0.0.1")).collect())
}

/// Successful syncs, by application and the time they ended.
fn syncs(state: &AppState) -> Vec<String> {
    state.list("/status/history").iter().map(|entry| format!("{} {}", entry["revision"], entry["deployedAt"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_controllers_clusters_are_taken_over_and_nothing_is_synced_twice() -> anyhow::Result<()> {
    let (plane, etcd) = tokio::try_join!(ControlPlane::start(Options::default()), Etcd::start(1))?;
    plane.install().await?;
    plane.set_config("argocd-cm", &[("timeout.reconciliation", "2s"), ("timeout.reconciliation.jitter", "0s")])?;
    let git = GitServer::start()?;
    let repo = git.repo("fleet")?;
    let first = repo.commit(&[("map.yaml", &config_map("shared-out", "one"))])?;
    let endpoints = etcd.endpoints().join(",");
    let controller = || {
        let starter = Argosy::controller(&plane).arg("--etcd-endpoints").arg(&endpoints);
        starter.env("ARGOSY_ETCD_LEASE_SECONDS", LEASE).env("ARGOSY_ETCD_PREFIX", "/fleet-test").start()
    };
    let (mut one, mut two) = tokio::try_join!(controller(), controller())?;
    let server = Argosy::server(&plane).start().await?;
    let client = plane.client().await?;
    // Its certificate and the first password are made after its metrics answer.
    let sign_in = || async { plane.api_client(&server).await?.sign_in("admin", &plane.admin_password().await?).await };
    let api = eventually(PATIENCE, sign_in).await;

    let apps: Vec<App> = (0..4)
        .map(|number| {
            App::new(&format!("app-{number}"))
                .source(&repo.url_file(), ".", "HEAD")
                .into_namespace(&format!("app-{number}"))
                .prune()
                .sync_option("CreateNamespace=true")
                .set("/spec/destination/server", address(&plane, number).into())
        })
        .collect();
    for (number, app) in apps.iter().enumerate() {
        declare(&plane, number)?;
        app.apply(&client).await?;
    }
    for app in &apps {
        app.wait_for(&client, "deployed", PATIENCE, |s| s.is_deployed() && s.revision() == first).await?;
    }
    let all: BTreeSet<String> = (0..4).map(|number| address(&plane, number)).collect();
    let shared_out = || async {
        let (left, right) = (connected(&one).await?, connected(&two).await?);
        let both = left.union(&right).cloned().collect::<BTreeSet<_>>();
        let is_even = !left.is_empty() && !right.is_empty() && left.is_disjoint(&right);
        ensure!(is_even && both == all, "{left:?} and {right:?}");
        Ok::<_, anyhow::Error>(())
    };
    eventually(PATIENCE, shared_out).await;

    // One API replica, asked about every application, whoever owns it.
    let ask_all = || async {
        for app in &apps {
            let path = format!("/api/v1/applications/{}/resource-tree", app.name());
            let tree = api.get(&path).await?.ok().with_context(|| app.name().to_owned())?;
            let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
            ensure!(nodes.iter().any(|node| node["name"] == "shared-out"), "{}: {tree}", app.name());
        }
        Ok::<_, anyhow::Error>(())
    };
    eventually(PATIENCE, ask_all).await;

    // A command too takes effect at the owner.
    for app in &apps {
        let name = app.name().to_owned();
        let request = ApplicationResourcePatchRequest {
            name: name.clone(),
            namespace: Some(name.clone()),
            resource_name: "shared-out".to_owned(),
            version: "v1".to_owned(),
            group: Some(String::new()),
            kind: "ConfigMap".to_owned(),
            patch: json!({"metadata": {"annotations": {"asked-for": name}}}).to_string(),
            patch_type: "application/merge-patch+json".to_owned(),
            ..ApplicationResourcePatchRequest::default()
        };
        let patched = api.applications().patch_resource(request).await?.into_inner();
        ensure!(patched.manifest.contains("asked-for"), "{}", patched.manifest);
    }

    one.kill9();
    let second = repo.commit(&[("map.yaml", &config_map("shared-out", "two"))])?;
    let at = |revision: String| move |state: &AppState| state.is_deployed() && state.revision() == revision;
    for app in &apps {
        app.wait_for(&client, "at the second commit", PATIENCE, at(second.clone())).await?;
        assert_eq!(plane.config_map_text(app.name(), "shared-out").await?, "two");
    }
    eventually(PATIENCE, || async {
        let owned = connected(&two).await?;
        ensure!(owned == all, "{owned:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    eventually(PATIENCE, ask_all).await;

    one.restart().await?;
    eventually(PATIENCE, || async {
        let (left, right) = (connected(&one).await?, connected(&two).await?);
        ensure!(!left.is_empty() && left.is_disjoint(&right) && left.len() + right.len() == 4, "{left:?}, {right:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    let third = repo.commit(&[("map.yaml", &config_map("shared-out", "three"))])?;
    for app in &apps {
        app.wait_for(&client, "at the third commit", PATIENCE, at(third.clone())).await?;
    }
    eventually(PATIENCE, ask_all).await;

    // A controller that ends in order gives its clusters away at once.
    assert!(two.stop().success());
    let fourth = repo.commit(&[("map.yaml", &config_map("shared-out", "four"))])?;
    for app in &apps {
        app.wait_for(&client, "at the fourth commit", Duration::from_secs(60), at(fourth.clone())).await?;
    }

    let mut done = BTreeMap::new();
    for app in &apps {
        let state = app.get(&client).await?.context("it is there")?;
        done.insert(app.name().to_owned(), syncs(&state).len());
    }
    assert!(done.values().all(|count| *count == 4), "four commits, and as many syncs of each: {done:?}");
    Ok(())
}
