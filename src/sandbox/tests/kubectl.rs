//! People use a sandbox with kubectl: its controllers, tokens, logs, tables, faults
//! and journal, seen from outside.

#[path = "support/inhabited.rs"]
mod inhabited;
mod support;

use std::path::PathBuf;

use anyhow::Context;
use argosy_sandbox::cluster::Cluster;
use argosy_sandbox::faults::{Fault, FaultRule};
use serde_json::{Value, json};
use tokio::process::Command;

struct World {
    cluster: Cluster,
    folder: tempfile::TempDir,
    kubectl: PathBuf,
}

impl World {
    async fn start() -> anyhow::Result<Self> {
        let cluster = inhabited::start().await?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("admin"), cluster.admin_kubeconfig()?)?;
        let kubectl = argosy_tests::tools::kubernetes_binaries()?.join("kubectl");
        Ok(Self { cluster, folder, kubectl })
    }

    /// Runs kubectl as whom a kubeconfig of the folder names, and gives what it prints.
    async fn run_as(&self, who: &str, words: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.kubectl)
            .arg(format!("--kubeconfig={}", self.folder.path().join(who).display()))
            .arg(format!("--cache-dir={}", self.folder.path().join("cache").display()))
            .args(words)
            .output()
            .await
            .map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Sends a body to a path, as kubectl's `create --raw` does.
    async fn post_as(&self, who: &str, path: &str, body: &Value) -> Result<Value, String> {
        let file = self.folder.path().join("body");
        std::fs::write(&file, body.to_string()).map_err(|error| error.to_string())?;
        let answer = self.run_as(who, &["create", "--raw", path, "-f", &file.display().to_string()]).await?;
        serde_json::from_str(&answer).map_err(|error| error.to_string())
    }

    /// Makes what a `kubectl create` of these words would, from its manifest.
    async fn make(&self, words: &[&str]) -> anyhow::Result<()> {
        let manifest = self.run(&[words, &["--dry-run=client", "-o", "json"]].concat()).await?;
        let file = self.folder.path().join("manifest");
        std::fs::write(&file, manifest)?;
        self.run(&["apply", "-f", &file.display().to_string()]).await.map(drop)
    }

    async fn run(&self, words: &[&str]) -> anyhow::Result<String> {
        self.run_as("admin", words).await.map_err(anyhow::Error::msg).with_context(|| words.join(" "))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_made_watched_and_removed() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.make(&["create", "deployment", "web", "--image=nginx:1", "--replicas=2"]).await?;
    world.run(&["rollout", "status", "deployment/web", "--timeout=60s"]).await?;
    let pods = world.run(&["get", "pods"]).await?;
    assert!(pods.contains("1/1") && pods.contains("Running"), "{pods}");
    let deployments = world.run(&["get", "deployments", "-o", "wide"]).await?;
    assert!(deployments.contains("2/2") && deployments.contains("nginx:1"), "{deployments}");
    world.run(&["expose", "deployment", "web", "--port=80"]).await?;
    world.run(&["set", "image", "deployment/web", "*=nginx:2"]).await?;
    world.run(&["rollout", "status", "deployment/web", "--timeout=60s"]).await?;
    world.run(&["rollout", "undo", "deployment/web"]).await?;
    world.run(&["rollout", "status", "deployment/web", "--timeout=60s"]).await?;
    let log = world.run(&["logs", "deployment/web"]).await?;
    assert!(log.contains("image nginx:1 started"), "{log}");
    world.run(&["delete", "deployment", "web", "--cascade=foreground", "--timeout=60s"]).await?;
    world.run(&["wait", "--for=delete", "pod", "-l", "app=web", "--timeout=60s"]).await?;
    let described = world.run(&["get", "events"]).await?;
    assert!(described.contains("ScalingReplicaSet"), "{described}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_does_not_exist_is_seen() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.run(&["run", "web", "--image=registry.invalid/web"]).await?;
    world
        .run(&[
            "wait",
            "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff",
            "pod/web",
            "--timeout=60s",
        ])
        .await?;
    let pods = world.run(&["get", "pods"]).await?;
    assert!(pods.contains("0/1") && pods.contains("ImagePullBackOff"), "{pods}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_may_what_its_role_says() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.make(&["create", "namespace", "team"]).await?;
    world.make(&["create", "serviceaccount", "bot", "-n", "team"]).await?;
    world.make(&["create", "role", "reader", "--verb=get,list", "--resource=pods", "-n", "team"]).await?;
    world.make(&["create", "rolebinding", "bot", "--role=reader", "--serviceaccount=team:bot", "-n", "team"]).await?;
    let token = world
        .post_as("admin", "/api/v1/namespaces/team/serviceaccounts/bot/token", &json!({"spec": {"audiences": []}}))
        .await
        .map_err(anyhow::Error::msg)?;
    let token = token["status"]["token"].as_str().context("a token")?;
    std::fs::write(world.folder.path().join("bot"), world.cluster.sandbox().kubeconfig_with_token(token))?;
    let may = async |resource: &str| {
        let asked = json!({"verb": "list", "resource": resource, "namespace": "team"});
        let body = json!({"spec": {"resourceAttributes": asked}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        world.post_as("bot", path, &body).await.map(|review| review["status"]["allowed"].clone())
    };
    assert_eq!((may("pods").await, may("secrets").await), (Ok(json!(true)), Ok(json!(false))));
    let me = world.post_as("bot", "/apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({})).await;
    let me = me.map(|review| review["status"]["userInfo"]["username"].clone());
    assert_eq!(me, Ok(json!("system:serviceaccount:team:bot")));
    let refused = world.run_as("bot", &["get", "secrets", "-n", "team"]).await.unwrap_err();
    let wanted = "secrets is forbidden: User \"system:serviceaccount:team:bot\" cannot list resource \"secrets\" in API group \"\" in the namespace \"team\"";
    assert!(refused.contains(wanted), "{refused}");
    world.run(&["delete", "serviceaccount", "bot", "-n", "team"]).await?;
    let refused = world.run_as("bot", &["get", "pods", "-n", "team"]).await.unwrap_err();
    assert!(refused.contains("Unauthorized") || refused.contains("must be logged in"), "{refused}");
    world.run(&["delete", "namespace", "team", "--timeout=60s"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_happen_and_writes_are_remembered() -> anyhow::Result<()> {
    let world = World::start().await?;
    let rule = FaultRule { resource: Some("configmaps".to_owned()), ..FaultRule::always(Fault::InternalError) };
    let id = world.cluster.faults().add(rule);
    assert!(world.make(&["create", "configmap", "a"]).await.is_err());
    world.cluster.faults().remove(id);
    world.make(&["create", "configmap", "a"]).await?;
    let entries = world.cluster.journal().entries();
    let made = entries.iter().filter(|entry| entry.attributes.resource == "configmaps");
    assert_eq!(made.map(|entry| entry.code.as_u16()).next_back(), Some(201));
    let last = entries.last().context("there is one")?;
    assert_eq!(last.caller.name, "admin");
    assert!(last.caller.token_id.as_deref().is_some_and(|id| id.starts_with("X509SHA256=")));
    assert!(last.version.is_some());
    Ok(())
}
