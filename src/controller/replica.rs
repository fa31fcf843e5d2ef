//! The Replica actor: one per controller process, the root of the tree.
//!
//! Starts an actor for each application there is and for each cluster and
//! repository this replica owns, tells applications what happened to their
//! objects, and stops everything in order when the process ends.
//!
//! Promises. An actor that is gone although its application is not is started
//! again, from the world and never from a saved half-state. Changes of an object
//! that say nothing to its application, such as our own writes, wake nobody.

mod clusters;
mod costs;
mod watch;

use std::sync::Arc;

use actix::{Actor, AsyncContext as _, Context, Handler, Message};
use argosy_fleet::{Coming, EntityId, Fleet, OwnershipEvent};
use argosy_home::AppEvent;
use argosy_model::AppKey;
use argosy_proto::v1alpha1::Application as AppObject;
use futures::StreamExt as _;

use crate::application::{Application, server_of};
use crate::bell::{Bell, Wake};
use crate::cluster::LINGER;
use crate::context::Shared;
use crate::directory::repository_parts;
use crate::repository::Repository;
use clusters::Clusters;

/// See the module's page.
pub(crate) struct Replica {
    shared: Arc<Shared>,
    placement: Arc<dyn Fleet>,
    clusters: Clusters,
    measured_at: std::time::Instant,
}

/// An Application object changed.
#[derive(Message)]
#[rtype(result = "()")]
struct ObjectChanged(AppEvent);

/// What this replica owns changed.
#[derive(Message)]
#[rtype(result = "()")]
struct OwnershipChanged(OwnershipEvent);

/// What this replica gets next changed.
#[derive(Message)]
#[rtype(result = "()")]
struct ComingChanged(Coming);

/// A slice that is prepared for can be taken over.
#[derive(Message)]
#[rtype(result = "()")]
struct Prepared;

// === impl Replica ===

impl Replica {
    pub(crate) fn new(shared: Arc<Shared>, placement: Arc<dyn Fleet>) -> Self {
        Self { clusters: Clusters::new(shared.clone()), shared, placement, measured_at: std::time::Instant::now() }
    }

    /// Tells what is owned here has cost lately.
    fn measure(&mut self) {
        let now = std::time::Instant::now();
        let elapsed = now.duration_since(self.measured_at);
        self.measured_at = now;
        let costs = self.clusters.costs(elapsed);
        metrics::gauge!("argosy_fleet_load").set(costs.iter().fold(0.0, |sum, (_, cost)| sum + cost.0 as f64));
        for (entity, cost) in costs {
            self.placement.report_cost(&entity, cost);
        }
    }

    fn release_later(server: Arc<str>, ctx: &mut Context<Self>) {
        ctx.run_later(LINGER, move |actor, _| actor.clusters.release_idle(&server));
    }

    fn start_application(&self, key: &AppKey, app: &AppObject) {
        let bell = Arc::<Bell>::default();
        let is_new = app.status.as_ref().is_none_or(|status| status.reconciled_at.is_none());
        let address = Application::new(self.shared.clone(), key.clone(), bell.clone(), is_new).start();
        let instance = key.instance_name(&self.shared.options.namespace);
        self.shared.directory.add_application(key, instance, address, bell);
    }
}

impl Actor for Replica {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let owned = self.placement.watch_owned();
        ctx.add_message_stream(owned.map(OwnershipChanged));
        let apps = watch::objects(self.shared.home.apps().subscribe());
        ctx.add_message_stream(apps.map(ObjectChanged));
        let coming = tokio_stream::wrappers::WatchStream::new(self.placement.watch_coming());
        ctx.add_message_stream(coming.map(ComingChanged));
        tokio::spawn(watch::surroundings(self.shared.clone()));
        tokio::spawn(watch::declarations(self.shared.clone(), self.placement.clone()));
        ctx.run_interval(costs::INTERVAL, |actor, _| actor.measure());
    }
}

impl Handler<ObjectChanged> for Replica {
    type Result = ();

    fn handle(&mut self, ObjectChanged(event): ObjectChanged, _: &mut Self::Context) {
        match event {
            AppEvent::Applied { key, old, new } => {
                if !self.shared.directory.is_alive(&key) {
                    self.start_application(&key, &new);
                } else if old.is_none_or(|old| concerns(&old, &new)) {
                    self.shared.directory.ring(&key, Wake::Object);
                }
            }
            AppEvent::Deleted { key, last } => {
                if let Some(last) = last.filter(|last| self.shared.directory.owns(&key, &server_of(&self.shared, last)))
                {
                    crate::application::tell_deleted(&self.shared, &last);
                }
                let instance = key.instance_name(&self.shared.options.namespace);
                self.shared.directory.remove_application(&key, &instance);
            }
            // Its last readable state stands until it can be read again.
            AppEvent::Malformed { key, error } => {
                tracing::warn!(application = %key, %error, "the application is malformed and left alone");
            }
        }
    }
}

/// Whether a change of the object is news for its application. Its status is
/// our own writing, but for a request to end an operation.
fn concerns(old: &AppObject, new: &AppObject) -> bool {
    let uid = |app: &AppObject| app.metadata.as_ref().map(|m| m.uid.clone());
    if uid(old) != uid(new) {
        // Deleted and made again.
        return true;
    }
    let metadata = |app: &AppObject| {
        let m = app.metadata.clone().unwrap_or_default();
        (m.annotations, m.labels, m.finalizers, m.deletion_timestamp)
    };
    let terminating = |app: &AppObject| {
        app.status.as_ref().and_then(|s| s.operation_state.as_ref()).is_some_and(|s| s.phase == "Terminating")
    };
    old.spec != new.spec
        || (new.operation.is_some() && old.operation != new.operation)
        || metadata(old) != metadata(new)
        || (terminating(new) && !terminating(old))
}

impl Handler<OwnershipChanged> for Replica {
    type Result = ();

    fn handle(&mut self, OwnershipChanged(event): OwnershipChanged, ctx: &mut Self::Context) {
        match event {
            OwnershipEvent::Gained { entity: EntityId::ClusterSlice { server, slice }, ownership } => {
                self.clusters.gain(&server, slice, ownership);
            }
            OwnershipEvent::Gained { entity: EntityId::Repository { url: name }, ownership } => {
                let (url, project) = repository_parts(&name);
                match argosy_git::RepoUrl::parse(url) {
                    Ok(url) => {
                        let repository = Repository::new(self.shared.clone(), url, project.to_owned(), ownership);
                        self.shared.directory.add_repository(&name, repository.start());
                    }
                    Err(error) => tracing::error!(repository = &*name, %error, "an entity has an address that is none"),
                }
            }
            OwnershipEvent::Lost { entity: EntityId::ClusterSlice { server, slice }, .. } => {
                self.clusters.lose(&server, slice);
                Self::release_later(server, ctx);
            }
            // Without an address nobody can send to it, and the actor ends.
            OwnershipEvent::Lost { entity: EntityId::Repository { url }, .. } => {
                self.shared.directory.remove_repository(&url);
            }
        }
    }
}

impl Handler<ComingChanged> for Replica {
    type Result = ();

    fn handle(&mut self, ComingChanged(coming): ComingChanged, ctx: &mut Self::Context) {
        let (unneeded, awaited) = self.clusters.expect(coming);
        unneeded.into_iter().for_each(|server| Self::release_later(server, ctx));
        for slice in awaited {
            let settled = async move {
                slice.prepared().await;
                Prepared
            };
            ctx.add_message_stream(futures::stream::once(settled));
        }
        self.placement.report_prepared(self.clusters.prepared());
    }
}

impl Handler<Prepared> for Replica {
    type Result = ();

    fn handle(&mut self, _: Prepared, _: &mut Self::Context) {
        self.placement.report_prepared(self.clusters.prepared());
    }
}
