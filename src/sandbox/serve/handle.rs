//! One request from its arrival to its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::query::{Query, options_kind};
use super::respond::{self, Body};
use super::route::{self, ResourceRoute, Route};
use super::{delete, discovery, openapi, question, read, scale, watch, write};
use crate::failure::Failure;
use crate::hooks::{self, Attributes, Caller, Record};
use crate::kinds::{KUBERNETES_VERSION, Kind, Kinds};

/// Most bytes of a body; the real server takes 3 MiB.
const MAX_BODY: usize = 3 << 20;

/// Checks of health that can be asked for alone; the empty one is all of them.
const HEALTH_CHECKS: [&str; 5] = ["", "ping", "log", "etcd", "informer-sync"];

/// What a request for a resource came to.
pub(super) struct Reply {
    pub(super) response: Response<Body>,
    /// The version that was stored.
    pub(super) version: Option<u64>,
}

/// Answers a request.
pub(super) async fn handle<B>(api: Arc<Api>, certificate: Option<Arc<[u8]>>, request: Request<B>) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let (parts, body) = request.into_parts();
    // Read first, whatever becomes of the request: an answer before the end of the
    // body resets HTTP/2 streams.
    let body = read_body(body).await;
    let mut response = match answer(&api, certificate.as_deref(), &parts, body).await {
        Ok(response) => response,
        Err((failure, retry_after)) => {
            let mut response = respond::failure(&failure);
            respond::warn(&mut response, &failure.warnings);
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response.headers_mut().insert("audit-id", HeaderValue::from_str(&api.stamps.uid()).expect("uids are ASCII"));
    response
}

type Refusal = (Failure, Option<u64>);

/// What reading a body fails with.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn answer(
    api: &Arc<Api>,
    certificate: Option<&[u8]>,
    parts: &http::request::Parts,
    body: Result<Bytes, Failure>,
) -> Result<Response<Body>, Refusal> {
    let plain = |failure| (failure, None);
    let caller = api.hooks.authenticator.authenticate(&parts.headers, certificate).map_err(plain)?;
    let path = decoded_path(parts.uri.path());
    let query = Query::parse(parts.uri.query());
    let route = route::parse(&path);
    let attributes =
        attributes(&parts.method, &path, &route, &query).ok_or_else(|| plain(Failure::method_not_allowed()))?;
    let time = api.stamps.timestamp();
    let trouble = api.hooks.observer.trouble(&caller, &attributes, &parts.method);
    if let Some(delay) = trouble.delay {
        tokio::time::sleep(delay).await;
    }
    let result = if let Some(refusal) = trouble.refusal.clone() {
        Err(refusal)
    } else {
        match api.hooks.authorizer.authorize(&caller, &attributes) {
            Err(refusal) => Err(refusal),
            Ok(()) => match body {
                Err(failure) => Err(failure),
                Ok(body) => dispatch(api, &caller, &attributes, parts, &query, &route, body, &trouble).await,
            },
        }
    };
    let result = match result {
        Ok(reply) => match reply.version {
            Some(version) if api.store.committed(version).await.is_err() => {
                Err(Failure::internal("the state can no longer be written to disk"))
            }
            _ => Ok(reply),
        },
        refusal => refusal,
    };
    let code = result.as_ref().map_or_else(|failure| failure.code, |reply| reply.response.status());
    let dry_run = query.dry_run("").unwrap_or(false);
    api.requests.count(&attributes, content_type(parts), dry_run, code);
    api.hooks.observer.record(Record {
        time,
        caller,
        attributes,
        field_manager: query.get("fieldManager").to_owned(),
        dry_run,
        code,
        version: result.as_ref().ok().and_then(|reply| reply.version),
    });
    result.map(|reply| reply.response).map_err(|failure| (failure, trouble.retry_after))
}

fn header_text(parts: &http::request::Parts, name: header::HeaderName) -> &str {
    parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Without its parameters.
fn content_type(parts: &http::request::Parts) -> &str {
    header_text(parts, header::CONTENT_TYPE).split(';').next().unwrap_or("").trim()
}

async fn read_body<B>(body: B) -> Result<Bytes, Failure>
where
    B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {MAX_BODY}"),
        )),
        Err(_) => Err(Failure::bad_request("unable to read the request's body")),
    }
}

fn decoded_path(path: &str) -> String {
    if path.contains('%') {
        Query::parse(Some(&format!("p={}", path.replace('+', "%2B")))).get("p").to_owned()
    } else {
        path.to_owned()
    }
}

fn attributes(method: &Method, path: &str, route: &Route<'_>, query: &Query) -> Option<Attributes> {
    let path = path.to_owned();
    let Route::Resource(r) = route else {
        return Some(Attributes { verb: method.as_str().to_lowercase(), path, ..Attributes::default() });
    };
    let verb = route::verb(method, r, query.is_true("watch"))?;
    // One named object is listed or watched by its name.
    let named = query.get("fieldSelector").strip_prefix("metadata.name=").filter(|n| !n.contains(','));
    let name = if r.name.is_empty() && matches!(verb, "list" | "watch") { named.unwrap_or("") } else { r.name };
    Some(Attributes {
        verb: verb.to_owned(),
        group: r.group.to_owned(),
        version: r.version.to_owned(),
        resource: r.resource.to_owned(),
        subresource: r.subresource.to_owned(),
        namespace: r.namespace.to_owned(),
        name: name.to_owned(),
        path,
    })
}

#[expect(clippy::too_many_arguments, reason = "one call, the parts of one request")]
async fn dispatch(
    api: &Arc<Api>,
    caller: &Caller,
    attributes: &Attributes,
    parts: &http::request::Parts,
    query: &Query,
    route: &Route<'_>,
    body: Bytes,
    trouble: &hooks::Trouble,
) -> Result<Reply, Failure> {
    match route {
        Route::Resource(route) => resource(api, caller, attributes, parts, query, *route, body, trouble).await,
        Route::Unknown | Route::Health(_) => document(api, parts, route).map(Reply::from),
        // The list of groups is given whatever the method.
        Route::Groups => document(api, parts, route).map(Reply::from),
        _ if !matches!(parts.method, Method::GET | Method::HEAD) => Err(Failure::method_not_allowed()),
        other => document(api, parts, other).map(Reply::from),
    }
}

fn document(api: &Api, parts: &http::request::Parts, route: &Route<'_>) -> Result<Response<Body>, Failure> {
    let ok = |value: Value| Ok(respond::object(StatusCode::OK, &value));
    let text = |document: &str| {
        Ok(respond::bytes_of(StatusCode::OK, "application/json", Bytes::copy_from_slice(document.as_bytes())))
    };
    let aggregated = discovery::wants_aggregated(&parts.headers);
    if matches!(route, Route::CoreVersions | Route::Groups | Route::Group(_) | Route::Resources { .. }) {
        respond::accepts_documents(&parts.headers)?;
    }
    match route {
        Route::Version => ok(version()),
        Route::Metrics => Ok(respond::text(StatusCode::OK, api.requests.text())),
        Route::Health(check) if HEALTH_CHECKS.contains(check) => Ok(respond::text(StatusCode::OK, "ok")),
        Route::Health(_) => Ok(respond::text(StatusCode::NOT_FOUND, "404 page not found\n")),
        Route::CoreVersions | Route::Groups if aggregated => {
            let value = discovery::aggregated(&api.kinds, *route == Route::CoreVersions);
            let mut response = respond::object(StatusCode::OK, &value);
            let media = HeaderValue::from_static(discovery::aggregated_type());
            response.headers_mut().insert(header::CONTENT_TYPE, media);
            Ok(response)
        }
        Route::CoreVersions => ok(discovery::core_versions(&api.address)),
        Route::Groups => ok(discovery::groups(&api.kinds)),
        Route::Group(name) => match discovery::group(&api.kinds, name) {
            Some(group) => ok(group),
            None => Ok(respond::text(StatusCode::NOT_FOUND, "404 page not found\n")),
        },
        Route::Resources { group, version } => match discovery::resources(&api.kinds, group, version) {
            Ok(resources) => ok(resources),
            Err(failure) if is_own_group(group) => Err(failure),
            Err(_) => Ok(respond::text(StatusCode::NOT_FOUND, "404 page not found\n")),
        },
        Route::OpenApiIndex => {
            let index = openapi::index(&api.kinds).to_string();
            Ok(respond::bytes_of(StatusCode::OK, "text/plain; charset=utf-8", index.into()))
        }
        Route::OpenApi(name) => match openapi::document(&api.kinds, name) {
            Some(document) => text(&document),
            None => {
                let mut nothing = respond::text(StatusCode::NOT_FOUND, "");
                nothing.headers_mut().remove(header::CONTENT_TYPE);
                Ok(nothing)
            }
        },
        Route::OpenApiV2 if openapi::wants_protobuf(&parts.headers) => {
            let document = openapi::swagger_without_kinds().into();
            Ok(respond::bytes_of(StatusCode::OK, openapi::SWAGGER_PROTOBUF, document))
        }
        Route::OpenApiV2 => text(&openapi::swagger(&api.kinds)),
        Route::Resource(_) | Route::Unknown => Ok(respond::text(StatusCode::NOT_FOUND, "404 page not found\n")),
    }
}

/// Whether a group is one of Kubernetes' own: those say what they do not know.
fn is_own_group(name: &str) -> bool {
    Kinds::new().groups().iter().any(|group| group.name == name)
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35", "gitVersion": KUBERNETES_VERSION,
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64",
    })
}

#[expect(clippy::too_many_arguments, reason = "one call, the parts of one request")]
async fn resource(
    api: &Arc<Api>,
    caller: &Caller,
    attributes: &Attributes,
    parts: &http::request::Parts,
    query: &Query,
    route: ResourceRoute<'_>,
    body: Bytes,
    trouble: &hooks::Trouble,
) -> Result<Reply, Failure> {
    let Some(kind) = api.kinds.find(route.group, route.version, route.resource) else {
        let page = || Ok(Reply::from(respond::text(StatusCode::NOT_FOUND, "404 page not found\n")));
        return if is_own_group(route.group) { Err(Failure::no_such_resource()) } else { page() };
    };
    if matches!(attributes.verb.as_str(), "create" | "update" | "patch") {
        query.check_manager(options_kind(&attributes.verb))?;
    }
    let ask = Ask {
        dry_run: query.dry_run(options_kind(&attributes.verb))?,
        field_manager: query.field_manager(header_text(parts, header::USER_AGENT)),
        form: respond::form(&parts.headers, &attributes.verb)?,
        is_single: header_text(parts, header::ACCEPT).contains("as=PartialObjectMetadata;"),
        kind,
        route,
        caller,
        attributes,
        query,
        content_type: content_type(parts),
    };
    let wrong_scope = if ask.kind.namespaced {
        route.namespace.is_empty() && !route.name.is_empty()
            || route.namespace.is_empty() && attributes.verb == "create"
    } else {
        !route.namespace.is_empty() && route.resource != "namespaces"
    };
    if wrong_scope {
        if ask.kind.custom.is_some() {
            return Ok(respond::text(StatusCode::NOT_FOUND, "404 page not found\n").into());
        }
        let is_of_all = attributes.verb == "create" && route.name.is_empty() && route.namespace.is_empty();
        return Err(if is_of_all { Failure::method_not_allowed() } else { Failure::no_such_resource() });
    }
    if !route.name.is_empty() && ask.kind.verbs == ["create"] && route.subresource.is_empty() {
        return Err(Failure::no_such_resource());
    }
    let deprecation = deprecation(&ask.kind);
    let mut reply = answer_of(api, &ask, &body, trouble).await.map_err(|failure| failure.warned(&deprecation))?;
    if !deprecation.is_empty() {
        respond::warn_first(&mut reply.response, &deprecation);
    }
    Ok(reply)
}

/// What is said of every request for a kind that is going out of use.
fn deprecation(kind: &Kind) -> Vec<String> {
    if kind.group.is_empty() && kind.plural == "endpoints" {
        return vec!["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned()];
    }
    kind.custom.as_ref().and_then(|custom| custom.deprecation.clone()).into_iter().collect()
}

async fn answer_of(api: &Arc<Api>, ask: &Ask<'_>, body: &Bytes, trouble: &hooks::Trouble) -> Result<Reply, Failure> {
    let route = ask.route;
    let attributes = ask.attributes;
    if let Some(reply) = question::answer(api, ask, body).await? {
        return Ok(reply);
    }
    if !route.subresource.is_empty() {
        let Some(below) = ask.kind.subresource(route.subresource) else {
            let is_usual = matches!(route.subresource, "status" | "scale");
            let custom = ask.kind.custom.is_some() && is_usual;
            return Err(if custom { ask.not_found() } else { Failure::no_such_resource() });
        };
        if !below.verbs.contains(&attributes.verb) {
            return Err(Failure::method_not_allowed());
        }
        return match route.subresource {
            "scale" => scale::scale(api, ask, body),
            "status" | "finalize" | "resize" | "ephemeralcontainers" | "approval" => verbs(api, ask, body, trouble),
            _ => Err(Failure::no_such_resource()),
        };
    }
    let needs_name = matches!(attributes.verb.as_str(), "update" | "patch");
    if !ask.kind.allows(&attributes.verb) || (needs_name && route.name.is_empty()) {
        return Err(Failure::method_not_allowed());
    }
    verbs(api, ask, body, trouble)
}

fn verbs(api: &Arc<Api>, ask: &Ask<'_>, body: &Bytes, trouble: &hooks::Trouble) -> Result<Reply, Failure> {
    match ask.attributes.verb.as_str() {
        "get" => read::get(api, ask),
        "list" => read::list(api, ask),
        "watch" => watch::watch(api, ask, trouble),
        "create" => write::create(api, ask, body),
        "update" => write::update(api, ask, body),
        "patch" => write::patch(api, ask, body),
        "delete" => delete::delete(api, ask, body),
        "deletecollection" => delete::delete_collection(api, ask, body),
        _ => Err(Failure::method_not_allowed()),
    }
}

impl From<Response<Body>> for Reply {
    fn from(response: Response<Body>) -> Self {
        Self { response, version: None }
    }
}
