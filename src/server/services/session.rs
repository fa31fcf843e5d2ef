//! Signing in with a password, signing out, and who one is.

use std::sync::Arc;

use argosy_auth::account::Capability;
use argosy_auth::rbac::groups_from_claims;
use argosy_auth::token::{Claims, Subject};
use argosy_model::Secret;
use argosy_proto::session::session_service_server::SessionService;
use argosy_proto::session::{
    GetUserInfoRequest, GetUserInfoResponse, SessionCreateRequest, SessionDeleteRequest, SessionResponse,
};
use tonic::{Request, Response, Status};

use crate::api::SignIn;
use crate::caller::anyone;
use crate::gateway::{self, Gateway};
use crate::shared::{Shared, add_cookies};

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
        bind!(gateway, self, "session.SessionService", { "Create" => create, "Delete" => delete, "GetUserInfo" => get_user_info });
        Ok(())
    }

    async fn sign_in(&self, request: Request<SessionCreateRequest>) -> Result<Response<SessionResponse>, Status> {
        let source = self.shared.source(&request);
        let SessionCreateRequest { username, password, token } = request.into_inner();
        if !token.is_empty() {
            let words = "token-based session creation no longer supported. please upgrade argocd cli to v0.7+";
            return Err(Status::unauthenticated(words));
        }
        // A password that is replaced while it is verified must not outlive that.
        let begun = (self.shared.clock)();
        let attempt = SignIn { name: username.clone(), password: Secret::new(password), source };
        self.shared.api.sign_in(attempt).await?;
        let subject = Subject::Account { name: username, capability: Capability::Login };
        let lifetime = i64::try_from(self.shared.authority.snapshot().session.as_secs()).unwrap_or(i64::MAX);
        let issued = self.shared.authority.sign(Claims::new(subject, self.shared.uuid(), begun, lifetime))?;
        let token = issued.token.expose().clone();
        let mut response = Response::new(SessionResponse { token: token.clone() });
        match self.shared.cookies(&token) {
            Ok(cookies) => add_cookies(&mut response, cookies),
            Err(error) => return Err(Status::internal(error.to_string())),
        }
        Ok(response)
    }
}

#[tonic::async_trait]
impl SessionService for Service {
    async fn get_user_info(
        &self,
        request: Request<GetUserInfoRequest>,
    ) -> Result<Response<GetUserInfoResponse>, Status> {
        let caller = anyone(&request);
        let Some(identity) = caller.identity().filter(|_| caller.has_name()) else {
            return Ok(Response::new(GetUserInfoResponse::default()));
        };
        let policy = self.shared.authority.policy();
        Ok(Response::new(GetUserInfoResponse {
            logged_in: true,
            username: identity.username().to_owned(),
            iss: identity.issuer.clone(),
            groups: groups_from_claims(&identity.claims, policy.scopes()),
        }))
    }

    async fn create(&self, request: Request<SessionCreateRequest>) -> Result<Response<SessionResponse>, Status> {
        let outcome = self.sign_in(request).await;
        let status = if outcome.is_ok() { "success" } else { "failure" };
        metrics::counter!("argocd_login_request_total", "status" => status).increment(1);
        outcome
    }

    /// Only takes the cookies back; `/auth/logout` revokes the token.
    async fn delete(&self, request: Request<SessionDeleteRequest>) -> Result<Response<SessionResponse>, Status> {
        let mut response = Response::new(SessionResponse::default());
        let cookies = self.shared.cleared_cookies(request.metadata().as_ref());
        add_cookies(&mut response, cookies);
        Ok(response)
    }
}
