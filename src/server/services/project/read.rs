//! Reading projects.

use argosy_engine::windows::Windows;
use argosy_model::AppKey;
use argosy_proto::application::LinksResponse;
use argosy_proto::events::EventList;
use argosy_proto::project::{DetailedProjectsResponse, SyncWindowsResponse};
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{AppProject, AppProjectList};
use tonic::Status;

use super::Service;
use super::tokens::mirror_tokens;
use crate::caller::Caller;
use crate::permission::{action, resource};
use crate::status::from_home;
use crate::{deep_links, redact};

// === impl Service ===

impl Service {
    /// The projects the caller may see, by name.
    pub(super) fn visible(&self, caller: &Caller) -> AppProjectList {
        let shared = &self.shared;
        let mut items: Vec<AppProject> = shared
            .home
            .projects()
            .list()
            .into_iter()
            .filter(|(key, _)| shared.permits(caller, resource::PROJECTS, action::GET, &key.name))
            .map(|(_, project)| (*project).clone())
            .collect();
        items.sort_by(|a, b| a.metadata().name.cmp(&b.metadata().name));
        AppProjectList { metadata: Some(Default::default()), items }
    }

    /// A project, with its tokens' records as both of its halves should have them.
    pub(super) async fn one(&self, caller: &Caller, name: &str) -> Result<AppProject, Status> {
        self.shared.enforce(caller, resource::PROJECTS, action::GET, name)?;
        let mut project = self.stored(name).await?;
        mirror_tokens(&mut project);
        Ok(project)
    }

    /// A project as the API server has it.
    pub(super) async fn stored(&self, name: &str) -> Result<AppProject, Status> {
        let home = &self.shared.home;
        let raw = home.get_raw::<AppProject>(&AppKey::new(home.namespace(), name)).await.map_err(|e| from_home(&e))?;
        serde_json::from_value(raw).map_err(|error| {
            tracing::warn!(project = name, %error, "the project is malformed");
            Status::failed_precondition(format!("the project {name} is malformed"))
        })
    }

    pub(super) async fn detailed(&self, caller: &Caller, name: &str) -> Result<DetailedProjectsResponse, Status> {
        let project = self.one(caller, name).await?;
        let home = &self.shared.home;
        let repositories = home.repositories();
        let clusters = home.clusters();
        Ok(DetailedProjectsResponse {
            global_projects: home.global_projects(&project),
            repositories: repositories.of_project(name).map(|known| redact::repository(&known)).collect(),
            clusters: clusters
                .iter()
                .filter(|known| known.project == name)
                .map(|known| redact::cluster(known))
                .collect(),
            project: Some(project),
        })
    }

    pub(super) async fn events(&self, caller: &Caller, name: &str) -> Result<EventList, Status> {
        let project = self.one(caller, name).await?;
        let metadata = project.metadata();
        let home = &self.shared.home;
        let events = home.list_events(&metadata.namespace, &metadata.name, &metadata.uid).await;
        Ok(EventList { items: events.map_err(|e| from_home(&e))?, ..Default::default() })
    }

    /// The windows that are open at this moment.
    pub(super) async fn active_windows(&self, caller: &Caller, name: &str) -> Result<SyncWindowsResponse, Status> {
        let project = self.one(caller, name).await?;
        let windows = Windows::compile(&project.spec.map(|spec| spec.sync_windows).unwrap_or_default());
        let now = (self.shared.clock)();
        Ok(SyncWindowsResponse { windows: windows.open(now).map(|window| window.spec().clone()).collect() })
    }

    pub(super) async fn links(&self, caller: &Caller, name: &str) -> Result<LinksResponse, Status> {
        let mut project = self.one(caller, name).await?;
        // Records of tokens are no business of a link.
        project.status = None;
        let object = project.to_object().map_err(|_| Status::internal("the project cannot be written as JSON"))?;
        Ok(deep_links::of_project(&self.shared, &object))
    }
}
