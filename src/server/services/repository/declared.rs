//! Which repositories there are: listed, declared, changed and withdrawn.

use std::sync::Arc;

use argosy_auth::rbac::object::scoped;
use argosy_home::{Access, Error, RepoCredentials};
use argosy_model::git_url;
use argosy_proto::peer::RepositoryRequest;
use argosy_proto::repository::{RepoAccessQuery, RepoCreateRequest, RepoQuery, RepoResponse};
use argosy_proto::v1alpha1::{Repository, RepositoryList};
use futures::future::join_all;
use tonic::Status;

use super::Service;
use crate::caller::Caller;
use crate::permission::{action, permission_denied};
use crate::services::repocreds::resource_of;
use crate::status::from_home;
use crate::{difference, redact};

// === impl Service ===

impl Service {
    /// The repositories the caller may see, by project and address, and whether
    /// they can be reached.
    pub(super) async fn visible(&self, caller: &Caller, access: Access, force: bool) -> RepositoryList {
        let mut shown = self.shown(caller, access);
        shown.sort_by(|a, b| (&a.project, &a.url).cmp(&(&b.project, &b.url)));
        let items = join_all(shown.iter().map(|known| self.described(known, access, force))).await;
        RepositoryList { metadata: Some(Default::default()), items }
    }

    /// A repository as clients see it: with what it has from a template, and whether
    /// it can be reached.
    async fn described(&self, known: &RepoCredentials, access: Access, force: bool) -> Repository {
        let mut repository = match access {
            Access::Read => redact::repository(&self.shared.home.repositories().complete(known.clone())),
            Access::Write => redact::repository(known),
        };
        repository.connection_state = Some(self.connection(&known.url, &known.project, force).await);
        repository
    }

    fn shown(&self, caller: &Caller, access: Access) -> Vec<Arc<RepoCredentials>> {
        let all = self.shared.home.repositories();
        let declared = match access {
            Access::Read => all.declared(),
            Access::Write => all.declared_for_writing(),
        };
        let may = |known: &&Arc<RepoCredentials>| {
            self.shared.permits(caller, resource_of(access), action::GET, &scoped(&known.project, &known.url))
        };
        declared.iter().filter(may).cloned().collect()
    }

    pub(super) async fn one(&self, caller: &Caller, query: &RepoQuery, access: Access) -> Result<Repository, Status> {
        let found = self.find(caller, query, access)?;
        Ok(self.described(&found, access, query.force_refresh).await)
    }

    /// The one declared repository a query means, among those the caller may see.
    pub(super) fn find(
        &self,
        caller: &Caller,
        query: &RepoQuery,
        access: Access,
    ) -> Result<Arc<RepoCredentials>, Status> {
        let same = |known: &Arc<RepoCredentials>| git_url::same(&known.url, &query.repo);
        let found: Vec<_> = self.shown(caller, access).into_iter().filter(same).collect();
        match &found[..] {
            [] => Err(permission_denied()),
            [only] if query.app_project.is_empty() => Ok(only.clone()),
            several => several.iter().find(|known| known.project == query.app_project).cloned().ok_or_else(|| {
                let (url, project) = (&query.repo, &query.app_project);
                Status::not_found(format!("repository not found for url {url:?} and project {project:?}"))
            }),
        }
    }

    pub(super) async fn declare(
        &self,
        caller: &Caller,
        request: RepoCreateRequest,
        access: Access,
    ) -> Result<Repository, Status> {
        let wanted = payload(request.repo)?;
        self.shared.enforce(caller, resource_of(access), action::CREATE, &scoped(&wanted.project, &wanted.repo))?;
        // Whoever declares one for a project may not be able to reach it from here yet.
        if wanted.project.is_empty() || access == Access::Write {
            self.test(as_given(&wanted)).await?;
        }
        self.states.forget(&wanted.repo, &wanted.project);
        match self.shared.home.create_repository(&wanted, access).await {
            Ok(()) => {
                tracing::info!(url = redact::address(&wanted.repo), by = caller.username(), "a repository was added");
                Ok(named(&wanted))
            }
            Err(Error::AlreadyExists(_)) => self.meet(caller, wanted, request.upsert, access).await,
            Err(error) => Err(from_home(&error)),
        }
    }

    /// One exists: fine when it is the same, or may be replaced.
    async fn meet(
        &self,
        caller: &Caller,
        wanted: Repository,
        upsert: bool,
        access: Access,
    ) -> Result<Repository, Status> {
        let existing = self.shared.home.stored_repository(&wanted.repo, &wanted.project, access);
        let existing = existing.ok_or_else(|| Status::aborted("the repository has just been deleted, try again"))?;
        match difference::refusal("repository", &comparable(&existing.to_repository()), &comparable(&wanted))? {
            None => Ok(named(&wanted)),
            Some(_) if upsert => self.redeclare(caller, Some(wanted), access).await,
            Some(message) => Err(Status::invalid_argument(message)),
        }
    }

    pub(super) async fn redeclare(
        &self,
        caller: &Caller,
        wanted: Option<Repository>,
        access: Access,
    ) -> Result<Repository, Status> {
        let wanted = payload(wanted)?;
        let home = &self.shared.home;
        // First of all, so that the answer does not tell whether there is one.
        let wanted_object = scoped(&wanted.project, &wanted.repo);
        self.shared.enforce(caller, resource_of(access), action::UPDATE, &wanted_object)?;
        let existing = home.stored_repository(&wanted.repo, &wanted.project, access);
        let may = |known: &Arc<RepoCredentials>| {
            let object = scoped(&known.project, &known.url);
            self.shared.permits(caller, resource_of(access), action::UPDATE, &object)
        };
        if !existing.as_ref().is_some_and(may) {
            return Err(permission_denied());
        }
        home.update_repository(&wanted, access).await.map_err(|e| from_home(&e))?;
        self.states.forget(&wanted.repo, &wanted.project);
        tracing::info!(url = redact::address(&wanted.repo), by = caller.username(), "a repository changed");
        Ok(named(&wanted))
    }

    pub(super) async fn withdraw(
        &self,
        caller: &Caller,
        query: &RepoQuery,
        access: Access,
    ) -> Result<RepoResponse, Status> {
        let found = self.find(caller, query, access)?;
        let name = scoped(&found.project, &found.url);
        self.shared.enforce(caller, resource_of(access), action::DELETE, &name)?;
        self.states.forget(&found.url, &found.project);
        let deleted = self.shared.home.delete_repository(&found.url, &found.project, access).await;
        deleted.map_err(|e| from_home(&e))?;
        tracing::info!(url = redact::address(&found.url), by = caller.username(), "a repository was deleted");
        Ok(RepoResponse {})
    }

    pub(super) async fn validate(
        &self,
        caller: &Caller,
        query: RepoAccessQuery,
        access: Access,
    ) -> Result<RepoResponse, Status> {
        self.shared.enforce(caller, resource_of(access), action::CREATE, &scoped(&query.project, &query.repo))?;
        self.test(as_given(&queried(query))).await?;
        Ok(RepoResponse {})
    }
}

fn payload(repository: Option<Repository>) -> Result<Repository, Status> {
    repository.ok_or_else(|| Status::invalid_argument("missing payload in request"))
}

/// The answer to a change: what it is about, and nothing of what it holds.
fn named(wanted: &Repository) -> Repository {
    Repository {
        repo: redact::address(&wanted.repo),
        r#type: wanted.r#type.clone(),
        name: wanted.name.clone(),
        ..Default::default()
    }
}

/// What of two declarations is compared.
fn comparable(repository: &Repository) -> Repository {
    let kind = if repository.r#type.is_empty() { "git" } else { &repository.r#type };
    Repository { r#type: kind.to_owned(), connection_state: None, inherited_creds: false, ..repository.clone() }
}

/// With the credentials given, or a template's where there are none.
fn as_given(repository: &Repository) -> RepositoryRequest {
    RepositoryRequest {
        repository: Some(repository.clone()),
        project: repository.project.clone(),
        as_given: true,
        force: true,
    }
}

fn queried(q: RepoAccessQuery) -> Repository {
    Repository {
        repo: q.repo,
        r#type: q.r#type,
        name: q.name,
        project: q.project,
        username: q.username,
        password: q.password,
        bearer_token: q.bearer_token,
        ssh_private_key: q.ssh_private_key,
        insecure: q.insecure,
        tls_client_cert_data: q.tls_client_cert_data,
        tls_client_cert_key: q.tls_client_cert_key,
        enable_oci: q.enable_oci,
        insecure_oci_force_http: q.insecure_oci_force_http,
        github_app_private_key: q.github_app_private_key,
        github_app_id: q.github_app_id,
        github_app_installation_id: q.github_app_installation_id,
        github_app_enterprise_base_url: q.github_app_enterprise_base_url,
        proxy: q.proxy,
        gcp_service_account_key: q.gcp_service_account_key,
        force_http_basic_auth: q.force_http_basic_auth,
        use_azure_workload_identity: q.use_azure_workload_identity,
        azure_service_principal_client_id: q.azure_service_principal_client_id,
        azure_service_principal_client_secret: q.azure_service_principal_client_secret,
        azure_service_principal_tenant_id: q.azure_service_principal_tenant_id,
        azure_active_directory_endpoint: q.azure_active_directory_endpoint,
        ..Default::default()
    }
}
