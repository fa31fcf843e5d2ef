//! Two controllers and an API replica that agree through etcd: each cluster has one
//! owner, whichever replica is asked knows the answer, and the death of one is
//! made good by the other without anything being done twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_proto::application::ApplicationResourcePatchRequest;
use argosy_tests::{
    ApiClient, App, AppState, Argosy, ControlPlane, Etcd, GitServer, Options, PATIENCE, config_map, eventually,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

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

/// Somebody who may do everything. The certificate and the first password are made
/// after an API replica's metrics answer.
async fn signed_in(plane: &ControlPlane, server: &Argosy) -> ApiClient {
    eventually(PATIENCE, || async {
        plane.api_client(server).await?.sign_in("admin", &plane.admin_password().await?).await
    })
    .await
}

/// Asks one API replica about every application, whoever owns it.
async fn ask_all(api: &ApiClient, apps: &[App]) -> anyhow::Result<()> {
    for app in apps {
        let path = format!("/api/v1/applications/{}/resource-tree", app.name());
        let tree = api.get(&path).await?.ok().with_context(|| app.name().to_owned())?;
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        ensure!(nodes.iter().any(|node| node["name"] == "shared-out"), "{}: {tree}", app.name());
    }
    Ok(())
}

/// What a command prints, as JSON.
fn placement(endpoints: &str, more: &[&str]) -> anyhow::Result<Value> {
    let output = std::process::Command::new(argosy_tests::tools::argosy_binary()?)
        .args(["admin", "placement", "--etcd-prefix", "/fleet-test", "-o", "json", "--etcd-endpoints", endpoints])
        .args(more)
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The applications that a controller tells of, when it keeps whole one object for each.
async fn kept_whole(controller: &Argosy, server: &str) -> anyhow::Result<f64> {
    let metrics = controller.metrics().await?;
    let own = metrics.sum("argocd_app_info", &[]);
    let whole = metrics.sum("argosy_live_whole_objects", &[("server", server)]);
    ensure!(own > 0.0 && whole == own, "{whole} objects are kept for {own} applications");
    Ok(own)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_cluster_is_split_over_the_replicas_while_it_is_worked_on() -> anyhow::Result<()> {
    let (plane, etcd) = tokio::try_join!(ControlPlane::start(Options::default()), Etcd::start(1))?;
    plane.install().await?;
    plane.set_config("argocd-cm", &[("timeout.reconciliation", "2s"), ("timeout.reconciliation.jitter", "0s")])?;
    let git = GitServer::start()?;
    let repo = git.repo("split")?;
    let first = repo.commit(&[("map.yaml", &config_map("shared-out", "one"))])?;
    let endpoints = etcd.endpoints().join(",");
    let controller = || {
        let starter = Argosy::controller(&plane).arg("--etcd-endpoints").arg(&endpoints);
        // Whatever costs anything is worth it here.
        let starter = starter.env("ARGOSY_SPLIT_MILLICORES", "0").env("ARGOSY_ETCD_LEASE_SECONDS", LEASE);
        starter.env("ARGOSY_ETCD_PREFIX", "/fleet-test").start()
    };
    let (mut one, two) = tokio::try_join!(controller(), controller())?;
    let server = Argosy::server(&plane).start().await?;
    let client = plane.client().await?;
    let api = signed_in(&plane, &server).await;
    declare(&plane, 0)?;
    let apps: Vec<App> = (0..12)
        .map(|number| {
            let name = format!("part-{number}");
            let app = App::new(&name).source(&repo.url_file(), ".", "HEAD").into_namespace(&name).prune();
            app.sync_option("CreateNamespace=true").set("/spec/destination/server", address(&plane, 0).into())
        })
        .collect();
    for app in &apps {
        app.apply(&client).await?;
    }
    for app in &apps {
        app.wait_for(&client, "deployed", PATIENCE, |s| s.is_deployed() && s.revision() == first).await?;
    }
    // Costs are measured for a while before anything is done about them.
    let is_split = || async {
        let report = placement(&endpoints, &[])?;
        let entities = report["entities"].as_array().cloned().unwrap_or_default();
        let of_it: Vec<_> =
            entities.iter().filter(|entity| entity["name"].as_str().is_some_and(|n| n.contains("slice"))).collect();
        let owners: BTreeSet<_> = of_it.iter().filter_map(|entity| entity["owner"].as_str()).collect();
        ensure!(of_it.len() > 1 && owners.len() == 2, "{report:#}");
        Ok::<_, anyhow::Error>(())
    };
    eventually(Duration::from_secs(180), is_split).await;
    let counted = || async {
        let mut seen = BTreeMap::<String, usize>::new();
        for controller in [&one, &two] {
            let metrics = controller.metrics().await?;
            for sample in metrics.samples().iter().filter(|sample| sample.name == "argocd_app_info") {
                *seen.entry(sample.labels["name"].clone()).or_default() += 1;
            }
        }
        ensure!(seen.len() == 12 && seen.values().all(|count| *count == 1), "{seen:?}");
        Ok::<_, anyhow::Error>(())
    };
    eventually(PATIENCE, counted).await;
    // Each keeps whole what its own applications have, once it has let go of the rest.
    let server_url = address(&plane, 0);
    eventually(Duration::from_secs(90), || async {
        let (left, right) = (kept_whole(&one, &server_url).await?, kept_whole(&two, &server_url).await?);
        ensure!(left + right == 12.0, "{left} and {right}");
        Ok::<_, anyhow::Error>(())
    })
    .await;

    // Each half is worked on, and one API replica finds all of them.
    let second = repo.commit(&[("map.yaml", &config_map("shared-out", "two"))])?;
    for app in &apps {
        app.wait_for(&client, "at the second commit", PATIENCE, |s| s.is_deployed() && s.revision() == second).await?;
    }
    eventually(PATIENCE, || ask_all(&api, &apps)).await;
    for app in &apps {
        let state = app.get(&client).await?.context("it is there")?;
        assert_eq!(syncs(&state).len(), 2, "{} was synced again: {:?}", app.name(), syncs(&state));
    }
    placement_is_explained(&endpoints)?;

    // One is left with all of it, and sees at once what is changed in any part.
    one.kill9();
    eventually(Duration::from_secs(90), || async {
        let all = kept_whole(&two, &server_url).await?;
        ensure!(all == 12.0, "{all} applications");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    for app in &apps {
        app.wait_for(&client, "still deployed", PATIENCE, |s| s.is_deployed() && s.revision() == second).await?;
        let patch = json!({"data": {"text": "drifted"}}).to_string();
        plane.kubectl_text(&["patch", "configmap", "shared-out", "-n", app.name(), "--type=merge", "-p", &patch])?;
    }
    for app in &apps {
        app.wait_for(&client, "out of sync", PATIENCE, |s| s.sync_status() == "OutOfSync").await?;
    }
    for app in &apps {
        let state = app.get(&client).await?.context("it is there")?;
        assert_eq!(syncs(&state).len(), 2, "{} was synced again: {:?}", app.name(), syncs(&state));
    }
    Ok(())
}

/// Who owns what is printed, and what would move without one of them.
fn placement_is_explained(endpoints: &str) -> anyhow::Result<()> {
    let report = placement(endpoints, &[])?;
    let name = report["replicas"][0]["name"].as_str().context("there are two")?.to_owned();
    let moves = placement(endpoints, &["--without", &name])?;
    ensure!(moves.as_array().is_some_and(|moves| !moves.is_empty()), "{moves}");
    ensure!(placement(endpoints, &["--without", "nobody"]).is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_that_are_shared_out_by_hand_stay_where_they_are_pinned() -> anyhow::Result<()> {
    let plane = ControlPlane::start(Options::default()).await?;
    plane.install().await?;
    let git = GitServer::start()?;
    let repo = git.repo("by-hand")?;
    repo.commit(&[("map.yaml", &config_map("shared-out", "one"))])?;
    let controller = |shard: &str| {
        let starter = Argosy::controller(&plane).env("ARGOCD_CONTROLLER_REPLICAS", "2");
        starter.env("ARGOCD_CONTROLLER_SHARD", shard).start()
    };
    let (zero, one) = tokio::try_join!(controller("0"), controller("1"))?;
    let server = Argosy::server(&plane).start().await?;
    let client = plane.client().await?;
    let api = signed_in(&plane, &server).await;
    let pin = |number: usize, shard: &str| {
        let name = format!("cluster-{number}");
        plane.kubectl_text(&[
            "patch",
            "secret",
            &name,
            "-n",
            "argocd",
            "-p",
            &json!({"stringData": {"shard": shard}}).to_string(),
        ])
    };
    let mut apps = Vec::new();
    for number in 0..2 {
        declare(&plane, number)?;
        pin(number, &number.to_string())?;
        let name = format!("pinned-{number}");
        let app = App::new(&name).source(&repo.url_file(), ".", "HEAD").into_namespace(&name);
        let app = app.sync_option("CreateNamespace=true").automated();
        let app = app.set("/spec/destination/server", address(&plane, number).into());
        app.apply(&client).await?;
        apps.push(app);
    }
    let owned = |first: usize| {
        let (zero, one, plane) = (&zero, &one, &plane);
        async move {
            let (left, right) = (connected(zero).await?, connected(one).await?);
            let wanted = [first, 1 - first].map(|number| BTreeSet::from([address(plane, number)]));
            ensure!([&left, &right] == [&wanted[0], &wanted[1]], "{left:?}, {right:?}");
            Ok::<_, anyhow::Error>(())
        }
    };
    eventually(PATIENCE, || owned(0)).await;
    for app in &apps {
        app.wait_until_deployed(&client, PATIENCE).await?;
    }
    eventually(PATIENCE, || ask_all(&api, &apps)).await;
    // Somebody deals them out anew.
    pin(0, "1")?;
    pin(1, "0")?;
    eventually(PATIENCE, || owned(1)).await;
    eventually(PATIENCE, || ask_all(&api, &apps)).await;
    Ok(())
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
    let api = signed_in(&plane, &server).await;

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

    eventually(PATIENCE, || ask_all(&api, &apps)).await;

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
    eventually(PATIENCE, || ask_all(&api, &apps)).await;

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
    eventually(PATIENCE, || ask_all(&api, &apps)).await;

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
