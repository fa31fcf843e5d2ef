//! What is known of a revision of an application's source.

use argosy_proto::application::RevisionMetadataQuery;
use argosy_proto::peer::RevisionRequest;
use argosy_proto::v1alpha1::{Application, ApplicationSource, ChartDetails, OciMetadata, RevisionMetadata};
use tonic::Status;

use super::Service;
use super::answer::{RENDERED, told, within};
use super::found::{Found, Named, Read};
use super::spec::sources;
use crate::caller::Caller;
use crate::peers::application_ref;
use crate::permission::action;

// === impl Service ===

impl Service {
    async fn source_of(
        &self,
        caller: &Caller,
        query: &RevisionMetadataQuery,
    ) -> Result<(Found, ApplicationSource), Status> {
        let named = Named::new(&query.name, &query.app_namespace, &query.project);
        let found = self.find(caller, action::GET, named, Read::Latest).await?;
        let source = find_source(&found.app, query.source_index, query.version_id).map_err(|problem| {
            Status::invalid_argument(format!("error getting app source by source index and version ID: {problem}"))
        })?;
        Ok((found, source))
    }

    pub(super) async fn commit(
        &self,
        caller: &Caller,
        query: &RevisionMetadataQuery,
    ) -> Result<RevisionMetadata, Status> {
        let (found, _) = self.source_of(caller, query).await?;
        let request = RevisionRequest {
            application: Some(application_ref(&found.key)),
            revision: query.revision.clone(),
            source_index: query.source_index.unwrap_or(0),
            history_id: query.version_id,
        };
        let mut owner = self.shared.peers.of_application(&found.key)?;
        Ok(owner.revision_metadata(within(RENDERED, request)).await.map_err(told)?.into_inner())
    }

    pub(super) async fn chart(&self, caller: &Caller, query: &RevisionMetadataQuery) -> Result<ChartDetails, Status> {
        let (_, source) = self.source_of(caller, query).await?;
        if source.chart.is_empty() {
            return Err(Status::invalid_argument(format!("no chart found for application: {}", query.name)));
        }
        Err(Status::unimplemented("details of Helm charts are not available"))
    }

    pub(super) async fn artifact(&self, caller: &Caller, query: &RevisionMetadataQuery) -> Result<OciMetadata, Status> {
        self.source_of(caller, query).await?;
        Err(Status::unimplemented("details of OCI artifacts are not available"))
    }
}

/// The source that is meant: of the application as it is, or as an entry of its
/// history has it.
fn find_source(app: &Application, index: Option<i32>, version: Option<i32>) -> Result<ApplicationSource, String> {
    let sources = match version {
        None => app.spec.as_ref().map(sources).unwrap_or_default(),
        Some(id) => {
            sources_then(app, id).map_err(|problem| format!("error getting source by version ID: {problem}"))?
        }
    };
    let index = index.unwrap_or(0);
    let found = usize::try_from(index).ok().and_then(|index| sources.get(index).cloned());
    found.ok_or_else(|| match sources.len() {
        1 => format!("source index {index} not found because there is only 1 source"),
        n => format!("source index {index} not found because there are only {n} sources"),
    })
}

fn sources_then(app: &Application, id: i32) -> Result<Vec<ApplicationSource>, String> {
    let history = app.status.as_ref().map(|status| status.history.as_slice()).unwrap_or_default();
    if history.is_empty() {
        return Err(format!("version ID {id} not found because the app has no history"));
    }
    let entry = history.iter().find(|entry| entry.id == i64::from(id));
    let entry = entry.ok_or_else(|| format!("revision history not found for version ID {id}"))?;
    if entry.sources.is_empty() { Ok(entry.source.iter().cloned().collect()) } else { Ok(entry.sources.clone()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_source_is_found_by_its_place_now_or_in_the_history() {
        let app: Application = serde_json::from_value(json!({
            "spec": {"sources": [{"repoURL": "a"}, {"repoURL": "b"}]},
            "status": {"history": [{"id": 3, "source": {"repoURL": "old"}}]},
        }))
        .expect("an application");
        let find = |index, version| find_source(&app, index, version).map(|source| source.repo_url);
        assert_eq!(find(None, None), Ok("a".to_owned()));
        assert_eq!(find(Some(1), None), Ok("b".to_owned()));
        assert_eq!(find(None, Some(3)), Ok("old".to_owned()));
        assert_eq!(find(Some(2), None), Err("source index 2 not found because there are only 2 sources".to_owned()));
        assert_eq!(find(Some(-1), Some(3)), Err("source index -1 not found because there is only 1 source".to_owned()));
        let unknown = "error getting source by version ID: revision history not found for version ID 9";
        assert_eq!(find(None, Some(9)), Err(unknown.to_owned()));
    }
}
