//! The simulated clusters, and the applications that go there: one ConfigMap each.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_loadtest::{is_deployed, simulated, wait_for_applications};
use argosy_sandbox::cluster::{Cluster, ClusterOptions};
use argosy_tests::{App, ControlPlane, GitServer, Repo};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;
use tokio::time::Instant;

/// Requests of this program under way at once.
const AT_ONCE: usize = 16;
/// Namespace of all objects.
const NAMESPACE: &str = "fleet";
/// Between two looks for an object that is to come back.
const GLANCE: Duration = Duration::from_millis(5);

/// One cluster, and what was done there.
pub(crate) struct Member {
    cluster: Cluster,
    client: kube::Client,
    /// Numbers of the applications that go there.
    apps: Vec<usize>,
    deleted: AtomicUsize,
}

/// See the module's page.
pub(crate) struct Clusters {
    repo: Repo,
    members: Vec<Member>,
    apps: usize,
}

// === impl Clusters ===

impl Clusters {
    /// Starts the clusters and makes the repository; nothing is declared yet.
    pub(crate) async fn start(git: &GitServer, spread: &[usize]) -> anyhow::Result<Self> {
        let apps = spread.iter().sum();
        let repo = git.repo("fleet")?;
        let files: Vec<(String, String)> = (0..apps).map(|i| (format!("apps/{i}/map.yaml"), map(i))).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        repo.commit(&files)?;
        let mut members = Vec::new();
        let mut first = 0;
        for count in spread {
            members.push(Member::start((first..first + count).collect()).await?);
            first += count;
        }
        Ok(Self { repo, members, apps })
    }

    /// Makes the clusters known to the controllers.
    pub(crate) fn declare(&self, home: &ControlPlane) -> anyhow::Result<()> {
        for (number, member) in self.members.iter().enumerate() {
            let sandbox = member.cluster.sandbox();
            let identity = sandbox.sign_client("argosy", &["system:masters"])?;
            let config = json!({"tlsClientConfig": {
                "caData": STANDARD.encode(sandbox.ca_pem()),
                "certData": STANDARD.encode(&identity.certificate_pem),
                "keyData": STANDARD.encode(identity.key_pem.expose()),
            }});
            let (name, server) = (format!("cluster-{number}"), sandbox.url());
            home.declare("cluster", &name, &[("name", &name), ("server", &server), ("config", &config.to_string())])?;
        }
        Ok(())
    }

    pub(crate) async fn create(&self, home: &ControlPlane) -> anyhow::Result<()> {
        let (client, url) = (home.client().await?, self.repo.url_file());
        let (client, url) = (&client, &url);
        let apps = self.members.iter().flat_map(|member| member.apps.iter().map(move |app| (member, *app)));
        stream::iter(apps)
            .map(|(member, app)| async move {
                let source = App::new(&name(app)).source(url, &format!("apps/{app}"), "HEAD").into_namespace(NAMESPACE);
                let server = member.cluster.sandbox().url();
                let app = source.automated().self_heal().set("/spec/destination/server", server.into());
                app.apply(client).await.map(drop)
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Waits until every application is Synced and Healthy, and no operation runs.
    pub(crate) async fn wait_deployed(&self, home: &ControlPlane, deadline: Duration) -> anyhow::Result<()> {
        wait_for_applications(&home.client().await?, self.apps, "deployed", deadline, is_deployed).await
    }

    /// Those at these addresses.
    pub(crate) fn at<'a>(&'a self, servers: &'a [String]) -> impl Iterator<Item = &'a Member> {
        self.members.iter().filter(|member| servers.contains(&member.cluster.sandbox().url()))
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Member] {
        &self.members
    }

    /// Holds the journals against what was done: one creation for each application, and
    /// one for each deletion.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for member in &self.members {
            let wanted = member.apps.len() + member.deleted.load(Ordering::Relaxed);
            let is_creation = |record: &argosy_sandbox::hooks::Record| {
                record.attributes.resource == "configmaps"
                    && matches!(record.attributes.verb.as_str(), "create" | "patch" | "update")
                    && record.code.is_success()
                    && !record.dry_run
            };
            let made = member.cluster.journal().entries().into_iter().filter(is_creation).count();
            ensure!(made == wanted, "{made} creations in a cluster that needed {wanted}");
        }
        println!("each of the deletions was made good by exactly one creation");
        Ok(())
    }
}

// === impl Member ===

impl Member {
    async fn start(apps: Vec<usize>) -> anyhow::Result<Self> {
        let cluster = Cluster::start(ClusterOptions { user_facing_roles: false, ..simulated() }).await?;
        let kubeconfig = kube::config::Kubeconfig::from_yaml(&cluster.admin_kubeconfig()?)?;
        let config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await?;
        let client = kube::Client::try_from(config)?;
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await.context("making the namespace")?;
        Ok(Self { cluster, client, apps, deleted: AtomicUsize::new(0) })
    }

    /// Deletes the object of one of its applications, and says when it is there again,
    /// counted from `since`.
    pub(crate) async fn repair(&self, turn: usize, since: Instant) -> anyhow::Result<Duration> {
        let name = name(self.apps[turn % self.apps.len()]);
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        maps.delete(&name, &DeleteParams::default()).await.context("deleting an object")?;
        self.deleted.fetch_add(1, Ordering::Relaxed);
        let deadline = Instant::now() + crate::PATIENCE;
        while maps.get_opt(&name).await?.is_none() {
            ensure!(Instant::now() < deadline, "{name} does not come back");
            tokio::time::sleep(GLANCE).await;
        }
        Ok(since.elapsed())
    }
}

fn name(app: usize) -> String {
    format!("app-{app}")
}

fn map(app: usize) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\ndata:\n  text: hello\n", name(app))
}
