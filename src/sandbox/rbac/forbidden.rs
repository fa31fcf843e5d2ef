//! The words for what is not permitted.

use http::StatusCode;

use super::{Access, Target};
use crate::failure::{Failure, Subject};

/// The refusal of an access, in Kubernetes' words; `reason` is the decision's.
///
/// ```text
/// pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"
/// ```
#[must_use]
pub fn forbidden(access: &Access<'_>, reason: &str) -> Failure {
    let user = &access.user.name;
    let verb = access.verb;
    let cannot = match &access.target {
        Target::Path(path) => format!("User {user:?} cannot {verb} path {path:?}"),
        Target::Resource(target) => {
            let resource = target.combined();
            let cannot = format!("User {user:?} cannot {verb} resource {resource:?} in API group {:?}", target.group);
            match target.namespace {
                "" => format!("{cannot} at the cluster scope"),
                namespace => format!("{cannot} in the namespace {namespace:?}"),
            }
        }
    };
    // Names come from requests; a browser that shows the message must not run them.
    let mut why = cannot.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    if !reason.is_empty() {
        why = format!("{why}: {reason}");
    }
    match &access.target {
        Target::Path(_) => {
            let message = format!("forbidden: {why}");
            Failure::new(StatusCode::FORBIDDEN, "Forbidden", message).with(serde_json::Map::new())
        }
        Target::Resource(target) => {
            Failure::forbidden(Subject { group: target.group, resource: target.resource, name: target.name }, &why)
        }
    }
}
