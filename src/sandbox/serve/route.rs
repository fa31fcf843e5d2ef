//! What a path of the API means.

use http::Method;

/// One request's target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// A collection, an object or something below it.
    Resource(ResourceRoute<'a>),
    /// `/api`.
    CoreVersions,
    /// `/apis`.
    Groups,
    /// `/apis/<group>`.
    Group(&'a str),
    /// `/api/v1` or `/apis/<group>/<version>`.
    Resources { group: &'a str, version: &'a str },
    /// `/openapi/v3`.
    OpenApiIndex,
    /// `/openapi/v3/<document>`.
    OpenApi(&'a str),
    /// `/openapi/v2`.
    OpenApiV2,
    /// `/version`.
    Version,
    /// `/healthz` and its like, and one check of those.
    Health(&'a str),
    /// `/metrics`.
    Metrics,
    /// Anything else.
    Unknown,
}

/// Where a resource request points; absent parts are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ResourceRoute<'a> {
    pub(super) group: &'a str,
    pub(super) version: &'a str,
    pub(super) namespace: &'a str,
    pub(super) resource: &'a str,
    pub(super) name: &'a str,
    pub(super) subresource: &'a str,
    /// `/watch/` of old clients.
    pub(super) is_watch: bool,
}

/// Reads a path.
pub(super) fn parse(path: &str) -> Route<'_> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts[..] {
        ["version"] => Route::Version,
        ["healthz" | "livez" | "readyz"] => Route::Health(""),
        ["healthz" | "livez" | "readyz", check] => Route::Health(check),
        ["metrics"] => Route::Metrics,
        ["openapi", "v2"] => Route::OpenApiV2,
        ["openapi", "v3"] => Route::OpenApiIndex,
        ["openapi", "v3", ..] => Route::OpenApi(path.trim_matches('/').trim_start_matches("openapi/v3/")),
        ["api"] => Route::CoreVersions,
        ["apis"] => Route::Groups,
        ["apis", group] => Route::Group(group),
        ["api", version] => Route::Resources { group: "", version },
        ["apis", group, version] => Route::Resources { group, version },
        ["api", version, ref rest @ ..] => resource("", version, rest),
        ["apis", group, version, ref rest @ ..] => resource(group, version, rest),
        _ => Route::Unknown,
    }
}

fn resource<'a>(group: &'a str, version: &'a str, rest: &[&'a str]) -> Route<'a> {
    let (is_watch, rest) = match rest {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        rest => (false, rest),
    };
    let base = ResourceRoute { group, version, is_watch, ..ResourceRoute::default() };
    let route = match rest {
        // A namespace's own subresources, not a resource in it.
        ["namespaces", name, subresource @ ("status" | "finalize")] => {
            ResourceRoute { resource: "namespaces", name, subresource, namespace: name, ..base }
        }
        ["namespaces", name] => ResourceRoute { resource: "namespaces", name, namespace: name, ..base },
        ["namespaces", namespace, resource] => ResourceRoute { namespace, resource, ..base },
        ["namespaces", namespace, resource, name] => ResourceRoute { namespace, resource, name, ..base },
        ["namespaces", namespace, resource, name, subresource, ..] => {
            ResourceRoute { namespace, resource, name, subresource, ..base }
        }
        [resource] => ResourceRoute { resource, ..base },
        [resource, name] => ResourceRoute { resource, name, ..base },
        [resource, name, subresource, ..] => ResourceRoute { resource, name, subresource, ..base },
        [] => return Route::Unknown,
    };
    Route::Resource(route)
}

/// The verb of a request.
pub(super) fn verb(method: &Method, route: &ResourceRoute<'_>, watch: bool) -> Option<&'static str> {
    Some(match (method.as_str(), route.name.is_empty()) {
        ("GET" | "HEAD", _) if route.is_watch => "watch",
        ("GET" | "HEAD", true) if watch => "watch",
        ("GET" | "HEAD", true) => "list",
        ("GET" | "HEAD", false) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "deletecollection",
        ("DELETE", false) => "delete",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_the_api_server_reads_them() {
        let route = |path| match parse(path) {
            Route::Resource(r) => (r.group, r.version, r.namespace, r.resource, r.name, r.subresource),
            other => panic!("{other:?}"),
        };
        assert_eq!(route("/api/v1/pods"), ("", "v1", "", "pods", "", ""));
        assert_eq!(route("/api/v1/namespaces"), ("", "v1", "", "namespaces", "", ""));
        assert_eq!(route("/api/v1/namespaces/a"), ("", "v1", "a", "namespaces", "a", ""));
        assert_eq!(route("/api/v1/namespaces/a/finalize"), ("", "v1", "a", "namespaces", "a", "finalize"));
        assert_eq!(
            route("/apis/apps/v1/namespaces/a/deployments/b/scale"),
            ("apps", "v1", "a", "deployments", "b", "scale")
        );
        assert_eq!(route("/apis/x.y/v1/foos/a/status"), ("x.y", "v1", "", "foos", "a", "status"));
        assert_eq!(parse("/openapi/v3/apis/apps/v1"), Route::OpenApi("apis/apps/v1"));
        assert_eq!(parse("/nope"), Route::Unknown);
    }
}
