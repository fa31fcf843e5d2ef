//! All objects of one sandbox, their versions and what happened to them lately.
//!
//! Every write gets the next number of one sequence, the resource version, and
//! wakes whoever watches. What happened is remembered per resource up to a bound;
//! who asks for more is told [`TooOld`] and has to list again. With a folder, each
//! write also goes to disk in the order it was made: [`Store::committed`] waits
//! until a version would survive the end of the process, and a store that is
//! opened again goes on with higher numbers than it ever gave out.
//!
//! Objects are kept as text, which readers, the history and the disk share. Who looks
//! into one has it read for as long as they keep their [`Object`].
//!
//! Nothing here waits for the disk or for a watcher while it holds the lock.

mod collection;
mod disk;
mod follow;
mod object;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use argosy_model::object as fields;
use futures::Stream;
use redb::Database;
use serde_json::Value;
use tokio::sync::mpsc;

pub use self::disk::DiskError;
pub use self::follow::{Follower, Watch};
pub use self::object::{Json, Object, is_too_deep};
use self::object::{set_version, text_of};
use self::state::State;

/// How many events are remembered per resource unless configured; fewer where what they
/// replaced is large.
pub const DEFAULT_HISTORY: usize = 1024;

/// What an object is stored under. The version of its kind is not part of it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// API group, empty for core.
    pub group: Arc<str>,
    /// Plural resource name, such as `deployments`.
    pub resource: Arc<str>,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    /// Object name.
    pub name: Arc<str>,
}

/// What happened to an object. A deleted object has the version of its deletion.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent {
    /// It is new.
    Added(Arc<Object>),
    /// It has changed.
    Modified(Arc<Object>),
    /// It is gone; the last state.
    Deleted(Arc<Object>),
}

/// One write.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which object.
    pub key: ObjectKey,
    /// What happened.
    pub event: WatchEvent,
    /// What it was before; `None` for a new object.
    pub previous: Option<Arc<Object>>,
}

/// The history does not reach back that far: list again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {asked} ({oldest})")]
pub struct TooOld {
    /// The version that was asked for.
    pub asked: u64,
    /// The oldest that can be served.
    pub oldest: u64,
}

/// Why a write was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is an object of that name.
    #[error("the object exists")]
    Exists,
    /// There is none.
    #[error("the object does not exist")]
    NotFound,
    /// It has another version than expected.
    #[error("the object is at version {current}")]
    Conflict {
        /// Its version.
        current: u64,
    },
    /// Its value [`is_too_deep`].
    #[error("the object is nested too deep")]
    TooDeep,
    /// The disk refused an earlier write, and nothing more is taken.
    #[error("the state can no longer be written to disk")]
    Disk,
}

/// Why an update was not made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError<E> {
    /// The store refused.
    #[error(transparent)]
    Store(StoreError),
    /// The change itself did.
    #[error("the change was refused")]
    Refused(E),
}

/// A handle on the objects; clones are the same store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    state: RwLock<State>,
    disk: Option<disk::Disk>,
}

// === impl ObjectKey ===

impl ObjectKey {
    /// A key of its four parts.
    pub fn new(group: &str, resource: &str, namespace: &str, name: &str) -> Self {
        Self { group: group.into(), resource: resource.into(), namespace: namespace.into(), name: name.into() }
    }

    /// The key of another object of the same resource.
    pub fn sibling(&self, namespace: &str, name: &str) -> Self {
        Self {
            group: self.group.clone(),
            resource: self.resource.clone(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.group, self.resource, self.namespace, self.name)
    }
}

// === impl WatchEvent ===

impl WatchEvent {
    /// The object it is about.
    pub fn object(&self) -> &Arc<Object> {
        match self {
            Self::Added(object) | Self::Modified(object) | Self::Deleted(object) => object,
        }
    }
}

// === impl Store ===

impl Store {
    /// An empty store that keeps nothing.
    pub fn in_memory() -> Self {
        Self::with_history(DEFAULT_HISTORY)
    }

    /// The same, remembering so many events per resource.
    pub fn with_history(history: usize) -> Self {
        Self { shared: Arc::new(Shared { state: RwLock::new(State::new(history, 0)), disk: None }) }
    }

    /// The store kept in a file, made when it does not exist.
    ///
    /// # Errors
    /// When the file cannot be opened or read, or another process has it open.
    pub fn open(file: &Path, history: usize) -> Result<Self, DiskError> {
        Self::on(Arc::new(disk::database(file)?), history)
    }

    /// The store kept in a database. Whoever has a transaction of it open holds writes
    /// back from the disk.
    pub(crate) fn on(database: Arc<Database>, history: usize) -> Result<Self, DiskError> {
        let (disk, objects, version) = disk::Disk::on(database)?;
        let mut state = State::new(history, version);
        for (key, object) in objects {
            state.load(&key, object);
        }
        Ok(Self { shared: Arc::new(Shared { state: RwLock::new(state), disk: Some(disk) }) })
    }

    /// The version of the last write of any object.
    pub fn version(&self) -> u64 {
        self.read().version()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One object.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        self.read().get(key)
    }

    /// The objects of a resource by namespace and name, and the version at which
    /// this was the state.
    pub fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> (Vec<Arc<Object>>, u64) {
        let state = self.read();
        (state.list(group, resource, namespace), state.version())
    }

    /// The same at an earlier version.
    ///
    /// # Errors
    /// [`TooOld`] when the history does not reach back to it.
    pub fn list_at(
        &self,
        group: &str,
        resource: &str,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<Vec<Arc<Object>>, TooOld> {
        self.read().list_at(group, resource, namespace, version)
    }

    /// What happens to the objects of a resource after version `from`. The stream
    /// ends when its reader is further behind than the history reaches.
    ///
    /// # Errors
    /// [`TooOld`] when the history does not reach back to `from`.
    pub fn watch(&self, group: &str, resource: &str, namespace: Option<&str>, from: u64) -> Result<Watch, TooOld> {
        Ok(Watch::new(self.follow(group, resource, namespace, from)?))
    }

    /// The same, read in batches, with what each object was before.
    ///
    /// # Errors
    /// [`TooOld`] when the history does not reach back to `from`.
    pub fn follow(&self, group: &str, resource: &str, namespace: Option<&str>, from: u64) -> Result<Follower, TooOld> {
        let news = self.write().subscribe(group, resource, from)?;
        Ok(Follower::new(self.clone(), group, resource, namespace, from, news))
    }

    /// Everything: first each object there is, as added, then each write. Nothing
    /// is left out, however slow the reader is.
    pub fn changes(&self) -> impl Stream<Item = Change> + Send + Unpin + use<> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.write().feed(sender);
        futures::stream::unfold(receiver, |mut receiver| {
            Box::pin(async move { receiver.recv().await.map(|change| (change, receiver)) })
        })
    }

    /// Stores a new object.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::TooDeep`], [`StoreError::Disk`].
    pub fn create(&self, key: &ObjectKey, value: Value) -> Result<Arc<Object>, StoreError> {
        let mut state = self.writable()?;
        if state.get(key).is_some() {
            return Err(StoreError::Exists);
        }
        if is_too_deep(&value) {
            return Err(StoreError::TooDeep);
        }
        let object = state.put(key, value);
        self.log(key, Some(&object), object.version);
        Ok(object)
    }

    /// Changes an object. `change` is given the current value and returns the new
    /// one, or `None` for no change; an equal value is no change either. An object
    /// that is being deleted goes when its last finalizer does.
    ///
    /// # Errors
    /// [`UpdateError`]; the object is as it was.
    pub fn update<E>(
        &self,
        key: &ObjectKey,
        expected: Option<u64>,
        change: impl FnOnce(&Value) -> Result<Option<Value>, E>,
    ) -> Result<Arc<Object>, UpdateError<E>> {
        let mut state = self.writable().map_err(UpdateError::Store)?;
        let current = state.get(key).ok_or(UpdateError::Store(StoreError::NotFound))?;
        check(&current, expected).map_err(UpdateError::Store)?;
        let Some(mut value) = change(&current.value).map_err(UpdateError::Refused)? else {
            return Ok(current);
        };
        if is_too_deep(&value) {
            return Err(UpdateError::Store(StoreError::TooDeep));
        }
        set_version(&mut value, current.version);
        if text_of(&value) == current.value.text() {
            return Ok(current);
        }
        if is_finished(key, &value) {
            let object = state.remove(key, value);
            self.log(key, None, object.version);
            return Ok(object);
        }
        let object = state.put(key, value);
        self.log(key, Some(&object), object.version);
        Ok(object)
    }

    /// Removes an object at once, whatever its finalizers. Returns its last state,
    /// with the version of the deletion.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`], [`StoreError::Disk`].
    pub fn delete(&self, key: &ObjectKey, expected: Option<u64>) -> Result<Arc<Object>, StoreError> {
        let mut state = self.writable()?;
        let current = state.get(key).ok_or(StoreError::NotFound)?;
        check(&current, expected)?;
        let object = state.remove(key, current.value.clone());
        self.log(key, None, object.version);
        Ok(object)
    }

    /// Waits until everything up to this version would survive the end of the
    /// process. At once when the store is in memory.
    ///
    /// # Errors
    /// [`StoreError::Disk`] when it never will.
    pub async fn committed(&self, version: u64) -> Result<(), StoreError> {
        match &self.shared.disk {
            Some(disk) => disk.committed(version).await,
            None => Ok(()),
        }
    }

    fn log(&self, key: &ObjectKey, object: Option<&Arc<Object>>, version: u64) {
        if let Some(disk) = &self.shared.disk {
            disk.write(key, object.map(|object| object.kept()), version);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // A panic of a change's closure leaves the state as it was.
        self.shared.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.shared.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn writable(&self) -> Result<RwLockWriteGuard<'_, State>, StoreError> {
        let failed = self.shared.disk.as_ref().is_some_and(disk::Disk::has_failed);
        if failed { Err(StoreError::Disk) } else { Ok(self.write()) }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("version", &self.version()).field("objects", &self.len()).finish()
    }
}

fn check(current: &Object, expected: Option<u64>) -> Result<(), StoreError> {
    match expected {
        Some(expected) if expected != current.version => Err(StoreError::Conflict { current: current.version }),
        _ => Ok(()),
    }
}

/// Whether nothing holds back the deletion of an object any more.
fn is_finished(key: &ObjectKey, value: &Value) -> bool {
    let waits = |path: &[&str]| fields::get(value, path).and_then(Value::as_array).is_some_and(|f| !f.is_empty());
    fields::is_deleting(value)
        && !waits(&["metadata", "finalizers"])
        && fields::get(value, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64).unwrap_or(0) == 0
        && !(key.group.is_empty() && &*key.resource == "namespaces" && waits(&["spec", "finalizers"]))
}
