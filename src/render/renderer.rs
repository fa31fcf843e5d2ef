//! From an application's source to its manifests, through the cache.
//!
//! The cache's key is what the result depends on and nothing more: the content id
//! of the directory, the parameters after overrides, and the version of the
//! rules. Only where a manifest is a link, which may lead anywhere in the
//! repository, the whole repository's content counts.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::cache::{Cache, FailurePolicy, Key, Stats};
use crate::directory::{self, DEFAULT_MAX_COMBINED_BYTES, DirectoryRequest};
use crate::error::Error;
use crate::facts::{Facts, FactsByTree};
use crate::rendered::Rendered;
use crate::source::{EnabledTypes, SourceSpec, SourceType, merge_overrides, override_files};
use crate::tree::{Tree, clean_path};

/// Grows whenever the same content and parameters would render differently.
const RULES_VERSION: u32 = 1;

/// Bounds of a [`Renderer`].
#[derive(Debug, Clone)]
pub struct RendererOptions {
    /// Bytes of results kept.
    pub cache_bytes: u64,
    /// When failures are answered from memory.
    pub failures: FailurePolicy,
}

/// One rendering asked for.
#[derive(Debug, Clone)]
pub struct RenderRequest<'a> {
    /// The `ApplicationSource`, as JSON.
    pub source: &'a Value,
    /// Name of the application, or `<namespace>_<name>` outside the home namespace:
    /// selects `.argocd-source-<app>.yaml`.
    pub app: &'a str,
    /// Source types the settings leave on.
    pub enabled: EnabledTypes,
    /// Bytes the manifest files may have together; 0 for no limit.
    pub max_combined_bytes: u64,
    /// Render anew (a hard refresh), whatever is remembered.
    pub no_cache: bool,
}

/// Renders sources and remembers results. Shared by all callers of a process.
pub struct Renderer {
    cache: Cache,
    facts: FactsByTree,
}

// === impl RendererOptions ===

impl Default for RendererOptions {
    fn default() -> Self {
        Self { cache_bytes: 256 << 20, failures: FailurePolicy::default() }
    }
}

// === impl RenderRequest ===

impl<'a> RenderRequest<'a> {
    /// A request with default settings.
    pub fn new(source: &'a Value, app: &'a str) -> Self {
        let enabled = EnabledTypes::default();
        Self { source, app, enabled, max_combined_bytes: DEFAULT_MAX_COMBINED_BYTES, no_cache: false }
    }
}

// === impl Renderer ===

impl Renderer {
    /// A renderer that remembers nothing yet.
    pub fn new(options: RendererOptions) -> Self {
        Self { cache: Cache::new(options.cache_bytes, options.failures), facts: FactsByTree::new() }
    }

    /// Manifests of a source in `tree`, which is the repository at the revision.
    /// Blocks while the tree is read, and while another caller renders the same.
    ///
    /// # Errors
    /// Any [`Error`]; [`argosy_model::report`] puts it in a user's words.
    pub fn render(
        &self,
        tree: &dyn Tree,
        request: &RenderRequest<'_>,
        now: Timestamp,
    ) -> Result<Arc<Rendered>, Arc<Error>> {
        let plan = self.plan(tree, request).map_err(Arc::new)?;
        self.cache.get_or_render(plan.key, request.no_cache, now, || {
            Ok(Rendered::new(directory::render(tree, &plan.request)?, SourceType::Directory))
        })
    }

    /// Identity of what a rendering would read: equal keys give equal manifests, at
    /// whatever commit. Costs the names in one directory, remembered by content.
    ///
    /// # Errors
    /// Whatever keeps the source from being rendered at all.
    pub fn key(&self, tree: &dyn Tree, request: &RenderRequest<'_>) -> Result<Key, Error> {
        Ok(self.plan(tree, request)?.key)
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.cache.stats()
    }

    fn plan(&self, tree: &dyn Tree, request: &RenderRequest<'_>) -> Result<Plan, Error> {
        let mut spec = SourceSpec::from_json(request.source)?;
        let path = clean_path(&spec.path)?;
        let id = directory::directory_id(tree, &path, &spec.path)?;
        let facts = self.facts.of(tree, &path, &id, false)?;
        if facts.has_any(&override_files(request.app)) {
            spec = SourceSpec::from_json(&merge_overrides(tree, &path, request.app, request.source)?)?;
        }
        require_directory(&spec, &facts, request.enabled)?;

        let stanza = spec.directory.unwrap_or_default();
        let request = DirectoryRequest {
            path: spec.path,
            recurse: stanza.recurse,
            include: stanza.include,
            exclude: stanza.exclude,
            max_combined_bytes: request.max_combined_bytes,
            jsonnet: request.enabled.jsonnet,
        };
        let has_links = match request.recurse {
            true => self.facts.of(tree, &path, &id, true)?.has_links,
            false => facts.has_links,
        };
        let outside = if has_links { Some((tree.tree_id("")?.unwrap_or_default(), path)) } else { None };
        Ok(Plan { key: key(&id, outside, &request), request })
    }
}

struct Plan {
    key: Key,
    request: DirectoryRequest,
}

fn require_directory(spec: &SourceSpec, facts: &Facts, enabled: EnabledTypes) -> Result<(), Error> {
    let (source_type, reason) = match spec.explicit_type()? {
        Some(explicit) => (enabled.or_directory(explicit), "its source says so"),
        None => (facts.source_type(enabled), "files at its path say so"),
    };
    match source_type {
        SourceType::Directory => Ok(()),
        source_type => Err(Error::NotRendered { path: spec.path.clone(), source_type, reason }),
    }
}

/// Hash of all a result depends on. Every part is preceded by its length, so that
/// no two lists of parts hash alike.
fn key(id: &str, outside: Option<(String, String)>, request: &DirectoryRequest) -> Key {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(&RULES_VERSION.to_be_bytes());
    part(id.as_bytes());
    part(&[u8::from(request.recurse), u8::from(request.jsonnet)]);
    part(request.include.as_bytes());
    part(request.exclude.as_bytes());
    part(&request.max_combined_bytes.to_be_bytes());
    if let Some((root, path)) = outside {
        part(root.as_bytes());
        part(path.as_bytes());
    }
    Key(hash.finalize().into())
}
