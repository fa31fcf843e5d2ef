//! The simulated clusters, and the applications that go there: one ConfigMap each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use argosy_loadtest::{is_deployed, progress, wait_for_applications};
use argosy_tests::{App, ControlPlane, GitServer, Repo};
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use serde_json::json;
use tokio::time::{Instant, interval_at};

use crate::member::Member;
use crate::scenario::{Fence, Scenario};
use crate::witness::{Effects, Requests};

/// Requests of this program under way at once.
const AT_ONCE: usize = 16;
/// Clusters that are started between two lines about it.
const NEWS: usize = 100;
/// Time between two lines about applications.
const TOLD: Duration = Duration::from_secs(10);
/// Namespace of all objects.
pub(crate) const NAMESPACE: &str = "fleet";

/// See the module's page.
pub(crate) struct Clusters {
    repo: Repo,
    members: Vec<Arc<Member>>,
    apps: usize,
    /// Commits so far.
    commits: AtomicUsize,
    object_bytes: usize,
}

// === impl Clusters ===

impl Clusters {
    /// Starts the clusters and makes the repository; nothing is declared yet.
    pub(crate) async fn start(git: &GitServer, scenario: &Scenario) -> anyhow::Result<Self> {
        let spread = scenario.spread();
        let apps = spread.iter().sum();
        let repo = git.repo("fleet")?;
        let files: Vec<(String, String)> =
            (0..apps).map(|app| (path(app), map(app, 0, scenario.object_bytes))).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        repo.commit(&files)?;
        let ranges = spread.iter().scan(0, |first, count| {
            *first += count;
            Some((*first - count..*first).collect::<Vec<usize>>())
        });
        let is_exchanged = scenario.steps.rotations > 0;
        let start = move |apps| async move {
            let member = Member::start(apps).await?;
            if is_exchanged {
                member.add_calm().await?;
            }
            Ok::<_, anyhow::Error>(member)
        };
        let starting = ranges.map(|apps| async move { tokio::spawn(start(apps)).await? });
        let mut starting = stream::iter(starting).buffered(AT_ONCE);
        let mut members: Vec<Arc<Member>> = Vec::new();
        while let Some(member) = starting.try_next().await? {
            members.push(Arc::new(member));
            if members.len().is_multiple_of(NEWS) {
                progress(&format!("{} of {} clusters are started", members.len(), scenario.clusters));
            }
        }
        drop(starting);
        Ok(Self { repo, members, apps, commits: AtomicUsize::new(0), object_bytes: scenario.object_bytes })
    }

    /// Makes the clusters known to the controllers.
    pub(crate) async fn declare(&self, home: &ControlPlane, fence: Fence) -> anyhow::Result<()> {
        let secrets: Api<Secret> = Api::namespaced(home.client().await?, "argocd");
        let secrets = &secrets;
        let declaring = self.members.iter().enumerate().map(|(number, member)| async move {
            let (server, config) = member.declaration(fence != Fence::None).await?;
            let name = format!("cluster-{number}");
            let secret = serde_json::from_value(json!({
                "metadata": {"name": name, "labels": {"argocd.argoproj.io/secret-type": "cluster"}},
                "stringData": {"name": name, "server": server, "config": config.to_string()},
            }))?;
            secrets.create(&PostParams::default(), &secret).await.context("declaring a cluster").map(drop)
        });
        stream::iter(declaring).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Creates all applications.
    pub(crate) async fn create(&self, home: &ControlPlane) -> anyhow::Result<()> {
        let client = home.client().await?;
        let client = &client;
        let apps = self.members.iter().flat_map(|member| member.apps().iter().map(move |app| (member, *app)));
        stream::iter(apps)
            .map(|(member, app)| async move {
                member.expect(app, Effects::WRITE);
                self.application(member, app).apply(client).await.map(drop)
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// The manifest of an application.
    pub(crate) fn application(&self, member: &Member, app: usize) -> App {
        App::new(&name(app))
            .source(&self.repo.url_file(), &format!("apps/{app}"), "HEAD")
            .into_namespace(NAMESPACE)
            .automated()
            .self_heal()
            .cascade()
            .set("/spec/destination/server", member.url().into())
    }

    /// Waits until all that was expected of all applications has been done, and says every
    /// ten seconds of how many it has.
    pub(crate) async fn wait_done(&self) -> anyhow::Result<()> {
        let (apps, done) = (self.apps(), AtomicUsize::new(0));
        let all = apps.iter().map(|(member, app)| async {
            member.wait_done(*app).await?;
            done.fetch_add(1, Ordering::Relaxed);
            Ok::<_, anyhow::Error>(())
        });
        let mut all = std::pin::pin!(try_join_all(all));
        let mut told = interval_at(Instant::now() + TOLD, TOLD);
        loop {
            tokio::select! {
                result = &mut all => return result.map(drop),
                _ = told.tick() => {
                    progress(&format!("{} of {} are in their clusters", done.load(Ordering::Relaxed), self.apps));
                }
            }
        }
    }

    /// Waits until every application is Synced and Healthy, and no operation runs.
    pub(crate) async fn wait_deployed(&self, home: &ControlPlane, deadline: Duration) -> anyhow::Result<()> {
        wait_for_applications(&home.client().await?, self.apps, "deployed", deadline, is_deployed).await
    }

    /// Changes these applications' files in one commit.
    pub(crate) fn commit(&self, apps: &[(Arc<Member>, usize)]) -> anyhow::Result<()> {
        let version = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        let mut change = self.repo.change("main");
        for (member, app) in apps {
            member.expect(*app, Effects::WRITE);
            change = change.write(&path(*app), map(*app, version, self.object_bytes));
        }
        change.commit().map(drop)
    }

    /// Those at these addresses.
    pub(crate) fn at(&self, servers: &[String]) -> Vec<Arc<Member>> {
        self.members.iter().filter(|member| servers.contains(&member.url())).cloned().collect()
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Arc<Member>] {
        &self.members
    }

    /// All applications with their clusters, by their numbers.
    pub(crate) fn apps(&self) -> Vec<(Arc<Member>, usize)> {
        let of = |member: &Arc<Member>| member.apps().iter().map(|app| (member.clone(), *app)).collect::<Vec<_>>();
        self.members.iter().flat_map(of).collect()
    }

    /// What the controllers asked of all clusters together.
    pub(crate) fn requests(&self) -> Requests {
        self.members.iter().fold(Requests::default(), |mut all, member| {
            let one = member.witness().requests();
            all.unknown += one.unknown;
            one.failed.into_iter().for_each(|(code, count)| *all.failed.entry(code).or_default() += count);
            one.lists.into_iter().for_each(|(what, count)| *all.lists.entry(what).or_default() += count);
            all
        })
    }

    /// Holds what the controllers did against what was to be done: each deletion, commit,
    /// creation and removal of an application is worth exactly one write.
    ///
    /// # Errors
    /// When something was done too seldom or too often.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.members.iter().try_for_each(|member| member.check())
    }
}

/// Of an application and of its object.
pub(crate) fn name(app: usize) -> String {
    format!("app-{app}")
}

fn path(app: usize) -> String {
    format!("apps/{app}/map.yaml")
}

fn map(app: usize, version: usize, bytes: usize) -> String {
    let (name, text) = (name(app), "x".repeat(bytes));
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  version: \"{version}\"\n  text: \"{text}\"\n"
    )
}
