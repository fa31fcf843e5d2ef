//! The live state of one cluster, kept current by watches.
//!
//! Every kind that can be watched is watched by its metadata alone; whole
//! objects arrive only for kinds that an application manages and for the few
//! kinds whose state a tree shows. Of whole objects only those are kept, as JSON
//! text, that an application tracks whose objects are [wanted](LiveState::want), or
//! that were [pinned](LiveState::pin); of the others a [`NodeSummary`]. An object
//! known by its metadata takes about 300 bytes, measured in `stats`.
//!
//! Where the server can, the initial state is streamed, so that starting costs
//! no more memory than running. A watch resumes where it ended; only when the
//! server has forgotten that place is the kind listed again, and then the index
//! is corrected in place, never emptied. An object returned by our own write is
//! taken in at once ([`LiveState::record`]).
//!
//! Lost in a crash: everything; it is listed again. A kind that cannot be
//! watched stands in [`LiveStats::failing`] and keeps its last known objects:
//! whoever decides on deletions asks [`LiveState::kind_state`] first.

mod changes;
mod entry;
mod index;
mod object;
mod options;
mod owners;
mod planner;
mod scopes;
mod summary;
mod tree;
mod wanted;
mod watcher;
mod wire;

#[cfg(test)]
mod index_tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use argosy_model::{GroupKind, Gvk, ResourceKey};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

pub use changes::{Batch, Change, ChangeKind, Changes};
pub use object::{LiveObject, TreeNode};
pub use options::{Coverage, IgnoreUpdates, LiveOptions, tree_kinds};
pub use scopes::{KindFailure, KindState, LiveStats};
pub use summary::{Network, NodeSummary};
pub use wanted::Wanted;

use crate::budget::Priority;
use crate::call::Call;
use crate::connection::Connection;
use crate::discovery::Discovery;
use crate::error::{Error, Result};
use crate::openapi::OpenApi;
use changes::Publisher;
use index::{Index, Via};
use scopes::Scopes;
use wire::{Observed, Reading};

/// A handle on the live state; clones share it. Watching ends with the last one.
#[derive(Clone)]
pub struct LiveState {
    shared: Arc<Shared>,
    _planner: Arc<Planner>,
}

struct Planner(AbortHandle);

impl Drop for Planner {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Shared {
    connection: Connection,
    discovery: Arc<Discovery>,
    openapi: Arc<OpenApi>,
    options: ArcSwap<LiveOptions>,
    coverage: ArcSwap<Coverage>,
    managed: ArcSwap<HashSet<GroupKind>>,
    pins: ArcSwap<HashMap<GroupKind, Arc<HashSet<String>>>>,
    /// Stored under the lock of the index.
    wanted: ArcSwap<Wanted>,
    index: RwLock<Index>,
    publisher: Publisher,
    scopes: Scopes,
    /// Something that decides which watches there are has changed.
    replan: Notify,
    /// Nanoseconds that watches have computed.
    work: std::sync::atomic::AtomicU64,
    /// Counts changes of `options`: watches read differently after one.
    reading: std::sync::atomic::AtomicU64,
    /// How often kinds have been read again beside that.
    again: ArcSwap<HashMap<GroupKind, u64>>,
}

// === impl LiveState ===

impl LiveState {
    /// Starts watching. Follows `discovery` too, so nobody else needs to.
    pub fn start(
        connection: Connection,
        discovery: Arc<Discovery>,
        openapi: Arc<OpenApi>,
        options: LiveOptions,
        coverage: Coverage,
    ) -> Self {
        let shared = Arc::new(Shared {
            connection,
            discovery,
            openapi,
            options: ArcSwap::from_pointee(options),
            coverage: ArcSwap::from_pointee(coverage),
            managed: ArcSwap::default(),
            pins: ArcSwap::default(),
            wanted: ArcSwap::default(),
            index: RwLock::default(),
            publisher: Publisher::default(),
            scopes: Scopes::default(),
            replan: Notify::new(),
            work: 0.into(),
            reading: 0.into(),
            again: ArcSwap::default(),
        });
        let planner = tokio::spawn(planner::run(shared.clone()));
        Self { shared, _planner: Arc::new(Planner(planner.abort_handle())) }
    }

    /// How long watches have computed so far.
    pub fn work(&self) -> Duration {
        Duration::from_nanos(self.shared.work.load(Ordering::Relaxed))
    }

    /// Changes how objects are read: tracking, health rules, what counts as a
    /// change. All kinds are read again in place; nothing disappears meanwhile.
    pub fn configure(&self, options: LiveOptions) {
        self.shared.options.store(Arc::new(options));
        self.shared.reading.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.shared.replan();
    }

    /// Changes what is looked at. Only watches that come or go are touched.
    pub fn cover(&self, coverage: Coverage) {
        self.shared.coverage.store(Arc::new(coverage));
        self.shared.replan();
    }

    /// Adds kinds of which an application manages objects.
    pub fn manage(&self, kinds: impl IntoIterator<Item = GroupKind>) {
        let kinds: HashSet<GroupKind> = kinds.into_iter().collect();
        if !self.shared.managed.load().is_superset(&kinds) {
            self.shared.managed.rcu(|managed| managed.union(&kinds).cloned().collect::<HashSet<_>>());
            self.shared.replan();
        }
    }

    /// Sets all kinds of which applications manage objects.
    pub fn set_managed(&self, kinds: HashSet<GroupKind>) {
        if *self.shared.managed.load_full() != kinds {
            self.shared.managed.store(Arc::new(kinds));
            self.shared.replan();
        }
    }

    /// Sets the objects kept whole although nobody tracks them, such as those an
    /// application is about to adopt. Use [`Self::fetch`] for one known already.
    pub fn pin<'a>(&self, keys: impl IntoIterator<Item = &'a ResourceKey>) {
        let mut pins: HashMap<GroupKind, HashSet<String>> = HashMap::new();
        for key in keys {
            pins.entry(key.group_kind()).or_default().insert(format!("{}/{}", key.namespace, key.name));
        }
        self.shared.pins.store(Arc::new(pins.into_iter().map(|(kind, names)| (kind, Arc::new(names))).collect()));
    }

    /// Waits until every kind has been listed once, or has refused to be.
    pub async fn synced(&self) {
        self.shared.scopes.settled(|_| true).await;
    }

    /// As [`Self::synced`], but without waiting for kinds of which the watch fails for now,
    /// as long as any other can be followed.
    pub async fn mostly_synced(&self) {
        self.shared.scopes.tried().await;
    }

    /// Waits until these kinds are listed, whole where they are managed, or have
    /// refused to be. Kinds that are not watched are not waited for.
    pub async fn ready(&self, kinds: &[GroupKind]) {
        self.shared.scopes.settled(|kind| kinds.contains(kind)).await;
    }

    /// How the watch of a kind is doing.
    pub fn kind_state(&self, kind: &GroupKind) -> KindState {
        self.shared.scopes.state(kind)
    }

    /// Wakes whenever [`Self::failing`] or [`Self::is_cut_off`] may say something new.
    pub fn moves(&self) -> tokio::sync::watch::Receiver<()> {
        self.shared.scopes.moves()
    }

    /// The managed kinds that cannot be followed at the moment.
    pub fn failing(&self) -> BTreeSet<GroupKind> {
        let managed = self.shared.managed.load();
        let (failing, _) = self.shared.scopes.failing();
        failing.into_iter().filter(|kind| managed.contains(kind)).collect()
    }

    /// A kind of which nothing was ever read, though it may be one day, and why: what there
    /// is of it is not known.
    pub fn unread(&self) -> Option<(GroupKind, String)> {
        self.shared.scopes.unread()
    }

    /// Whether no kind at all can be followed: the cluster does not answer.
    pub fn is_cut_off(&self) -> bool {
        self.shared.scopes.failing().1
    }

    /// One object.
    pub fn get(&self, key: &ResourceKey) -> Option<LiveObject> {
        let index = self.shared.read();
        index.lookup(key).and_then(|id| object::of(&index, id))
    }

    /// The objects an application manages, by its instance name: those that name
    /// it and have no owner.
    pub fn owned_by(&self, app: &str) -> Vec<LiveObject> {
        let index = self.shared.read();
        index.roots_of(app).filter_map(|id| object::of(&index, id)).collect()
    }

    /// Instance names of all applications that own something here.
    pub fn apps(&self) -> Vec<Arc<str>> {
        self.shared.read().apps().cloned().collect()
    }

    /// The objects an object owns directly.
    pub fn children(&self, key: &ResourceKey) -> Vec<LiveObject> {
        let index = self.shared.read();
        let children = index.lookup(key).map(|id| index.children(id)).unwrap_or_default();
        children.into_iter().filter_map(|id| object::of(&index, id)).collect()
    }

    /// Everything below some objects, themselves included where they exist, each
    /// once, owners first.
    pub fn tree<'a>(&self, roots: impl IntoIterator<Item = &'a ResourceKey>) -> Vec<TreeNode> {
        let index = self.shared.read();
        let roots: Vec<u32> = roots.into_iter().filter_map(|key| index.lookup(key)).collect();
        index.descend(roots).into_iter().filter_map(|id| object::node(&index, id)).collect()
    }

    /// The objects of a namespace that nothing owns, for the search for orphans.
    pub fn namespace_objects(&self, namespace: &str) -> Vec<LiveObject> {
        let index = self.shared.read();
        let Some(namespace) = index.known_namespace(namespace) else { return Vec::new() };
        let inside = |id: &u32| index.entry(*id).is_some_and(|e| e.namespace == namespace && e.owners.is_empty());
        index.ids().filter(inside).filter_map(|id| object::of(&index, id)).collect()
    }

    /// All objects of a kind.
    pub fn of_kind(&self, kind: &GroupKind) -> Vec<LiveObject> {
        let index = self.shared.read();
        let Some(kind) = index.known_kind(kind) else { return Vec::new() };
        let of_kind = |id: &u32| index.entry(*id).is_some_and(|e| e.kind == kind);
        index.ids().filter(of_kind).filter_map(|id| object::of(&index, id)).collect()
    }

    /// A reader of changes from now on.
    pub fn changes(&self) -> Changes {
        self.shared.publisher.subscribe()
    }

    /// Takes in an object the API server has just returned, unless the watch has
    /// seen past it.
    pub fn record(&self, object: &Value) {
        self.shared.record(object);
    }

    /// Reads an object from the API server and takes it in.
    ///
    /// # Errors
    /// [`Error::UnknownKind`], or what the API server says; an absent object is
    /// `None`, not an error.
    pub async fn fetch(&self, key: &ResourceKey) -> Result<Option<Value>> {
        let catalog = self.shared.discovery.catalog();
        let resource = match catalog.preferred(&key.group_kind()) {
            Some(resource) => resource.clone(),
            None => catalog.resolve(&Gvk::new(&key.group, "", &key.kind), key)?,
        };
        let path = resource.object(&key.namespace, &key.name).build();
        match self.shared.connection.json("get", Call::get(path, Priority::Interactive)).await {
            Ok(object) => {
                self.shared.record(&object);
                Ok(Some(object))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sizes and failures.
    pub fn stats(&self) -> LiveStats {
        let sizes = self.shared.read().sizes();
        self.shared.scopes.stats(sizes)
    }

    /// Tells them as metrics, under the names dashboards know.
    pub fn tell(&self, stats: &LiveStats) {
        let server = self.shared.connection.server().to_owned();
        metrics::gauge!("argocd_cluster_api_resource_objects", "server" => server.clone()).set(stats.objects as f64);
        metrics::gauge!("argocd_cluster_api_resources", "server" => server.clone()).set(stats.kinds as f64);
        if let Some(age) = stats.age {
            metrics::gauge!("argocd_cluster_cache_age_seconds", "server" => server).set(age.as_secs_f64());
        }
    }

    /// What is served, as this state follows it.
    pub fn discovery(&self) -> &Arc<Discovery> {
        &self.shared.discovery
    }

    /// The schemas of what is served.
    pub fn openapi(&self) -> &Arc<OpenApi> {
        &self.shared.openapi
    }
}

// === impl Shared ===

impl Shared {
    fn spend(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.work.fetch_add(nanos, Ordering::Relaxed);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn replan(&self) {
        self.scopes.ask();
        self.replan.notify_one();
    }

    /// How a kind's objects are read now.
    fn reading(&self, gvk: &Gvk, full: bool) -> Reading {
        let options = self.options.load_full();
        let kind = gvk.group_kind();
        Reading {
            gvk: gvk.clone(),
            full,
            tree: options.tree_kinds.contains(&kind),
            pinned: self.pins.load().get(&kind).cloned(),
            wanted: self.wanted.load_full(),
            settings: options,
        }
    }

    fn record(&self, object: &Value) {
        let gvk = Gvk::of(object);
        if !self.scopes.watches(&gvk.group_kind(), argosy_model::object::namespace(object)) {
            return;
        }
        let text = object.to_string();
        let reading = || self.reading(&gvk, self.is_whole(&gvk.group_kind()));
        let change = self.take_in(
            reading,
            |reading| Observed::read(&text, reading),
            |index, seen| {
                // Written in one version, watched in another: keep showing the watched one.
                let kind = index.known_kind(&gvk.group_kind()).unwrap_or_else(|| index.kind_id(&gvk));
                index.put(kind, Via::Write, seen)
            },
        );
        match change {
            Ok(change) => self.publisher.publish(change.into_iter().collect()),
            Err(source) => {
                let error = Error::Decode { what: "a write", source };
                tracing::warn!(server = self.connection.server(), kind = %gvk, %error, "answer not taken in");
            }
        }
    }
}
