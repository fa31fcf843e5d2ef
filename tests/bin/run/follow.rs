//! Looking at the application again and again, and saying what changed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use argosy_tests::{App, AppState};
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;

use crate::view::{Snapshot, short};
use crate::world::World;

/// Between two looks: as often as a person can read.
const PAUSE: Duration = Duration::from_millis(200);

/// What has been said so far.
pub(crate) struct Follower {
    client: kube::Client,
    app: App,
    begun: Instant,
    shown: Snapshot,
    seen_events: BTreeSet<String>,
    /// The commit whose deployment was last announced.
    deployed: String,
}

// === impl Follower ===

impl Follower {
    pub(crate) async fn new(world: &World) -> anyhow::Result<Self> {
        Ok(Self {
            client: world.control_plane.client().await?,
            app: App::new("guestbook"),
            begun: Instant::now(),
            shown: Snapshot::default(),
            seen_events: BTreeSet::new(),
            deployed: String::new(),
        })
    }

    /// Follows until the first commit is Synced and Healthy.
    pub(crate) async fn until_deployed(&mut self, world: &mut World, timeout: Duration) -> anyhow::Result<()> {
        println!("==> Deploying {}", short(&world.work_tree.head()?));
        while self.deployed.is_empty() {
            let state = self.look(world).await?;
            if self.deployed.is_empty() && self.begun.elapsed() > timeout {
                bail!(
                    "not Synced and Healthy within {timeout:?}: {}\n--- the last lines of Argosy's log\n{}",
                    state.map_or("there is no application".to_owned(), |s| s.summary()),
                    world.argosy.log_tail(30)
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Follows for ever.
    pub(crate) async fn go_on(&mut self, world: &mut World) -> anyhow::Result<()> {
        loop {
            self.look(world).await?;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn look(&mut self, world: &mut World) -> anyhow::Result<Option<AppState>> {
        world.argosy.check_running()?;
        world.server.check_running()?;
        let Some(state) = self.app.get(&self.client).await? else {
            return Ok(None);
        };
        let now = Snapshot::of(&state);
        for line in now.changes_since(&self.shown) {
            self.say(&line);
        }
        self.shown = now;
        self.look_at_events().await?;
        self.announce(world, &state)?;
        Ok(Some(state))
    }

    async fn look_at_events(&mut self) -> anyhow::Result<()> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), "argocd");
        let selector = format!("involvedObject.kind=Application,involvedObject.name={}", self.app.name());
        let events = events.list(&ListParams::default().fields(&selector)).await.context("reading events")?;
        for event in events {
            if self.seen_events.insert(event.metadata.uid.unwrap_or_default()) {
                let (reason, message) = (event.reason.unwrap_or_default(), event.message.unwrap_or_default());
                self.say(&format!("event {reason}: {message}"));
            }
        }
        Ok(())
    }

    /// Says once for each commit that it is deployed.
    fn announce(&mut self, world: &World, state: &AppState) -> anyhow::Result<()> {
        let head = world.work_tree.head()?;
        if state.is_deployed() && state.revision() == head && self.deployed != head {
            println!("\nCommit {} is deployed: Synced and Healthy.\n\n{}", short(&head), self.shown.table());
            self.deployed = head;
        }
        Ok(())
    }

    fn say(&self, line: &str) {
        println!("  {:>7.1} s  {line}", self.begun.elapsed().as_secs_f64());
    }
}
