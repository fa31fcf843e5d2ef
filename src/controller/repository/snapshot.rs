//! A commit of a mirror as the tree that rendering reads.

use argosy_git::{EntryKind as GitKind, Error as GitError, Snapshot};
use argosy_render::{Entry, EntryKind, Tree, TreeError};

/// One commit, seen as files.
pub(crate) struct SnapshotTree(pub(crate) Snapshot);

// === impl SnapshotTree ===

impl Tree for SnapshotTree {
    fn tree_id(&self, path: &str) -> Result<Option<String>, TreeError> {
        match self.0.tree_id(path).map_err(|e| tree_error(path, 0, e))? {
            Some(id) => Ok(Some(id.to_string())),
            None => Ok(None),
        }
    }

    fn list(&self, path: &str, recursive: bool) -> Result<Vec<Entry>, TreeError> {
        let entries = self.0.list(path, recursive).map_err(|e| tree_error(path, 0, e))?;
        let below = |name: String| if path.is_empty() { name } else { format!("{path}/{name}") };
        let entry = |e: argosy_git::Entry| Entry {
            path: below(e.path),
            kind: match e.kind {
                GitKind::File | GitKind::Executable => EntryKind::File,
                GitKind::Symlink => EntryKind::Symlink,
                GitKind::Tree => EntryKind::Directory,
                GitKind::Submodule => EntryKind::Submodule,
            },
            id: e.oid.to_string(),
            size: e.size,
        };
        Ok(entries.into_iter().map(entry).collect())
    }

    fn read(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, TreeError> {
        self.0.read(path, max_bytes).map_err(|e| tree_error(path, max_bytes, e))
    }
}

fn tree_error(path: &str, max_bytes: u64, error: GitError) -> TreeError {
    let path = path.to_owned();
    match error {
        GitError::OutOfBoundsLink { .. } => TreeError::OutOfBounds { path },
        GitError::LinkLoop { .. } => TreeError::TooManyLinks { path },
        GitError::TooLarge { .. } => TreeError::TooBig { path, max_bytes },
        GitError::PathNotFound { .. } => TreeError::NotFound { path },
        // Reading asks for files and says so with a limit; everything else asks for folders.
        GitError::WrongKind { .. } if max_bytes > 0 => TreeError::NotAFile { path },
        GitError::WrongKind { .. } => TreeError::NotADirectory { path },
        error => TreeError::Read { path, source: Box::new(error) },
    }
}
