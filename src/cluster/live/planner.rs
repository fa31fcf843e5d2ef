//! Decides which watches there are, and starts and stops them.
//!
//! Owns every watch: when it is dropped, they end, and so they do when the
//! connection is closed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use super::Shared;
use super::scopes::Scope;
use super::watcher::{Place, Watcher};
use crate::backoff::Backoff;
use crate::discovery::{ApiResource, Catalog};
use crate::meter::measured;

/// Kinds listed at once at the start. What they hold in memory at a time is
/// bounded by this many network buffers.
const STARTING: usize = 24;

/// Before a watch that broke off begins anew.
const BROKE_OFF: Duration = Duration::from_secs(1);

/// How one watch is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    resource: Arc<ApiResource>,
    full: bool,
    reading: u64,
}

struct Running {
    plan: Plan,
    watch: AbortHandle,
    /// Lowered before the scope is forgotten: an aborted task may be in the
    /// middle of taking events in, and must not bring objects back.
    alive: Arc<AtomicBool>,
}

/// Keeps the watches as they should be, until dropped or the connection is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    let connection = shared.connection.clone();
    tokio::select! {
        () = connection.closed() => {}
        () = keep(shared) => {}
    }
}

async fn keep(shared: Arc<Shared>) {
    let mut tasks = JoinSet::new();
    let mut running: HashMap<Scope, Running> = HashMap::new();
    let starting = Arc::new(Semaphore::new(STARTING));
    let mut catalogs = shared.discovery.changes();
    learn(&shared).await;
    let mut following = follow(&shared, &mut tasks);
    loop {
        catalogs.mark_unchanged();
        let asked = shared.scopes.asked();
        let wanted = plan(&shared, &shared.discovery.catalog());
        shared.scopes.plan(asked, wanted.iter().map(|(scope, plan)| (scope.clone(), plan.full, plan.reading)));
        stop(&shared, &mut running, &wanted);
        for (scope, plan) in wanted {
            if running.contains_key(&scope) {
                continue;
            }
            let alive = Arc::new(AtomicBool::new(true));
            let (lane, starting) = (running.len(), starting.clone());
            let place = Place { lane, starting, alive: alive.clone(), reading: plan.reading };
            let watcher = Watcher::new(shared.clone(), scope.clone(), plan.resource.clone(), plan.full, place);
            let work = shared.clone();
            let watch = tasks.spawn(measured(watcher.run(), move |spent| work.spend(spent)));
            running.insert(scope, Running { plan, watch, alive });
        }
        tokio::select! {
            _ = catalogs.changed() => {}
            () = shared.replan.notified() => {}
            // Only what was stopped ends, or what has broken off by a fault of its own.
            Some(Err(ended)) = tasks.join_next_with_id() => if ended.is_panic() {
                tracing::error!(server = shared.connection.server(), error = %ended, "a watch broke off; it begins anew");
                running.retain(|_, known| known.watch.id() != ended.id());
                if following.id() == ended.id() {
                    following = follow(&shared, &mut tasks);
                }
                tokio::time::sleep(BROKE_OFF).await;
            },
        }
    }
}

/// Keeps what is known of the kinds that are served current.
fn follow(shared: &Shared, tasks: &mut JoinSet<()>) -> AbortHandle {
    let discovery = shared.discovery.clone();
    tasks.spawn(async move { discovery.follow().await })
}

/// Waits for the first picture of what is served.
async fn learn(shared: &Shared) {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15), shared.connection.seed());
    while let Err(error) = shared.discovery.refresh().await {
        tracing::warn!(server = shared.connection.server(), %error, "discovery failed; trying again");
        tokio::time::sleep(backoff.wait(None)).await;
    }
}

fn plan(shared: &Shared, catalog: &Catalog) -> HashMap<Scope, Plan> {
    let (coverage, managed) = (shared.coverage.load(), shared.managed.load());
    let (options, reading) = (shared.options.load(), shared.reading.load(Ordering::Relaxed));
    let again = shared.again.load();
    let mut plans = HashMap::new();
    for resource in catalog.watchable() {
        let kind = resource.gvk.group_kind();
        if coverage.filter.excludes(&kind, shared.connection.server()) {
            continue;
        }
        let namespaces: Vec<String> = match (coverage.namespaces.is_empty(), resource.namespaced) {
            (true, _) => vec![String::new()],
            (false, true) => coverage.namespaces.clone(),
            (false, false) if coverage.cluster_resources => vec![String::new()],
            (false, false) => Vec::new(),
        };
        let full = managed.contains(&kind) || options.tree_kinds.contains(&kind);
        let reading = reading + again.get(&kind).copied().unwrap_or_default();
        for namespace in namespaces {
            let scope = Scope { kind: kind.clone(), namespace };
            plans.insert(scope, Plan { resource: resource.clone(), full, reading });
        }
    }
    plans
}

/// Stops watches that are not wanted, or not as they are. Objects of a scope
/// that is not watched any more are taken out; those of one that is merely read
/// in another way stay until its new listing corrects them.
fn stop(shared: &Shared, running: &mut HashMap<Scope, Running>, wanted: &HashMap<Scope, Plan>) {
    running.retain(|scope, known| {
        let plan = wanted.get(scope);
        if plan == Some(&known.plan) {
            return true;
        }
        known.alive.store(false, Ordering::Release);
        known.watch.abort();
        if plan.is_none() {
            let changes = {
                let mut index = shared.write();
                let kind = index.kind_id(&known.plan.resource.gvk);
                let namespace =
                    if scope.namespace.is_empty() { None } else { Some(index.namespace_id(&scope.namespace)) };
                index.forget((kind, namespace))
            };
            shared.publisher.publish(changes);
        }
        false
    });
}
