//! Commits of an application's sources: what they say, and which ones revisions
//! mean now.

use std::sync::Arc;

use argosy_proto::meta::Time;
use argosy_proto::peer::{ResolveRequest, ResolvedRevision, ResolvedRevisions, RevisionRequest};
use argosy_proto::v1alpha1::{Application, ApplicationSource, RevisionMetadata};
use jiff::Timestamp;
use tonic::Status;

use super::Limits;
use super::refusal;
use super::subject::Subject;
use crate::application::{is_commit, project_name, sources_of};
use crate::context::Shared;

/// Author, date, tags and message of a commit.
pub(super) async fn metadata(
    shared: &Arc<Shared>,
    limits: &Limits,
    request: &RevisionRequest,
) -> Result<RevisionMetadata, Status> {
    let subject = Subject::find(shared, request.application.as_ref()).await?;
    if !may_be_commit(&request.revision) {
        return Err(Status::invalid_argument(format!("revision {} must be resolved", request.revision)));
    }
    let source = source_of(&subject.app, request)?;
    let project = subject.app.spec.as_ref().map(project_name).unwrap_or_default().to_owned();
    // What the project does not permit is not read either, nor what it once did.
    let permitted = shared.home.project(&project).is_some_and(|project| {
        let rules = shared.home.rules(&project);
        rules.permits_source_namespace(&subject.key.namespace).permitted
            && rules.permits_source(&source.repo_url).permitted
    });
    if !permitted {
        return Err(Status::permission_denied(format!("the repository is not permitted in project '{project}'")));
    }
    let source = Arc::new(ApplicationSource {
        target_revision: request.revision.to_ascii_lowercase(),
        tag_prefix: String::new(),
        ..source
    });
    let lent = limits.lend(shared, &project, &source.repo_url).await?;
    let located = lent.mirror.locate(&source, false).await.map_err(|e| refusal::of_repository(&e))?;
    let work = tokio::task::spawn_blocking(move || located.objects.commit_metadata(&located.commit));
    let found = work.await.map_err(|error| Status::internal(format!("reading the commit failed: {error}")))?;
    let found = found.map_err(|error| Status::not_found(argosy_model::report(&error)))?;
    Ok(RevisionMetadata {
        author: found.author,
        date: Timestamp::from_second(found.date).ok().map(Time::from),
        tags: found.tags,
        message: found.message.trim().to_owned(),
        ..RevisionMetadata::default()
    })
}

/// A full or abbreviated commit id.
fn may_be_commit(revision: &str) -> bool {
    (7..=40).contains(&revision.len()) && revision.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The source meant: of the specification, or of an entry of the history.
fn source_of(app: &Application, request: &RevisionRequest) -> Result<ApplicationSource, Status> {
    let spec = app.spec.clone().unwrap_or_default();
    let sources = match request.history_id.filter(|id| *id != 0) {
        None => sources_of(&spec),
        Some(id) => {
            let history = app.status.as_ref().map(|s| s.history.as_slice()).unwrap_or_default();
            if history.is_empty() {
                let message = format!("version ID {id} not found because the app has no history");
                return Err(Status::invalid_argument(message));
            }
            let entry = history
                .iter()
                .find(|entry| entry.id == i64::from(id))
                .ok_or_else(|| Status::invalid_argument(format!("revision history not found for version ID {id}")))?;
            if entry.sources.is_empty() { entry.source.iter().cloned().collect() } else { entry.sources.clone() }
        }
    };
    let index = request.source_index;
    let found = usize::try_from(index).ok().and_then(|index| sources.get(index).cloned());
    found.ok_or_else(|| {
        Status::invalid_argument(match sources.len() {
            1 => format!("source index {index} not found because there is only 1 source"),
            count => format!("source index {index} not found because there are only {count} sources"),
        })
    })
}

/// The commits that revisions mean at this moment; the remote is asked.
pub(super) async fn resolve(
    shared: &Arc<Shared>,
    limits: &Limits,
    request: &ResolveRequest,
) -> Result<ResolvedRevisions, Status> {
    let subject = Subject::find(shared, request.application.as_ref()).await?;
    subject.grounds(shared)?;
    let spec = subject.app.spec.clone().unwrap_or_default();
    let sources = sources_of(&spec);
    if request.revisions.len() > sources.len() {
        return Err(Status::invalid_argument("there are more revisions than sources"));
    }
    let mut items = Vec::with_capacity(sources.len());
    for (index, mut source) in sources.into_iter().enumerate() {
        if let Some(asked) = request.revisions.get(index).filter(|revision| !revision.is_empty()) {
            source.target_revision.clone_from(asked);
        }
        let named = source.target_revision.clone();
        if is_commit(&named) {
            items.push(ResolvedRevision { revision: named.clone(), display: named });
            continue;
        }
        let source = Arc::new(source);
        let lent = limits.lend(shared, project_name(&spec), &source.repo_url).await?;
        let located = lent.mirror.locate(&source, true).await.map_err(|e| refusal::of_repository(&e))?;
        let display = format!("{named} ({})", located.commit);
        items.push(ResolvedRevision { revision: located.commit, display });
    }
    Ok(ResolvedRevisions { items })
}

#[cfg(test)]
mod tests {
    use super::*;
    use argosy_proto::v1alpha1::{ApplicationSpec, ApplicationStatus, RevisionHistory};

    fn source(url: &str) -> ApplicationSource {
        ApplicationSource { repo_url: url.to_owned(), ..ApplicationSource::default() }
    }

    fn asked(app: &Application, index: i32, history: Option<i32>) -> Result<String, String> {
        let request = RevisionRequest { source_index: index, history_id: history, ..RevisionRequest::default() };
        source_of(app, &request).map(|s| s.repo_url).map_err(|s| s.message().to_owned())
    }

    #[test]
    fn a_source_is_found_by_its_place_and_history() {
        let mut app = Application {
            spec: Some(ApplicationSpec { source: Some(source("one")), ..ApplicationSpec::default() }),
            ..Application::default()
        };
        assert_eq!(asked(&app, 0, None).as_deref(), Ok("one"));
        assert_eq!(asked(&app, 1, None).expect_err("one"), "source index 1 not found because there is only 1 source");
        assert!(asked(&app, 0, Some(3)).expect_err("no history").contains("has no history"));
        let entry = RevisionHistory { id: 3, sources: vec![source("old")], ..RevisionHistory::default() };
        app.status = Some(ApplicationStatus { history: vec![entry], ..ApplicationStatus::default() });
        assert_eq!(asked(&app, 0, Some(3)).as_deref(), Ok("old"));
        assert!(asked(&app, 0, Some(4)).is_err());
        assert!(asked(&app, -1, None).is_err());
    }

    #[test]
    fn only_commit_ids_need_no_resolving() {
        assert!(may_be_commit("0123abc") && may_be_commit(&"A".repeat(40)));
        assert!(!may_be_commit("main") && !may_be_commit("v1.2.3") && !may_be_commit("123") && !may_be_commit(""));
    }
}
