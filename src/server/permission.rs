//! The one policy question of the API: may this caller do that?
//!
//! Asked at the point of effect, by every service, in these words. The policy is
//! the compiled one of this moment; a project's own policies count for objects
//! that begin with its name.

use std::sync::Arc;

use argosy_auth::identity::{Identity, Kind};
use argosy_auth::rbac::{ProjectPolicy, Subject, groups_from_claims, object};
use argosy_model::AppKey;
use argosy_proto::resource::CustomResource as _;
use tonic::Status;

use crate::caller::Caller;
use crate::shared::Shared;

/// Resources of the policy language.
pub(crate) mod resource {
    pub(crate) const ACCOUNTS: &str = "accounts";
    pub(crate) const APPLICATIONS: &str = "applications";
    pub(crate) const APPLICATION_SETS: &str = "applicationsets";
    pub(crate) const CERTIFICATES: &str = "certificates";
    pub(crate) const CLUSTERS: &str = "clusters";
    pub(crate) const GPG_KEYS: &str = "gpgkeys";
    pub(crate) const LOGS: &str = "logs";
    pub(crate) const PROJECTS: &str = "projects";
    pub(crate) const REPOSITORIES: &str = "repositories";
    pub(crate) const WRITE_REPOSITORIES: &str = "write-repositories";
}

/// Actions of the policy language.
pub(crate) mod action {
    pub(crate) const CREATE: &str = "create";
    pub(crate) const DELETE: &str = "delete";
    pub(crate) const GET: &str = "get";
    pub(crate) const OVERRIDE: &str = "override";
    pub(crate) const SYNC: &str = "sync";
    pub(crate) const UPDATE: &str = "update";
}

/// What is said to somebody who may not, or asks for what is not there: the
/// same, so that nobody learns what exists.
pub(crate) fn permission_denied() -> Status {
    Status::permission_denied("permission denied")
}

/// Whom the policy is asked about. A provider may call its users anything; only a
/// project's own token speaks for a project's role.
pub(crate) fn subject(identity: &Identity, scopes: &[String]) -> Subject {
    let is_role = matches!(identity.kind, Kind::Project { .. });
    let name = if identity.subject.starts_with("proj:") && !is_role { "" } else { &identity.subject };
    Subject { name: name.to_owned(), groups: groups_from_claims(&identity.claims, scopes) }
}

// === impl Shared ===

impl Shared {
    /// Whether the caller may.
    pub(crate) fn permits(&self, caller: &Caller, resource: &str, action: &str, object: &str) -> bool {
        if caller.is_everybody() {
            return true;
        }
        let Some(identity) = caller.identity() else { return false };
        let policy = self.authority.policy();
        let subject = subject(identity, policy.scopes());
        // Roles of a project may get the project itself, which has no name of its own before it.
        let project =
            if resource == self::resource::PROJECTS { Some(object) } else { object.split_once('/').map(|(p, _)| p) };
        let project = project.and_then(|project| self.project_policy(project));
        policy.permits(&subject, resource, action, object, project.as_deref())
    }

    /// The same as an answer.
    ///
    /// # Errors
    /// `PermissionDenied`, naming the question and the caller.
    pub(crate) fn enforce(&self, caller: &Caller, resource: &str, action: &str, object: &str) -> Result<(), Status> {
        if self.permits(caller, resource, action, object) {
            return Ok(());
        }
        let mut message = format!("permission denied: {resource}, {action}, {object}");
        if let Some(identity) = caller.identity() {
            message.push_str(", sub: ");
            message.push_str(&identity.subject);
            if let Some(issued_at) = identity.issued_at {
                message.push_str(", iat: ");
                message.push_str(&issued_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
            }
        }
        Err(Status::permission_denied(message))
    }

    /// The policies of a project's roles, compiled once per version of the project.
    pub(crate) fn project_policy(&self, name: &str) -> Option<Arc<ProjectPolicy>> {
        let project = self.home.project(name)?;
        let version = &project.metadata().resource_version;
        Some(self.authority.snapshot().project_policy(name, version, |mode| ProjectPolicy::compile(&project, mode)))
    }

    /// The name of an application in the policy language.
    pub(crate) fn application_object(&self, project: &str, key: &AppKey) -> String {
        object::application(project, &key.namespace, &key.name, self.home.namespace())
    }
}
