//! Applications: the service that most of the API is about.
//!
//! One file per group of requests. Each finds the application for its caller
//! ([`found`]), asks for every permission at the point of effect, and answers what
//! may be shown ([`present`]). What only the owner of an application knows or may
//! do is asked of it; what is stored goes through the home cluster. Nothing is kept
//! here between requests.

mod answer;
mod delete;
mod events;
mod found;
mod links;
mod live;
mod logs;
mod operation;
mod patch;
mod present;
mod read;
mod revision;
mod settled;
mod spec;
mod sync;
mod tree;
mod validate;
mod viewer;
mod windows;
mod write;

use std::sync::Arc;

use argosy_proto::application::application_manifest_query_with_files_wrapper::Part;
use argosy_proto::application::application_service_server::ApplicationService;
use argosy_proto::application::{
    ApplicationCreateRequest, ApplicationDeleteRequest, ApplicationManifestQuery, ApplicationManifestQueryWithFiles,
    ApplicationManifestQueryWithFilesWrapper, ApplicationPatchRequest, ApplicationPodLogsQuery, ApplicationQuery,
    ApplicationResourceDeleteRequest, ApplicationResourceEventsQuery, ApplicationResourcePatchRequest,
    ApplicationResourceRequest, ApplicationResourceResponse, ApplicationResponse, ApplicationRollbackRequest,
    ApplicationServerSideDiffQuery, ApplicationServerSideDiffResponse, ApplicationSyncRequest,
    ApplicationSyncWindowsQuery, ApplicationSyncWindowsResponse, ApplicationUpdateRequest,
    ApplicationUpdateSpecRequest, FileChunk, LinksResponse, ListAppLinksRequest, LogEntry, ManagedResourcesResponse,
    OperationTerminateRequest, OperationTerminateResponse, ResourceActionRunRequest, ResourceActionRunRequestV2,
    ResourceActionsListResponse, ResourcesQuery, RevisionMetadataQuery,
};
use argosy_proto::events::EventList;
use argosy_proto::repository::ManifestResponse;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{
    Application, ApplicationList, ApplicationSpec, ApplicationTree, ApplicationWatchEvent, ChartDetails, OciMetadata,
    RevisionMetadata,
};
use serde::Deserialize;
use tonic::{Request, Response, Status, Streaming};

use crate::caller::caller;
use crate::gateway::{Download, Error, Gateway, Query, StreamForm};
use crate::services::guard::Answers;
use crate::shared::Shared;

/// See the module's page. Cheap to clone: streams outlive their requests.
#[derive(Clone)]
pub(crate) struct Service {
    shared: Arc<Shared>,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Binds the REST paths.
    ///
    /// # Errors
    /// When a name is not in the contract's table.
    pub(crate) fn bind(&self, gateway: &mut Gateway) -> Result<(), Error> {
        macro_rules! rest {
            ($bind:ident, $($rpc:literal => $method:ident),* $(,)?) => {$(
                let service = self.clone();
                gateway.$bind(concat!("application.ApplicationService/", $rpc), move |request| {
                    let service = service.clone();
                    async move { service.$method(request).await }
                })?;
            )*};
        }
        rest!(unary,
            "List" => list, "Get" => get, "Create" => create, "Update" => update, "UpdateSpec" => update_spec,
            "Patch" => patch, "Delete" => delete, "Sync" => sync, "Rollback" => rollback,
            "TerminateOperation" => terminate_operation, "ManagedResources" => managed_resources,
            "ResourceTree" => resource_tree, "ServerSideDiff" => server_side_diff, "GetManifests" => get_manifests,
            "GetResource" => get_resource, "PatchResource" => patch_resource, "DeleteResource" => delete_resource,
            "ListResourceActions" => list_resource_actions, "RunResourceAction" => run_resource_action,
            "RunResourceActionV2" => run_resource_action_v2, "ListResourceEvents" => list_resource_events,
            "RevisionMetadata" => revision_metadata, "RevisionChartDetails" => revision_chart_details,
            "GetOCIMetadata" => get_oci_metadata, "GetApplicationSyncWindows" => get_application_sync_windows,
            "ListLinks" => list_links, "ListResourceLinks" => list_resource_links,
        );
        let service = self.clone();
        let files = "application.ApplicationService/GetManifestsWithFiles";
        gateway.client_streaming::<FilesDocument, _, _, _, _>(files, move |request| {
            let service = service.clone();
            async move { service.get_manifests_with_files(request).await }
        })?;
        rest!(server_streaming, "WatchResourceTree" => watch_resource_tree);
        let service = self.clone();
        let form = StreamForm { subject: Some(subject), download: None };
        gateway.server_streaming_as("application.ApplicationService/Watch", form, move |request| {
            let service = service.clone();
            async move { service.watch(request).await }
        })?;
        let service = self.clone();
        let download = Download { file_name, line };
        let form = StreamForm { subject: None, download: Some(download) };
        gateway.server_streaming_as("application.ApplicationService/PodLogs", form, move |request| {
            let service = service.clone();
            async move { service.pod_logs(request).await }
        })?;
        Ok(())
    }
}

/// A part of the files of `GetManifestsWithFiles` as JSON, which the message itself
/// has no form of.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum FilesDocument {
    Query(ApplicationManifestQueryWithFiles),
    Chunk(FileChunk),
}

impl From<FilesDocument> for ApplicationManifestQueryWithFilesWrapper {
    fn from(document: FilesDocument) -> Self {
        let part = match document {
            FilesDocument::Query(query) => Part::Query(query),
            FilesDocument::Chunk(chunk) => Part::Chunk(chunk),
        };
        Self { part: Some(part) }
    }
}

/// Which application an event is about: the same event again is not written.
fn subject(event: &ApplicationWatchEvent) -> String {
    let metadata = event.application.as_ref().map(|app| app.metadata());
    metadata.map(|m| format!("{}/{}", m.namespace, m.name)).unwrap_or_default()
}

/// The name of a log as a file, as Argo CD gives it.
fn file_name(query: &Query) -> String {
    let parts = ["namespace", "podName", "container"].map(|name| query.get(name));
    if parts.iter().any(|part| part.is_empty()) { "log.log".to_owned() } else { format!("{}.log", parts.join("-")) }
}

/// A line of a log as a file has it.
fn line(entry: &LogEntry) -> Option<String> {
    (!entry.last || !entry.content.is_empty()).then(|| entry.content.clone())
}

/// Hands a request and its caller to the method that answers it.
macro_rules! unary {
    ($self:ident, $request:ident, $method:ident) => {{
        let caller = caller(&$request)?;
        let answer = $self.$method(&caller, $request.into_inner()).await?;
        Ok(Response::new(answer))
    }};
    ($self:ident, $request:ident, &$method:ident) => {{
        let caller = caller(&$request)?;
        let answer = $self.$method(&caller, &$request.into_inner()).await?;
        Ok(Response::new(answer))
    }};
}

#[tonic::async_trait]
impl ApplicationService for Service {
    type WatchStream = Answers<ApplicationWatchEvent>;
    type WatchResourceTreeStream = Answers<ApplicationTree>;
    type PodLogsStream = Answers<LogEntry>;

    async fn list(&self, request: Request<ApplicationQuery>) -> Result<Response<ApplicationList>, Status> {
        let caller = caller(&request)?;
        let (service, query) = (self.clone(), request.into_inner());
        // Long lists take their time: other requests must not wait for them.
        let work = tokio::task::spawn_blocking(move || service.list_applications(&caller, &query));
        let list = work.await.map_err(|_| Status::internal("listing the applications failed"))??;
        Ok(Response::new(list))
    }

    async fn list_resource_events(
        &self,
        request: Request<ApplicationResourceEventsQuery>,
    ) -> Result<Response<EventList>, Status> {
        unary!(self, request, &events_of)
    }

    async fn watch(&self, request: Request<ApplicationQuery>) -> Result<Response<Self::WatchStream>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(self.watch_applications(&caller, &request.into_inner())?))
    }

    async fn create(&self, request: Request<ApplicationCreateRequest>) -> Result<Response<Application>, Status> {
        unary!(self, request, create_application)
    }

    async fn get(&self, request: Request<ApplicationQuery>) -> Result<Response<Application>, Status> {
        unary!(self, request, &get_application)
    }

    async fn get_application_sync_windows(
        &self,
        request: Request<ApplicationSyncWindowsQuery>,
    ) -> Result<Response<ApplicationSyncWindowsResponse>, Status> {
        unary!(self, request, &windows_of)
    }

    async fn revision_metadata(
        &self,
        request: Request<RevisionMetadataQuery>,
    ) -> Result<Response<RevisionMetadata>, Status> {
        unary!(self, request, &commit)
    }

    async fn revision_chart_details(
        &self,
        request: Request<RevisionMetadataQuery>,
    ) -> Result<Response<ChartDetails>, Status> {
        unary!(self, request, &chart)
    }

    async fn get_oci_metadata(&self, request: Request<RevisionMetadataQuery>) -> Result<Response<OciMetadata>, Status> {
        unary!(self, request, &artifact)
    }

    async fn get_manifests(
        &self,
        request: Request<ApplicationManifestQuery>,
    ) -> Result<Response<ManifestResponse>, Status> {
        unary!(self, request, &manifests)
    }

    async fn get_manifests_with_files(
        &self,
        request: Request<Streaming<ApplicationManifestQueryWithFilesWrapper>>,
    ) -> Result<Response<ManifestResponse>, Status> {
        unary!(self, request, manifests_of_files)
    }

    async fn update(&self, request: Request<ApplicationUpdateRequest>) -> Result<Response<Application>, Status> {
        unary!(self, request, update_application)
    }

    async fn update_spec(
        &self,
        request: Request<ApplicationUpdateSpecRequest>,
    ) -> Result<Response<ApplicationSpec>, Status> {
        unary!(self, request, update_spec_of)
    }

    async fn patch(&self, request: Request<ApplicationPatchRequest>) -> Result<Response<Application>, Status> {
        unary!(self, request, patch_application)
    }

    async fn delete(
        &self,
        request: Request<ApplicationDeleteRequest>,
    ) -> Result<Response<ApplicationResponse>, Status> {
        unary!(self, request, &delete_application)
    }

    async fn sync(&self, request: Request<ApplicationSyncRequest>) -> Result<Response<Application>, Status> {
        unary!(self, request, &sync_application)
    }

    async fn managed_resources(
        &self,
        request: Request<ResourcesQuery>,
    ) -> Result<Response<ManagedResourcesResponse>, Status> {
        unary!(self, request, &managed)
    }

    async fn server_side_diff(
        &self,
        request: Request<ApplicationServerSideDiffQuery>,
    ) -> Result<Response<ApplicationServerSideDiffResponse>, Status> {
        unary!(self, request, diff_on_server)
    }

    async fn resource_tree(&self, request: Request<ResourcesQuery>) -> Result<Response<ApplicationTree>, Status> {
        unary!(self, request, &tree)
    }

    async fn watch_resource_tree(
        &self,
        request: Request<ResourcesQuery>,
    ) -> Result<Response<Self::WatchResourceTreeStream>, Status> {
        unary!(self, request, &watch_tree)
    }

    async fn rollback(&self, request: Request<ApplicationRollbackRequest>) -> Result<Response<Application>, Status> {
        unary!(self, request, &rollback_application)
    }

    async fn terminate_operation(
        &self,
        request: Request<OperationTerminateRequest>,
    ) -> Result<Response<OperationTerminateResponse>, Status> {
        unary!(self, request, &terminate_operation_of)
    }

    async fn get_resource(
        &self,
        request: Request<ApplicationResourceRequest>,
    ) -> Result<Response<ApplicationResourceResponse>, Status> {
        unary!(self, request, &get_live)
    }

    async fn patch_resource(
        &self,
        request: Request<ApplicationResourcePatchRequest>,
    ) -> Result<Response<ApplicationResourceResponse>, Status> {
        unary!(self, request, &patch_live)
    }

    async fn list_resource_actions(
        &self,
        request: Request<ApplicationResourceRequest>,
    ) -> Result<Response<ResourceActionsListResponse>, Status> {
        unary!(self, request, &list_actions)
    }

    async fn run_resource_action(
        &self,
        request: Request<ResourceActionRunRequest>,
    ) -> Result<Response<ApplicationResponse>, Status> {
        unary!(self, request, run_action_v1)
    }

    async fn run_resource_action_v2(
        &self,
        request: Request<ResourceActionRunRequestV2>,
    ) -> Result<Response<ApplicationResponse>, Status> {
        unary!(self, request, &run_action)
    }

    async fn delete_resource(
        &self,
        request: Request<ApplicationResourceDeleteRequest>,
    ) -> Result<Response<ApplicationResponse>, Status> {
        unary!(self, request, &delete_live)
    }

    async fn pod_logs(
        &self,
        request: Request<ApplicationPodLogsQuery>,
    ) -> Result<Response<Self::PodLogsStream>, Status> {
        unary!(self, request, &logs)
    }

    async fn list_links(&self, request: Request<ListAppLinksRequest>) -> Result<Response<LinksResponse>, Status> {
        unary!(self, request, &links_of_application)
    }

    async fn list_resource_links(
        &self,
        request: Request<ApplicationResourceRequest>,
    ) -> Result<Response<LinksResponse>, Status> {
        unary!(self, request, &links_of_object)
    }
}
