//! Streams over REST: lines, events, files, and documents in a row.

use std::pin::Pin;
use std::time::Duration;

use argosy_proto::application::application_manifest_query_with_files_wrapper::Part;
use argosy_proto::application::{
    ApplicationManifestQueryWithFiles, ApplicationManifestQueryWithFilesWrapper, ApplicationPodLogsQuery,
    ApplicationQuery, FileChunk, LogEntry,
};
use argosy_proto::repository::ManifestResponse;
use argosy_proto::v1alpha1::ApplicationWatchEvent;
use argosy_server::gateway::{Download, Gateway, GatewayOptions, StreamForm};
use axum::Router;
use futures::{Stream, StreamExt as _, stream};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;

use super::{ask, request, send, text};

type Events = Pin<Box<dyn Stream<Item = Result<ApplicationWatchEvent, Status>> + Send>>;

/// A gateway whose watch sends what the other end says.
fn watched(keep_alive: Duration) -> (Router, mpsc::UnboundedSender<Result<ApplicationWatchEvent, Status>>) {
    let (events, received) = mpsc::unbounded_channel();
    let received = std::sync::Mutex::new(Some(received));
    let mut gateway = Gateway::new(GatewayOptions { keep_alive, ..GatewayOptions::default() }).unwrap();
    let form = StreamForm {
        subject: Some(|event: &ApplicationWatchEvent| {
            let metadata = event.application.as_ref().and_then(|application| application.metadata.as_ref());
            metadata.map(|metadata| metadata.name.clone()).unwrap_or_default()
        }),
        download: None,
    };
    gateway
        .server_streaming_as(
            "application.ApplicationService/Watch",
            form,
            move |_: tonic::Request<ApplicationQuery>| {
                let received = received.lock().unwrap().take().unwrap();
                let events: Events = Box::pin(UnboundedReceiverStream::new(received));
                async { Ok(tonic::Response::new(events)) }
            },
        )
        .unwrap();
    (gateway.into_router(), events)
}

fn event(kind: &str, name: &str) -> ApplicationWatchEvent {
    serde_json::from_value(json!({"type": kind, "application": {"metadata": {"name": name}}})).unwrap()
}

#[tokio::test]
async fn a_stream_is_lines_and_ends_with_its_error() {
    let (router, events) = watched(Duration::from_secs(15));
    for event in [event("ADDED", "a"), event("ADDED", "b"), event("ADDED", "a"), event("DELETED", "a")] {
        events.send(Ok(event)).unwrap();
    }
    events.send(Err(Status::unauthenticated("token is revoked"))).unwrap();
    let path = "/api/v1/stream/applications?fields=result.type,result.application.metadata.name";
    let response = send(&router, request("GET", path, "")).await;
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &"application/json".parse().unwrap())
    );
    let text = text(response).await;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "what was said before is not said again: {text}");
    assert_eq!(lines[2], json!({"result": {"type": "DELETED", "application": {"metadata": {"name": "a"}}}}));
    let error =
        json!({"grpc_code": 16, "http_code": 401, "message": "token is revoked", "http_status": "Unauthorized"});
    assert_eq!(lines[3], json!({"error": error}));
}

#[tokio::test]
async fn an_event_stream_has_comments_while_nothing_happens() {
    let (router, events) = watched(Duration::from_millis(20));
    let mut watch = request("GET", "/api/v1/stream/applications", "");
    watch.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    events.send(Ok(event("ADDED", "a"))).unwrap();
    let response = send(&router, watch).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut chunks = response.into_body().into_data_stream();
    let first = chunks.next().await.unwrap().unwrap();
    assert!(first.starts_with(b"data: {\"result\":{") && first.ends_with(b"}\n\n"), "{first:?}");
    assert_eq!(chunks.next().await.unwrap().unwrap(), ":\n");
    drop(events);
    let rest: Vec<_> = futures::StreamExt::collect(chunks).await;
    assert!(rest.iter().all(|chunk| chunk.as_ref().unwrap() == ":\n"));
}

#[tokio::test]
async fn an_error_before_the_first_message_has_its_status() {
    let (router, events) = watched(Duration::from_secs(15));
    events.send(Err(Status::permission_denied("permission denied"))).unwrap();
    let (status, answer) = ask(&router, "GET", "/api/v1/stream/applications", "").await;
    assert_eq!((status, &answer["code"]), (StatusCode::FORBIDDEN, &json!(7)));
}

#[tokio::test]
async fn logs_can_be_saved_as_a_file() {
    let mut gateway = Gateway::new(GatewayOptions::default()).unwrap();
    let download = Download {
        file_name: |query| format!("{}-{}.log", query.get("namespace"), query.get("podName")),
        line: |entry: &LogEntry| (!entry.last).then(|| entry.content.clone()),
    };
    let form = StreamForm { subject: None, download: Some(download) };
    gateway
        .server_streaming_as(
            "application.ApplicationService/PodLogs",
            form,
            |_: tonic::Request<ApplicationPodLogsQuery>| async {
                let entry = |content: &str, last| Ok(LogEntry { content: content.into(), last, ..LogEntry::default() });
                Ok(tonic::Response::new(stream::iter([entry("one", false), entry("two", false), entry("", true)])))
            },
        )
        .unwrap();
    let router = gateway.into_router();
    let path = "/api/v1/applications/a/logs?download=true&namespace=n&podName=p%22%0d";
    let response = send(&router, request("GET", path, "")).await;
    assert_eq!(response.headers()["content-type"], "application/octet-stream");
    assert_eq!(response.headers()["content-disposition"], "attachment;filename=\"n-p__.log\"");
    assert_eq!(text(response).await, "one\ntwo\n");
    let lines = text(
        send(
            &router,
            request("GET", "/api/v1/applications/a/pods/p/logs?sinceTime=2026-01-02T03:04:05Z&tailLines=7", ""),
        )
        .await,
    )
    .await;
    assert_eq!(lines.lines().count(), 3);
}

/// How the parts of a manifest request are written.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Document {
    Query(ApplicationManifestQueryWithFiles),
    Chunk(FileChunk),
}

impl From<Document> for ApplicationManifestQueryWithFilesWrapper {
    fn from(document: Document) -> Self {
        let part = match document {
            Document::Query(query) => Part::Query(query),
            Document::Chunk(chunk) => Part::Chunk(chunk),
        };
        Self { part: Some(part) }
    }
}

#[tokio::test]
async fn a_streamed_request_is_documents_in_a_row() {
    let mut gateway = Gateway::new(GatewayOptions::default()).unwrap();
    gateway
        .client_streaming::<Document, _, _, _, _>(
            "application.ApplicationService/GetManifestsWithFiles",
            |request: tonic::Request<tonic::Streaming<ApplicationManifestQueryWithFilesWrapper>>| async {
                let parts: Vec<_> = request.into_inner().collect().await;
                let manifests = parts.into_iter().map(|part| format!("{:?}", part.unwrap().part)).collect();
                Ok(tonic::Response::new(ManifestResponse { manifests, ..ManifestResponse::default() }))
            },
        )
        .unwrap();
    let router = gateway.into_router();
    let path = "/api/v1/applications/manifestsWithFiles";
    let (status, answer) = ask(&router, "POST", path, r#"{"query":{"name":"a"}} {"chunk":{"chunk":"YWJj"}}"#).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(ask(&router, "POST", path, r#"{"query":{}} {"#).await.0, StatusCode::BAD_REQUEST);
}
