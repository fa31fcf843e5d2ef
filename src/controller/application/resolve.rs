//! From an application's sources to manifests, asked of the repositories.

use std::sync::Arc;

use argosy_home::Settings;
use argosy_model::AppKey;
use argosy_proto::v1alpha1::{ApplicationSource, ApplicationSpec};
use argosy_render::{Rendered, SourceType};
use futures::FutureExt as _;

use super::destination::project_name;
use crate::context::Shared;
use crate::repository::{Asked, Generate, GenerateError, Generated};

/// What the sources of an application say.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// Commit of each source, in their order.
    pub(super) revisions: Vec<String>,
    /// Manifests of each source that has some.
    pub(super) rendered: Vec<Arc<Rendered>>,
    /// How each source is rendered.
    pub(super) types: Vec<SourceType>,
}

/// Answers of repositories and what they were asked under.
pub(crate) struct RememberedSources {
    settings: Arc<Settings>,
    sources: Vec<ApplicationSource>,
    answers: Vec<Generated>,
}

/// Why the sources say nothing, in words, and whether waiting may help.
#[derive(Clone, Debug)]
pub(super) struct SourceError {
    pub(super) message: String,
    pub(super) transient: bool,
}

/// The sources of a specification, whichever way they are written.
pub(crate) fn sources_of(spec: &ApplicationSpec) -> Vec<ApplicationSource> {
    if spec.sources.is_empty() { spec.source.iter().cloned().collect() } else { spec.sources.clone() }
}

/// Asks for the manifests of every source; all sources at once. `remembered` is
/// what the last time has left behind: a commit that was rendered once need not be
/// asked for again.
pub(super) async fn generate(
    shared: &Arc<Shared>,
    remembered: &mut Option<RememberedSources>,
    key: &AppKey,
    spec: &ApplicationSpec,
    sources: &[ApplicationSource],
    asked: &(dyn Fn(usize) -> Asked + Sync),
    no_cache: bool,
) -> Result<Sources, SourceError> {
    let settings = shared.home.settings();
    let known = remembered
        .take()
        .filter(|known| !no_cache && Arc::ptr_eq(&known.settings, &settings) && known.sources == contents(sources));
    let known_answer = |index: usize| known.as_ref().map(|known| known.answers[index].clone());
    let project = project_name(spec);
    let instance = key.instance_name(&shared.options.namespace);
    let requests = sources.iter().enumerate().map(|(index, source)| {
        let (asked, known) = (asked(index), known_answer(index));
        if let (Asked::Commit(commit), Some(known)) = (&asked, &known)
            && known.commit == *commit
        {
            return std::future::ready(Ok(known.clone())).boxed();
        }
        let (app, instance, source) = (key.clone(), instance.clone(), Arc::new(source.clone()));
        let request = Generate { app, instance, index, source, asked, no_cache, known };
        shared.directory.generate(shared, project, request).boxed()
    });
    let answers = futures::future::join_all(requests.collect::<Vec<_>>()).await;
    let mut out = Sources { revisions: Vec::new(), rendered: Vec::new(), types: Vec::new() };
    let mut new = RememberedSources { settings, sources: contents(sources), answers: Vec::new() };
    for (index, answer) in answers.into_iter().enumerate() {
        let generated = answer.map_err(|error| SourceError {
            message: format!(
                "Failed to load target state: failed to generate manifest for source {} of {}: {}",
                index + 1,
                sources.len(),
                rpc_words(&error)
            ),
            transient: error.is_transient(),
        })?;
        new.answers.push(generated.clone());
        out.revisions.push(generated.commit);
        // A source that is only referred to by others has no manifests of its own.
        if sources[index].r#ref.is_empty() || !sources[index].path.is_empty() {
            out.types.push(generated.rendered.source_type);
            out.rendered.push(generated.rendered);
        }
    }
    check_revisions(sources, &out.revisions)?;
    *remembered = Some(new);
    Ok(out)
}

/// Sources without their revisions: answers say which commit they are of.
fn contents(sources: &[ApplicationSource]) -> Vec<ApplicationSource> {
    let without = |source: &ApplicationSource| ApplicationSource {
        target_revision: String::new(),
        tag_prefix: String::new(),
        ..source.clone()
    };
    sources.iter().map(without).collect()
}

/// Whether a revision is a commit's full id, which nobody needs to resolve.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// As clients of Argo CD read it off conditions.
fn rpc_words(error: &GenerateError) -> String {
    format!("rpc error: code = Unknown desc = {error}")
}

/// Sources of one repository must be at one revision, or their files contradict
/// each other.
fn check_revisions(sources: &[ApplicationSource], revisions: &[String]) -> Result<(), SourceError> {
    for (i, source) in sources.iter().enumerate() {
        let other = sources.iter().zip(revisions).take(i).find(|(s, r)| {
            s.repo_url == source.repo_url && **r != revisions[i] && (!s.r#ref.is_empty() || !source.r#ref.is_empty())
        });
        if let Some((_, revision)) = other {
            return Err(SourceError {
                message: format!(
                    "Failed to load target state: cannot reference a different revision of the same repository ({} at {revision} and {}); use one targetRevision",
                    source.repo_url, revisions[i]
                ),
                transient: false,
            });
        }
    }
    Ok(())
}
