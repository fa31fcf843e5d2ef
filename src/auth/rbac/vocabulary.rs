//! The resources and actions that there are. Policies may use any others; questions
//! of people are held against these.

/// The resources that questions are asked about.
pub const RESOURCES: &[&str] = &[
    "clusters",
    "projects",
    "applications",
    "applicationsets",
    "repositories",
    "write-repositories",
    "certificates",
    "accounts",
    "gpgkeys",
    "logs",
    "exec",
    "extensions",
];

/// The actions that questions are asked about, without what may follow a slash.
pub const ACTIONS: &[&str] = &["get", "create", "update", "delete", "sync", "override", "action", "invoke"];

/// A question that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no such resource.
    #[error("'{0}' is not a valid resource name")]
    Resource(String),
    /// The resource has no such action.
    #[error("'{action}' is not a valid action for {resource}")]
    Action {
        /// The resource.
        resource: String,
        /// What it does not have.
        action: String,
    },
}

/// The resource that a person means: short forms are known, all else is as it is.
pub fn resource_named(name: &str) -> &str {
    match name {
        "account" => "accounts",
        "app" | "apps" | "application" => "applications",
        "cert" | "certs" | "certificate" => "certificates",
        "cluster" => "clusters",
        "extension" => "extensions",
        "gpgkey" | "key" => "gpgkeys",
        "log" => "logs",
        "proj" | "projs" | "project" => "projects",
        "repo" | "repos" | "repository" => "repositories",
        other => other,
    }
}

/// Whether the resource has the action.
///
/// # Errors
/// What there is not.
pub fn check_request(resource: &str, action: &str) -> Result<(), RequestError> {
    let (actions, with_path): (&[&str], &[&str]) = match resource {
        "accounts" => (&["create", "update"], &[]),
        "applications" => {
            (&["create", "get", "update", "delete", "action", "override", "sync"], &["update", "delete", "action"])
        }
        "applicationsets" | "clusters" | "projects" | "repositories" => (&["create", "get", "update", "delete"], &[]),
        "certificates" | "gpgkeys" => (&["create", "get", "delete"], &[]),
        "extensions" => (&["invoke"], &[]),
        "logs" => (&["get"], &[]),
        "exec" => (&["create"], &[]),
        _ => return Err(RequestError::Resource(resource.to_owned())),
    };
    let (verb, has_path) = action.split_once('/').map_or((action, false), |(verb, _)| (verb, true));
    if !actions.contains(&verb) || has_path && !with_path.contains(&verb) {
        return Err(RequestError::Action { resource: resource.to_owned(), action: action.to_owned() });
    }
    Ok(())
}
