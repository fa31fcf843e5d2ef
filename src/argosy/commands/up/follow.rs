//! Looking at the sample application again and again, and saying what changed.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use argosy_home::Home;
use argosy_model::AppKey;
use argosy_proto::events::Event;
use argosy_proto::v1alpha1::Application;

use super::sample::{NAME, WorkTree};
use super::view::{Snapshot, short};
use super::words::say;

/// Between two looks: as often as a person can read.
const PAUSE: Duration = Duration::from_millis(200);

/// What has been said so far.
pub(super) struct Follower {
    home: Home,
    key: AppKey,
    work_tree: WorkTree,
    begun: Instant,
    shown: Snapshot,
    seen_events: BTreeSet<String>,
    /// The commit whose deployment was last announced.
    deployed: String,
}

// === impl Follower ===

impl Follower {
    /// Takes what is there as known: only what comes from now on is said.
    pub(super) async fn new(home: Home, work_tree: WorkTree) -> Self {
        let key = AppKey::new(home.namespace(), NAME);
        let app = home.apps().get(&key);
        let mut this = Self {
            home,
            key,
            work_tree,
            begun: Instant::now(),
            shown: app.as_deref().map(Snapshot::of).unwrap_or_default(),
            seen_events: BTreeSet::new(),
            deployed: String::new(),
        };
        if let Some(app) = app {
            this.new_events(&app).await;
        }
        this
    }

    /// Where the sample is kept.
    pub(super) fn folder(&self) -> &Path {
        self.work_tree.folder()
    }

    /// Follows until the commit that is checked out is Synced and Healthy, or there is
    /// no application any more.
    ///
    /// # Errors
    /// When the work tree cannot be read.
    pub(super) async fn until_deployed(&mut self) -> anyhow::Result<()> {
        say(&format!("==> Deploying {NAME} at {}", short(&self.work_tree.head()?)));
        while self.deployed.is_empty() && self.look().await? {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Follows for ever.
    ///
    /// # Errors
    /// When the work tree cannot be read.
    pub(super) async fn go_on(&mut self) -> anyhow::Result<()> {
        loop {
            self.look().await?;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether the application is there.
    async fn look(&mut self) -> anyhow::Result<bool> {
        let app = self.home.apps().get(&self.key);
        let now = app.as_deref().map(Snapshot::of).unwrap_or_default();
        for line in now.changes_since(&self.shown) {
            self.tell(&line);
        }
        self.shown = now;
        let Some(app) = app else { return Ok(false) };
        for line in self.new_events(&app).await {
            self.tell(&line);
        }
        self.announce(&app)?;
        Ok(true)
    }

    /// A line for each event that has not been seen yet.
    async fn new_events(&mut self, app: &Application) -> Vec<String> {
        let uid = app.metadata.as_ref().map_or("", |metadata| metadata.uid.as_str());
        let events = self.home.list_events(&self.key.namespace, &self.key.name, uid).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the events of the sample cannot be read");
            Vec::new()
        });
        let is_new = |event: &Event| {
            let uid = event.metadata.as_ref().map_or("", |metadata| metadata.uid.as_str());
            self.seen_events.insert(uid.to_owned())
        };
        let lines = events.into_iter().filter(is_new).map(|event| format!("event {}: {}", event.reason, event.message));
        lines.collect()
    }

    /// Says once for each commit that it is deployed.
    fn announce(&mut self, app: &Application) -> anyhow::Result<()> {
        let head = self.work_tree.head()?;
        if self.deployed != head && self.shown.is_deployed_at(app, &head) {
            say(&format!("\nCommit {} is deployed: Synced and Healthy.\n\n{}", short(&head), self.shown.table()));
            self.deployed = head;
        }
        Ok(())
    }

    fn tell(&self, line: &str) {
        say(&format!("  {:>7.1} s  {line}", self.begun.elapsed().as_secs_f64()));
    }
}
