//! Random requests.

use argosy_proto::account::{CanIRequest, CanIResponse};
use argosy_proto::application::{
    ApplicationPodLogsQuery, ApplicationQuery, ApplicationUpdateRequest, LogEntry, ResourceActionRunRequest,
};
use argosy_proto::cluster::ClusterQuery;
use argosy_proto::project::ProjectTokenDeleteRequest;
use argosy_proto::repository::RepoUpdateRequest;
use argosy_proto::session::{SessionCreateRequest, SessionResponse};
use argosy_proto::v1alpha1::ApplicationList;
use argosy_server::gateway::{Gateway, GatewayOptions};
use axum::Router;
use axum::body::Body;
use futures::stream;
use http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{send, text};

/// Every kind of binding, all answering with their empty reply.
fn everything() -> Router {
    macro_rules! bind {
        ($gateway:ident, $($rpc:literal: $request:ty => $reply:ty),* $(,)?) => {
            $($gateway.unary($rpc, |_: tonic::Request<$request>| async { Ok(tonic::Response::new(<$reply>::default())) }).unwrap();)*
        };
    }
    let mut gateway = Gateway::new(GatewayOptions::default()).unwrap();
    bind!(gateway,
        "account.AccountService/CanI": CanIRequest => CanIResponse,
        "application.ApplicationService/List": ApplicationQuery => ApplicationList,
        "application.ApplicationService/Update": ApplicationUpdateRequest => argosy_proto::v1alpha1::Application,
        "application.ApplicationService/RunResourceAction": ResourceActionRunRequest => argosy_proto::application::ApplicationResponse,
        "cluster.ClusterService/Get": ClusterQuery => argosy_proto::v1alpha1::Cluster,
        "project.ProjectService/DeleteToken": ProjectTokenDeleteRequest => argosy_proto::project::EmptyResponse,
        "repository.RepositoryService/Update": RepoUpdateRequest => argosy_proto::v1alpha1::Repository,
        "session.SessionService/Create": SessionCreateRequest => SessionResponse,
    );
    gateway
        .server_streaming(
            "application.ApplicationService/PodLogs",
            |_: tonic::Request<ApplicationPodLogsQuery>| async {
                Ok(tonic::Response::new(stream::iter([Ok(LogEntry::default())])))
            },
        )
        .unwrap();
    gateway.into_router()
}

const PATHS: &[&str] = &[
    "/api/v1/applications",
    "/api/v1/applications/a",
    "/api/v1/applications/a/resource/actions",
    "/api/v1/applications/a/logs",
    "/api/v1/account/can-i/a/b/c",
    "/api/v1/clusters/c",
    "/api/v1/projects/p/roles/r/token/1",
    "/api/v1/repositories/r",
    "/api/v1/session",
];

const NAMES: &[&str] = &[
    "projects",
    "validate",
    "id.type",
    "id.type.deep",
    "id",
    "application.spec.sources",
    "sinceTime",
    "tailLines",
    "follow",
    "application.metadata.labels[a]",
    "labels[",
    "]",
    "iat",
    "fields",
    "download",
    "repo.repo",
    "projects[x]",
];

fn query() -> impl Strategy<Value = String> {
    let pair = (prop::sample::select(NAMES), "[ -~]{0,12}").prop_map(|(name, value)| {
        let value: String = value.chars().filter(|c| !"#\"<>\\^`{|} ".contains(*c)).collect();
        format!("{name}={value}").replace('[', "%5B").replace(']', "%5D")
    });
    prop::collection::vec(pair, 0..4).prop_map(|pairs| pairs.join("&"))
}

fn path() -> impl Strategy<Value = String> {
    let strange = "(/(api|v1|[a-z%.0-9:*+]{0,6})){0,8}";
    let segment = "(%[0-9a-fA-F]{2}|[a-z0-9.:+%]){0,8}";
    prop_oneof![
        prop::sample::select(PATHS).prop_map(str::to_owned),
        (prop::sample::select(PATHS), segment).prop_map(|(path, segment)| format!("{path}/{segment}")),
        strange.prop_map(|path| format!("/api{path}")),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let field = prop::sample::select(&["username", "metadata", "spec", "name", "repo", "application", "labels"][..]);
    let leaf = prop_oneof![
        any::<f64>().prop_map(|n| json!(n)),
        any::<i64>().prop_map(|n| json!(n)),
        "\\PC{0,6}".prop_map(Value::String),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
    ];
    let json = leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(field.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop_oneof![prop::collection::vec(any::<u8>(), 0..64), json.prop_map(|value| value.to_string().into_bytes()),]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_request_is_the_servers_fault(
        method in prop::sample::select(&["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"][..]),
        path in path(),
        query in query(),
        body in body(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let target = format!("{path}?{query}");
        let request = Request::builder().method(method).uri(&target).header("content-type", "application/json");
        let Ok(request) = request.body(Body::from(body)) else { return Ok(()) };
        let router = EVERYTHING.with(Router::clone);
        let response = runtime.block_on(send(&router, request));
        prop_assert!(response.status().as_u16() < 500, "{method} {target}: {}", response.status());
        if !response.status().is_success() && path.starts_with("/api/") {
            let status = response.status();
            let answer: Value = serde_json::from_str(&runtime.block_on(text(response))).unwrap_or_default();
            prop_assert!(method == "HEAD" || answer["message"].is_string(), "{method} {target}: {status} {answer}");
        }
    }
}

thread_local! {
    static EVERYTHING: Router = everything();
}
