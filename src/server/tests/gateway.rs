//! REST by the contract's table.

#![allow(clippy::unwrap_used, reason = "an unwrap in a test is an assertion")]

#[path = "port/malformed.rs"]
mod malformed;
#[path = "port/streams.rs"]
mod streams;
#[path = "port/world.rs"]
mod world;

use argosy_proto::account::{CanIRequest, CanIResponse};
use argosy_proto::application::{ApplicationQuery, ApplicationUpdateRequest, ResourceActionRunRequest};
use argosy_proto::cluster::ClusterQuery;
use argosy_proto::project::ProjectTokenDeleteRequest;
use argosy_proto::repository::RepoUpdateRequest;
use argosy_proto::session::{SessionCreateRequest, SessionResponse};
use argosy_proto::v1alpha1::ApplicationList;
use argosy_server::gateway::{Error, Gateway, GatewayOptions};
use argosy_server::listener::ListenerOptions;
use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use world::Server;

/// A gateway with one method, whose requests are seen at the other end.
fn seen<Req, Rep>(rpc: &str, options: GatewayOptions) -> (Router, mpsc::UnboundedReceiver<tonic::Request<Req>>)
where
    Req: Message + Default + DeserializeOwned + 'static,
    Rep: Message + Default + Serialize + 'static,
{
    let (requests, received) = mpsc::unbounded_channel();
    let mut gateway = Gateway::new(options).unwrap();
    gateway
        .unary(rpc, move |request: tonic::Request<Req>| {
            requests.send(request).unwrap();
            async { Ok(tonic::Response::new(Rep::default())) }
        })
        .unwrap();
    (gateway.into_router(), received)
}

async fn message<Req, Rep>(rpc: &str, method: &str, path: &str, body: &str) -> Req
where
    Req: Message + Default + DeserializeOwned + 'static,
    Rep: Message + Default + Serialize + 'static,
{
    let (router, mut received) = seen::<Req, Rep>(rpc, GatewayOptions::default());
    let (status, answer) = ask(&router, method, path, body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    received.recv().await.unwrap().into_inner()
}

fn request(method: &str, path: &str, body: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn send(router: &Router, request: Request<Body>) -> Response<Body> {
    router.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn ask(router: &Router, method: &str, path: &str, body: &str) -> (StatusCode, Value) {
    let response = send(router, request(method, path, body)).await;
    let status = response.status();
    let text = text(response).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test]
async fn queries_fill_fields_by_either_name() {
    let query: ApplicationQuery = message::<_, ApplicationList>(
        "application.ApplicationService/List",
        "GET",
        "/api/v1/applications?projects=a&projects=b&selector=a%3Db+c&appNamespace=ns&unknown=1&unknown.deep=2&refresh=",
        "",
    )
    .await;
    assert_eq!(query.projects, ["a", "b"]);
    assert_eq!(query.selector.as_deref(), Some("a=b c"));
    assert_eq!(query.app_namespace.as_deref(), Some("ns"));
    assert_eq!(query.refresh.as_deref(), Some(""));
    assert_eq!(query.name, None);
}

#[tokio::test]
async fn dotted_paths_and_queries_meet_in_one_message() {
    let query: ClusterQuery = message::<_, argosy_proto::v1alpha1::Cluster>(
        "cluster.ClusterService/Get",
        "GET",
        "/api/v1/clusters/https%3A%2F%2Fkube.example%3A6443?id.type=server&id.value=other",
        "",
    )
    .await;
    let id = query.id.unwrap();
    assert_eq!((id.r#type.as_str(), id.value.as_str()), ("server", "https://kube.example:6443"));
}

#[tokio::test]
async fn numbers_in_paths_are_numbers() {
    let path = "/api/v1/projects/p/roles/r/token/1795000000";
    let query: ProjectTokenDeleteRequest =
        message::<_, argosy_proto::project::EmptyResponse>("project.ProjectService/DeleteToken", "DELETE", path, "")
            .await;
    assert_eq!((query.iat, query.role.as_str()), (1_795_000_000, "r"));
    let (router, _) = seen::<ProjectTokenDeleteRequest, argosy_proto::project::EmptyResponse>(
        "project.ProjectService/DeleteToken",
        GatewayOptions::default(),
    );
    let (status, answer) = ask(&router, "DELETE", "/api/v1/projects/p/roles/r/token/soon", "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let text = "type mismatch, parameter: iat, error: strconv.ParseInt: parsing \"soon\": invalid syntax";
    assert_eq!(answer, json!({"error": text, "code": 3, "message": text}));
}

#[tokio::test]
async fn the_rest_of_a_path_may_have_slashes() {
    let path = "/api/v1/account/can-i/applications/get/default/app%2Fpart";
    let query: CanIRequest = message::<_, CanIResponse>("account.AccountService/CanI", "GET", path, "").await;
    assert_eq!(query.subresource, "default/app/part");
}

#[tokio::test]
async fn a_body_can_be_one_field_beside_path_and_query() {
    let update: ApplicationUpdateRequest = message::<_, argosy_proto::v1alpha1::Application>(
        "application.ApplicationService/Update",
        "PUT",
        "/api/v1/applications/real?validate=false&project=p&application.metadata.name=no",
        r#"{"metadata":{"name":"other","namespace":"n"},"spec":{"destination":{"server":"s"}},"status":{}}"#,
    )
    .await;
    let application = update.application;
    assert_eq!(application.metadata.as_ref().unwrap().name, "real");
    assert_eq!(application.metadata.as_ref().unwrap().namespace, "n");
    assert_eq!((update.validate, update.project.as_deref()), (Some(false), Some("p")));

    let action: ResourceActionRunRequest = message::<_, argosy_proto::application::ApplicationResponse>(
        "application.ApplicationService/RunResourceAction",
        "POST",
        "/api/v1/applications/a/resource/actions?resourceName=r&kind=Deployment",
        r#""restart""#,
    )
    .await;
    assert_eq!((action.action.as_str(), action.resource_name.as_str()), ("restart", "r"));
}

#[tokio::test]
async fn a_body_of_the_whole_message_leaves_the_query_unread() {
    let request: SessionCreateRequest = message::<_, SessionResponse>(
        "session.SessionService/Create",
        "POST",
        "/api/v1/session?username=other",
        r#"{"username":"admin","password":"p","unknown":[1]}"#,
    )
    .await;
    assert_eq!((request.username.as_str(), request.password.as_str()), ("admin", "p"));
}

#[tokio::test]
async fn an_encoded_address_in_a_path_is_one_value() {
    let path = "/api/v1/repositories/https%3A%2F%2Fgit.example%2Fa%2Fb.git";
    let update: RepoUpdateRequest = message::<_, argosy_proto::v1alpha1::Repository>(
        "repository.RepositoryService/Update",
        "PUT",
        path,
        r#"{"username":"u"}"#,
    )
    .await;
    let repo = update.repo.unwrap();
    assert_eq!((repo.repo.as_str(), repo.username.as_str()), ("https://git.example/a/b.git", "u"));
}

#[tokio::test]
async fn bad_requests_are_refused_in_the_gateways_form() {
    let (router, _received) =
        seen::<SessionCreateRequest, SessionResponse>("session.SessionService/Create", GatewayOptions::default());
    for body in ["{", "[]", "7", r#"{"username":{}}"#, r#"{} {}"#, "\u{0}"] {
        let (status, answer) = ask(&router, "POST", "/api/v1/session", body).await;
        assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!(3)), "{body}: {answer}");
        assert_eq!(answer["error"], answer["message"]);
    }
    let deep = "[".repeat(100_000);
    assert_eq!(ask(&router, "POST", "/api/v1/session", &deep).await.0, StatusCode::BAD_REQUEST);
    let (status, answer) = ask(&router, "GET", "/api/v1/nothing", "").await;
    assert_eq!((status, &answer["code"], &answer["message"]), (StatusCode::NOT_FOUND, &json!(5), &json!("Not Found")));
    let response = send(&router, request("PUT", "/api/v1/session", "")).await;
    assert_eq!(
        (response.status(), &response.headers()["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
    );
}

#[tokio::test]
async fn requests_that_change_something_need_an_allowed_content_type() {
    let rpc = "session.SessionService/Create";
    let (router, _received) = seen::<SessionCreateRequest, SessionResponse>(rpc, GatewayOptions::default());
    let (unchecked, _received) = seen::<SessionCreateRequest, SessionResponse>(
        rpc,
        GatewayOptions { content_types: Vec::new(), ..GatewayOptions::default() },
    );
    for (kind, status) in [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonp", 415),
        ("", 415),
    ] {
        let post = || Request::post("/api/v1/session").header("content-type", kind).body(Body::from("{}")).unwrap();
        let response = send(&router, post()).await;
        assert_eq!(response.status(), status, "{kind}");
        if status == 415 {
            assert!(text(response).await.contains("Invalid content type"));
        }
        assert_eq!(send(&unchecked, post()).await.status(), 200);
    }
}

#[tokio::test]
async fn other_sites_cannot_use_a_session() {
    let (router, _received) =
        seen::<SessionCreateRequest, SessionResponse>("session.SessionService/Create", GatewayOptions::default());
    let mut forged = request("POST", "/api/v1/session", "{}");
    forged.headers_mut().insert("cookie", "argocd.token=a.b.c".parse().unwrap());
    forged.headers_mut().insert("sec-fetch-site", "same-site".parse().unwrap());
    assert_eq!(send(&router, forged).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn calls_see_headers_and_extensions_and_replies_set_cookies() {
    let mut gateway = Gateway::new(GatewayOptions::default()).unwrap();
    gateway
        .unary("session.SessionService/Create", |request: tonic::Request<SessionCreateRequest>| async move {
            assert_eq!(request.extensions().get::<u8>(), Some(&7));
            assert_eq!(request.metadata().get("cookie").unwrap(), "a=b");
            let mut reply = tonic::Response::new(SessionResponse::default());
            for cookie in ["one=1", "two=2"] {
                reply.metadata_mut().append("set-cookie", cookie.parse().unwrap());
            }
            reply.metadata_mut().insert("renewed", "yes".parse().unwrap());
            Ok(reply)
        })
        .unwrap();
    let mut create = request("POST", "/api/v1/session", "{}");
    create.extensions_mut().insert(7_u8);
    create.headers_mut().insert("cookie", "a=b".parse().unwrap());
    let response = send(&gateway.into_router(), create).await;
    assert_eq!(response.status(), 200);
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["one=1", "two=2"]);
    assert_eq!(response.headers()["grpc-metadata-renewed"], "yes");
}

#[tokio::test]
async fn fields_cut_replies() {
    let mut gateway = Gateway::new(GatewayOptions::default()).unwrap();
    gateway
        .unary("application.ApplicationService/List", |_: tonic::Request<ApplicationQuery>| async {
            let list = json!({"metadata": {"resourceVersion": "1"}, "items": [
                {"metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {"project": "p"}}
            ]});
            Ok(tonic::Response::new(serde_json::from_value::<ApplicationList>(list).unwrap()))
        })
        .unwrap();
    let router = gateway.into_router();
    let path = "/api/v1/applications?fields=items.metadata.name,items.spec.project";
    let (_, answer) = ask(&router, "GET", path, "").await;
    assert_eq!(answer, json!({"items": [{"metadata": {"name": "a"}, "spec": {"project": "p"}}]}));
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_too_large() {
    let server = Server::start(true, ListenerOptions::default()).await;
    for configure in [reqwest::ClientBuilder::http1_only, reqwest::ClientBuilder::http2_prior_knowledge] {
        let client = server.client(&server.trusted, configure);
        let body = format!(r#"{{"metadata":{{"name":"{}"}}}}"#, "x".repeat(10 << 20));
        let post = client.post(server.url("/api/v1/applicationsets")).header("content-type", "application/json");
        let answer = post.body(body).send().await.unwrap();
        assert_eq!(answer.status(), 413);
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], 8);
    }
}

#[tokio::test]
async fn the_description_and_its_page_are_served() {
    let router = Gateway::new(GatewayOptions::default()).unwrap().into_router();
    let (status, document) = ask(&router, "GET", "/swagger.json", "").await;
    assert_eq!((status, &document["swagger"]), (StatusCode::OK, &json!("2.0")));
    let page = send(&router, request("GET", "/swagger-ui", "")).await;
    assert_eq!(page.headers()["x-frame-options"], "DENY");
    assert!(text(page).await.contains("swagger-ui.js"));
    assert_eq!(send(&router, request("GET", "/swagger-ui.js", "")).await.status(), 200);
}

#[test]
fn mistakes_of_binding_are_seen_at_the_start() {
    let mut gateway = Gateway::new(GatewayOptions::default()).unwrap();
    let rpcs = gateway.rpcs();
    assert_eq!(gateway.unbound(), rpcs);
    assert!(rpcs.len() > 90 && rpcs.contains(&"application.ApplicationService/PodLogs".to_owned()));
    let call = |_: tonic::Request<ApplicationQuery>| async { Ok(tonic::Response::new(ApplicationList::default())) };
    assert!(matches!(gateway.unary("no.Service/Method", call), Err(Error::Unknown(_))));
    assert!(matches!(gateway.unary("application.ApplicationService/Watch", call), Err(Error::Flow(_))));
    gateway.unary("application.ApplicationService/List", call).unwrap();
    assert!(matches!(gateway.unary("application.ApplicationService/List", call), Err(Error::Twice(_))));
    assert_eq!(gateway.unbound().len(), rpcs.len() - 1);
}
