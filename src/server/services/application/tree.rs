//! What the owner of an application knows: its tree, its objects beside their
//! targets, diffs and manifests.

use argosy_proto::application::{
    ApplicationManifestQuery, ApplicationManifestQueryWithFiles, ApplicationManifestQueryWithFilesWrapper,
    ApplicationServerSideDiffQuery, ApplicationServerSideDiffResponse, ManagedResourcesResponse, ResourcesQuery,
    application_manifest_query_with_files_wrapper::Part,
};
use argosy_proto::peer::{FilesHeader, FilesPart, ManifestsRequest, ServerSideDiffRequest, files_part};
use argosy_proto::repository::ManifestResponse;
use argosy_proto::v1alpha1::{ApplicationTree, ResourceDiff};
use futures::{Stream, StreamExt as _, stream};
use serde_json::Value;
use tonic::Status;

use super::Service;
use super::answer::{RENDERED, SOON, told, within};
use super::found::{Found, Named, Read};
use super::present::{mask_manifest, mask_states};
use super::spec::has_several_sources;
use crate::caller::Caller;
use crate::peers::application_ref;
use crate::permission::action;
use crate::services::guard::{Answers, guarded};

/// Resources of one comparison; clients send them in batches of 250 kB, and owners
/// take no more.
const MOST_COMPARED: usize = 1000;

// === impl Service ===

impl Service {
    async fn found_by(&self, caller: &Caller, query: &ResourcesQuery) -> Result<Found, Status> {
        let named = Named::new(&query.application_name, &query.app_namespace, &query.project);
        self.find(caller, action::GET, named, Read::Known).await
    }

    pub(super) async fn tree(&self, caller: &Caller, query: &ResourcesQuery) -> Result<ApplicationTree, Status> {
        let found = self.found_by(caller, query).await?;
        let mut owner = self.shared.peers.of_application(&found.key)?;
        let tree = owner.resource_tree(within(SOON, application_ref(&found.key))).await.map_err(told)?;
        Ok(tree.into_inner())
    }

    /// The tree as it changes, as long as the caller may see the application.
    pub(super) async fn watch_tree(
        &self,
        caller: &Caller,
        query: &ResourcesQuery,
    ) -> Result<Answers<ApplicationTree>, Status> {
        let found = self.found_by(caller, query).await?;
        let mut owner = self.shared.peers.of_application(&found.key)?;
        let trees = owner.watch_resource_tree(application_ref(&found.key)).await.map_err(told)?.into_inner();
        let trees: Answers<ApplicationTree> = Box::pin(trees.map(|tree| tree.map_err(told)));
        Ok(guarded(&self.shared, caller, trees, self.still_visible(found)))
    }

    /// Asks again whether a caller may see the application, as it is then.
    pub(super) fn still_visible(&self, found: Found) -> impl Fn(&Caller) -> Result<(), Status> + Send + 'static {
        let service = self.clone();
        move |caller| {
            // One that is gone, or cannot be read, is judged as it was.
            let app = service.shared.home.apps().get(&found.key).unwrap_or_else(|| found.app.clone());
            if service.permits(caller, action::GET, &found.key, &app) {
                return Ok(());
            }
            Err(crate::permission::permission_denied())
        }
    }

    pub(super) async fn managed(
        &self,
        caller: &Caller,
        query: &ResourcesQuery,
    ) -> Result<ManagedResourcesResponse, Status> {
        let found = self.found_by(caller, query).await?;
        let mut items = self.managed_of(&found).await?;
        items.retain(|item| !item.hook && is_wanted(query, item));
        items.iter_mut().for_each(|item| self.mask(item));
        Ok(ManagedResourcesResponse { items })
    }

    async fn managed_of(&self, found: &Found) -> Result<Vec<ResourceDiff>, Status> {
        let mut owner = self.shared.peers.of_application(&found.key)?;
        let answer = owner.managed_resources(within(SOON, application_ref(&found.key))).await.map_err(told)?;
        Ok(answer.into_inner().items)
    }

    fn mask(&self, item: &mut ResourceDiff) {
        let ResourceDiff { target_state, live_state, normalized_live_state, predicted_live_state, .. } = item;
        let mut states = [target_state, live_state, normalized_live_state, predicted_live_state];
        mask_states(&mut states, &self.sensitive_annotations());
    }

    pub(super) async fn diff_on_server(
        &self,
        caller: &Caller,
        query: ApplicationServerSideDiffQuery,
    ) -> Result<ApplicationServerSideDiffResponse, Status> {
        let named = Named::new(&query.app_name, &query.app_namespace, &query.project);
        let found = self.find(caller, action::GET, named, Read::Known).await?;
        if query.live_resources.len() > MOST_COMPARED {
            return Err(Status::invalid_argument(format!("more than {MOST_COMPARED} resources at once")));
        }
        query.live_resources.iter().try_for_each(check_identity)?;
        let managed = self.managed_of(&found).await?;
        for live in query.live_resources.iter().filter(|live| has_state(live)) {
            if !managed.iter().any(|item| is_same_object(item, live)) {
                return Err(Status::permission_denied(format!(
                    "{}/{} {} not found as part of application {}",
                    live.group, live.kind, live.name, found.key.name
                )));
            }
        }
        let request = ServerSideDiffRequest {
            application: Some(application_ref(&found.key)),
            live_resources: query.live_resources,
            target_manifests: query.target_manifests,
        };
        let mut owner = self.shared.peers.of_application(&found.key)?;
        let mut answer = owner.server_side_diff(within(RENDERED, request)).await.map_err(told)?.into_inner();
        answer.items.iter_mut().for_each(|item| self.mask(item));
        Ok(answer)
    }

    pub(super) async fn manifests(
        &self,
        caller: &Caller,
        query: &ApplicationManifestQuery,
    ) -> Result<ManifestResponse, Status> {
        let named = named(&query.name, &query.app_namespace, &query.project)?;
        let found = self.find(caller, action::GET, named, Read::Known).await?;
        let spec = found.app.spec.clone().unwrap_or_default();
        let (revisions, source_positions) = if has_several_sources(&spec) {
            check_positions(&query.source_positions, &query.revisions, spec.sources.len())?;
            (query.revisions.clone(), query.source_positions.clone())
        } else {
            (query.revision.clone().filter(|revision| !revision.is_empty()).into_iter().collect(), Vec::new())
        };
        let request = ManifestsRequest {
            application: Some(application_ref(&found.key)),
            revisions,
            source_positions,
            no_cache: query.no_cache.unwrap_or(false),
        };
        let mut owner = self.shared.peers.of_application(&found.key)?;
        let mut answer = owner.manifests(within(RENDERED, request)).await.map_err(told)?.into_inner();
        self.mask_manifests(&mut answer);
        // Of several sources' answers only the manifests are one.
        Ok(ManifestResponse { manifests: answer.manifests, ..ManifestResponse::default() })
    }

    /// Renders files that the caller brings.
    pub(super) async fn manifests_of_files<S>(&self, caller: &Caller, mut parts: S) -> Result<ManifestResponse, Status>
    where
        S: Stream<Item = Result<ApplicationManifestQueryWithFilesWrapper, Status>> + Send + Unpin + 'static,
    {
        let query = match parts.next().await.transpose()?.and_then(|first| first.part) {
            Some(Part::Query(query)) => query,
            _ => return Err(Status::invalid_argument("error getting query: expected the query first")),
        };
        let ApplicationManifestQueryWithFiles { name, checksum, app_namespace, project } = query;
        let named = named(&name, &app_namespace, &project)?;
        let found = self.find(caller, action::GET, named, Read::Known).await?;
        let header = FilesHeader { application: Some(application_ref(&found.key)), checksum };
        let header = FilesPart { part: Some(files_part::Part::Header(header)) };
        // What is no part of the files ends them; their checksum says whether
        // anything is missing.
        let chunks = stream::unfold(parts, |mut parts| async move {
            let Some(Part::Chunk(chunk)) = parts.next().await?.ok()?.part else { return None };
            Some((FilesPart { part: Some(files_part::Part::Chunk(chunk.chunk)) }, parts))
        });
        let forwarded = stream::once(async { header }).chain(chunks);
        let mut owner = self.shared.peers.of_application(&found.key)?;
        let answer = owner.manifests_of_files(within(RENDERED, forwarded)).await.map_err(told)?;
        let mut answer = answer.into_inner();
        self.mask_manifests(&mut answer);
        Ok(answer)
    }

    fn mask_manifests(&self, answer: &mut ManifestResponse) {
        let annotations = self.sensitive_annotations();
        answer.manifests.iter_mut().for_each(|manifest| mask_manifest(manifest, &annotations));
    }
}

fn named<'a>(name: &'a str, namespace: &'a Option<String>, project: &'a Option<String>) -> Result<Named<'a>, Status> {
    if name.is_empty() {
        return Err(Status::invalid_argument("invalid request: application name is missing"));
    }
    Ok(Named::new(name, namespace, project))
}

/// Positions count from one and each comes with a revision.
fn check_positions(positions: &[i64], revisions: &[String], sources: usize) -> Result<(), Status> {
    if positions.len() != revisions.len() {
        return Err(Status::invalid_argument("source positions and revisions must be the same in number"));
    }
    let is_there = |position: &i64| usize::try_from(*position).is_ok_and(|p| (1..=sources).contains(&p));
    if positions.iter().all(is_there) {
        return Ok(());
    }
    Err(Status::invalid_argument("source position is out of range"))
}

fn is_wanted(query: &ResourcesQuery, item: &ResourceDiff) -> bool {
    let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|w| w.is_empty() || w == value);
    is(&query.name, &item.name)
        && is(&query.namespace, &item.namespace)
        && is(&query.group, &item.group)
        && is(&query.kind, &item.kind)
}

fn has_state(live: &ResourceDiff) -> bool {
    !matches!(live.live_state.as_str(), "" | "null")
}

fn is_same_object(a: &ResourceDiff, b: &ResourceDiff) -> bool {
    a.group == b.group && a.kind == b.kind && a.namespace == b.namespace && a.name == b.name
}

/// What a caller says an object is must be what it is.
fn check_identity(live: &ResourceDiff) -> Result<(), Status> {
    if !has_state(live) {
        return Ok(());
    }
    let object: Value = serde_json::from_str(&live.live_state).map_err(|_| {
        Status::invalid_argument(format!("error unmarshaling live state for {}/{}", live.kind, live.name))
    })?;
    let key = argosy_model::ResourceKey::of(&object);
    let parts = [
        ("name", &live.name, &key.name),
        ("namespace", &live.namespace, &key.namespace),
        ("group", &live.group, &key.group),
        ("kind", &live.kind, &key.kind),
    ];
    match parts.into_iter().find(|(_, said, is)| **said != ***is) {
        None => Ok(()),
        Some((part, said, is)) => Err(Status::invalid_argument(format!(
            "{part} mismatch: expected {said}, got {is} for live resource {}/{}/{}",
            live.group, live.kind, live.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_sources_that_are_there() {
        let revisions = |n: usize| vec!["r".to_owned(); n];
        assert!(check_positions(&[1, 2], &revisions(2), 2).is_ok());
        for positions in [&[0][..], &[3], &[-1], &[i64::MIN]] {
            assert!(check_positions(positions, &revisions(1), 2).is_err());
        }
        assert!(check_positions(&[1], &[], 2).is_err());
    }

    #[test]
    fn nobody_passes_a_secret_off_as_something_else() {
        let mut live = ResourceDiff {
            kind: "ConfigMap".to_owned(),
            name: "n".to_owned(),
            live_state: r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"n"}}"#.to_owned(),
            ..Default::default()
        };
        let refused = check_identity(&live).expect_err("another kind");
        assert_eq!(refused.message(), "kind mismatch: expected ConfigMap, got Secret for live resource /ConfigMap/n");
        live.kind = "Secret".to_owned();
        assert!(check_identity(&live).is_ok());
        live.live_state = "{".to_owned();
        assert!(check_identity(&live).is_err());
        live.live_state = "null".to_owned();
        assert!(check_identity(&live).is_ok());
    }

    #[test]
    fn managed_objects_are_narrowed_by_what_the_query_names() {
        let item = ResourceDiff { kind: "Pod".to_owned(), name: "p".to_owned(), ..Default::default() };
        assert!(is_wanted(&ResourcesQuery::default(), &item));
        assert!(is_wanted(
            &ResourcesQuery { kind: Some("Pod".to_owned()), name: Some(String::new()), ..Default::default() },
            &item
        ));
        assert!(!is_wanted(&ResourcesQuery { name: Some("q".to_owned()), ..Default::default() }, &item));
    }
}
