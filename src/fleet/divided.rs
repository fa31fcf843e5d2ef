//! A fleet that shares out clusters, and in which each replica has repositories
//! of its own.
//!
//! A mirror is only read from, so that two of one repository cost time and space
//! and nothing else; applications find theirs without asking another replica.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use tokio::sync::watch;

use crate::directory::{Directory, Location};
use crate::error::Error;
use crate::id::{Cost, EntityId};
use crate::lease::Ownership;
use crate::local::Local;
use crate::placement::{Coming, OwnershipEvent, Pins, Placement};

/// See the module's page.
pub struct Divided<S> {
    shared: Arc<S>,
    own: Local,
}

// === impl Divided ===

impl<S> Divided<S> {
    /// Clusters as `shared` says, repositories as `own` does.
    pub fn new(shared: Arc<S>, own: Local) -> Self {
        Self { shared, own }
    }
}

fn is_shared(entity: &EntityId) -> bool {
    matches!(entity, EntityId::ClusterSlice { .. })
}

impl<S: Placement> Placement for Divided<S> {
    fn declare(&self, entities: Vec<EntityId>) -> BoxFuture<'_, Result<(), Error>> {
        let (shared, own): (Vec<_>, Vec<_>) = entities.into_iter().partition(is_shared);
        async move {
            self.own.declare(own).await?;
            self.shared.declare(shared).await
        }
        .boxed()
    }

    fn retire(&self, entities: Vec<EntityId>) -> BoxFuture<'_, Result<(), Error>> {
        let (shared, own): (Vec<_>, Vec<_>) = entities.into_iter().partition(is_shared);
        async move {
            self.own.retire(own).await?;
            self.shared.retire(shared).await
        }
        .boxed()
    }

    fn watch_owned(&self) -> BoxStream<'static, OwnershipEvent> {
        stream::select(self.shared.watch_owned(), self.own.watch_owned()).boxed()
    }

    fn ownership(&self, entity: &EntityId) -> Option<Ownership> {
        if is_shared(entity) { self.shared.ownership(entity) } else { self.own.ownership(entity) }
    }

    fn right_to(&self, server: &str, application: &str) -> Option<Ownership> {
        self.shared.right_to(server, application)
    }

    fn watch_coming(&self) -> watch::Receiver<Coming> {
        self.shared.watch_coming()
    }

    fn report_prepared(&self, entities: BTreeSet<EntityId>) {
        self.shared.report_prepared(entities);
    }

    fn pin(&self, pins: Pins) {
        self.shared.pin(pins);
    }

    fn report_cost(&self, entity: &EntityId, cost: Cost) {
        if is_shared(entity) { self.shared.report_cost(entity, cost) } else { self.own.report_cost(entity, cost) }
    }
}

impl<S: Directory> Directory for Divided<S> {
    fn locate(&self, entity: &EntityId) -> Option<Location> {
        if is_shared(entity) { self.shared.locate(entity) } else { self.own.locate(entity) }
    }

    fn locate_application(&self, server: &str, application: &str) -> Option<Location> {
        self.shared.locate_application(server, application)
    }

    fn locate_cluster(&self, server: &str) -> Option<Location> {
        self.shared.locate_cluster(server)
    }
}
