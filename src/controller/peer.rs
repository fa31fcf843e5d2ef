//! The controller's side of the peer protocol: what the API replicas ask the
//! owner of an application, a repository or a cluster.
//!
//! | group | files |
//! | --- | --- |
//! | the application | [`tree`], [`watch`], [`managed`], [`server_side`] |
//! | its sources | [`manifests`], [`upload`], [`revisions`] |
//! | its live objects | [`resource`], [`actions`], [`events`], [`logs`] |
//! | repositories | [`repository`] |
//! | clusters | [`cluster`] |
//!
//! Answers come from what the actors know; nothing is kept for them but the last
//! comparison of each application, whose objects are shared with it.
//!
//! Promises. Who asks is a replica of the same installation ([`serve`]), which has
//! decided already whether its user may ask; what an application may touch is
//! decided here all the same, at the point of effect: an object is reached only as
//! part of an application's tree, in the name of that application, and only as its
//! project permits. Values of Secrets are masked before they leave, in answers,
//! differences and errors. Every request is bounded in size, time and number
//! ([`limits`]), and one whose caller has gone ends. Nobody's question holds up a
//! pass.

mod actions;
mod cluster;
mod events;
mod limits;
mod logs;
mod managed;
mod manifests;
mod refusal;
mod repository;
mod resource;
mod revisions;
mod serve;
mod server_side;
mod subject;
mod tree;
mod upload;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use argosy_proto::peer::peer_server::{Peer, PeerServer};
use argosy_proto::peer::{
    AppDetailsRequest, ApplicationRef, ClusterRef, DeleteResourceRequest, Done, FilesPart, ListAppsRequest, Manifest,
    ManifestsRequest, PatchResourceRequest, PodLogsRequest, PollRequest, PollResponse, RepositoryRequest,
    ResolveRequest, ResolvedRevisions, ResourceRef, RevisionRequest, RunActionRequest, ServerSideDiffRequest,
};
use argosy_proto::repository::{ManifestResponse, Refs, RepoAppDetailsResponse, RepoAppsResponse};
use argosy_proto::v1alpha1::{ApplicationTree, Cluster, ClusterInfo, RevisionMetadata};
use argosy_proto::{application, events as event_types};
use argosy_script::Scripts;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

pub(crate) use repository::clear_trials;
pub use serve::{ServeError, serve};

use crate::context::Shared;
use limits::Limits;
use subject::Subject;

/// Largest message either way, in bytes, as between Argo CD's components.
const LARGEST_MESSAGE: usize = 200 << 20;

/// Longest time that an archive may take to arrive, which is as long as callers wait.
const RECEIVED: Duration = Duration::from_secs(300);

type Answer<T> = Result<Response<T>, Status>;

/// Answers peers. Clones share everything.
#[derive(Clone)]
pub struct PeerService {
    shared: Arc<Shared>,
    limits: Arc<Limits>,
    scripts: Arc<Scripts>,
    /// Cancelled when this replica ends: streams end then.
    ending: CancellationToken,
}

// === impl PeerService ===

impl PeerService {
    pub(crate) fn server(shared: Arc<Shared>, ending: CancellationToken) -> PeerServer<Self> {
        let service = Self { shared, limits: Arc::default(), scripts: Arc::default(), ending };
        PeerServer::new(service).max_decoding_message_size(LARGEST_MESSAGE).max_encoding_message_size(LARGEST_MESSAGE)
    }

    async fn subject(&self, named: &ApplicationRef) -> Result<Subject, Status> {
        Subject::find_owned(&self.shared, Some(named)).await
    }
}

#[tonic::async_trait]
impl Peer for PeerService {
    type WatchResourceTreeStream = watch::Trees;
    type PodLogsStream = logs::Entries;

    async fn resource_tree(&self, request: Request<ApplicationRef>) -> Answer<ApplicationTree> {
        let subject = self.subject(request.get_ref()).await?;
        tree::Tree::prepare(&self.shared, &subject).await?.build().await.map(Response::new)
    }

    async fn watch_resource_tree(&self, request: Request<ApplicationRef>) -> Answer<Self::WatchResourceTreeStream> {
        let subject = self.subject(request.get_ref()).await?;
        Ok(Response::new(watch::follow(self.shared.clone(), subject, self.ending.clone())))
    }

    async fn managed_resources(
        &self,
        request: Request<ApplicationRef>,
    ) -> Answer<application::ManagedResourcesResponse> {
        let subject = self.subject(request.get_ref()).await?;
        managed::resources(&self.shared, &subject).await.map(Response::new)
    }

    async fn server_side_diff(
        &self,
        request: Request<ServerSideDiffRequest>,
    ) -> Answer<application::ApplicationServerSideDiffResponse> {
        server_side::compare(&self.shared, request.get_ref()).await.map(Response::new)
    }

    async fn manifests(&self, request: Request<ManifestsRequest>) -> Answer<ManifestResponse> {
        manifests::at_revisions(&self.shared, &self.limits, request.get_ref()).await.map(Response::new)
    }

    async fn manifests_of_files(&self, request: Request<Streaming<FilesPart>>) -> Answer<ManifestResponse> {
        let most = self.shared.home.settings().repo_server.streamed_manifest_max_tar_size;
        // Held for as long as the archive is.
        let _turn = self.limits.receive().await?;
        let receiving = upload::Upload::receive(request.into_inner(), most);
        let late = |_| Status::deadline_exceeded("the files did not arrive in time");
        let upload = tokio::time::timeout(RECEIVED, receiving).await.map_err(late)??;
        manifests::of_files(&self.shared, &self.limits, upload).await.map(Response::new)
    }

    async fn revision_metadata(&self, request: Request<RevisionRequest>) -> Answer<RevisionMetadata> {
        revisions::metadata(&self.shared, &self.limits, request.get_ref()).await.map(Response::new)
    }

    async fn resolve_revisions(&self, request: Request<ResolveRequest>) -> Answer<ResolvedRevisions> {
        revisions::resolve(&self.shared, &self.limits, request.get_ref()).await.map(Response::new)
    }

    async fn get_resource(&self, request: Request<ResourceRef>) -> Answer<Manifest> {
        resource::get(&self.shared, request.get_ref()).await.map(Response::new)
    }

    async fn patch_resource(&self, request: Request<PatchResourceRequest>) -> Answer<Manifest> {
        resource::patch(&self.shared, request.get_ref()).await.map(Response::new)
    }

    async fn delete_resource(&self, request: Request<DeleteResourceRequest>) -> Answer<Done> {
        resource::delete(&self.shared, request.get_ref()).await.map(Response::new)
    }

    async fn list_resource_actions(
        &self,
        request: Request<ResourceRef>,
    ) -> Answer<application::ResourceActionsListResponse> {
        actions::list(&self.shared, &self.scripts, request.get_ref()).await.map(Response::new)
    }

    async fn run_resource_action(&self, request: Request<RunActionRequest>) -> Answer<Done> {
        actions::run(&self.shared, &self.scripts, request.into_inner()).await.map(Response::new)
    }

    async fn resource_events(&self, request: Request<ResourceRef>) -> Answer<event_types::EventList> {
        events::of(&self.shared, request.get_ref()).await.map(Response::new)
    }

    async fn pod_logs(&self, request: Request<PodLogsRequest>) -> Answer<Self::PodLogsStream> {
        logs::open(&self.shared, request.into_inner(), self.ending.clone()).await.map(Response::new)
    }

    async fn test_repository(&self, request: Request<RepositoryRequest>) -> Answer<Done> {
        repository::test(&self.shared, &self.limits, request.get_ref()).await.map(Response::new)
    }

    async fn list_refs(&self, request: Request<RepositoryRequest>) -> Answer<Refs> {
        repository::refs(&self.shared, &self.limits, request.get_ref()).await.map(Response::new)
    }

    async fn list_apps(&self, request: Request<ListAppsRequest>) -> Answer<RepoAppsResponse> {
        repository::apps(&self.shared, &self.limits, request.get_ref()).await.map(Response::new)
    }

    async fn app_details(&self, request: Request<AppDetailsRequest>) -> Answer<RepoAppDetailsResponse> {
        repository::details(&self.shared, &self.limits, request.get_ref()).await.map(Response::new)
    }

    async fn poll_repositories(&self, request: Request<PollRequest>) -> Answer<PollResponse> {
        repository::poll(&self.shared, request.get_ref()).map(Response::new)
    }

    async fn cluster_info(&self, request: Request<ClusterRef>) -> Answer<ClusterInfo> {
        cluster::info(&self.shared, request.get_ref()).map(Response::new)
    }

    async fn test_cluster(&self, request: Request<Cluster>) -> Answer<ClusterInfo> {
        cluster::test(&self.shared, &self.limits, request.get_ref()).await.map(Response::new)
    }

    async fn invalidate_cache(&self, request: Request<ClusterRef>) -> Answer<Done> {
        cluster::read_again(&self.shared, request.get_ref()).await.map(Response::new)
    }
}
