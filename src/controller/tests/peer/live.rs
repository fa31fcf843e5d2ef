//! Live objects: read, patched and deleted as part of an application only.

use argosy_proto::peer::{DeleteResourceRequest, PatchResourceRequest, RunActionRequest, ServerSideDiffRequest};
use argosy_proto::v1alpha1::ResourceDiff;
use argosy_tests::{config_map, eventually};
use tonic::Code;

use crate::world::{DEPLOYMENT, PATIENCE, SECRET, application, object, world};

fn patch(resource: argosy_proto::peer::ResourceRef, patch: &str, patch_type: &str) -> PatchResourceRequest {
    PatchResourceRequest { resource: Some(resource), patch: patch.to_owned(), patch_type: patch_type.to_owned() }
}

const MERGE: &str = "application/merge-patch+json";

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_read_and_changed_within_the_tree_only() -> anyhow::Result<()> {
    let world = world().await;
    let files = [("s.yaml", SECRET), ("c.yaml", &config_map("settings", "x")), ("web.yaml", DEPLOYMENT)];
    let namespace = world.deployed("live", &files).await?;
    world.kubectl(&["-n", &namespace, "create", "configmap", "stranger"])?;
    let mut peer = world.peer().await?;

    let secret = peer.get_resource(object("live", "Secret", &namespace, "credentials")).await?.into_inner().json;
    assert!(!secret.contains("canary") && !secret.contains("Y2FuYXJ5") && secret.contains("++++++++"), "{secret}");
    let body = r#"{"stringData":{"more":"canary-2"}}"#;
    let patched = peer.patch_resource(patch(object("live", "Secret", &namespace, "credentials"), body, MERGE)).await?;
    assert!(!patched.into_inner().json.contains("Y2FuYXJ5"));
    let wrong = r#"{"data":{"more":"canary!"}}"#;
    let error = peer.patch_resource(patch(object("live", "Secret", &namespace, "credentials"), wrong, MERGE)).await;
    let error = error.expect_err("is no base64");
    assert!(!error.message().contains("canary"), "{error}");

    let settings = || object("live", "ConfigMap", &namespace, "settings");
    for (body, kind) in [
        (r#"{"data":{"merged":"1"}}"#, MERGE),
        (r#"[{"op":"add","path":"/data/added","value":"1"}]"#, "application/json-patch+json"),
        (r#"{"data":{"strategic":"1"}}"#, "application/strategic-merge-patch+json"),
    ] {
        peer.patch_resource(patch(settings(), body, kind)).await?;
    }
    let json = peer.get_resource(settings()).await?.into_inner().json;
    let data = serde_json::from_str::<serde_json::Value>(&json)?["data"].clone();
    assert!(["merged", "added", "strategic"].iter().all(|key| data[key] == "1"), "{data}");

    for bad in [patch(settings(), "{", MERGE), patch(settings(), "{}", "text/plain")] {
        assert_eq!(peer.patch_resource(bad).await.expect_err("is refused").code(), Code::InvalidArgument);
    }
    let stranger = || object("live", "ConfigMap", &namespace, "stranger");
    let refused = peer.get_resource(stranger()).await.expect_err("is not part of it");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "ConfigMap  stranger not found as part of application live");
    assert!(peer.patch_resource(patch(stranger(), "{}", MERGE)).await.is_err());
    let delete = |resource| DeleteResourceRequest { resource: Some(resource), force: false, orphan: false };
    assert!(peer.delete_resource(delete(stranger())).await.is_err());
    world.kubectl(&["-n", &namespace, "get", "configmap", "stranger"])?;

    peer.delete_resource(delete(object("live", "apps/Deployment", &namespace, "web"))).await?;
    eventually(PATIENCE, || async {
        let left = world.kubectl(&["-n", &namespace, "get", "deployments,pods", "-o", "name"])?;
        anyhow::ensure!(left.is_empty(), "{left}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_told_of_objects_in_the_tree() -> anyhow::Result<()> {
    let world = world().await;
    let namespace = world.deployed("told", &[("web.yaml", DEPLOYMENT)]).await?;
    let peer = world.peer().await?;
    eventually(PATIENCE, || async {
        let events = peer.clone().resource_events(object("told", "", &namespace, "web")).await?.into_inner();
        let scaled = events.items.iter().find(|e| e.reason == "ScalingReplicaSet");
        let scaled = scaled.ok_or_else(|| anyhow::anyhow!("no event yet"))?;
        assert_eq!(scaled.involved_object.as_ref().map(|o| o.kind.as_str()), Some("Deployment"));
        assert!(scaled.message.contains("Scaled up"), "{}", scaled.message);
        Ok::<_, anyhow::Error>(())
    })
    .await;
    let stranger = peer.clone().resource_events(object("told", "", &namespace, "stranger")).await;
    assert_eq!(stranger.expect_err("is not part of it").message(), "stranger not found as part of application told");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_are_listed_and_run() -> anyhow::Result<()> {
    let world = world().await;
    let namespace = world.deployed("acted", &[("web.yaml", DEPLOYMENT)]).await?;
    let mut peer = world.peer().await?;
    let web = || object("acted", "apps/Deployment", &namespace, "web");
    let actions = peer.list_resource_actions(web()).await?.into_inner().actions;
    assert!(actions.iter().any(|a| a.name == "restart"), "{actions:?}");
    let run =
        |action: &str| RunActionRequest { resource: Some(web()), action: action.to_owned(), parameters: Vec::new() };
    peer.run_resource_action(run("restart")).await?;
    let template = "jsonpath={.spec.template.metadata.annotations}";
    let annotations = world.kubectl(&["-n", &namespace, "get", "deployment", "web", "-o", template])?;
    assert!(annotations.contains("kubectl.kubernetes.io/restartedAt"), "{annotations}");
    let unknown = peer.run_resource_action(run("explode")).await.expect_err("nobody defines it");
    assert_eq!(unknown.code(), Code::NotFound);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_side_diff_tells_no_secret_and_stays_within_the_application() -> anyhow::Result<()> {
    let world = world().await;
    let namespace = world.deployed("asked", &[("s.yaml", SECRET), ("c.yaml", &config_map("settings", "x"))]).await?;
    let other = world.deployed("other", &[("c.yaml", &config_map("foreign", "x"))]).await?;
    let mut peer = world.peer().await?;
    let ask = |manifest: serde_json::Value| ServerSideDiffRequest {
        application: Some(application("asked")),
        live_resources: Vec::new(),
        target_manifests: vec![manifest.to_string()],
    };
    let manifest = |kind: &str, namespace: &str, name: &str, data: serde_json::Value| {
        serde_json::json!({"apiVersion": "v1", "kind": kind, "data": data,
                           "metadata": {"name": name, "namespace": namespace}})
    };
    let secret = manifest("Secret", &namespace, "credentials", serde_json::json!({"password": "bmV3LWNhbmFyeQ=="}));
    let found = peer.server_side_diff(ask(secret)).await?.into_inner();
    let text = format!("{found:?}");
    assert!(
        found.modified && !text.contains("canary") && !text.contains("Y2FuYXJ5") && !text.contains("bmV3"),
        "{text}"
    );
    let same = manifest("ConfigMap", &namespace, "settings", serde_json::json!({"text": "x"}));
    assert!(!peer.server_side_diff(ask(same)).await?.into_inner().modified);
    // A place without a manifest is a live resource that stays as it is.
    let named = |kind: &str, namespace: &str, name: &str| ResourceDiff {
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        // What the asker takes for live is not believed.
        live_state: r#"{"apiVersion":"v1","kind":"ConfigMap"}"#.to_owned(),
        ..ResourceDiff::default()
    };
    let ask_of = |resource: ResourceDiff| ServerSideDiffRequest {
        application: Some(application("asked")),
        live_resources: vec![resource],
        target_manifests: Vec::new(),
    };
    let kept = peer.server_side_diff(ask_of(named("Secret", &namespace, "credentials"))).await?.into_inner();
    let text = format!("{kept:?}");
    assert!(!kept.modified && !text.contains("canary") && !text.contains("Y2FuYXJ5"), "{text}");
    let refused =
        peer.server_side_diff(ask_of(named("ConfigMap", &other, "foreign"))).await.expect_err("is not managed");
    assert_eq!(refused.message(), "/ConfigMap foreign not found as part of application asked");

    let foreign = manifest("ConfigMap", &other, "foreign", serde_json::json!({"text": "y"}));
    let refused = peer.server_side_diff(ask(foreign)).await.expect_err("belongs to another");
    assert_eq!(refused.code(), Code::PermissionDenied);
    Ok(())
}
