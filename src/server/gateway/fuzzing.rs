//! REST requests of all kinds against methods that answer anything, cookies, and
//! answers cut to some fields.

use argosy_proto::account::{CanIRequest, CanIResponse};
use argosy_proto::application::{
    ApplicationPodLogsQuery, ApplicationQuery, ApplicationUpdateRequest, LogEntry, ResourceActionRunRequest,
};
use argosy_proto::cluster::{ClusterCreateRequest, ClusterQuery};
use argosy_proto::project::{ProjectCreateRequest, ProjectTokenDeleteRequest};
use argosy_proto::repository::{RepoCreateRequest, RepoUpdateRequest};
use argosy_proto::session::{SessionCreateRequest, SessionResponse};
use argosy_proto::v1alpha1::{AppProject, Application, ApplicationList, Cluster, Repository};
use axum::Router;
use axum::body::Body;
use futures::stream;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::fields::Fields;
use super::{Gateway, GatewayOptions, cookie, guard, query};
use argosy_fuzz_harness::{request, wait_for};

/// Stands in bodies where a password may stand; no answer may repeat it.
const CANARY: &str = "canary";

/// No request is the server's fault, every refusal is JSON with a message, and none
/// repeats what the body said.
pub(crate) fn rest(input: &[u8]) {
    thread_local! {
        static ROUTER: Router = router();
    }
    let Some(mut request) = request(input) else { return };
    request
        .headers_mut()
        .entry(http::header::CONTENT_TYPE)
        .or_insert(http::HeaderValue::from_static("application/json"));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let target = request.uri().to_string();
    let router = ROUTER.with(Router::clone);
    let (status, text) = wait_for(async {
        let answer = match router.oneshot(request.map(Body::from)).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let status = answer.status();
        (status, answer.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default())
    });
    assert!(!status.is_server_error() || status == StatusCode::NOT_IMPLEMENTED, "{method} {target}: {status}");
    let text = String::from_utf8_lossy(&text);
    if !status.is_success() && path.starts_with("/api/") && method != Method::HEAD {
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        assert!(answer["message"].is_string(), "{method} {target}: {status} {text}");
    }
    // What the target says may be repeated, in whatever spelling it came.
    if !target.contains(CANARY) && !target.contains('%') {
        assert!(!text.contains(CANARY), "{method} {target} repeats the body: {text}");
    }
    // The path says which cluster is meant, whatever else says so, too.
    if let Some(segment) = path.strip_prefix("/api/v1/clusters/").filter(|rest| !rest.contains('/'))
        && method == Method::GET
        && status.is_success()
        && !target.contains("fields")
    {
        let answer: Value = serde_json::from_str(&text).expect("an answer is JSON");
        let wanted = query::decode(segment, false).expect("it was decoded");
        assert_eq!(answer["server"].as_str().unwrap_or_default(), wanted, "{target}");
    }
}

/// Every kind of binding.
fn router() -> Router {
    macro_rules! bind {
        ($gateway:ident, $($rpc:literal: $request:ty => $reply:ty),* $(,)?) => {$(
            let answer = |_: tonic::Request<$request>| async { Ok(tonic::Response::new(<$reply>::default())) };
            $gateway.unary($rpc, answer).expect("it is in the table");
        )*};
    }
    let mut gateway = Gateway::new(GatewayOptions::default()).expect("the contract is sound");
    bind!(gateway,
        "account.AccountService/CanI": CanIRequest => CanIResponse,
        "application.ApplicationService/List": ApplicationQuery => ApplicationList,
        "application.ApplicationService/Update": ApplicationUpdateRequest => Application,
        "application.ApplicationService/RunResourceAction":
            ResourceActionRunRequest => argosy_proto::application::ApplicationResponse,
        "cluster.ClusterService/Create": ClusterCreateRequest => Cluster,
        "project.ProjectService/Create": ProjectCreateRequest => AppProject,
        "project.ProjectService/DeleteToken": ProjectTokenDeleteRequest => argosy_proto::project::EmptyResponse,
        "repository.RepositoryService/CreateRepository": RepoCreateRequest => Repository,
        "repository.RepositoryService/Update": RepoUpdateRequest => Repository,
        "session.SessionService/Create": SessionCreateRequest => SessionResponse,
    );
    let cluster = |request: tonic::Request<ClusterQuery>| async {
        let server = request.into_inner().id.unwrap_or_default().value;
        Ok(tonic::Response::new(Cluster { server, ..Cluster::default() }))
    };
    gateway.unary("cluster.ClusterService/Get", cluster).expect("it is in the table");
    let logs = |_: tonic::Request<ApplicationPodLogsQuery>| async {
        Ok(tonic::Response::new(stream::iter([Ok(LogEntry::default())])))
    };
    gateway.server_streaming("application.ApplicationService/PodLogs", logs).expect("it is in the table");
    gateway.into_router()
}

/// Headers with cookies are read or not, and a token comes back from the cookies that
/// were set for it.
pub(crate) fn cookie(input: &[u8]) {
    let Some(request) = request(input) else { return };
    let headers = request.headers();
    let read = cookie::token(headers);
    assert!(read.is_none() || cookie::has_token(headers), "a token without a cookie");
    let scope = cookie::Scope { base_href: "/argo", secure: true };
    assert!(cookie::clear(headers, scope).iter().all(|cookie| cookie.parse::<http::HeaderValue>().is_ok()));
    // Only what changes something, in the name of a cookie, can come from elsewhere.
    if guard::is_cross_site(request.method(), request.uri(), headers) {
        assert!(!request.method().is_safe() && cookie::has_token(headers));
    }
    let letters = request.body().iter().filter(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
    let token: String = letters.map(|byte| char::from(*byte)).collect();
    let token = token.repeat(1 + request.body().first().map_or(0, |byte| usize::from(*byte)));
    let Ok(set) = cookie::set(&token, scope, cookie::DEFAULT_MAX_COOKIES) else { return };
    assert!(set.iter().all(|cookie| cookie.len() <= 4093), "browsers drop it");
    let pairs: Vec<&str> = set.iter().filter_map(|cookie| cookie.split(';').next()).collect();
    let mut back = HeaderMap::new();
    back.insert(http::header::COOKIE, pairs.join("; ").parse().expect("cookies are text"));
    assert_eq!(cookie::token(&back), Some(token).filter(|token| !token.is_empty()));
}

/// The first line is what is wanted of the JSON after it: what is left is JSON, in which
/// nothing is left to cut.
pub(crate) fn fields(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let json = input.get(end + 1..).unwrap_or_default();
    let Some(fields) = Fields::parse(&String::from_utf8_lossy(&input[..end])) else { return };
    let Ok(cut) = fields.cut(json) else { return };
    let _: &serde_json::value::RawValue = serde_json::from_slice(&cut).expect("what is left is JSON");
    assert!(cut.len() <= json.len() * 6 + 2, "cutting made it longer");
    assert_eq!(fields.cut(&cut).ok().as_ref(), Some(&cut), "something was left to cut");
}
