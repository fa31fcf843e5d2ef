//! The applications: one ConfigMap each, from one repository.

use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_loadtest::{is_deployed, wait_for_applications};
use argosy_tests::application::resource;
use argosy_tests::{App, GitServer, Repo, poll_until};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::json;

/// Requests of this program under way at once.
const AT_ONCE: usize = 16;
const NAMESPACE: &str = "fleet";

/// See the module's page.
pub(crate) struct Fleet {
    repo: Repo,
    client: kube::Client,
    count: usize,
}

// === impl Fleet ===

impl Fleet {
    /// Makes the repository and the namespace; no application yet.
    pub(crate) async fn prepare(git: &GitServer, client: kube::Client, count: usize) -> anyhow::Result<Self> {
        let repo = git.repo("fleet")?;
        let files: Vec<(String, String)> = (0..count).map(|i| (path(i), config_map(i, 0))).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(p, c)| (p.as_str(), c.as_str())).collect();
        repo.commit(&files)?;
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await.context("making the namespace")?;
        Ok(Self { repo, client, count })
    }

    pub(crate) async fn create(&self) -> anyhow::Result<()> {
        let url = self.repo.url_file();
        stream::iter(0..self.count)
            .map(|i| {
                let app =
                    App::new(&name(i)).source(&url, &format!("apps/{i}"), "HEAD").into_namespace(NAMESPACE).automated();
                async move { app.apply(&self.client).await.map(|_| ()) }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Waits until every application is Synced and Healthy, and no operation runs.
    pub(crate) async fn wait_deployed(&self, deadline: Duration) -> anyhow::Result<()> {
        wait_for_applications(&self.client, self.count, "deployed", deadline, is_deployed).await
    }

    /// Waits until no refresh is asked for any more.
    pub(crate) async fn wait_served(&self, deadline: Duration) -> anyhow::Result<()> {
        let is_served =
            |app: &serde_json::Value| app["metadata"]["annotations"]["argocd.argoproj.io/refresh"].is_null();
        wait_for_applications(&self.client, self.count, "refreshed", deadline, is_served).await
    }

    /// Asks every application for a refresh.
    pub(crate) async fn annotate(&self, kind: &str) -> anyhow::Result<()> {
        stream::iter(0..self.count)
            .map(|i| async move { App::new(&name(i)).refresh(&self.client, kind).await.map(|_| ()) })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Asks one application for a refresh, which makes the repository look at
    /// its remote.
    pub(crate) async fn annotate_one(&self, kind: &str) -> anyhow::Result<()> {
        App::new(&name(self.count - 1)).refresh(&self.client, kind).await.map(|_| ())
    }

    /// Changes the first applications' files in one commit.
    pub(crate) fn commit(&self, changed: usize) -> anyhow::Result<()> {
        let mut change = self.repo.change("main");
        for i in 0..changed {
            change = change.write(&path(i), config_map(i, 1));
        }
        change.commit().map(|_| ())
    }

    /// Waits until the changed files are live.
    pub(crate) async fn wait_changed(&self, changed: usize, deadline: Duration) -> anyhow::Result<()> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        let maps = &maps;
        poll_until(deadline, || async move {
            for i in 0..changed {
                let live = maps.get(&name(i)).await?;
                let version = live.data.and_then(|d| d.get("version").cloned()).unwrap_or_default();
                ensure!(version == "1", "{} is at version {version:?}", name(i));
            }
            Ok::<_, anyhow::Error>(())
        })
        .await
        .map_err(anyhow::Error::msg)
    }

    /// Changes something about the project that means nothing: everything is
    /// compared again.
    pub(crate) async fn touch_project(&self) -> anyhow::Result<()> {
        let projects: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), "argocd", &resource("AppProject", "appprojects"));
        let patch = Patch::Merge(json!({"spec": {"description": "touched"}}));
        projects.patch("default", &PatchParams::default(), &patch).await.context("touching the project")?;
        Ok(())
    }

    /// Objects that no application knows, as a cluster is full of.
    pub(crate) async fn add_objects(&self, count: usize) -> anyhow::Result<()> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), "default");
        let maps = &maps;
        stream::iter(0..count)
            .map(|i| async move {
                let map: ConfigMap = serde_json::from_value(json!({
                    "metadata": {"name": format!("other-{i}"), "labels": {"app": "other"}}, "data": {"a": "b"},
                }))?;
                maps.create(&PostParams::default(), &map).await.context("making another object").map(|_| ())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }
}

fn name(i: usize) -> String {
    format!("app-{i}")
}

fn path(i: usize) -> String {
    format!("apps/{i}/config.yaml")
}

fn config_map(i: usize, version: u32) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\ndata:\n  text: hello\n  version: \"{version}\"\n",
        name(i)
    )
}
