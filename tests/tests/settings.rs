//! Settings take effect where they are edited, kinds come and go, and nothing
//! tells a secret.

use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_tests::{App, AppState, Options, PATIENCE, World, config_map, eventually};
use serde_json::json;

/// Every edit must show within this.
const SOON: Duration = Duration::from_secs(60);

fn app(name: &str, url: &str, path: &str) -> App {
    App::new(name).source(url, path, "HEAD").into_namespace(name).prune().sync_option("CreateNamespace=true")
}

async fn world(settings: &[(&str, &str)]) -> World {
    World::start(Options::default(), settings).await.unwrap_or_else(|error| panic!("no world: {error:#}"))
}

fn live(world: &World, namespace: &str, name: &str, path: &str) -> anyhow::Result<String> {
    let path = format!("jsonpath={path}");
    world.plane.kubectl_text(&["-n", namespace, "get", "configmap", name, "-o", &path])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_setting_takes_effect_within_seconds() -> anyhow::Result<()> {
    // The poll starts out rare.
    let world = world(&[("timeout.reconciliation", "600s"), ("timeout.reconciliation.jitter", "0s")]).await;
    let client = world.plane.client().await?;
    let repo = world.git.repo("settings")?;
    repo.commit(&[("map.yaml", &config_map("tracked", "one"))])?;
    let app = app("tracked", &repo.url_file(), ".");
    app.apply(&client).await?;
    app.wait_until_deployed(&client, PATIENCE).await?;
    let tracking_id = "{.metadata.annotations.argocd\\.argoproj\\.io/tracking-id}";
    assert_eq!(live(&world, "tracked", "tracked", tracking_id)?, "tracked:/ConfigMap:tracked/tracked");

    // Polled often from now on, although the next poll was far away.
    world.plane.set_config("argocd-cm", &[("timeout.reconciliation", "2s")])?;
    let second = repo.commit(&[("map.yaml", &config_map("tracked", "two"))])?;
    app.wait_for(&client, "at the second commit", SOON, |s| s.is_deployed() && s.revision() == second).await?;

    // Tracked otherwise, it is marked anew; what it was is not lost.
    let label = "{.metadata.labels.app\\.kubernetes\\.io/instance}";
    for (method, marks) in [("annotation+label", "tracked"), ("label", "tracked")] {
        world.plane.set_config("argocd-cm", &[("application.resourceTrackingMethod", method)])?;
        app.wait_for(&client, "to be marked anew", SOON, |s| s.sync_status() == "OutOfSync").await?;
        app.sync(&client, json!({})).await?;
        eventually(SOON * 2, || async {
            let found = live(&world, "tracked", "tracked", label)?;
            ensure!(found == marks, "{method}: the label is {found:?}");
            Ok::<_, anyhow::Error>(())
        })
        .await;
        app.wait_until_deployed(&client, SOON).await?;
    }
    world.plane.set_config("argocd-cm", &[("application.resourceTrackingMethod", "annotation")])?;
    app.wait_for(&client, "to be marked anew", SOON, |s| s.sync_status() == "OutOfSync").await?;
    app.sync(&client, json!({})).await?;
    eventually(SOON * 2, || async {
        let found = live(&world, "tracked", "tracked", tracking_id)?;
        ensure!(found == "tracked:/ConfigMap:tracked/tracked", "the annotation is {found:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    app.wait_until_deployed(&client, SOON).await?;

    // A rule of the installation hides a difference, and shows it when it goes.
    let drift = r#"{"data":{"text":"drifted"}}"#;
    world.plane.kubectl_text(&["-n", "tracked", "patch", "configmap", "tracked", "--type=merge", "-p", drift])?;
    let in_state = |state: &'static str| move |s: &AppState| s.sync_status() == state;
    app.wait_for(&client, "drifted", SOON, in_state("OutOfSync")).await?;
    let rule = "jsonPointers: [/data/text]";
    world.plane.set_config("argocd-cm", &[("resource.customizations.ignoreDifferences._ConfigMap", rule)])?;
    app.wait_for(&client, "Synced under the rule", SOON, in_state("Synced")).await?;
    world.plane.set_config("argocd-cm", &[("resource.customizations.ignoreDifferences._ConfigMap", "")])?;
    app.wait_for(&client, "OutOfSync without the rule", SOON, in_state("OutOfSync")).await?;

    // An excluded kind is no resource of the application, and comes back.
    let exclusion = "- apiGroups: [\"\"]\n  kinds: [ConfigMap]\n  clusters: [\"*\"]\n";
    world.plane.set_config("argocd-cm", &[("resource.exclusions", exclusion)])?;
    let excluded = |s: &AppState| {
        s.resource("ConfigMap", "tracked").is_none()
            && s.conditions().iter().any(|(k, _)| *k == "ExcludedResourceWarning")
    };
    app.wait_for(&client, "without the excluded kind", SOON, excluded).await?;
    world.plane.set_config("argocd-cm", &[("resource.exclusions", "")])?;
    app.wait_for(&client, "with the kind again", SOON, |s| {
        s.resource("ConfigMap", "tracked").is_some() && s.conditions().is_empty()
    })
    .await?;
    Ok(())
}

const CRD: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, listKind: WidgetList, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {size: {type: integer}}}}
"#;
const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: hidden}\nimmutable: true\ndata: {password: VALUE}\n";
const WIDGET: &str = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: one}\nspec: {size: 1}\n";

#[tokio::test(flavor = "multi_thread")]
async fn kinds_come_and_go_secrets_stay_hidden_and_metrics_tell() -> anyhow::Result<()> {
    let world = world(&[("timeout.reconciliation", "2s"), ("timeout.reconciliation.jitter", "0s")]).await;
    let client = world.plane.client().await?;
    let repo = world.git.repo("kinds")?;
    // `secret-canary-4471` and `other-canary-4471`, encoded.
    let (canary, other) = ("c2VjcmV0LWNhbmFyeS00NDcx", "b3RoZXItY2FuYXJ5LTQ0NzE=");
    repo.commit(&[("widget/widget.yaml", WIDGET), ("secret/secret.yaml", &SECRET.replace("VALUE", canary))])?;
    let retries = json!({"limit": 30, "backoff": {"duration": "1s", "factor": 1, "maxDuration": "1s"}});
    let widget = app("widget", &repo.url_file(), "widget").set("/spec/syncPolicy/retry", retries);
    let secret = app("hidden", &repo.url_file(), "secret").set("/spec/syncPolicy/retry", json!({"limit": 0}));
    widget.apply(&client).await?;
    secret.apply(&client).await?;
    secret.wait_until_deployed(&client, PATIENCE).await?;
    let state = widget
        .wait_for(&client, "without its kind", PATIENCE, |s| !s.phase().is_empty() && s.sync_status() != "Synced")
        .await?;
    assert!(state.resource("Widget", "one").is_some(), "{}", state.summary());
    world.plane.apply_yaml(CRD)?;
    widget.wait_until_deployed(&client, PATIENCE).await?;
    world.plane.kubectl_text(&["delete", "crd", "widgets.example.com"])?;
    let missing = |s: &AppState| s.sync_status() == "OutOfSync" || s.sync_status() == "Unknown";
    widget.wait_for(&client, "without its kind again", PATIENCE, missing).await?;
    world.plane.apply_yaml(CRD)?;
    widget.sync(&client, json!({})).await?;
    widget.wait_until_deployed(&client, PATIENCE).await?;

    // Refused for a change of what is immutable, then for what is no base64.
    for value in [other, "\"not base64: other-canary-4471\""] {
        let sha = repo.commit(&[("secret/secret.yaml", &SECRET.replace("VALUE", value))])?;
        let failed = |s: &AppState| {
            s.text("/status/operationState/syncResult/revision") == sha && matches!(s.phase(), "Failed" | "Error")
        };
        let state = secret.wait_for(&client, "failed", PATIENCE, failed).await?;
        assert!(!state.message().is_empty());
    }
    let bad_yaml =
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: hidden}}\ndata: {{password: {canary}\n  x: [\n");
    repo.commit(&[("secret/secret.yaml", &bad_yaml)])?;
    let state = secret
        .wait_for(&client, "unreadable", PATIENCE, |s| s.conditions().iter().any(|(k, _)| *k == "ComparisonError"))
        .await?;
    let address = world.argosy.metrics_address();
    let get = |path: &str| {
        let url = format!("http://{address}{path}");
        async move {
            let response = reqwest::Client::builder().no_proxy().build()?.get(url).send().await?;
            Ok::<_, anyhow::Error>((response.status().as_u16(), response.text().await?))
        }
    };
    let (_, page) = get("/metrics").await?;
    let events = world.plane.kubectl_text(&["get", "events", "--all-namespaces", "-o", "json"])?;
    for (what, text) in
        [("status", state.0.to_string()), ("events", events), ("log", world.argosy.log()), ("metrics", page)]
    {
        for word in ["canary-4471", canary, other.trim_end_matches('=')] {
            assert!(!text.contains(word), "the {what} has the secret {word}");
        }
    }

    assert_eq!(get("/healthz").await?.0, 200);
    let metrics = world.argosy.metrics().await?;
    let info = metrics.get("argocd_app_info", &[("name", "widget")]).context("argocd_app_info")?;
    for (label, value) in [
        ("namespace", "argocd"),
        ("project", "default"),
        ("autosync_enabled", "true"),
        ("dest_server", "https://kubernetes.default.svc"),
        ("dest_namespace", "widget"),
        ("sync_status", "Synced"),
        ("health_status", "Healthy"),
        ("operation", ""),
    ] {
        assert_eq!(info.labels.get(label).map(String::as_str), Some(value), "{label}");
    }
    let at_home = [("dest_server", "https://kubernetes.default.svc")];
    let synced = [
        ("name", "widget"),
        ("namespace", "argocd"),
        ("project", "default"),
        ("phase", "Succeeded"),
        ("dry_run", "false"),
        at_home[0],
    ];
    assert!(metrics.sum("argocd_app_sync_total", &synced) >= 1.0, "argocd_app_sync_total");
    assert!(metrics.sum("argocd_app_sync_total", &[("name", "hidden"), ("phase", "Failed")]) >= 1.0);
    assert!(metrics.sum("argocd_app_reconcile_count", &[("namespace", "argocd"), at_home[0]]) >= 4.0);
    let reconcile = metrics.get("argocd_app_reconcile_bucket", &[("le", "16")]).context("argocd_app_reconcile")?;
    assert!(reconcile.value >= 1.0);
    assert!(
        metrics.sum("argocd_git_request_total", &[("repo", &repo.url_file()), ("request_type", "ls-remote")]) >= 1.0
    );
    let server = [("server", "https://kubernetes.default.svc")];
    assert_eq!(metrics.sum("argocd_cluster_info", &server), 1.0);
    assert_eq!(metrics.sum("argocd_cluster_connection_status", &server), 1.0);
    for name in ["argocd_cluster_api_resources", "argocd_cluster_api_resource_objects", "argocd_cluster_events_total"] {
        assert!(metrics.samples().iter().any(|s| s.name == name), "no {name}");
    }
    assert!(metrics.get("argocd_cluster_cache_age_seconds", &server).is_some());
    Ok(())
}
