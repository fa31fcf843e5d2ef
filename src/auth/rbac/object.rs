//! What objects are called in policies. Projects, accounts and extensions have their
//! name; certificates and keys have none.

/// Resources whose objects have the name of an application. That of a cluster has
/// three parts too: `https://host`.
const NAMED_AS_APPLICATIONS: [&str; 4] = ["applications", "applicationsets", "logs", "exec"];

/// An application, and the application set, logs and terminals of one:
/// `project/name`, or `project/namespace/name` where the namespace is another than
/// that of the control plane.
pub fn application(project: &str, namespace: &str, name: &str, control_plane_namespace: &str) -> String {
    if control_plane_namespace.is_empty() || namespace.is_empty() || namespace == control_plane_namespace {
        format!("{project}/{name}")
    } else {
        format!("{project}/{namespace}/{name}")
    }
}

/// A repository by its URL or a cluster by its server; with its project, if it
/// belongs to one.
pub fn scoped(project: &str, address: &str) -> String {
    if project.is_empty() { address.to_owned() } else { format!("{project}/{address}") }
}

/// An object as a person names it: an application of the control plane's namespace
/// is named without it.
pub fn normalized(resource: &str, object: &str, control_plane_namespace: &str) -> String {
    let parts: Vec<&str> = object.split('/').collect();
    match parts[..] {
        [project, namespace, name] if NAMED_AS_APPLICATIONS.contains(&resource) => {
            application(project, namespace, name, control_plane_namespace)
        }
        _ => object.to_owned(),
    }
}

/// The action on a resource of an application, for `update` and `delete`:
/// `verb/group/kind/namespace/name`.
pub fn resource_action(verb: &str, group: &str, kind: &str, namespace: &str, name: &str) -> String {
    format!("{verb}/{group}/{kind}/{namespace}/{name}")
}

/// To run an action that is defined for a kind: `action/group/kind/name`.
pub fn custom_action(group: &str, kind: &str, action: &str) -> String {
    format!("action/{group}/{kind}/{action}")
}
