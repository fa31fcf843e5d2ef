//! What the names in a directory tell, remembered by the directory's content id:
//! equal content has equal names, so this never goes stale.

use std::sync::{Arc, Mutex, PoisonError};

use crate::cache::Lru;
use crate::directory::is_manifest_name;
use crate::error::Error;
use crate::source::{EnabledTypes, SourceType, tells_type, type_of_files};
use crate::tree::{EntryKind, Tree, file_name};

/// Directories remembered; about 200 bytes each.
const CAPACITY: u64 = 65_536;

/// What matters of a directory's names.
#[derive(Debug)]
pub(crate) struct Facts {
    /// A manifest is a link, whose target may lie outside the directory and change
    /// without the directory's id changing.
    pub(crate) has_links: bool,
    /// Entries of the directory itself that tell a source type or override one.
    names: Vec<String>,
}

/// Facts by content id, and whether they reach below the directory.
pub(crate) struct FactsByTree {
    known: Mutex<Lru<(String, bool), Arc<Facts>>>,
}

// === impl Facts ===

impl Facts {
    fn load(tree: &dyn Tree, path: &str, recursive: bool) -> Result<Self, Error> {
        let mut facts = Self { has_links: false, names: Vec::new() };
        for entry in tree.list(path, recursive)? {
            let name = file_name(&entry.path);
            facts.has_links |= entry.kind == EntryKind::Symlink && is_manifest_name(name);
            if name.starts_with(".argocd-source") || tells_type(name) {
                facts.names.push(name.to_owned());
            }
        }
        facts.names.sort_unstable();
        Ok(facts)
    }

    /// Whether an entry of the directory has this name.
    pub(crate) fn has_any(&self, names: &[String]) -> bool {
        names.iter().any(|name| self.names.binary_search(name).is_ok())
    }

    /// The source type the names tell.
    pub(crate) fn source_type(&self, enabled: EnabledTypes) -> SourceType {
        type_of_files(self.names.iter().map(String::as_str), enabled)
    }
}

// === impl FactsByTree ===

impl FactsByTree {
    pub(crate) fn new() -> Self {
        Self { known: Mutex::new(Lru::new(CAPACITY)) }
    }

    /// The facts of the directory at `path`, whose content id is `id`.
    pub(crate) fn of(&self, tree: &dyn Tree, path: &str, id: &str, recursive: bool) -> Result<Arc<Facts>, Error> {
        let key = (id.to_owned(), recursive);
        if let Some(facts) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(facts));
        }
        let facts = Arc::new(Facts::load(tree, path, recursive)?);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&facts), 1);
        Ok(facts)
    }
}
