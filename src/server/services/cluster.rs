//! Clusters that applications are deployed to. Credentials go in and never come
//! out.

mod change;
mod read;
mod rotate;

use std::sync::Arc;

use argosy_proto::cluster::cluster_service_server::ClusterService;
use argosy_proto::cluster::{ClusterCreateRequest, ClusterQuery, ClusterResponse, ClusterUpdateRequest};
use argosy_proto::v1alpha1::{Cluster, ClusterList};
use tonic::{Request, Response, Status};

use crate::caller::caller;
use crate::gateway::{self, Gateway};
use crate::shared::Shared;

/// See the module's page.
pub(crate) struct Service {
    shared: Arc<Shared>,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn bind(self: &Arc<Self>, gateway: &mut Gateway) -> Result<(), gateway::Error> {
        bind!(gateway, self, "cluster.ClusterService", {
            "List" => list, "Create" => create, "Get" => get, "Update" => update, "Delete" => delete,
            "RotateAuth" => rotate_auth, "InvalidateCache" => invalidate_cache,
        });
        Ok(())
    }
}

#[tonic::async_trait]
impl ClusterService for Service {
    async fn list(&self, request: Request<ClusterQuery>) -> Result<Response<ClusterList>, Status> {
        let caller = caller(&request)?;
        self.visible(&caller, &request.into_inner()).await.map(Response::new)
    }

    async fn create(&self, request: Request<ClusterCreateRequest>) -> Result<Response<Cluster>, Status> {
        let caller = caller(&request)?;
        self.declare(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn get(&self, request: Request<ClusterQuery>) -> Result<Response<Cluster>, Status> {
        let caller = caller(&request)?;
        self.one(&caller, &request.into_inner()).await.map(Response::new)
    }

    async fn update(&self, request: Request<ClusterUpdateRequest>) -> Result<Response<Cluster>, Status> {
        let caller = caller(&request)?;
        self.redeclare(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn delete(&self, request: Request<ClusterQuery>) -> Result<Response<ClusterResponse>, Status> {
        let caller = caller(&request)?;
        self.withdraw(&caller, &request.into_inner()).await.map(Response::new)
    }

    async fn rotate_auth(&self, request: Request<ClusterQuery>) -> Result<Response<ClusterResponse>, Status> {
        let caller = caller(&request)?;
        self.rotate(&caller, &request.into_inner()).await.map(Response::new)
    }

    async fn invalidate_cache(&self, request: Request<ClusterQuery>) -> Result<Response<Cluster>, Status> {
        let caller = caller(&request)?;
        self.read_again(&caller, &request.into_inner()).await.map(Response::new)
    }
}
