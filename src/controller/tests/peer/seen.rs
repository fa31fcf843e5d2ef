//! What is seen of an application: its tree, and its resources as compared.

use argosy_proto::v1alpha1::{ApplicationTree, ResourceNode};
use argosy_tests::{App, config_map, eventually};
use tokio_stream::StreamExt as _;
use tonic::Code;

use crate::world::{DEPLOYMENT, PATIENCE, SECRET, application, world};

fn find<'a>(tree: &'a ApplicationTree, kind: &str) -> Option<&'a ResourceNode> {
    tree.nodes.iter().find(|n| n.resource_ref.as_ref().is_some_and(|r| r.kind == kind))
}

fn line<'a>(node: &'a ResourceNode, name: &str) -> Option<&'a str> {
    node.info.iter().find(|i| i.name == name).map(|i| i.value.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_shows_what_hangs_below_a_deployment() -> anyhow::Result<()> {
    let world = world().await;
    world.deployed("tree", &[("web.yaml", DEPLOYMENT), ("c.yaml", &config_map("settings", "x"))]).await?;
    let peer = world.peer().await?;
    eventually(PATIENCE, || async {
        let tree = peer.clone().resource_tree(application("tree")).await?.into_inner();
        let deployment = find(&tree, "Deployment").ok_or_else(|| anyhow::anyhow!("no Deployment"))?;
        let set = find(&tree, "ReplicaSet").ok_or_else(|| anyhow::anyhow!("no ReplicaSet"))?;
        let pod = find(&tree, "Pod").ok_or_else(|| anyhow::anyhow!("no Pod"))?;
        let uid = |node: &ResourceNode| node.resource_ref.as_ref().map(|r| r.uid.clone()).unwrap_or_default();
        assert_eq!(set.parent_refs[0].uid, uid(deployment));
        assert_eq!(set.parent_refs[0].version, "v1");
        assert_eq!(pod.parent_refs[0].uid, uid(set));
        assert!(deployment.parent_refs.is_empty() && deployment.created_at.is_some());
        assert_eq!(line(set, "Revision"), Some("Rev:1"));
        assert_eq!(line(pod, "Status Reason"), Some("Pending"));
        assert_eq!(line(pod, "Containers"), Some("0/1"));
        assert_eq!((line(pod, "cpu"), line(pod, "memory")), (Some("250"), Some("1024000")));
        assert_eq!(pod.images, ["example/web:1"]);
        assert!(deployment.images.is_empty(), "Argo CD shows images of Pods");
        let health = |node: &ResourceNode| node.health.as_ref().map(|h| h.status.clone());
        assert_eq!(health(deployment).as_deref(), Some("Progressing"));
        let labels = pod.networking_info.as_ref().map(|n| n.labels["app"].clone());
        assert_eq!(labels.as_deref(), Some("web"));
        assert!(find(&tree, "ConfigMap").is_some());
        Ok::<_, anyhow::Error>(())
    })
    .await;
    let error = peer.clone().resource_tree(application("nobody")).await.expect_err("there is none");
    assert_eq!(error.code(), Code::NotFound);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_and_what_nobody_owns_is_shown_as_such() -> anyhow::Result<()> {
    let world = world().await;
    let client = world.plane.client().await?;
    world.plane.apply_yaml(
        "{apiVersion: argoproj.io/v1alpha1, kind: AppProject, metadata: {name: watchful, namespace: argocd}, spec: {
          sourceRepos: ['*'], destinations: [{server: '*', namespace: '*'}], orphanedResources: {warn: false}}}",
    )?;
    let namespace = world.plane.namespace("missing").await?;
    world.kubectl(&["-n", &namespace, "create", "configmap", "stray"])?;
    let repo = world.git.repo("missing")?;
    repo.commit(&[("a.yaml", &config_map("wanted", "x"))])?;
    let app = App::new("missing").source(&repo.url_file(), ".", "HEAD").into_namespace(&namespace).project("watchful");
    app.apply(&client).await?;
    let peer = world.peer().await?;
    // Nothing has been compared when this is asked: the answer waits for it.
    eventually(PATIENCE, || async {
        let tree = peer.clone().resource_tree(application("missing")).await?.into_inner();
        let node = &tree.nodes[0];
        let reference = node.resource_ref.clone().unwrap_or_default();
        assert_eq!((reference.name.as_str(), reference.uid.as_str()), ("wanted", ""));
        assert_eq!(node.health.as_ref().map(|h| h.status.as_str()), Some("Missing"));
        let orphans: Vec<_> = tree.orphaned_nodes.iter().filter_map(|n| n.resource_ref.as_ref()).collect();
        anyhow::ensure!(orphans.iter().any(|r| r.name == "stray"), "no orphan");
        anyhow::ensure!(!orphans.iter().any(|r| r.name == "kube-root-ca.crt"), "what every namespace has is none");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_hears_of_changes_below_a_resource() -> anyhow::Result<()> {
    let world = world().await;
    let namespace = world.deployed("follow", &[("web.yaml", DEPLOYMENT)]).await?;
    let mut trees = world.peer().await?.watch_resource_tree(application("follow")).await?.into_inner();
    let pods = |tree: &ApplicationTree| {
        tree.nodes.iter().filter(|n| n.resource_ref.as_ref().is_some_and(|r| r.kind == "Pod")).count()
    };
    let mut until = async |wanted: usize| {
        let found = async {
            while let Some(tree) = trees.next().await {
                if pods(&tree?) == wanted {
                    return Ok(());
                }
            }
            anyhow::bail!("the stream ended")
        };
        tokio::time::timeout(PATIENCE, found).await?
    };
    until(1).await?;
    world.kubectl(&["-n", &namespace, "scale", "deployment/web", "--replicas=3"])?;
    until(3).await?;
    world.kubectl(&["-n", "argocd", "delete", "application", "follow"])?;
    let end = tokio::time::timeout(PATIENCE, async { while let Some(Ok(_)) = trees.next().await {} }).await;
    end.expect("the stream ends with its application");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn managed_resources_show_all_states_and_no_secret() -> anyhow::Result<()> {
    let world = world().await;
    let namespace =
        world.deployed("managed", &[("s.yaml", SECRET), ("c.yaml", &config_map("settings", "wanted"))]).await?;
    let drift = r#"{"data":{"text":"drifted"}}"#;
    world.kubectl(&["-n", &namespace, "patch", "configmap", "settings", "--type=merge", "-p", drift])?;
    world.kubectl(&[
        "-n",
        &namespace,
        "patch",
        "secret",
        "credentials",
        "--type=merge",
        "-p",
        r#"{"stringData":{"password":"canary-0815"}}"#,
    ])?;
    let peer = world.peer().await?;
    eventually(PATIENCE, || async {
        let found = peer.clone().managed_resources(application("managed")).await?.into_inner();
        let text = format!("{found:?}");
        assert!(!text.contains("canary") && !text.contains("Y2FuYXJ5"), "{text}");
        let kinds: Vec<_> = found.items.iter().map(|i| i.kind.as_str()).collect();
        assert_eq!(kinds, ["ConfigMap", "Secret"], "in the order of status.resources");
        let map = &found.items[0];
        anyhow::ensure!(map.modified && found.items[1].modified, "drift has not been seen yet");
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text);
        assert_eq!(json(&map.live_state)?["data"]["text"], "drifted");
        assert_eq!(json(&map.normalized_live_state)?["data"]["text"], "drifted");
        assert_eq!(json(&map.predicted_live_state)?["data"]["text"], "wanted");
        let target = json(&map.target_state)?;
        assert_eq!(
            target["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"],
            format!("managed:/ConfigMap:{namespace}/settings")
        );
        assert!(!map.resource_version.is_empty());
        let (live, target) = (json(&found.items[1].live_state)?, json(&found.items[1].target_state)?);
        assert_eq!(live["data"]["same"], target["data"]["same"], "equal values have equal masks");
        assert_ne!(live["data"]["password"], target["data"]["password"], "and others have not");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    Ok(())
}
