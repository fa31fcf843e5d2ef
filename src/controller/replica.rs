//! The Replica actor: one per controller process, the root of the tree.
//!
//! Starts an actor for each application there is and for each cluster and
//! repository this replica owns, tells applications what happened to their
//! objects, and stops everything in order when the process ends.
//!
//! Promises. An actor that is gone although its application is not is started
//! again, from the world and never from a saved half-state. Changes of an object
//! that say nothing to its application, such as our own writes, wake nobody.

mod watch;

use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message};
use argosy_fleet::{EntityId, Fleet, OwnershipEvent};
use argosy_home::AppEvent;
use argosy_model::AppKey;
use argosy_proto::v1alpha1::Application as AppObject;
use futures::StreamExt as _;

use crate::application::{Application, server_of};
use crate::bell::{Bell, Wake};
use crate::cluster::{Cluster, Release};
use crate::context::Shared;
use crate::directory::repository_parts;
use crate::repository::Repository;

/// See the module's page.
pub(crate) struct Replica {
    shared: Arc<Shared>,
    placement: Arc<dyn Fleet>,
    clusters: std::collections::HashMap<Arc<str>, Addr<Cluster>>,
}

/// An Application object changed.
#[derive(Message)]
#[rtype(result = "()")]
struct ObjectChanged(AppEvent);

/// What this replica owns changed.
#[derive(Message)]
#[rtype(result = "()")]
struct OwnershipChanged(OwnershipEvent);

// === impl Replica ===

impl Replica {
    pub(crate) fn new(shared: Arc<Shared>, placement: Arc<dyn Fleet>) -> Self {
        Self { shared, placement, clusters: std::collections::HashMap::new() }
    }

    fn start_application(&self, key: &AppKey) {
        let bell = Arc::<Bell>::default();
        let address = Application::new(self.shared.clone(), key.clone(), bell.clone()).start();
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
        tokio::spawn(watch::surroundings(self.shared.clone()));
    }
}

impl Handler<ObjectChanged> for Replica {
    type Result = ();

    fn handle(&mut self, ObjectChanged(event): ObjectChanged, _: &mut Self::Context) {
        match event {
            AppEvent::Applied { key, old, new } => {
                if !self.shared.directory.is_alive(&key) {
                    self.start_application(&key);
                } else if old.is_none_or(|old| concerns(&old, &new)) {
                    self.shared.directory.ring(&key, Wake::Object);
                }
            }
            AppEvent::Deleted { key, last } => {
                if let Some(last) =
                    last.filter(|last| self.shared.directory.owns_cluster(&server_of(&self.shared, last)))
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

    fn handle(&mut self, OwnershipChanged(event): OwnershipChanged, _: &mut Self::Context) {
        match event {
            OwnershipEvent::Gained { entity: EntityId::ClusterSlice { server, .. }, ownership } => {
                let cluster = Cluster::new(self.shared.clone(), server.clone(), ownership);
                self.shared.directory.add_cluster(&server, cluster.state());
                self.clusters.insert(server.clone(), cluster.start());
                self.shared.directory.wake_waiting(&server);
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
            OwnershipEvent::Lost { entity: EntityId::ClusterSlice { server, .. }, .. } => {
                // Here and not by the actor: it may end after a new one has begun.
                self.shared.directory.remove_cluster(&server);
                if let Some(cluster) = self.clusters.remove(&server) {
                    #[expect(clippy::disallowed_methods, reason = "one per slice that is lost")]
                    cluster.do_send(Release);
                }
            }
            // Without an address nobody can send to it, and the actor ends.
            OwnershipEvent::Lost { entity: EntityId::Repository { url }, .. } => {
                self.shared.directory.remove_repository(&url);
            }
        }
    }
}
