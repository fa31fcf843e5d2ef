//! Tokens of a project's roles.

use argosy_auth::project_token::{self, ProjectTokenError};
use argosy_auth::rbac::groups_from_claims;
use argosy_auth::token::Subject;
use argosy_home::events::Reason;
use argosy_proto::project::{
    EmptyResponse, ProjectTokenCreateRequest, ProjectTokenDeleteRequest, ProjectTokenResponse,
};
use argosy_proto::v1alpha1::{AppProject, JwtToken, ProjectRole};
use tonic::Status;

use super::Service;
use super::check::validate;
use crate::caller::Caller;
use crate::permission::{action, resource};
use crate::status::Refusal;

pub(super) use project_token::mirror as mirror_tokens;

// === impl Service ===

impl Service {
    pub(super) async fn issue_token(
        &self,
        caller: &Caller,
        request: ProjectTokenCreateRequest,
    ) -> Result<ProjectTokenResponse, Status> {
        let ProjectTokenCreateRequest { project: name, role: role_name, expires_in, id, .. } = request;
        // Nobody learns from here which projects and roles there are.
        self.shared.enforce(caller, resource::PROJECTS, action::GET, &name)?;
        let project = self.stored(&name).await?;
        validate(&project).map_err(|e| Status::new(e.code(), format!("error validating project: {}", e.message())))?;
        let role = project_token::role(&project, &role_name)
            .ok_or_else(|| Status::not_found(format!("project '{name}' does not have role '{role_name}'")))?;
        self.may_issue(caller, &name, role)?;
        let id = if id.is_empty() { self.shared.uuid() } else { id };
        let subject = Subject::ProjectRole { project: name.clone(), role: role_name.clone() };
        let issued = self.shared.authority.issue(subject, &id, expires_in)?;
        let record = JwtToken { iat: issued.claims.issued_at, exp: issued.claims.expires_at.unwrap_or_default(), id };
        let add = |project: &mut AppProject| project_token::add(project, &role_name, record.clone()).map_err(refused);
        let stored = self.shared.home.update_project(&self.key(&name), None, add).await.map_err(Status::from)?;
        self.shared.tell_project(caller, &stored, Reason::ResourceCreated, "created token");
        Ok(ProjectTokenResponse { token: issued.token.expose().clone() })
    }

    pub(super) async fn withdraw_token(
        &self,
        caller: &Caller,
        request: &ProjectTokenDeleteRequest,
    ) -> Result<EmptyResponse, Status> {
        let ProjectTokenDeleteRequest { project: name, role: role_name, iat, id } = request;
        self.shared.enforce(caller, resource::PROJECTS, action::GET, name)?;
        let project = self.stored(name).await?;
        let Some(role) = project_token::role(&project, role_name) else { return Ok(EmptyResponse {}) };
        self.may_issue(caller, name, role)?;
        let mut removed = false;
        let remove = |project: &mut AppProject| {
            removed = project_token::remove(project, role_name, *iat, id);
            Ok::<_, Refusal>(())
        };
        let stored = self.shared.home.update_project(&self.key(name), None, remove).await.map_err(Status::from)?;
        if removed {
            self.shared.tell_project(caller, &stored, Reason::ResourceDeleted, "deleted token");
        }
        Ok(EmptyResponse {})
    }

    /// Tokens of a role are made by who may change the project, and by the role's
    /// own groups.
    fn may_issue(&self, caller: &Caller, project: &str, role: &ProjectRole) -> Result<(), Status> {
        let allowed = self.shared.enforce(caller, resource::PROJECTS, action::UPDATE, project);
        let Some(identity) = caller.identity() else { return allowed };
        let policy = self.shared.authority.policy();
        let groups = groups_from_claims(&identity.claims, policy.scopes());
        if groups.iter().any(|group| role.groups.contains(group)) { Ok(()) } else { allowed }
    }
}

fn refused(error: ProjectTokenError) -> Refusal {
    match error {
        ProjectTokenError::NoRole { .. } => Status::not_found(error.to_string()).into(),
        ProjectTokenError::IdUsed(_) => Status::invalid_argument(error.to_string()).into(),
    }
}
