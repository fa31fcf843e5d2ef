//! What is in a repository, for those who may make applications of it.

use argosy_auth::rbac::object::scoped;
use argosy_home::RepoCredentials;
use argosy_model::{AppKey, names};
use argosy_proto::peer::{AppDetailsRequest, ListAppsRequest, RepositoryRequest};
use argosy_proto::repository::{
    Refs, RepoAppDetailsQuery, RepoAppDetailsResponse, RepoAppsQuery, RepoAppsResponse, RepoQuery,
};
use argosy_proto::v1alpha1::{Application, ApplicationSource, Repository};
use tonic::Status;

use super::Service;
use crate::caller::Caller;
use crate::peers::told;
use crate::permission::{action, permission_denied, resource};

// === impl Service ===

impl Service {
    pub(super) async fn refs(&self, caller: &Caller, query: &RepoQuery) -> Result<Refs, Status> {
        let known = self.readable(caller, &query.repo, &query.app_project)?;
        let request = RepositoryRequest {
            repository: Some(Repository { repo: query.repo.clone(), ..Default::default() }),
            project: known.project,
            as_given: false,
            force: query.force_refresh,
        };
        let mut peer = self.shared.peers.of_repository(&query.repo)?;
        Ok(peer.list_refs(request).await.map_err(told)?.into_inner())
    }

    pub(super) async fn apps(&self, caller: &Caller, query: RepoAppsQuery) -> Result<RepoAppsResponse, Status> {
        self.readable(caller, &query.repo, &query.app_project)?;
        let app = scoped(&query.app_project, &query.app_name);
        let may = |action| self.shared.permits(caller, resource::APPLICATIONS, action, &app);
        if !may(action::CREATE) && !may(action::UPDATE) {
            return Err(permission_denied());
        }
        self.permitted_in_project(&query.repo, &query.app_project)?;
        let mut peer = self.shared.peers.of_repository(&query.repo)?;
        let request = ListAppsRequest { url: query.repo, project: query.app_project, revision: query.revision };
        Ok(peer.list_apps(request).await.map_err(told)?.into_inner())
    }

    pub(super) async fn details(
        &self,
        caller: &Caller,
        query: RepoAppDetailsQuery,
    ) -> Result<RepoAppDetailsResponse, Status> {
        let source = query.source.ok_or_else(|| Status::invalid_argument("missing payload in request"))?;
        self.readable(caller, &source.repo_url, &query.app_project)?;
        let app = scoped(&query.app_project, &query.app_name);
        self.shared.enforce(caller, resource::APPLICATIONS, action::GET, &app)?;
        match self.application(&query.app_name) {
            None => self.shared.enforce(caller, resource::APPLICATIONS, action::CREATE, &app)?,
            Some(known) if uses(&known, &query.app_project, &source, query.version_id) => {}
            Some(_) => return Err(permission_denied()),
        }
        self.permitted_in_project(&source.repo_url, &query.app_project)?;
        let mut peer = self.shared.peers.of_repository(&source.repo_url)?;
        let request = AppDetailsRequest {
            source: Some(source),
            project: query.app_project,
            app_name: query.app_name,
            no_cache: false,
        };
        Ok(peer.app_details(request).await.map_err(told)?.into_inner())
    }

    /// The credentials a repository is read with, if the caller may see it.
    fn readable(&self, caller: &Caller, url: &str, project: &str) -> Result<RepoCredentials, Status> {
        let known = self.shared.home.repositories().resolve(url, project);
        self.shared.enforce(caller, resource::REPOSITORIES, action::GET, &scoped(&known.project, url))?;
        Ok(known)
    }

    fn permitted_in_project(&self, url: &str, name: &str) -> Result<(), Status> {
        let project = self.shared.home.project(name).ok_or_else(permission_denied)?;
        if self.shared.home.rules(&project).permits_source(url).permitted {
            return Ok(());
        }
        Err(Status::permission_denied(format!("repository '{url}' not permitted in project '{name}'")))
    }

    /// An application by its name, with its namespace before a slash where it has one.
    fn application(&self, name: &str) -> Option<std::sync::Arc<Application>> {
        let home = &self.shared.home;
        let key = match name.split_once('/') {
            Some((namespace, name)) => AppKey::new(namespace, name),
            None => AppKey::new(home.namespace(), name),
        };
        home.apps().get(&key)
    }
}

/// Whether the source is one that the application uses or has used: otherwise
/// its name would open every repository of the project.
fn uses(app: &Application, project: &str, source: &ApplicationSource, version: i32) -> bool {
    let Some(spec) = &app.spec else { return false };
    let own = if spec.project.is_empty() { names::DEFAULT_PROJECT } else { &spec.project };
    if own != project {
        return false;
    }
    let now = spec.source.iter().chain(&spec.sources);
    let mut known: Vec<ApplicationSource> = now.cloned().collect();
    for entry in app.status.iter().flat_map(|status| &status.history) {
        if let Some(source) = &entry.source {
            known.push(ApplicationSource { target_revision: entry.revision.clone(), ..source.clone() });
        }
        if entry.id == i64::from(version) {
            let pairs = entry.sources.iter().zip(&entry.revisions);
            known.extend(
                pairs.map(|(s, revision)| ApplicationSource { target_revision: revision.clone(), ..s.clone() }),
            );
        }
    }
    known.contains(source)
}
