//! ApplicationSets: read, made, changed, deleted and watched. They are generated
//! from elsewhere; what an ApplicationSet would generate is not answered here.
//!
//! An ApplicationSet is called like an application of its template's project.
//! Whether there is one that the caller may not see is not told: who may see or
//! make one of that name in some project hears that there is none, everybody else
//! that they may not.

mod check;
mod find;
mod present;
mod read;
mod watch;
mod write;

use std::sync::Arc;

use argosy_proto::applicationset::application_set_service_server::ApplicationSetService;
use argosy_proto::applicationset::{
    ApplicationSetCreateRequest, ApplicationSetDeleteRequest, ApplicationSetGenerateRequest,
    ApplicationSetGenerateResponse, ApplicationSetGetQuery, ApplicationSetListQuery, ApplicationSetResponse,
    ApplicationSetTreeQuery, ApplicationSetWatchQuery,
};
use argosy_proto::events::EventList;
use argosy_proto::v1alpha1::{ApplicationSet, ApplicationSetList, ApplicationSetTree, ApplicationSetWatchEvent};
use tonic::{Request, Response, Status};

use crate::caller::caller;
use crate::gateway::{Error, Gateway};
use crate::services::guard::Answers;
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

    /// Binds the REST paths.
    ///
    /// # Errors
    /// When a name is not in the contract's table.
    pub(crate) fn bind(self: &Arc<Self>, gateway: &mut Gateway) -> Result<(), Error> {
        bind!(gateway, self, "applicationset.ApplicationSetService", {
            "Get" => get, "Generate" => generate, "List" => list, "Create" => create, "Delete" => delete,
            "ResourceTree" => resource_tree, "ListResourceEvents" => list_resource_events,
        });
        let service = self.clone();
        gateway.server_streaming("applicationset.ApplicationSetService/Watch", move |request| {
            let service = service.clone();
            async move { ApplicationSetService::watch(&*service, request).await }
        })?;
        Ok(())
    }
}

#[tonic::async_trait]
impl ApplicationSetService for Service {
    type WatchStream = Answers<ApplicationSetWatchEvent>;

    async fn get(&self, request: Request<ApplicationSetGetQuery>) -> Result<Response<ApplicationSet>, Status> {
        let caller = caller(&request)?;
        self.one(&caller, &request.into_inner()).await.map(Response::new)
    }

    async fn generate(
        &self,
        request: Request<ApplicationSetGenerateRequest>,
    ) -> Result<Response<ApplicationSetGenerateResponse>, Status> {
        let caller = caller(&request)?;
        self.generated(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn list(&self, request: Request<ApplicationSetListQuery>) -> Result<Response<ApplicationSetList>, Status> {
        let caller = caller(&request)?;
        self.visible(&caller, &request.into_inner()).await.map(Response::new)
    }

    async fn create(&self, request: Request<ApplicationSetCreateRequest>) -> Result<Response<ApplicationSet>, Status> {
        let caller = caller(&request)?;
        self.create_set(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn delete(
        &self,
        request: Request<ApplicationSetDeleteRequest>,
    ) -> Result<Response<ApplicationSetResponse>, Status> {
        let caller = caller(&request)?;
        self.delete_set(&caller, &request.into_inner()).await.map(Response::new)
    }

    async fn resource_tree(
        &self,
        request: Request<ApplicationSetTreeQuery>,
    ) -> Result<Response<ApplicationSetTree>, Status> {
        let caller = caller(&request)?;
        self.tree(&caller, &request.into_inner()).await.map(Response::new)
    }

    async fn list_resource_events(
        &self,
        request: Request<ApplicationSetGetQuery>,
    ) -> Result<Response<EventList>, Status> {
        let caller = caller(&request)?;
        self.events(&caller, &request.into_inner()).await.map(Response::new)
    }

    async fn watch(&self, request: Request<ApplicationSetWatchQuery>) -> Result<Response<Self::WatchStream>, Status> {
        let caller = caller(&request)?;
        self.watch_sets(&caller, request.into_inner()).await.map(Response::new)
    }
}

/// The project of what an ApplicationSet makes: the default one where its template
/// names none.
fn project(set: &ApplicationSet) -> &str {
    let spec = set.spec.as_ref().and_then(|spec| spec.template.as_ref()).and_then(|template| template.spec.as_ref());
    let project = spec.map_or("", |spec| &spec.project);
    if project.is_empty() { argosy_model::names::DEFAULT_PROJECT } else { project }
}

/// The version of an ApplicationSet as a number; 0 where it has none.
fn version(set: &ApplicationSet) -> u64 {
    use argosy_proto::resource::CustomResource as _;
    set.metadata().resource_version.parse().unwrap_or(0)
}
