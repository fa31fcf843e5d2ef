//! Directories of plain manifests: YAML and JSON files to objects.

use serde_json::Value;

use crate::error::Error;
use crate::tree::{Tree, TreeError, clean_path};

mod manifest;
mod select;

pub(crate) use select::is_manifest_name;

/// Bytes of all manifest files of one directory, unless the settings say otherwise.
pub const DEFAULT_MAX_COMBINED_BYTES: u64 = 10 * 1024 * 1024;

/// What to render of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryRequest {
    /// Path within the repository.
    pub path: String,
    /// Directories below count too.
    pub recurse: bool,
    /// Glob of the only files that count, over the path within the directory (`*`
    /// crosses `/`); empty for all.
    pub include: String,
    /// Glob of files that do not count, tried first; empty for none.
    pub exclude: String,
    /// Bytes all counted files may have together; 0 for no limit.
    pub max_combined_bytes: u64,
    /// Whether `.jsonnet` files are manifests (an error for now), or passed over.
    pub jsonnet: bool,
}

impl Default for DirectoryRequest {
    fn default() -> Self {
        Self {
            path: String::new(),
            recurse: false,
            include: String::new(),
            exclude: String::new(),
            max_combined_bytes: DEFAULT_MAX_COMBINED_BYTES,
            jsonnet: true,
        }
    }
}

/// Renders a directory: every object of its manifest files, lists taken apart, by
/// path and then by place in the file. Files that are YAML but no manifests are
/// passed over.
///
/// # Errors
/// Where the path is refused or missing, a file is broken, or there are too many
/// bytes; see [`Error`].
pub fn render(tree: &dyn Tree, request: &DirectoryRequest) -> Result<Vec<Value>, Error> {
    let path = clean_path(&request.path)?;
    directory_id(tree, &path, &request.path)?;
    let mut objects = Vec::new();
    for file in select::select_files(tree, &path, request)? {
        manifest::read_objects(&file, &mut objects)?;
    }
    Ok(objects)
}

/// Content id of the directory at the clean path `path`; `written` is the path as
/// the user wrote it, for the error.
///
/// # Errors
/// [`Error::PathMissing`], [`Error::PathNotADirectory`], or what reading met.
pub(crate) fn directory_id(tree: &dyn Tree, path: &str, written: &str) -> Result<String, Error> {
    match tree.tree_id(path) {
        Ok(Some(id)) => Ok(id),
        Ok(None) | Err(TreeError::NotFound { .. }) => Err(Error::PathMissing { path: written.to_owned() }),
        Err(TreeError::NotADirectory { .. }) => Err(Error::PathNotADirectory { path: written.to_owned() }),
        Err(error) => Err(error.into()),
    }
}
