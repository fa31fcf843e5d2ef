//! The simulated controllers of a sandbox: what kube-controller-manager, a
//! scheduler and a kubelet do in a real cluster.
//!
//! One task per sandbox follows the store's changes, turns each into keys of a
//! [`WorkQueue`] and takes the keys one by one. A turn looks at the store alone and
//! does the next step, so that any turn may be repeated, and a sandbox that starts
//! again goes on from what is stored. While nothing changes nothing runs; there is
//! a timer only while something waits for a time.

mod autoscaler;
mod claim;
mod cluster_role;
mod condition;
mod cron_job;
mod daemon_set;
mod deployment;
mod disruption_budget;
mod event;
mod ingress;
mod job;
mod kind;
mod pod;
mod queue;
mod recent;
mod replica_set;
mod revision;
mod routing;
mod selector;
mod service;
mod stateful_set;
mod surroundings;
mod template;
#[cfg(test)]
mod tests;
mod token_secret;
mod world;

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _};
use tokio::time::Instant;

pub(crate) use claim::default_class;
pub(crate) use condition::is_true;
pub(crate) use kind::*;
pub(crate) use pod::PodCommand;
pub use pod::{OutcomeRule, OutcomeRuleError, PodOptions};
use queue::WorkQueue;
use recent::Recent;
use routing::Work;
pub(crate) use selector::selects;
pub use surroundings::{MakeHooks, Surroundings};
use world::Next;
pub(crate) use world::{WorkError, World, count, time};

use crate::identity::Identities;
use crate::lifecycle::{self, Owners};
use crate::stamp::Stamps;
use crate::store::{Change, Store, StoreError};

/// How long a turn that could not write waits before it is taken again.
const RETRY: Duration = Duration::from_secs(1);

/// Turns that are taken before other tasks get a chance.
const TURNS_AT_ONCE: usize = 32;

/// How the controllers work.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node that Pods run on; `None` where no Pod ever runs.
    pub node: Option<String>,
    /// How Pods fare.
    pub pods: PodOptions,
    /// Whether Events tell of it all.
    pub events: bool,
    /// Whether Services and Ingresses get the addresses of load balancers.
    pub load_balancers: bool,
    /// PEM of the authority of the API server's certificate, for those who must trust it.
    pub authority_pem: String,
}

/// The running controllers of a sandbox; they stop when this is dropped.
#[derive(Debug)]
pub struct Controllers {
    task: tokio::task::JoinHandle<()>,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            node: Some("sandbox".to_owned()),
            pods: PodOptions::default(),
            events: true,
            load_balancers: true,
            authority_pem: String::new(),
        }
    }
}

// === impl Controllers ===

impl Controllers {
    /// Starts them, as one task of the current runtime.
    #[must_use]
    pub fn start(store: Store, stamps: Stamps, identities: Arc<Identities>, options: Options) -> Self {
        let changes = store.changes();
        let world = World { store, stamps, identities, options, owners: Owners::default(), recent: Recent::default() };
        Self { task: tokio::spawn(run(world, changes)) }
    }
}

impl Drop for Controllers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(mut world: World, mut changes: impl Stream<Item = Change> + Unpin) {
    let mut queue = WorkQueue::new();
    let mut turns = 0;
    loop {
        // Each turn sees who owns what as of the latest write.
        while let Some(change) = changes.next().now_or_never() {
            let Some(change) = change else { return };
            note(&mut world, &mut queue, &change);
        }
        if let Some(work) = queue.pop(Instant::now()) {
            match take(&world, &work) {
                Ok(None) => {}
                Ok(Some(pause)) => queue.add(work, Instant::now() + pause),
                Err(WorkError::Write { source: StoreError::Disk, .. }) => {
                    tracing::error!("the simulated controllers stop: nothing can be written any more");
                    return;
                }
                Err(error) => {
                    tracing::debug!(?work, %error, "a turn of a simulated controller is taken again");
                    queue.add(work, Instant::now() + RETRY);
                }
            }
            turns += 1;
            if turns % TURNS_AT_ONCE == 0 {
                // Of many clusters that are busy only those that run keep it.
                world.recent.forget();
                tokio::task::yield_now().await;
            }
            continue;
        }
        world.recent.forget();
        let change = match queue.next_due() {
            Some(due) => match tokio::time::timeout_at(due, changes.next()).await {
                Ok(change) => change,
                Err(_) => continue,
            },
            None => changes.next().await,
        };
        let Some(change) = change else { return };
        note(&mut world, &mut queue, &change);
    }
}

fn note(world: &mut World, queue: &mut WorkQueue<Work>, change: &Change) {
    // What a deleted object owned is looked up before it is forgotten.
    let now = Instant::now();
    world.owners.note(change);
    for work in routing::work_of(world, change) {
        queue.add(work, now);
    }
}

fn take(world: &World, work: &Work) -> Result<Next, WorkError> {
    match work {
        Work::Furnish(namespace) => lifecycle::furnish(world, namespace).map(|()| None),
        Work::Terminate(namespace) => lifecycle::terminate(world, namespace).map(|()| None),
        Work::Collect(key) => lifecycle::collect(world, key).map(|()| None),
        Work::SettleOwner(key) => lifecycle::settle_owner(world, key).map(|()| None),
        Work::ReleaseVolume(claim) => claim::release(world, &claim.0.value).map(|()| None),
        Work::Reconcile(key) => reconcile(world, key),
    }
}

fn reconcile(world: &World, key: &crate::store::ObjectKey) -> Result<Next, WorkError> {
    match (&*key.group, &*key.resource) {
        ("", "persistentvolumeclaims") => claim::reconcile(world, key),
        ("", "persistentvolumes") => claim::reconcile_volume(world, key),
        ("", "pods") => pod::reconcile(world, key),
        ("", "secrets") => token_secret::reconcile(world, key),
        ("", "services") => service::reconcile(world, key),
        ("apps", "daemonsets") => daemon_set::reconcile(world, key),
        ("apps", "deployments") => deployment::reconcile(world, key),
        ("apps", "replicasets") => replica_set::reconcile(world, key),
        ("apps", "statefulsets") => stateful_set::reconcile(world, key),
        ("autoscaling", "horizontalpodautoscalers") => autoscaler::reconcile(world, key),
        ("batch", "cronjobs") => cron_job::reconcile(world, key),
        ("batch", "jobs") => job::reconcile(world, key),
        ("networking.k8s.io", "ingresses") => ingress::reconcile(world, key),
        ("policy", "poddisruptionbudgets") => disruption_budget::reconcile(world, key),
        ("rbac.authorization.k8s.io", "clusterroles") => cluster_role::reconcile(world, key),
        _ => Ok(None),
    }
}
