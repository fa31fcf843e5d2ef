//! Which files of a directory are manifests, and their content. All are read before
//! any is parsed, so that too many bytes fail before they cost anything.

use argosy_model::glob;

use super::DirectoryRequest;
use crate::error::Error;
use crate::tree::{Entry, EntryKind, Tree, TreeError, file_name, relative};

/// A file that holds this text anywhere is no manifest.
const SKIP_MARKER: &[u8] = b"+argocd:skip-file-rendering";

/// A manifest file.
#[derive(Debug)]
pub(super) struct ManifestFile {
    /// Path within the application's directory.
    pub(super) name: String,
    pub(super) content: Vec<u8>,
}

/// The manifest files at the clean path `path`, directory by directory in the order
/// of their names.
pub(super) fn select_files(
    tree: &dyn Tree,
    path: &str,
    request: &DirectoryRequest,
) -> Result<Vec<ManifestFile>, Error> {
    let mut entries = tree.list(path, request.recurse)?;
    entries.retain(|entry| is_candidate(entry, relative(path, &entry.path), request));
    // By name within each directory, as a walk meets them: `a/x` before `a.yaml`.
    entries.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));

    let max_bytes = if request.max_combined_bytes == 0 { u64::MAX } else { request.max_combined_bytes };
    let (mut files, mut total) = (Vec::new(), 0u64);
    for entry in entries {
        let name = relative(path, &entry.path).to_owned();
        let Some(content) = read(tree, &entry, &name, max_bytes)? else { continue };
        if holds_marker(&content) {
            continue;
        }
        if is_jsonnet(&name) {
            return Err(Error::Jsonnet { file: name });
        }
        total = total.saturating_add(content.len() as u64);
        if total > max_bytes {
            return Err(Error::CombinedSize { max_bytes, file: name });
        }
        files.push(ManifestFile { name, content });
    }
    Ok(files)
}

/// Whether the name of a file or link tells a manifest.
pub(crate) fn is_manifest_name(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, suffix)| matches!(suffix, "yaml" | "yml" | "json" | "jsonnet"))
}

fn is_jsonnet(name: &str) -> bool {
    name.ends_with(".jsonnet")
}

fn is_candidate(entry: &Entry, name: &str, request: &DirectoryRequest) -> bool {
    matches!(entry.kind, EntryKind::File | EntryKind::Symlink)
        && is_manifest_name(file_name(name))
        && (request.jsonnet || !is_jsonnet(name))
        && (request.exclude.is_empty() || !glob::matches(&request.exclude, name, &[]))
        && (request.include.is_empty() || glob::matches(&request.include, name, &[]))
}

/// A file's content; `None` for a link that leads to no file.
fn read(tree: &dyn Tree, entry: &Entry, name: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, Error> {
    let is_link = entry.kind == EntryKind::Symlink;
    match tree.read(&entry.path, max_bytes) {
        Ok(content) => Ok(Some(content)),
        Err(TreeError::TooBig { .. }) => Err(Error::CombinedSize { max_bytes, file: name.to_owned() }),
        Err(TreeError::OutOfBounds { .. }) => Err(Error::IllegalLink { file: name.to_owned() }),
        Err(error @ (TreeError::NotFound { .. } | TreeError::NotAFile { .. })) if is_link => {
            tracing::warn!(file = name, %error, "skipping a link that leads to no file");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn holds_marker(content: &[u8]) -> bool {
    memchr::memmem::find(content, SKIP_MARKER).is_some()
}
