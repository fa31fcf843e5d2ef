//! From an application's sources to manifests, asked of the repositories.

use std::sync::Arc;

use argosy_model::AppKey;
use argosy_proto::v1alpha1::{ApplicationSource, ApplicationSpec};
use argosy_render::{Rendered, SourceType};
use futures::FutureExt as _;

use super::destination::project_name;
use crate::context::Shared;
use crate::repository::{Asked, Generate, GenerateError};

/// What the sources of an application say.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    /// Commit of each source, in their order.
    pub(super) revisions: Vec<String>,
    /// Manifests of each source that has some.
    pub(super) rendered: Vec<Arc<Rendered>>,
    /// How each source is rendered.
    pub(super) types: Vec<SourceType>,
}

/// Why the sources say nothing, in words, and whether waiting may help.
#[derive(Clone, Debug)]
pub(super) struct SourceError {
    pub(super) message: String,
    pub(super) transient: bool,
}

/// The sources of a specification, whichever way they are written.
pub(super) fn sources_of(spec: &ApplicationSpec) -> Vec<ApplicationSource> {
    if spec.sources.is_empty() { spec.source.iter().cloned().collect() } else { spec.sources.clone() }
}

/// Asks for the manifests of every source; all sources at once.
pub(super) async fn generate(
    shared: &Arc<Shared>,
    key: &AppKey,
    spec: &ApplicationSpec,
    sources: &[ApplicationSource],
    asked: &(dyn Fn(usize) -> Asked + Sync),
    no_cache: bool,
) -> Result<Sources, SourceError> {
    let project = project_name(spec);
    let instance = key.instance_name(&shared.options.namespace);
    let requests = sources.iter().enumerate().map(|(index, source)| {
        let request = Generate {
            app: key.clone(),
            instance: instance.clone(),
            index,
            source: Arc::new(source.clone()),
            asked: asked(index),
            no_cache,
        };
        shared.directory.generate(shared, project, request).boxed()
    });
    let answers = futures::future::join_all(requests.collect::<Vec<_>>()).await;
    let mut out = Sources { revisions: Vec::new(), rendered: Vec::new(), types: Vec::new() };
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
        out.revisions.push(generated.commit);
        // A source that is only referred to by others has no manifests of its own.
        if sources[index].r#ref.is_empty() || !sources[index].path.is_empty() {
            out.types.push(generated.rendered.source_type);
            out.rendered.push(generated.rendered);
        }
    }
    check_revisions(sources, &out.revisions)?;
    Ok(out)
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
