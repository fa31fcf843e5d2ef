//! What is seen below an application: its tree, and its objects beside their targets.

use anyhow::Context;
use argosy_proto::application::{ApplicationServerSideDiffQuery, ManagedResourcesResponse, ResourcesQuery};
use argosy_proto::v1alpha1::{ApplicationTree, ResourceDiff};
use argosy_tests::{config_map, eventually, refusal};
use serde_json::{Value, json};
use tonic::Code;

use super::case::{Case, PATIENCE, deployment, merged, message, next};

const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {password: canary-4711, same: x}\n";

fn query(case: &Case, more: Value) -> ResourcesQuery {
    message(merged(json!({"applicationName": case.name}), more))
}

fn kinds(tree: &ApplicationTree) -> Vec<&str> {
    let mut kinds: Vec<_> = tree.nodes.iter().filter_map(|n| n.resource_ref.as_ref()).map(|r| &*r.kind).collect();
    kinds.sort_unstable();
    kinds
}

async fn managed(case: &Case, more: Value) -> anyhow::Result<ManagedResourcesResponse> {
    let answer = case.api.applications().managed_resources(query(case, more)).await;
    Ok(answer.context("asking for managed resources")?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_is_shown_and_followed() -> anyhow::Result<()> {
    let case = Case::new("tree").await?;
    case.deployed(&[("web.yaml", &deployment("web", "ready")), ("map.yaml", &config_map("map", "x"))]).await?;
    let mut trees = case.api.applications().watch_resource_tree(query(&case, json!({}))).await?.into_inner();
    let mut until = async |wanted: &[&str]| {
        loop {
            let tree = next(&mut trees).await?;
            if kinds(&tree) == wanted {
                return anyhow::Ok(tree);
            }
        }
    };
    let tree = until(&["ConfigMap", "Deployment", "Pod", "ReplicaSet"]).await?;
    let pod = tree.nodes.iter().find(|n| n.resource_ref.as_ref().is_some_and(|r| r.kind == "Pod")).context("a Pod")?;
    assert_eq!(pod.parent_refs[0].kind, "ReplicaSet");
    assert_eq!(pod.images, ["none"]);
    case.kubectl(&["scale", "deployment/web", "--replicas=2"])?;
    until(&["ConfigMap", "Deployment", "Pod", "Pod", "ReplicaSet"]).await?;
    let whole = case.api.applications().resource_tree(query(&case, json!({}))).await?.into_inner();
    assert_eq!(kinds(&whole).len(), 5);
    let shown = case.api.get("/api/v1/applications/tree/resource-tree").await?.ok()?;
    assert_eq!(shown["nodes"].as_array().map(Vec::len), Some(5));

    // The health of each resource is shown with the application, from the tree.
    let state = case.until("healthy", |s| s.health() == "Healthy").await?;
    let health = state.resource("Deployment", "web").map(|r| r["health"]["status"].clone());
    assert_eq!(health, Some(json!("Healthy")), "{}", state.0["status"]["resources"]);
    let (code, _) = refusal(
        case.api.applications().resource_tree(message::<ResourcesQuery>(json!({"applicationName": "nobody"}))).await,
    );
    assert_eq!(code, Code::PermissionDenied);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_shown_with_all_states_and_no_secret() -> anyhow::Result<()> {
    let case = Case::new("drift").await?;
    case.deployed(&[("map.yaml", &config_map("map", "wanted")), ("key.yaml", SECRET)]).await?;
    case.kubectl(&["patch", "configmap", "map", "--type=merge", "-p", r#"{"data":{"text":"drifted"}}"#])?;
    case.kubectl(&["patch", "secret", "key", "--type=merge", "-p", r#"{"stringData":{"password":"canary-0815"}}"#])?;
    case.until("out of sync twice", |s| {
        ["map", "key"]
            .iter()
            .zip(["ConfigMap", "Secret"])
            .all(|(n, k)| s.resource(k, n).is_some_and(|r| r["status"] == "OutOfSync"))
    })
    .await?;
    let answer = managed(&case, json!({})).await?;
    let text = format!("{answer:?}");
    assert!(!text.contains("canary") && !text.contains("Y2FuYXJ5"), "{text}");
    let one = managed(&case, json!({"kind": "ConfigMap", "name": "map", "group": ""})).await?.items;
    let [map] = &one[..] else { anyhow::bail!("{one:?}") };
    let data = |text: &str| serde_json::from_str::<Value>(text).map(|object| object["data"].clone());
    assert!(map.modified);
    assert_eq!(data(&map.live_state)?["text"], "drifted");
    assert_eq!(data(&map.normalized_live_state)?["text"], "drifted");
    assert_eq!(data(&map.predicted_live_state)?["text"], "wanted");
    assert_eq!(data(&map.target_state)?["text"], "wanted");
    let secrets = managed(&case, json!({"kind": "Secret"})).await?.items;
    let (live, target) = (data(&secrets[0].live_state)?, data(&secrets[0].target_state)?);
    assert_ne!(live["password"], target["password"], "that they differ is shown, not what they are");
    assert_eq!(live["same"], target["same"]);
    let shown = case.api.get("/api/v1/applications/drift/managed-resources?kind=ConfigMap").await?.ok()?;
    assert_eq!(shown["items"].as_array().map(Vec::len), Some(1), "{shown}");

    // What the API server would make of a manifest.
    let diff = async |target: Value, live: Option<&ResourceDiff>| {
        let mut query: ApplicationServerSideDiffQuery =
            message(json!({"appName": "drift", "targetManifests": [target.to_string()]}));
        query.live_resources.extend(live.cloned());
        case.api.applications().server_side_diff(query).await.map(tonic::Response::into_inner)
    };
    let target = |text: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map", "namespace": "drift"}, "data": {"text": text}});
    assert!(!diff(target("drifted"), Some(map)).await?.modified);
    let found = diff(target("other"), Some(map)).await?;
    assert!(found.modified && found.items[0].modified);
    let [other] = &found.items[..] else { anyhow::bail!("{found:?}") };
    assert_eq!(
        (&data(&other.target_state)?["text"], &data(&other.live_state)?["text"]),
        (&json!("other"), &json!("drifted"))
    );
    assert_eq!(case.text("map")?, "drifted", "nothing was changed");
    let foreign = ResourceDiff { name: "kube-root-ca.crt".to_owned(), ..map.clone() };
    let (code, words) = refusal(diff(target("x"), Some(&foreign)).await);
    assert_eq!(code, Code::InvalidArgument, "{words}");
    assert!(words.starts_with("name mismatch: "), "{words}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_owns_is_shown_where_the_project_watches_for_it() -> anyhow::Result<()> {
    let case = Case::new("orphans").await?;
    case.project(json!({"orphanedResources": {"warn": false}}))?;
    case.kubectl(&["create", "configmap", "stray"])?;
    case.commit(&[("map.yaml", &config_map("map", "x"))])?;
    case.create(&case.app().project("orphans")).await?;
    eventually(PATIENCE, || async {
        let tree = case.api.applications().resource_tree(query(&case, json!({}))).await?.into_inner();
        let orphans: Vec<_> =
            tree.orphaned_nodes.iter().filter_map(|n| n.resource_ref.as_ref()).map(|r| &r.name).collect();
        anyhow::ensure!(orphans == ["stray"], "{orphans:?}");
        anyhow::ensure!(kinds(&tree) == ["ConfigMap"], "what is missing is shown");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    Ok(())
}
