//! Rendering an application as it would be: at other revisions, or from files
//! that the asker brings.

use std::sync::Arc;

use argosy_model::object;
use argosy_proto::peer::ManifestsRequest;
use argosy_proto::repository::ManifestResponse;
use argosy_proto::v1alpha1::{ApplicationSource, ApplicationSpec};
use argosy_render::Rendered;
use tonic::Status;

use super::Limits;
use super::managed::masked_text;
use super::refusal;
use super::subject::Subject;
use super::upload::Upload;
use crate::application::{project_name, sources_of};
use crate::context::Shared;
use crate::repository::render_files;

/// Manifests of the application's sources, at its own revisions or at others.
pub(super) async fn at_revisions(
    shared: &Arc<Shared>,
    limits: &Limits,
    request: &ManifestsRequest,
) -> Result<ManifestResponse, Status> {
    let subject = Subject::find(shared, request.application.as_ref()).await?;
    // What the project does not permit is not read either.
    subject.grounds(shared)?;
    let spec = subject.app.spec.clone().unwrap_or_default();
    let mut sources = dry_sources(&spec);
    ask_for(&mut sources, &request.revisions, &request.source_positions)?;
    let mut response = ManifestResponse::default();
    for source in sources {
        let source = Arc::new(source);
        let lent = limits.lend(shared, project_name(&spec), &source.repo_url).await?;
        let located =
            lent.mirror.locate(&source, request.no_cache).await.map_err(|e| failed(&refusal::of_repository(&e)))?;
        if !source.r#ref.is_empty() && source.path.is_empty() {
            // Only referred to by others; it has no manifests of its own.
            continue;
        }
        let generated = located.render(shared, &subject.key, source, request.no_cache).await;
        let generated = generated.map_err(|e| failed(&refusal::of_repository(&e)))?;
        response.manifests.extend(marked(shared, &subject, &spec, &generated.rendered));
    }
    Ok(response)
}

/// Manifests of the application's source, from files instead of its repository.
pub(super) async fn of_files(
    shared: &Arc<Shared>,
    limits: &Limits,
    upload: Upload,
) -> Result<ManifestResponse, Status> {
    let subject = Subject::find(shared, upload.application()).await?;
    subject.grounds(shared)?;
    let spec = subject.app.spec.clone().unwrap_or_default();
    let source = match dry_sources(&spec).as_slice() {
        [source] => source.clone(),
        _ => return Err(Status::invalid_argument("files can be sent for an application with one source only")),
    };
    let settings = shared.home.settings();
    let most = settings.repo_server.streamed_manifest_max_extracted_size;
    let turn = limits.unpack().await?;
    let work = tokio::task::spawn_blocking({
        let (shared, key) = (shared.clone(), subject.key.clone());
        move || {
            let _turn = turn;
            let files = upload.unpack(most)?;
            render_files(&shared, &files, &key, &source).map_err(|e| failed(&refusal::of_repository(&e)))
        }
    });
    let rendered = work.await.map_err(|error| Status::internal(format!("rendering failed: {error}")))??;
    Ok(ManifestResponse {
        manifests: marked(shared, &subject, &spec, &rendered),
        namespace: destination_namespace(&spec),
        source_type: rendered.source_type.as_str().to_owned(),
        ..ManifestResponse::default()
    })
}

fn failed(status: &Status) -> Status {
    Status::new(status.code(), format!("error generating manifests: {}", status.message()))
}

/// What is rendered: the dry source where the application is hydrated.
fn dry_sources(spec: &ApplicationSpec) -> Vec<ApplicationSource> {
    let dry = spec.source_hydrator.as_ref().and_then(|h| h.dry_source.clone());
    match dry {
        Some(dry) => vec![ApplicationSource {
            repo_url: dry.repo_url,
            target_revision: dry.target_revision,
            path: dry.path,
            helm: dry.helm,
            kustomize: dry.kustomize,
            directory: dry.directory,
            plugin: dry.plugin,
            ..ApplicationSource::default()
        }],
        None => sources_of(spec),
    }
}

/// Puts the revisions asked for in the place of the sources' own.
fn ask_for(sources: &mut [ApplicationSource], revisions: &[String], positions: &[i64]) -> Result<(), Status> {
    let out_of_range = || Status::invalid_argument("source position is out of range");
    if !positions.is_empty() && positions.len() != revisions.len() {
        return Err(Status::invalid_argument("there must be one revision for each source position"));
    }
    if positions.is_empty() && revisions.len() > sources.len() {
        return Err(out_of_range());
    }
    for (index, revision) in revisions.iter().enumerate().filter(|(_, r)| !r.is_empty()) {
        let position = positions.get(index).copied().unwrap_or(index as i64 + 1);
        let place = usize::try_from(position).ok().and_then(|p| p.checked_sub(1)).ok_or_else(out_of_range)?;
        sources.get_mut(place).ok_or_else(out_of_range)?.target_revision.clone_from(revision);
    }
    Ok(())
}

/// The manifests as texts: with the application's mark, without Secret values.
fn marked(shared: &Shared, subject: &Subject, spec: &ApplicationSpec, rendered: &Rendered) -> Vec<String> {
    let settings = shared.home.settings();
    let instance = subject.key.instance_name(&shared.options.namespace);
    let destination = destination_namespace(spec);
    let mark = |manifest: &Arc<serde_json::Value>| {
        let mut manifest = serde_json::Value::clone(manifest);
        if manifest["kind"] != "CustomResourceDefinition" {
            let namespace = match object::namespace(&manifest) {
                "" => destination.clone(),
                own => own.to_owned(),
            };
            settings.tracking.set(&mut manifest, &instance, &namespace);
        }
        masked_text(shared, manifest)
    };
    rendered.manifests.iter().map(mark).collect()
}

fn destination_namespace(spec: &ApplicationSpec) -> String {
    spec.destination.as_ref().map(|d| d.namespace.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(revisions: &[&str], positions: &[i64]) -> Result<Vec<String>, String> {
        let mut sources = vec![ApplicationSource { target_revision: "own".into(), ..ApplicationSource::default() }; 2];
        let revisions: Vec<String> = revisions.iter().map(|r| (*r).to_owned()).collect();
        ask_for(&mut sources, &revisions, positions).map_err(|s| s.message().to_owned())?;
        Ok(sources.into_iter().map(|s| s.target_revision).collect())
    }

    #[test]
    fn revisions_go_to_the_sources_they_are_for() {
        assert_eq!(asked(&[], &[]).expect("none"), ["own", "own"]);
        assert_eq!(asked(&["a"], &[]).expect("first"), ["a", "own"]);
        assert_eq!(asked(&["b"], &[2]).expect("second"), ["own", "b"]);
        assert_eq!(asked(&["", "b"], &[]).expect("second"), ["own", "b"]);
        for positions in [[0], [3], [-1]] {
            assert_eq!(asked(&["x"], &positions).expect_err("no such source"), "source position is out of range");
        }
        assert!(asked(&["x", "y"], &[1]).is_err());
        assert!(asked(&["x", "y", "z"], &[]).is_err());
    }
}
