//! Reading handles. libgit2 serialises reads inside one handle, so each reader
//! borrows a handle of its own from a small pool; opening one costs 0.2 ms,
//! which many small reads should not pay.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use git2::{ErrorCode, Oid, Repository};

use crate::refs::{RemoteRefs, parse_oid};
use crate::{Error, Snapshot};

/// Handles kept open per mirror. More readers at once than this open their own
/// and drop it afterwards; a fleet has thousands of mirrors, mostly idle.
const MAX_IDLE: usize = 4;

/// The objects of a mirror: cheap to clone, to be read from any thread, beside
/// a running fetch.
#[derive(Clone)]
pub struct Objects {
    shared: Arc<Shared>,
}

struct Shared {
    git_dir: PathBuf,
    /// Counts replacements of packs; older handles hold deleted files open.
    generation: AtomicU64,
    idle: Mutex<Vec<(u64, Repository)>>,
    refs: RwLock<Arc<RemoteRefs>>,
}

/// A borrowed handle, given back when dropped.
pub(crate) struct Handle<'a> {
    shared: &'a Shared,
    generation: u64,
    repository: Option<Repository>,
}

// === impl Objects ===

impl Objects {
    pub(crate) fn new(git_dir: PathBuf, refs: RemoteRefs) -> Self {
        let (generation, idle) = (AtomicU64::new(0), Mutex::default());
        Self { shared: Arc::new(Shared { git_dir, generation, idle, refs: RwLock::new(Arc::new(refs)) }) }
    }

    /// The files of a commit that is in the mirror.
    ///
    /// # Errors
    /// [`Error::CommitUnavailable`] when it is not: fetch it first.
    pub fn snapshot(&self, sha: &str) -> Result<Snapshot, Error> {
        Snapshot::open(self, sha)
    }

    /// Whether a commit is in the mirror.
    ///
    /// # Errors
    /// [`Error::Store`] when the mirror cannot be opened.
    pub fn contains(&self, sha: &str) -> Result<bool, Error> {
        match parse_oid(sha) {
            Some(oid) => self.contain_all(&[oid]),
            None => Ok(false),
        }
    }

    /// The full id of the one commit that begins with `prefix` (hexadecimal); an
    /// annotated tag's id leads to its commit.
    ///
    /// # Errors
    /// [`Error::Unresolved`] when there is none, or more than one.
    pub fn complete(&self, prefix: &str) -> Result<String, Error> {
        let handle = self.handle()?;
        let found = handle.find_object_by_prefix(prefix, None).and_then(|object| object.peel_to_commit());
        found.map(|commit| commit.id().to_string()).map_err(|_| Error::Unresolved { revision: prefix.to_owned() })
    }

    /// The refs as of the last fetch.
    pub fn refs(&self) -> Arc<RemoteRefs> {
        self.shared.refs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes idle handles and the files they hold open. The next read opens one
    /// again.
    pub fn close_idle(&self) {
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn set_refs(&self, refs: RemoteRefs) {
        *self.shared.refs.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(refs);
    }

    /// Makes every handle in use the last of its kind.
    pub(crate) fn reopen(&self) {
        self.shared.generation.fetch_add(1, Ordering::AcqRel);
        self.close_idle();
    }

    pub(crate) fn contain_all(&self, oids: &[Oid]) -> Result<bool, Error> {
        let handle = self.handle()?;
        let odb = handle.odb().map_err(Error::store("open the object database"))?;
        Ok(oids.iter().all(|oid| odb.exists(*oid)))
    }

    pub(crate) fn handle(&self) -> Result<Handle<'_>, Error> {
        let shared = &*self.shared;
        let idle = shared.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let current = shared.generation.load(Ordering::Acquire);
        let (generation, repository) = match idle.filter(|(generation, _)| *generation == current) {
            Some(idle) => idle,
            None => {
                let opened = Repository::open_bare(&shared.git_dir).map_err(Error::store("open the mirror"))?;
                (current, opened)
            }
        };
        Ok(Handle { shared, generation, repository: Some(repository) })
    }
}

// === impl Handle ===

impl Deref for Handle<'_> {
    type Target = Repository;

    fn deref(&self) -> &Repository {
        self.repository.as_ref().expect("a handle holds its repository until it is dropped")
    }
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        let Some(repository) = self.repository.take() else { return };
        let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.shared.generation.load(Ordering::Acquire) == self.generation;
        if current && idle.len() < MAX_IDLE {
            idle.push((self.generation, repository));
        }
    }
}

/// The error of an object that must be in the mirror but cannot be read.
pub(crate) fn unreadable(error: git2::Error) -> Error {
    let action = if error.code() == ErrorCode::NotFound { "find an object" } else { "read an object" };
    Error::Damaged { action, source: error }
}
