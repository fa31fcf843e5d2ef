//! Repositories: which there are, whether they can be reached, and what is in
//! them. Credentials go in and never come out.

mod contents;
mod declared;
mod state;

use std::sync::Arc;

use argosy_home::Access;
use argosy_proto::repository::repository_service_server::RepositoryService;
use argosy_proto::repository::{
    HelmChartsResponse, Refs, RepoAccessQuery, RepoAppDetailsQuery, RepoAppDetailsResponse, RepoAppsQuery,
    RepoAppsResponse, RepoCreateRequest, RepoQuery, RepoResponse, RepoUpdateRequest,
};
use argosy_proto::v1alpha1::{Repository, RepositoryList};
use tonic::{Request, Response, Status};

use crate::caller::caller;
use crate::gateway::{self, Gateway};
use crate::shared::Shared;

/// See the module's page.
pub(crate) struct Service {
    shared: Arc<Shared>,
    states: state::States,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, states: state::States::default() }
    }

    pub(crate) fn bind(self: &Arc<Self>, gateway: &mut Gateway) -> Result<(), gateway::Error> {
        bind!(gateway, self, "repository.RepositoryService", {
            "List" => list, "ListRepositories" => list_repositories, "ListWriteRepositories" => list_write_repositories,
            "Get" => get, "GetWrite" => get_write, "ListRefs" => list_refs, "ListOCITags" => list_oci_tags,
            "ListApps" => list_apps, "GetAppDetails" => get_app_details, "GetHelmCharts" => get_helm_charts,
            "Create" => create, "CreateRepository" => create_repository,
            "CreateWriteRepository" => create_write_repository, "Update" => update,
            "UpdateRepository" => update_repository, "UpdateWriteRepository" => update_write_repository,
            "Delete" => delete, "DeleteRepository" => delete_repository,
            "DeleteWriteRepository" => delete_write_repository, "ValidateAccess" => validate_access,
            "ValidateWriteAccess" => validate_write_access,
        });
        Ok(())
    }

    /// Repositories to write to belong to the hydrator.
    fn hydrates(&self) -> Result<Access, Status> {
        if self.shared.home.settings().controller.hydrator_enabled {
            Ok(Access::Write)
        } else {
            Err(Status::unimplemented("hydrator is disabled"))
        }
    }
}

#[tonic::async_trait]
impl RepositoryService for Service {
    async fn list(&self, request: Request<RepoQuery>) -> Result<Response<RepositoryList>, Status> {
        self.list_repositories(request).await
    }

    async fn get(&self, request: Request<RepoQuery>) -> Result<Response<Repository>, Status> {
        let caller = caller(&request)?;
        self.one(&caller, &request.into_inner(), Access::Read).await.map(Response::new)
    }

    async fn get_write(&self, request: Request<RepoQuery>) -> Result<Response<Repository>, Status> {
        let caller = caller(&request)?;
        let access = self.hydrates()?;
        self.one(&caller, &request.into_inner(), access).await.map(Response::new)
    }

    async fn list_repositories(&self, request: Request<RepoQuery>) -> Result<Response<RepositoryList>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(self.visible(&caller, Access::Read, request.into_inner().force_refresh).await))
    }

    async fn list_write_repositories(&self, request: Request<RepoQuery>) -> Result<Response<RepositoryList>, Status> {
        let caller = caller(&request)?;
        let access = self.hydrates()?;
        Ok(Response::new(self.visible(&caller, access, request.into_inner().force_refresh).await))
    }

    async fn list_refs(&self, request: Request<RepoQuery>) -> Result<Response<Refs>, Status> {
        let caller = caller(&request)?;
        self.refs(&caller, &request.into_inner()).await.map(Response::new)
    }

    async fn list_oci_tags(&self, request: Request<RepoQuery>) -> Result<Response<Refs>, Status> {
        caller(&request)?;
        Err(Status::unimplemented("OCI repositories are not supported yet"))
    }

    async fn list_apps(&self, request: Request<RepoAppsQuery>) -> Result<Response<RepoAppsResponse>, Status> {
        let caller = caller(&request)?;
        self.apps(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn get_app_details(
        &self,
        request: Request<RepoAppDetailsQuery>,
    ) -> Result<Response<RepoAppDetailsResponse>, Status> {
        let caller = caller(&request)?;
        self.details(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn get_helm_charts(&self, request: Request<RepoQuery>) -> Result<Response<HelmChartsResponse>, Status> {
        caller(&request)?;
        Err(Status::unimplemented("Helm repositories are not supported yet"))
    }

    async fn create(&self, request: Request<RepoCreateRequest>) -> Result<Response<Repository>, Status> {
        self.create_repository(request).await
    }

    async fn create_repository(&self, request: Request<RepoCreateRequest>) -> Result<Response<Repository>, Status> {
        let caller = caller(&request)?;
        self.declare(&caller, request.into_inner(), Access::Read).await.map(Response::new)
    }

    async fn create_write_repository(
        &self,
        request: Request<RepoCreateRequest>,
    ) -> Result<Response<Repository>, Status> {
        let caller = caller(&request)?;
        let access = self.hydrates()?;
        self.declare(&caller, request.into_inner(), access).await.map(Response::new)
    }

    async fn update(&self, request: Request<RepoUpdateRequest>) -> Result<Response<Repository>, Status> {
        self.update_repository(request).await
    }

    async fn update_repository(&self, request: Request<RepoUpdateRequest>) -> Result<Response<Repository>, Status> {
        let caller = caller(&request)?;
        self.redeclare(&caller, request.into_inner().repo, Access::Read).await.map(Response::new)
    }

    async fn update_write_repository(
        &self,
        request: Request<RepoUpdateRequest>,
    ) -> Result<Response<Repository>, Status> {
        let caller = caller(&request)?;
        let access = self.hydrates()?;
        self.redeclare(&caller, request.into_inner().repo, access).await.map(Response::new)
    }

    async fn delete(&self, request: Request<RepoQuery>) -> Result<Response<RepoResponse>, Status> {
        self.delete_repository(request).await
    }

    async fn delete_repository(&self, request: Request<RepoQuery>) -> Result<Response<RepoResponse>, Status> {
        let caller = caller(&request)?;
        self.withdraw(&caller, &request.into_inner(), Access::Read).await.map(Response::new)
    }

    async fn delete_write_repository(&self, request: Request<RepoQuery>) -> Result<Response<RepoResponse>, Status> {
        let caller = caller(&request)?;
        let access = self.hydrates()?;
        self.withdraw(&caller, &request.into_inner(), access).await.map(Response::new)
    }

    async fn validate_access(&self, request: Request<RepoAccessQuery>) -> Result<Response<RepoResponse>, Status> {
        let caller = caller(&request)?;
        self.validate(&caller, request.into_inner(), Access::Read).await.map(Response::new)
    }

    async fn validate_write_access(&self, request: Request<RepoAccessQuery>) -> Result<Response<RepoResponse>, Status> {
        let caller = caller(&request)?;
        let access = self.hydrates()?;
        self.validate(&caller, request.into_inner(), access).await.map(Response::new)
    }
}
