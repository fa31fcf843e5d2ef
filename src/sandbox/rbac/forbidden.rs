//! The words for what is not permitted.

use super::{Access, Target};

/// Why an access is refused, in Kubernetes' words; `reason` is the decision's.
///
/// ```text
/// pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"
/// ```
#[must_use]
pub fn forbidden(access: &Access<'_>, reason: &str) -> String {
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
    forbidden_by(&access.target, &why)
}

/// A refusal for another reason than a missing permission, such as an escalation.
#[must_use]
pub fn forbidden_by(target: &Target<'_>, why: &str) -> String {
    match target {
        Target::Path(_) => format!("forbidden: {why}"),
        Target::Resource(target) if target.name.is_empty() => format!("{} is forbidden: {why}", target.qualified()),
        Target::Resource(target) => format!("{} {:?} is forbidden: {why}", target.qualified(), target.name),
    }
}
