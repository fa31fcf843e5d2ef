//! One round with the remote, and rendering what it brought: the blocking parts,
//! kept off the actor's thread.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use argosy_git::{Limits, Mirror, Objects, RemoteRefs, RepoUrl, Resolution, resolve};
use argosy_proto::v1alpha1::ApplicationSource;
use argosy_render::{EnabledTypes, RenderRequest};

use super::message::{Generate, GenerateError, Generated};
use super::observer::GitMetrics;
use super::snapshot::SnapshotTree;
use crate::context::Shared;

/// What a round must bring into the mirror.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// A commit by its full id.
    Commit(String),
    /// The commit a source's target revision names.
    Source(Arc<ApplicationSource>),
}

/// One round: what is known and what is wanted.
pub(super) struct Round {
    pub(super) known: Option<Arc<RemoteRefs>>,
    pub(super) list: bool,
    pub(super) wanted: Vec<Wanted>,
}

/// What a round brought.
pub(super) struct RoundOutcome {
    pub(super) refs: Arc<RemoteRefs>,
    /// Wanted commits that could not be had, and why.
    pub(super) unavailable: HashMap<String, GenerateError>,
}

/// The mirror and how to reach its remote. The lock is held for a whole round:
/// there is one round at a time, and readers go through [`Objects`].
pub(super) struct Station {
    shared: Arc<Shared>,
    url: RepoUrl,
    project: String,
    mirror: Mutex<Option<Mirror>>,
    objects: std::sync::OnceLock<Objects>,
    /// When the last shared listing began, and what it said.
    listed: tokio::sync::Mutex<Option<(tokio::time::Instant, Arc<RemoteRefs>)>>,
}

// === impl Station ===

impl Station {
    pub(super) fn new(shared: Arc<Shared>, url: RepoUrl, project: String) -> Self {
        let objects = std::sync::OnceLock::new();
        Self { shared, url, project, mirror: Mutex::new(None), objects, listed: tokio::sync::Mutex::default() }
    }

    /// Lists the remote for somebody outside the actor. Whoever asks while a listing
    /// is under way shares the next one.
    pub(super) async fn list_shared(self: &Arc<Self>) -> Result<Arc<RemoteRefs>, GenerateError> {
        let asked = tokio::time::Instant::now();
        let mut listed = self.listed.lock().await;
        if let Some((began, refs)) = &*listed
            && *began >= asked
        {
            return Ok(refs.clone());
        }
        let began = tokio::time::Instant::now();
        let round = Round { known: None, list: true, wanted: Vec::new() };
        let refs = self.clone().ask(round).await?.refs;
        *listed = Some((began, refs.clone()));
        Ok(refs)
    }

    /// A reading handle, once the mirror was opened.
    pub(super) fn objects(&self) -> Option<Objects> {
        self.objects.get().cloned()
    }

    /// Asks the remote what is asked for and fetches what is missing.
    pub(super) async fn ask(self: Arc<Self>, round: Round) -> Result<RoundOutcome, GenerateError> {
        let ending = self.shared.ending.clone();
        let work = tokio::task::spawn_blocking(move || self.ask_blocking(&round));
        let asked = work.await;
        if ending.is_cancelled() {
            // That a remote was given up says nothing about it, and is not to be written anywhere.
            return std::future::pending().await;
        }
        asked.unwrap_or_else(|error| Err(GenerateError::Repository(format!("the repository's worker failed: {error}"))))
    }

    fn ask_blocking(&self, round: &Round) -> Result<RoundOutcome, GenerateError> {
        let mut guard = self.mirror.lock().unwrap_or_else(PoisonError::into_inner);
        let mirror = self.opened(&mut guard)?;
        let credentials = super::credentials::of(&self.shared.home, &self.url, &self.project);
        let refs = match &round.known {
            Some(refs) if !round.list => refs.clone(),
            _ => {
                let limits = Limits::list().with_cancel(self.shared.ending.clone());
                Arc::new(mirror.list_remote_with(&credentials, &[], &limits).map_err(in_words)?)
            }
        };
        let objects = mirror.objects();
        let missing = missing(&refs, &objects, &round.wanted);
        let mut unavailable = HashMap::new();
        if !missing.is_empty() {
            let all: Vec<&str> = missing.iter().map(String::as_str).collect();
            let limits = Limits::fetch().with_cancel(self.shared.ending.clone());
            if let Err(error) = mirror.fetch(&credentials, &all, &limits) {
                let error = in_words(error);
                // The refs may have come although one commit could not.
                unavailable = missing
                    .into_iter()
                    .filter(|sha| !objects.contains(sha).unwrap_or(false))
                    .map(|sha| (sha, error.clone()))
                    .collect();
            }
        }
        Ok(RoundOutcome { refs, unavailable })
    }

    fn opened<'a>(&self, guard: &'a mut Option<Mirror>) -> Result<&'a mut Mirror, GenerateError> {
        let mirror = match guard.take() {
            Some(mirror) => mirror,
            None => Mirror::open(&self.shared.options.data_dir.join("git"), &self.url)
                .map_err(in_words)?
                .with_observer(Arc::new(GitMetrics)),
        };
        self.objects.get_or_init(|| mirror.objects());
        Ok(guard.insert(mirror))
    }
}

/// The wanted commits that are not in the mirror. Revisions that name nothing are
/// left out: whoever asked for them is told when they are resolved again.
fn missing(refs: &RemoteRefs, objects: &Objects, wanted: &[Wanted]) -> BTreeSet<String> {
    let commit = |wanted: &Wanted| match wanted {
        Wanted::Commit(sha) => Some(sha.clone()),
        Wanted::Source(source) => match resolve(refs, &source.target_revision, &source.tag_prefix) {
            Ok(Resolution::Commit { sha, .. }) => Some(sha),
            // Completing an abbreviation needs objects; those of all refs may do.
            Ok(Resolution::Abbreviated(prefix)) if objects.complete(&prefix).is_err() => {
                refs.head.map(|h| h.to_string())
            }
            Ok(Resolution::Abbreviated(_)) | Err(_) => None,
        },
    };
    wanted.iter().filter_map(commit).filter(|sha| !objects.contains(sha).unwrap_or(false)).collect()
}

/// The commit a source's target revision names.
pub(super) fn commit_of(
    refs: &RemoteRefs,
    objects: &Objects,
    source: &ApplicationSource,
) -> Result<String, GenerateError> {
    let source_error = |error: argosy_git::Error| GenerateError::Source(argosy_model::report(&error));
    match resolve(refs, &source.target_revision, &source.tag_prefix).map_err(source_error)? {
        Resolution::Commit { sha, .. } => Ok(sha),
        Resolution::Abbreviated(prefix) => objects.complete(&prefix).map_err(source_error),
    }
}

/// Renders a source at a commit that is in the mirror.
pub(super) async fn render(
    shared: Arc<Shared>,
    request: Generate,
    commit: String,
    objects: Objects,
) -> Result<Generated, GenerateError> {
    // As many at once as there are cores: rendering is all computing.
    let permit = shared.rendering.clone().acquire_owned().await;
    let work = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        render_blocking(&shared, &request, commit, &objects)
    });
    work.await.unwrap_or_else(|error| Err(GenerateError::Repository(format!("rendering failed: {error}"))))
}

fn render_blocking(
    shared: &Shared,
    request: &Generate,
    commit: String,
    objects: &Objects,
) -> Result<Generated, GenerateError> {
    let tree = SnapshotTree(objects.snapshot(&commit).map_err(in_words)?);
    let source = serde_json::to_value(&*request.source).map_err(|e| GenerateError::Source(e.to_string()))?;
    let render = render_request(shared, &source, &request.instance, request.no_cache);
    let rendered = shared
        .renderer
        .render(&tree, &render, (shared.clock)())
        .map_err(|error| GenerateError::Source(argosy_model::report(&*error)))?;
    let key = shared.renderer.key(&tree, &render).ok();
    Ok(Generated { commit, rendered, key })
}

/// A request under the settings as they are now.
pub(super) fn render_request<'a>(
    shared: &Shared,
    source: &'a serde_json::Value,
    instance: &'a str,
    no_cache: bool,
) -> RenderRequest<'a> {
    let settings = shared.home.settings();
    RenderRequest {
        enabled: EnabledTypes {
            helm: settings.general.helm_enabled,
            kustomize: settings.general.kustomize_enabled,
            jsonnet: settings.general.jsonnet_enabled,
        },
        max_combined_bytes: settings.repo_server.max_combined_directory_manifests_size,
        no_cache,
        ..RenderRequest::new(source, instance)
    }
}

fn in_words(error: argosy_git::Error) -> GenerateError {
    GenerateError::Repository(argosy_model::report(&error))
}
