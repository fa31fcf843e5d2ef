//! Who may do what: Roles and ClusterRoles, their bindings, and what Kubernetes
//! says to those who may not.
//!
//! [`decide`] is the one function that permits. It reads roles and bindings
//! through [`RoleSource`] on every request, so that a revoked binding counts at
//! once. Nothing is denied here, only not permitted; members of
//! `system:masters` are never asked for a role.

mod authorize;
mod bootstrap;
mod decide;
mod escalation;
mod forbidden;
mod rule;
mod rules_review;
mod source;

pub use authorize::Rbac;
pub use bootstrap::bootstrap_objects;
pub use decide::{Decision, decide};
pub use escalation::{Escalation, check_binding, check_role};
pub use forbidden::forbidden;
pub use rule::{Rule, Subject, rules_of};
pub use rules_review::rules_for_review;
pub use source::{Binding, RoleRef, RoleSource};

use crate::hooks::{Attributes, Caller};

/// The group that may do everything, whatever the roles say.
pub const MASTERS: &str = "system:masters";

/// The API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// What somebody wants to do.
#[derive(Clone, Debug)]
pub struct Access<'a> {
    /// Who.
    pub user: &'a Caller,
    /// `get`, `list`, `create`, `impersonate` and so on; lower-case HTTP methods for paths.
    pub verb: &'a str,
    /// With what.
    pub target: Target<'a>,
}

/// What is acted upon.
#[derive(Clone, Debug)]
pub enum Target<'a> {
    /// Something of the API. Parts that the request does not have are empty.
    Resource(ResourceTarget<'a>),
    /// A path outside the resources, `/healthz`.
    Path(&'a str),
}

/// A resource of the API; absent parts are empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceTarget<'a> {
    /// Empty for the core group.
    pub group: &'a str,
    /// The plural.
    pub resource: &'a str,
    /// `status`, `scale`, `log`, ...
    pub subresource: &'a str,
    /// Empty at the cluster scope.
    pub namespace: &'a str,
    /// Empty for collections and where the server picks the name.
    pub name: &'a str,
}

// === impl Access ===

impl<'a> Access<'a> {
    /// What a request wants.
    #[must_use]
    pub fn of(user: &'a Caller, attributes: &'a Attributes) -> Self {
        let target = if attributes.resource.is_empty() {
            Target::Path(&attributes.path)
        } else {
            Target::Resource(ResourceTarget {
                group: &attributes.group,
                resource: &attributes.resource,
                subresource: &attributes.subresource,
                namespace: &attributes.namespace,
                name: &attributes.name,
            })
        };
        Self { user, verb: &attributes.verb, target }
    }
}

// === impl ResourceTarget ===

impl ResourceTarget<'_> {
    /// `pods/log`, or `pods` alone.
    #[must_use]
    pub fn combined(&self) -> String {
        match self.subresource {
            "" => self.resource.to_owned(),
            subresource => format!("{}/{subresource}", self.resource),
        }
    }

    /// `deployments.apps`, or `pods` of the core group.
    #[must_use]
    pub fn qualified(&self) -> String {
        match self.group {
            "" => self.resource.to_owned(),
            group => format!("{}.{group}", self.resource),
        }
    }
}

#[cfg(test)]
mod tests;
