//! A controller replica: the actors that make clusters match what Git says.
//!
//! | actor | one per | owns |
//! | --- | --- | --- |
//! | [`replica`] | process | the tree of actors, who is woken by what |
//! | [`cluster`] | cluster with a slice owned, or to come | discovery, watches, live state; how each slice is written |
//! | [`credential`] | such a cluster, to read; cluster slice owned, to write | the way in: load, make, prove, swap, remove |
//! | [`repository`] | repository owned | the mirror, revisions, the poll, rendering |
//! | [`application`] | application | its turn: compare, decide, sync, record |
//!
//! Triggers carry a key and a reason and no data; whoever is woken reads desired
//! and observed state itself, asks the pure functions of `argosy_engine` what to
//! do, and does that. Actors find each other through the [`directory`], which
//! knows the placement.
//!
//! Mailboxes are bounded: an application's bell is in its mailbox at most once
//! ([`bell`]); requests to a repository are bounded by the passes that run at
//! once ([`turns`]); everything else is one message per event that is rare by
//! its nature, and says so where it is sent.

mod application;
mod bell;
mod cluster;
mod context;
mod credential;
mod directory;
mod health_rules;
mod metrics_page;
mod normalizers;
pub mod peer;
mod projects;
mod replica;
mod repository;
mod turns;
mod views;

use std::sync::Arc;

use actix::Actor as _;
use argosy_fleet::Fleet;
use argosy_home::{Clock, EventWriter, Home};
use tokio_util::sync::CancellationToken;

pub use context::ControllerOptions;
pub use metrics_page::MetricsPage;

/// A running controller replica. It runs until the actor system ends; once this is
/// dropped, it asks no Git remote for anything more.
pub struct Controller {
    shared: Arc<context::Shared>,
}

// === impl Controller ===

impl Controller {
    /// Starts the replica's actors on the current arbiter. `home` must be ready.
    pub fn start(
        home: Home,
        fleet: Arc<dyn Fleet>,
        events: EventWriter,
        clock: Clock,
        options: ControllerOptions,
    ) -> Self {
        peer::clear_trials(&options.data_dir);
        let shared = Arc::new(context::Shared::new(home, clock, events, options));
        shared.directory.place_with(fleet.clone());
        replica::Replica::new(shared.clone(), fleet).start();
        Self { shared }
    }

    /// What answers other replicas; serve it with [`peer::serve`]. Streams end in order once
    /// `ending` is cancelled.
    pub fn peer_service(
        &self,
        ending: CancellationToken,
    ) -> argosy_proto::peer::peer_server::PeerServer<peer::PeerService> {
        peer::PeerService::server(self.shared.clone(), ending)
    }

    /// Metrics that are read off the state when they are asked for.
    pub fn metrics_page(&self) -> MetricsPage {
        MetricsPage::new(self.shared.clone())
    }
}

impl Drop for Controller {
    /// A remote that hangs would keep the process for as long as a fetch may take.
    fn drop(&mut self) {
        self.shared.ending.cancel();
    }
}
