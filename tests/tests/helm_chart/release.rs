//! The life of a release on a real API server, and the product with exactly the rights
//! that the chart gives it at home and `config/rbac` on a cluster that it manages.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context, ensure};
use argosy_tests::argosy::Starter;
use argosy_tests::tools::{argosy_binary, workspace};
use argosy_tests::{
    ApiClient, App, AppState, Argosy, ControlPlane, GitServer, Options, PATIENCE, TempFolder, config_map, eventually,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bundled_etcd::BundledEtcd;
use crate::chart::folder;

/// Who Argosy is on the cluster that it manages.
const MANAGED: (&str, &str) = ("argosy-system", "argosy");

/// Runs Helm on the cluster; its output, or an error with what it said.
fn helm(plane: &ControlPlane, args: &[&str]) -> anyhow::Result<String> {
    let output = plane.helm(args)?;
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    ensure!(output.status.success(), "helm {}: {}{}", args.join(" "), said[0], said[1]);
    Ok(said[0].clone())
}

/// Gives the product's account on the managed cluster, which is the same API server
/// under another address, the rights of a reader and of a writer in one namespace.
fn prepare_managed(plane: &ControlPlane, namespace: &str) -> anyhow::Result<()> {
    let rbac = workspace().join("config/rbac");
    for file in ["account", "reader", "writer"] {
        let path = rbac.join(format!("{file}.yaml"));
        plane.kubectl_text(&["apply", "--server-side", "-f", path.to_str().context("UTF-8")?])?;
    }
    let binding = std::fs::read_to_string(rbac.join("writer-in-namespace.yaml"))?;
    plane.apply_yaml(&binding.replace("team-a", namespace))?;
    Ok(())
}

/// The values of the release: one of each, nothing in the home cluster, and the managed
/// cluster declared.
fn values(plane: &ControlPlane) -> anyhow::Result<Value> {
    let token = plane.service_account_token(MANAGED.0, MANAGED.1)?;
    let config = json!({
        "bearerToken": token,
        "tlsClientConfig": {"caData": STANDARD.encode(plane.authority_pem())},
    });
    Ok(json!({
        "createClusterRoles": false,
        "etcd": {"bundled": {"enabled": true, "replicas": 1}},
        "dex": {"enabled": true},
        "configs": {
            "cm": {
                "url": "https://argosy.example.com",
                "dex.config": "connectors: [{type: mockCallback, id: mock, name: Mock}]",
                "cluster.inClusterEnabled": false,
                "timeout.reconciliation": "2s",
                "timeout.reconciliation.jitter": "0s",
            },
            "params": {"application.namespaces": "tenant"},
            "clusterCredentials": {"managed": {"server": plane.url(), "config": config}},
        },
    }))
}

fn app(name: &str, plane: &ControlPlane, repository: &str) -> App {
    App::new(name)
        .source(repository, ".", "HEAD")
        .into_namespace("workload")
        .prune()
        .set("/spec/destination/server", plane.url().into())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_product_works_with_the_rights_of_a_release_and_no_others() -> anyhow::Result<()> {
    let plane = ControlPlane::start(Options { controller_manager: true, ..Options::default() }).await?;
    for namespace in ["argocd", "tenant", "workload", "elsewhere"] {
        plane.kubectl_text(&["create", "namespace", namespace])?;
    }
    prepare_managed(&plane, "workload")?;
    let files = TempFolder::new("release")?;
    let mut values = values(&plane)?;
    let path = files.write("values.yaml", values.to_string())?;
    let (chart, path) = (folder(), path.to_str().context("UTF-8")?.to_owned());
    let chart = chart.to_str().context("UTF-8")?;
    let release = ["argosy", chart, "--namespace", "argocd", "--values", &path];
    helm(&plane, &[&["install"], &release[..]].concat())?;
    plane.kubectl_text(&["wait", "--for=condition=Established", "--timeout=30s", "crd/applications.argoproj.io"])?;
    let before = certificates(&plane)?;

    // As the Pods would, with a token of their account.
    let token = plane.service_account_token("argocd", "argosy-server")?;
    let mut server = Argosy::server(&plane).kubeconfig(plane.kubeconfig_for_token(&token)?).start().await?;
    let token = plane.service_account_token("argocd", "argosy-controller")?;
    let etcd = BundledEtcd::start(&plane).await?;
    let controller = Argosy::controller(&plane).kubeconfig(plane.kubeconfig_for_token(&token)?);
    let mut controller = etcd.flags().into_iter().fold(controller, Starter::arg).start().await?;
    let sign_in = || async { plane.api_client(&server).await?.sign_in("admin", &plane.admin_password().await?).await };
    let api = eventually(PATIENCE, sign_in).await;
    let client = plane.client().await?;
    let git = GitServer::start()?;

    // A commit is deployed with the rights of the managed cluster.
    let repo = git.repo("own")?;
    let first = repo.commit(&[("map.yaml", &config_map("deployed", "one"))])?;
    let own = app("own", &plane, &repo.url_file());
    own.apply(&client).await?;
    let at = |revision: String| move |state: &AppState| state.is_deployed() && state.revision() == revision;
    own.wait_for(&client, "deployed", PATIENCE, at(first)).await?;
    assert_eq!(plane.config_map_text("workload", "deployed").await?, "one");
    // What they do not permit fails in the cluster's own words.
    let refused = app("refused", &plane, &repo.url_file()).into_namespace("elsewhere");
    refused.apply(&client).await?;
    let words = format!("User \"system:serviceaccount:{}:{}\" cannot create", MANAGED.0, MANAGED.1);
    refused.wait_for(&client, "refused", PATIENCE, |state| state.message().contains(&words)).await?;
    refused.delete(&client).await?;

    configure_dex(&plane, &files)?;
    through_the_api(&api, &plane, &repo.url_file()).await?;
    elsewhere(&api, &plane, &client, &repo.url_file()).await?;

    // An upgrade changes what it is told to and keeps the etcd's certificates.
    values["configs"]["cm"]["timeout.reconciliation"] = "3s".into();
    values["server"] = json!({"replicas": 3});
    values["controller"] = json!({"replicas": 3});
    files.write("values.yaml", values.to_string())?;
    // Three controllers that agree elsewhere would work beside the one that runs.
    // And an etcd of one takes no two others in.
    for (set, reason) in [
        ("etcd.prefix=/elsewhere", "upgrade with controller.replicas=1 first"),
        ("controller.replicas=1,etcd.bundled.replicas=3", "etcd.bundled.replicas is chosen before the installation"),
    ] {
        let refused = plane.helm(&[&["upgrade"], &release[..], &["--set", set]].concat())?;
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(!refused.status.success() && words.contains(reason), "{words}");
    }
    helm(&plane, &[&["upgrade"], &release[..]].concat())?;
    ensure!(certificates(&plane)? == before, "a running etcd would be split, and Dex not be trusted");
    let replicas = ["-n", "argocd", "get", "deployment", "argosy-server", "-o", "jsonpath={.spec.replicas}"];
    assert_eq!(plane.kubectl_text(&replicas)?, "3");
    let second = repo.commit(&[("map.yaml", &config_map("deployed", "two"))])?;
    own.wait_for(&client, "at the second commit", PATIENCE, at(second)).await?;
    let settings = plane.kubectl_text(&["-n", "argocd", "get", "secret", "argocd-secret", "-o", "jsonpath={.data}"])?;
    ensure!(settings.contains("admin.password"), "what the server has filled in stays: {settings}");

    let hosts = ["-n", "argocd", "get", "configmap", "argocd-ssh-known-hosts-cm", "-o", "jsonpath={.data}"];
    let hosts = plane.kubectl_text(&hosts)?;
    ensure!(
        hosts.contains("git.example.com") && hosts.contains("github.com"),
        "hosts of users and of the chart: {hosts}"
    );

    // Nothing was asked for at home that may not be had, to the end.
    for (role, process) in [("server", &mut server), ("controller", &mut controller)] {
        ensure!(process.stop().success(), "the {role} did not end in order");
        let log = process.log();
        let missing = log.lines().find(|line| line.contains("serviceaccount:argocd:"));
        ensure!(missing.is_none(), "the {role} lacks a right: {}", missing.unwrap_or_default());
    }

    // Applications outlive the release.
    helm(&plane, &["uninstall", "argosy", "--namespace", "argocd", "--wait", "--timeout", "60s"])?;
    ensure!(own.get(&client).await?.is_some(), "the kinds went with the release");
    let left =
        plane.kubectl_text(&["-n", "argocd", "get", "deployment,statefulset,role,service,netpol", "-o", "name"])?;
    ensure!(!left.contains("argosy"), "{left}");
    Ok(())
}

/// What the API writes at home: applications, credentials, settings, projects, events.
async fn through_the_api(api: &ApiClient, plane: &ControlPlane, repository: &str) -> anyhow::Result<()> {
    let made = app("made", plane, repository).set("/spec/syncPolicy", Value::Null);
    let send = |method, path: &'static str, body: Value| async move { api.send(method, path, &body).await?.ok() };
    send(Method::POST, "/api/v1/applications", made.manifest().clone()).await?;
    api.get("/api/v1/applications/made?refresh=normal").await?.ok()?;
    send(Method::POST, "/api/v1/applications/made/sync", json!({})).await?;
    let tree = || async {
        let tree = api.get("/api/v1/applications/made/resource-tree").await?.ok()?;
        ensure!(tree["nodes"].as_array().is_some_and(|nodes| !nodes.is_empty()), "{tree}");
        Ok::<_, anyhow::Error>(())
    };
    eventually(PATIENCE, tree).await;
    api.get("/api/v1/applications/made/events").await?.ok()?;
    api.delete("/api/v1/applications/made?cascade=false").await?.ok()?;

    let template = json!({"url": "https://git.example.com", "username": "bot", "password": "secret"});
    send(Method::POST, "/api/v1/repocreds", template).await?;
    api.delete("/api/v1/repocreds/https%3A%2F%2Fgit.example.com").await?.ok()?;
    let project = |spec: Value| json!({"project": {"metadata": {"name": "made"}, "spec": spec}});
    send(Method::POST, "/api/v1/projects", project(json!({}))).await?;
    send(Method::PUT, "/api/v1/projects/made", project(json!({"description": "changed"}))).await?;
    api.get("/api/v1/projects/made/events").await?.ok()?;
    api.delete("/api/v1/projects/made").await?.ok()?;
    let set = |count: u8| {
        let elements: Vec<Value> = (0..count).map(|number| json!({"name": format!("one-{number}")})).collect();
        let template = json!({"metadata": {"name": "{{name}}"}, "spec": made.manifest()["spec"]});
        json!({"metadata": {"name": "made"}, "spec": {"generators": [{"list": {"elements": elements}}], "template": template}})
    };
    send(Method::POST, "/api/v1/applicationsets", set(1)).await?;
    send(Method::POST, "/api/v1/applicationsets?upsert=true", set(2)).await?;
    api.get("/api/v1/applicationsets/made").await?.ok()?;
    api.delete("/api/v1/applicationsets/made").await?.ok()?;
    api.get("/api/v1/notifications/triggers").await?.ok()?;
    let clusters = api.get("/api/v1/clusters").await?.ok()?;
    ensure!(clusters["items"].as_array().is_some_and(|all| all.len() == 1), "{clusters}");
    let hosts = json!({"items": [{"serverName": "git.example.com", "certType": "ssh", "certSubType": "ssh-ed25519",
        "certData": STANDARD.encode("AAAAC3NzaC1lZDI1NTE5AAAAIIazEu89wgQZ4bqs3d63QSMzYVa0MuJ2e2gKTKqu+UUO")}]});
    send(Method::POST, "/api/v1/certificates", hosts).await?;
    // Signing out is told to the other replicas through a Secret.
    api.delete("/api/v1/session").await?.ok()?;
    Ok(())
}

/// An application in the namespace that the setting names.
async fn elsewhere(
    api: &ApiClient,
    plane: &ControlPlane,
    client: &kube::Client,
    repository: &str,
) -> anyhow::Result<()> {
    let project = json!({"spec": {"sourceNamespaces": ["tenant"]}}).to_string();
    plane.kubectl_text(&["-n", "argocd", "patch", "appproject", "default", "--type=merge", "-p", &project])?;
    let tenant = app("tenants", plane, repository).in_namespace("tenant").set("/spec/syncPolicy", Value::Null);
    let body = tenant.manifest().clone();
    let create = || async { api.send(Method::POST, "/api/v1/applications", &body).await?.ok() };
    eventually(PATIENCE, create).await;
    tenant.sync(client, json!({})).await?;
    let done = |state: &AppState| state.phase() == "Succeeded";
    tenant.wait_for(client, "synced", PATIENCE, done).await?;
    eventually(PATIENCE, || async {
        let events = plane.kubectl_text(&["-n", "tenant", "get", "events", "-o", "jsonpath={.items[*].reason}"])?;
        ensure!(events.contains("ResourceCreated") && events.contains("OperationCompleted"), "{events}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    api.delete("/api/v1/applications/tenants?appNamespace=tenant&cascade=false").await?.ok()?;
    Ok(())
}

/// The certificates of the bundled etcd and of Dex, as they are stored.
fn certificates(plane: &ControlPlane) -> anyhow::Result<String> {
    let secrets = ["argosy-etcd-server", "argosy-etcd-client", "argocd-dex-server-tls"];
    let get = [&["-n", "argocd", "get", "secret"], &secrets[..], &["-o", "jsonpath={.items[*].data}"]];
    plane.kubectl_text(&get.concat())
}

/// The configuration of Dex is written with the rights of its account, for its owner alone.
fn configure_dex(plane: &ControlPlane, files: &TempFolder) -> anyhow::Result<()> {
    let token = plane.service_account_token("argocd", "argosy-dex-server")?;
    let (kubeconfig, path) = (plane.kubeconfig_for_token(&token)?, files.join("dex.yaml"));
    let mut command = Command::new(argosy_binary()?);
    command.arg("dex-config").arg("--kubeconfig").arg(kubeconfig).arg("--output").arg(&path);
    let output = command.env("TMPDIR", "/etc/dex/tls").output().context("running argosy")?;
    ensure!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let written: Value = serde_saphyr::from_str(&std::fs::read_to_string(&path)?).context("Dex reads YAML")?;
    ensure!(written["issuer"] == "https://argosy.example.com/api/dex", "{written}");
    ensure!(written["web"]["tlsCert"] == "/etc/dex/tls/tls.crt", "{written}");
    ensure!(std::fs::metadata(&path)?.permissions().mode() & 0o777 == 0o600, "it has secrets in it");
    Ok(())
}
