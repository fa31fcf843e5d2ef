//! Credential templates: credentials for every repository below an address.
//! They go in and never come out.

use std::sync::Arc;

use argosy_home::{Access, Error, RepoCredentials};
use argosy_proto::repocreds::repo_creds_service_server::RepoCredsService;
use argosy_proto::repocreds::{
    RepoCredsCreateRequest, RepoCredsDeleteRequest, RepoCredsQuery, RepoCredsResponse, RepoCredsUpdateRequest,
};
use argosy_proto::v1alpha1::{RepoCreds, RepoCredsList};
use tonic::{Request, Response, Status};

use crate::caller::{Caller, caller};
use crate::gateway::{self, Gateway};
use crate::permission::{action, resource};
use crate::shared::Shared;
use crate::status::from_home;
use crate::{difference, redact};

/// See the module's page.
pub(crate) struct Service {
    shared: Arc<Shared>,
}

/// The policy language's name for templates of this use.
pub(super) const fn resource_of(access: Access) -> &'static str {
    match access {
        Access::Read => resource::REPOSITORIES,
        Access::Write => resource::WRITE_REPOSITORIES,
    }
}

// === impl Service ===

impl Service {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn bind(self: &Arc<Self>, gateway: &mut Gateway) -> Result<(), gateway::Error> {
        bind!(gateway, self, "repocreds.RepoCredsService", {
            "ListRepositoryCredentials" => list_repository_credentials,
            "ListWriteRepositoryCredentials" => list_write_repository_credentials,
            "CreateRepositoryCredentials" => create_repository_credentials,
            "CreateWriteRepositoryCredentials" => create_write_repository_credentials,
            "UpdateRepositoryCredentials" => update_repository_credentials,
            "UpdateWriteRepositoryCredentials" => update_write_repository_credentials,
            "DeleteRepositoryCredentials" => delete_repository_credentials,
            "DeleteWriteRepositoryCredentials" => delete_write_repository_credentials,
        });
        Ok(())
    }

    fn list(&self, caller: &Caller, access: Access) -> RepoCredsList {
        let all = self.shared.home.repositories();
        let templates: &[Arc<RepoCredentials>] = match access {
            Access::Read => all.templates(),
            Access::Write => all.templates_for_writing(),
        };
        let visible =
            |known: &&Arc<RepoCredentials>| self.shared.permits(caller, resource_of(access), action::GET, &known.url);
        let items = templates.iter().filter(visible).map(|known| redact::repo_creds(known)).collect();
        RepoCredsList { metadata: Some(Default::default()), items }
    }

    async fn create(
        &self,
        caller: &Caller,
        request: RepoCredsCreateRequest,
        access: Access,
    ) -> Result<RepoCreds, Status> {
        let wanted = payload(request.creds)?;
        self.shared.enforce(caller, resource_of(access), action::CREATE, &wanted.url)?;
        if wanted.url.is_empty() {
            return Err(Status::invalid_argument("must specify URL"));
        }
        match self.shared.home.create_repo_creds(&wanted, access).await {
            Ok(()) => {
                let url = redact::address(&wanted.url);
                tracing::info!(url, by = caller.username(), "credentials of repositories added");
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
        wanted: RepoCreds,
        upsert: bool,
        access: Access,
    ) -> Result<RepoCreds, Status> {
        let existing = self.shared.home.stored_repo_creds(&wanted.url, access);
        let existing = existing.ok_or_else(|| Status::aborted("the credentials have just been deleted, try again"))?;
        match difference::refusal("repository credentials", &existing.to_repo_creds(), &wanted)? {
            None => Ok(named(&wanted)),
            Some(_) if upsert => self.replace(caller, wanted, access).await,
            Some(message) => Err(Status::invalid_argument(message)),
        }
    }

    async fn replace(&self, caller: &Caller, wanted: RepoCreds, access: Access) -> Result<RepoCreds, Status> {
        self.shared.enforce(caller, resource_of(access), action::UPDATE, &wanted.url)?;
        self.shared.home.update_repo_creds(&wanted, access).await.map_err(|e| from_home(&e))?;
        tracing::info!(
            url = redact::address(&wanted.url),
            by = caller.username(),
            "credentials of repositories changed"
        );
        Ok(named(&wanted))
    }

    async fn delete(&self, caller: &Caller, url: &str, access: Access) -> Result<RepoCredsResponse, Status> {
        self.shared.enforce(caller, resource_of(access), action::DELETE, url)?;
        self.shared.home.delete_repo_creds(url, access).await.map_err(|e| from_home(&e))?;
        tracing::info!(url = redact::address(url), by = caller.username(), "credentials of repositories deleted");
        Ok(RepoCredsResponse {})
    }
}

#[tonic::async_trait]
impl RepoCredsService for Service {
    async fn list_repository_credentials(
        &self,
        request: Request<RepoCredsQuery>,
    ) -> Result<Response<RepoCredsList>, Status> {
        Ok(Response::new(self.list(&caller(&request)?, Access::Read)))
    }

    async fn list_write_repository_credentials(
        &self,
        request: Request<RepoCredsQuery>,
    ) -> Result<Response<RepoCredsList>, Status> {
        Ok(Response::new(self.list(&caller(&request)?, Access::Write)))
    }

    async fn create_repository_credentials(
        &self,
        request: Request<RepoCredsCreateRequest>,
    ) -> Result<Response<RepoCreds>, Status> {
        let caller = caller(&request)?;
        self.create(&caller, request.into_inner(), Access::Read).await.map(Response::new)
    }

    async fn create_write_repository_credentials(
        &self,
        request: Request<RepoCredsCreateRequest>,
    ) -> Result<Response<RepoCreds>, Status> {
        let caller = caller(&request)?;
        self.create(&caller, request.into_inner(), Access::Write).await.map(Response::new)
    }

    async fn update_repository_credentials(
        &self,
        request: Request<RepoCredsUpdateRequest>,
    ) -> Result<Response<RepoCreds>, Status> {
        let caller = caller(&request)?;
        self.replace(&caller, payload(request.into_inner().creds)?, Access::Read).await.map(Response::new)
    }

    async fn update_write_repository_credentials(
        &self,
        request: Request<RepoCredsUpdateRequest>,
    ) -> Result<Response<RepoCreds>, Status> {
        let caller = caller(&request)?;
        self.replace(&caller, payload(request.into_inner().creds)?, Access::Write).await.map(Response::new)
    }

    async fn delete_repository_credentials(
        &self,
        request: Request<RepoCredsDeleteRequest>,
    ) -> Result<Response<RepoCredsResponse>, Status> {
        let caller = caller(&request)?;
        self.delete(&caller, &request.into_inner().url, Access::Read).await.map(Response::new)
    }

    async fn delete_write_repository_credentials(
        &self,
        request: Request<RepoCredsDeleteRequest>,
    ) -> Result<Response<RepoCredsResponse>, Status> {
        let caller = caller(&request)?;
        self.delete(&caller, &request.into_inner().url, Access::Write).await.map(Response::new)
    }
}

fn payload(creds: Option<RepoCreds>) -> Result<RepoCreds, Status> {
    creds.ok_or_else(|| Status::invalid_argument("missing payload in request"))
}

/// The answer to a change: what it is about, and nothing of what it holds.
fn named(creds: &RepoCreds) -> RepoCreds {
    RepoCreds { url: redact::address(&creds.url), ..Default::default() }
}
