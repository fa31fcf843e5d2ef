//! One round with the remote, and rendering what it brought: the blocking parts,
//! kept off the actor's thread.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use argosy_git::{Limits, Mirror, Objects, RemoteRefs, RepoUrl, Resolution, resolve};
use argosy_proto::v1alpha1::ApplicationSource;
use argosy_render::{EnabledTypes, RenderRequest};
use sha2::{Digest as _, Sha256};

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
    /// Why the fetch broke off, if it did; then nothing is known of what did not come.
    pub(super) broken: Option<GenerateError>,
    /// Whether anything came into the mirror.
    pub(super) brought: bool,
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
        let mut outcome = RoundOutcome { refs, unavailable: HashMap::new(), broken: None, brought: false };
        if missing.is_empty() {
            return Ok(outcome);
        }
        let all: Vec<&str> = missing.iter().map(String::as_str).collect();
        let limits = Limits::fetch().with_cancel(self.shared.ending.clone());
        match mirror.fetch_each(&credentials, &all, &limits) {
            Ok((fetched, failures)) => {
                outcome.brought = fetched.bytes > 0;
                outcome.unavailable = failures.into_iter().map(|(sha, error)| (sha, in_words(error))).collect();
            }
            Err(error) => {
                let error = in_words(error);
                // Some may have come before it broke off.
                let absent = missing.into_iter().filter(|sha| !objects.contains(sha).unwrap_or(false));
                outcome.unavailable = absent.map(|sha| (sha, error.clone())).collect();
                outcome.broken = Some(error);
            }
        }
        Ok(outcome)
    }

    fn opened<'a>(&self, guard: &'a mut Option<Mirror>) -> Result<&'a mut Mirror, GenerateError> {
        let mirror = match guard.take() {
            Some(mirror) => mirror,
            None => {
                let root = mirror_root(&self.shared.options.data_dir, &self.url, &self.project);
                Mirror::open(&root, &self.url).map_err(in_words)?.with_observer(Arc::new(GitMetrics))
            }
        };
        self.objects.get_or_init(|| mirror.objects());
        Ok(guard.insert(mirror))
    }
}

// === impl RoundOutcome ===

impl RoundOutcome {
    /// The commit a source's target revision names, if it could be had.
    pub(super) fn located(&self, objects: &Objects, source: &ApplicationSource) -> Result<String, GenerateError> {
        // What did not come may be what an abbreviation stands for.
        let named = commit_of(&self.refs, objects, source).map_err(|error| self.broken.clone().unwrap_or(error))?;
        self.available(named, source)
    }

    /// This commit, if it could be had. One that the source itself names is for somebody
    /// to correct. Any other was there when it was listed or recorded, and asking again
    /// finds what has taken its place.
    pub(super) fn available(&self, commit: String, source: &ApplicationSource) -> Result<String, GenerateError> {
        match self.unavailable.get(&commit) {
            None => Ok(commit),
            Some(GenerateError::Source(words)) if !source.target_revision.trim().eq_ignore_ascii_case(&commit) => {
                Err(GenerateError::Repository(words.clone()))
            }
            Some(error) => Err(error.clone()),
        }
    }
}

/// The folder below which a repository's mirror is. Another spelling of its address or
/// another project is another entity, with an owner of its own: what was fetched with the
/// credentials of one project is not there for another.
fn mirror_root(data_dir: &Path, url: &RepoUrl, project: &str) -> PathBuf {
    // There is no line break in an address.
    let digest = Sha256::digest(format!("{url}\n{project}"));
    let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    data_dir.join("git").join(name)
}

/// The wanted commits that are not in the mirror. Revisions that name nothing are
/// left out: whoever asked for them is told when they are resolved again.
fn missing(refs: &RemoteRefs, objects: &Objects, wanted: &[Wanted]) -> BTreeSet<String> {
    let commits = |wanted: &Wanted| match wanted {
        Wanted::Commit(sha) => vec![sha.clone()],
        Wanted::Source(source) => match resolve(refs, &source.target_revision, &source.tag_prefix) {
            Ok(Resolution::Commit { sha, .. }) => vec![sha],
            // Only objects complete an abbreviation, and any branch or tag may lead to them.
            Ok(Resolution::Abbreviated(prefix)) if objects.complete(&prefix).is_err() => tips(refs),
            Ok(Resolution::Abbreviated(_)) | Err(_) => Vec::new(),
        },
    };
    let named: BTreeSet<String> = wanted.iter().flat_map(commits).collect();
    named.into_iter().filter(|sha| !objects.contains(sha).unwrap_or(false)).collect()
}

/// The commits of all branches and tags.
fn tips(refs: &RemoteRefs) -> Vec<String> {
    let named = refs.branches().chain(refs.tags()).map(|(_, oid)| oid);
    named.chain(refs.head).map(|oid| oid.to_string()).collect()
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
    let words = argosy_model::report(&error);
    match error {
        argosy_git::Error::CommitUnavailable { .. } => GenerateError::Source(words),
        _ => GenerateError::Repository(words),
    }
}

#[cfg(test)]
mod tests {
    use argosy_git::{Oid, RemoteRef};

    use super::*;

    fn source(revision: &str) -> ApplicationSource {
        ApplicationSource { target_revision: revision.to_owned(), ..ApplicationSource::default() }
    }

    #[test]
    fn every_spelling_and_every_project_has_a_mirror_of_its_own() {
        let root = |url: &str, project: &str| {
            mirror_root(Path::new("/data"), &RepoUrl::parse(url).unwrap(), project).display().to_string()
        };
        let plain = root("https://h/org/repo", "");
        assert!(plain.starts_with("/data/git/"));
        assert_eq!(plain, root("https://h/org/repo", ""));
        assert_ne!(plain, root("https://h/org/repo.git", ""));
        assert_ne!(plain, root("https://h/org/repo", "team"));
        assert_ne!(root("https://h/org/repo", "other"), root("https://h/org/repo", "team"));
    }

    #[test]
    fn an_abbreviation_that_cannot_be_completed_wants_all_tips() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Mirror::open(folder.path(), &RepoUrl::parse("/nowhere").unwrap()).unwrap().objects();
        let oid = |n: u8| Oid::from_bytes(&[n; 20]).unwrap();
        let mut refs = RemoteRefs { head: Some(oid(1)), ..RemoteRefs::default() };
        for (name, target, peeled) in [
            ("refs/heads/main", 1, None),
            ("refs/heads/topic", 2, None),
            ("refs/tags/v1", 3, Some(oid(4))),
            ("refs/pull/1/head", 5, None),
        ] {
            refs.refs.insert(name.to_owned(), RemoteRef { oid: oid(target), peeled });
        }
        let wanted = |revision: &str| missing(&refs, &objects, &[Wanted::Source(Arc::new(source(revision)))]);
        let ids = |ids: &[u8]| ids.iter().map(|n| oid(*n).to_string()).collect::<BTreeSet<_>>();
        assert_eq!(wanted("abcdef1"), ids(&[1, 2, 4]));
        assert_eq!(wanted("main"), ids(&[1]));
        assert_eq!(wanted("nothing"), ids(&[]));
    }

    #[test]
    fn only_a_missing_commit_that_the_source_names_is_for_somebody_to_correct() {
        let (absent, other) = ("a".repeat(40), "b".repeat(40));
        let refused = in_words(argosy_git::Error::CommitUnavailable { sha: absent.clone() });
        let outcome = RoundOutcome {
            refs: Arc::default(),
            unavailable: HashMap::from([(absent.clone(), refused)]),
            broken: None,
            brought: false,
        };
        let named = outcome.available(absent.clone(), &source(&absent)).unwrap_err();
        assert!(!named.is_transient() && named.to_string().contains(&absent), "{named}");
        assert!(outcome.available(absent.clone(), &source("main")).unwrap_err().is_transient());
        assert_eq!(outcome.available(other.clone(), &source(&absent)).unwrap(), other);
    }
}
