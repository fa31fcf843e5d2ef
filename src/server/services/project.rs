//! Projects: what applications may do, and the roles and tokens that belong to
//! them.

mod check;
mod read;
mod tokens;
mod write;

use std::sync::Arc;

use argosy_proto::application::LinksResponse;
use argosy_proto::events::EventList;
use argosy_proto::project::project_service_server::ProjectService;
use argosy_proto::project::{
    DetailedProjectsResponse, EmptyResponse, GlobalProjectsResponse, ListProjectLinksRequest, ProjectCreateRequest,
    ProjectQuery, ProjectTokenCreateRequest, ProjectTokenDeleteRequest, ProjectTokenResponse, ProjectUpdateRequest,
    SyncWindowsQuery, SyncWindowsResponse,
};
use argosy_proto::v1alpha1::{AppProject, AppProjectList};
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
        bind!(gateway, self, "project.ProjectService", {
            "Create" => create, "List" => list, "Get" => get, "Update" => update, "Delete" => delete,
            "GetDetailedProject" => get_detailed_project, "GetGlobalProjects" => get_global_projects,
            "GetSyncWindowsState" => get_sync_windows_state, "ListEvents" => list_events, "ListLinks" => list_links,
            "CreateToken" => create_token, "DeleteToken" => delete_token,
        });
        Ok(())
    }
}

#[tonic::async_trait]
impl ProjectService for Service {
    async fn create_token(
        &self,
        request: Request<ProjectTokenCreateRequest>,
    ) -> Result<Response<ProjectTokenResponse>, Status> {
        let caller = caller(&request)?;
        self.issue_token(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn delete_token(
        &self,
        request: Request<ProjectTokenDeleteRequest>,
    ) -> Result<Response<EmptyResponse>, Status> {
        let caller = caller(&request)?;
        self.withdraw_token(&caller, &request.into_inner()).await.map(Response::new)
    }

    async fn create(&self, request: Request<ProjectCreateRequest>) -> Result<Response<AppProject>, Status> {
        let caller = caller(&request)?;
        self.create_project(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn list(&self, request: Request<ProjectQuery>) -> Result<Response<AppProjectList>, Status> {
        Ok(Response::new(self.visible(&caller(&request)?)))
    }

    async fn get_detailed_project(
        &self,
        request: Request<ProjectQuery>,
    ) -> Result<Response<DetailedProjectsResponse>, Status> {
        let caller = caller(&request)?;
        self.detailed(&caller, &request.into_inner().name).await.map(Response::new)
    }

    async fn get(&self, request: Request<ProjectQuery>) -> Result<Response<AppProject>, Status> {
        let caller = caller(&request)?;
        self.one(&caller, &request.into_inner().name).await.map(Response::new)
    }

    async fn get_global_projects(
        &self,
        request: Request<ProjectQuery>,
    ) -> Result<Response<GlobalProjectsResponse>, Status> {
        let caller = caller(&request)?;
        let project = self.one(&caller, &request.into_inner().name).await?;
        let items = self.shared.home.global_projects(&project);
        Ok(Response::new(GlobalProjectsResponse { items }))
    }

    async fn update(&self, request: Request<ProjectUpdateRequest>) -> Result<Response<AppProject>, Status> {
        let caller = caller(&request)?;
        self.update_project(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn delete(&self, request: Request<ProjectQuery>) -> Result<Response<EmptyResponse>, Status> {
        let caller = caller(&request)?;
        self.delete_project(&caller, &request.into_inner().name).await.map(Response::new)
    }

    async fn list_events(&self, request: Request<ProjectQuery>) -> Result<Response<EventList>, Status> {
        let caller = caller(&request)?;
        self.events(&caller, &request.into_inner().name).await.map(Response::new)
    }

    async fn get_sync_windows_state(
        &self,
        request: Request<SyncWindowsQuery>,
    ) -> Result<Response<SyncWindowsResponse>, Status> {
        let caller = caller(&request)?;
        self.active_windows(&caller, &request.into_inner().name).await.map(Response::new)
    }

    async fn list_links(&self, request: Request<ListProjectLinksRequest>) -> Result<Response<LinksResponse>, Status> {
        let caller = caller(&request)?;
        self.links(&caller, &request.into_inner().name).await.map(Response::new)
    }
}
