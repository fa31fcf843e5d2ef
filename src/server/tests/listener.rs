//! One port, seen from outside with real clients.

#![allow(clippy::unwrap_used, reason = "an unwrap in a test is an assertion")]

#[path = "port/world.rs"]
mod world;

use std::time::Duration;

use argosy_proto::applicationset::application_set_service_client::ApplicationSetServiceClient;
use argosy_proto::applicationset::{ApplicationSetCreateRequest, ApplicationSetGetQuery, ApplicationSetWatchQuery};
use argosy_proto::plugin::{AppStreamRequest, RepositoryResponse};
use argosy_proto::version::VersionMessage;
use argosy_proto::version::version_service_client::VersionServiceClient;
use argosy_server::listener::{ListenerOptions, Timeouts};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;

use world::{PATIENCE, Server, application_set, frame, pair};

const WEB: &str = "application/grpc-web+proto";

async fn web(server: &Server, client: &reqwest::Client, path: &str, kind: &str, body: Vec<u8>) -> reqwest::Response {
    client.post(server.url(path)).header("content-type", kind).body(body).send().await.unwrap()
}

/// The messages of a gRPC-web body, and its trailers as text.
fn frames(mut body: &[u8]) -> (Vec<Vec<u8>>, String) {
    let mut messages = Vec::new();
    let mut trailers = String::new();
    while let [flag, a, b, c, d, rest @ ..] = body {
        let (payload, after) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        match flag {
            0x80 => trailers = String::from_utf8(payload.to_vec()).unwrap(),
            _ => messages.push(payload.to_vec()),
        }
        body = after;
    }
    (messages, trailers)
}

async fn every_protocol(server: &Server) {
    let channel = server.channel().await;
    let version = VersionServiceClient::new(channel.clone()).version(()).await.unwrap().into_inner();
    assert_eq!(version.version, "v3.5.1");
    let mut sets = ApplicationSetServiceClient::new(channel);
    let gone = sets.get(ApplicationSetGetQuery { name: "gone".into(), ..Default::default() }).await.unwrap_err();
    assert_eq!((gone.code(), gone.message()), (Code::NotFound, "no ümlaut here"));
    let mut watch = sets.watch(ApplicationSetWatchQuery::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().r#type, "ADDED");

    let http1 = server.client(&server.trusted, reqwest::ClientBuilder::http1_only);
    let http2 = server.client(&server.trusted, reqwest::ClientBuilder::http2_prior_knowledge);
    for (client, version) in [(&http1, http::Version::HTTP_11), (&http2, http::Version::HTTP_2)] {
        let answer = client.get(server.url("/api/version")).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["Version"], "v3.5.1");
        grpc_web(server, client).await;
    }
}

async fn grpc_web(server: &Server, client: &reqwest::Client) {
    let path = "/version.VersionService/Version";
    let binary = web(server, client, path, WEB, frame(&())).await;
    let (messages, trailers) = frames(&binary.bytes().await.unwrap());
    assert_eq!(VersionMessage::decode(&*messages[0]).unwrap().version, "v3.5.1");
    assert!(trailers.contains("grpc-status:0"), "{trailers}");

    let text = web(server, client, path, "application/grpc-web-text", STANDARD.encode(frame(&())).into()).await;
    assert!(text.headers()["content-type"].to_str().unwrap().starts_with("application/grpc-web-text"));
    // Each chunk may be encoded on its own.
    let text = text.text().await.unwrap();
    assert!(text.starts_with(&STANDARD.encode([0, 0, 0])), "{text}");

    let mut watch = web(server, client, "/applicationset.ApplicationSetService/Watch", WEB, frame(&())).await;
    let first = watch.chunk().await.unwrap().unwrap();
    assert_eq!(first[0], 0, "the first event comes while the stream is open");

    // A client's stream is its frames, one after the other.
    let three =
        [frame(&AppStreamRequest::default()), frame(&AppStreamRequest::default()), frame(&AppStreamRequest::default())];
    let matched =
        web(server, client, "/plugin.ConfigManagementPluginService/MatchRepository", WEB, three.concat()).await;
    let (messages, _) = frames(&matched.bytes().await.unwrap());
    assert!(RepositoryResponse::decode(&*messages[0]).unwrap().is_supported);
}

#[tokio::test]
async fn every_protocol_is_served_on_one_tls_port() {
    every_protocol(&Server::start(true, ListenerOptions::default()).await).await;
}

#[tokio::test]
async fn every_protocol_is_served_on_one_plain_port() {
    every_protocol(&Server::start(false, ListenerOptions::default()).await).await;
}

#[tokio::test]
async fn plain_text_on_a_tls_port_is_sent_to_https() {
    let server = Server::start(true, ListenerOptions::default()).await;
    let plain = server.url("/api/v1/applications?name=a%2Fb").replace("https", "http");
    let answer = server.http().get(&plain).send().await.unwrap();
    assert_eq!(answer.status(), 307);
    assert_eq!(answer.headers()["location"], server.url("/api/v1/applications?name=a%2Fb").as_str());
}

async fn answer_to(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn a_connection_of_the_wrong_kind_is_refused_and_closed() {
    let timeouts = Timeouts { handshake: Duration::from_secs(1), ..Timeouts::default() };
    let server = Server::start(true, ListenerOptions { timeouts, ..ListenerOptions::default() }).await;
    let refused = answer_to(&server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(refused[3], 4, "settings");
    assert_eq!(refused[9 + 3], 7, "goaway");
    assert_eq!(refused.last(), Some(&0x0c), "inadequate security");
    answer_to(&server, b"\x16\x03\x01\x00\x02no").await;
    let plain = Server::start(false, ListenerOptions::default()).await;
    assert!(answer_to(&plain, b"\x16\x03\x01\x02\x00\x01").await.is_empty());
}

#[tokio::test]
async fn nobody_keeps_a_connection_by_saying_nothing() {
    let timeouts =
        Timeouts { handshake: Duration::from_millis(100), idle: Duration::from_millis(100), ..Timeouts::default() };
    for tls in [true, false] {
        let server = Server::start(tls, ListenerOptions { timeouts, ..ListenerOptions::default() }).await;
        answer_to(&server, b"").await;
        answer_to(&server, b"PR").await;
        answer_to(&server, b"\x16\x03").await;
        answer_to(&server, b"GET / HTTP/1.1\r\nhost: a\r\n").await;
    }
}

#[tokio::test]
async fn one_client_has_a_limited_number_of_connections() {
    let server =
        Server::start(false, ListenerOptions { connections_per_client: 1, ..ListenerOptions::default() }).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    first.read_u8().await.unwrap();
    assert!(answer_to(&server, b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.is_empty());
    drop(first);
    let again = async {
        while answer_to(&server, b"GET /healthz HTTP/1.0\r\n\r\n").await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn everything_is_below_the_root_path() {
    let server = Server::start(true, ListenerOptions { root_path: "/argo/cd/".into(), ..Default::default() }).await;
    let client = server.http();
    let status = async |path: &str| client.get(server.url(path)).send().await.unwrap().status().as_u16();
    assert_eq!(status("/argo/cd/api/version").await, 200);
    assert_eq!(status("/api/version").await, 404);
    assert_eq!(status("/argo/cdx/api/version").await, 404);
    assert_eq!(status("/healthz").await, 200);
    assert_eq!(status("/argo/cd/healthz").await, 200);
    assert_eq!(status("/argo/cd").await, 301);
    let below = web(&server, &client, "/argo/cd/version.VersionService/Version", WEB, frame(&())).await;
    assert_eq!(frames(&below.bytes().await.unwrap()).0.len(), 1);
    assert_eq!(web(&server, &client, "/version.VersionService/Version", WEB, frame(&())).await.status(), 404);
    let native = VersionServiceClient::new(server.channel().await).version(()).await;
    assert_eq!(native.unwrap().into_inner().version, "v3.5.1");
    let plain = client.get(server.url("/api/version").replace("https", "http")).send().await.unwrap();
    assert_eq!(plain.headers()["location"], server.url("/argo/cd/api/version").as_str());
}

#[tokio::test]
async fn a_new_certificate_is_presented_and_nobody_is_disconnected() {
    let server = Server::start(true, ListenerOptions::default()).await;
    let mut sets = ApplicationSetServiceClient::new(server.channel().await);
    let mut watch = sets.watch(ApplicationSetWatchQuery::default()).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    let (other, key) = pair("elsewhere");
    server.certificate.send(key).unwrap();
    let trusting_new = server.client(&other.certificate, |builder| builder);
    assert_eq!(trusting_new.get(server.url("/api/version")).send().await.unwrap().status(), 200);
    assert!(server.http().get(server.url("/api/version")).send().await.is_err());
    let open = sets.get(ApplicationSetGetQuery { name: "a".into(), ..Default::default() }).await;
    assert_eq!(open.unwrap().into_inner(), application_set("a"));
}

#[tokio::test]
async fn a_drain_lets_calls_end_and_sends_streams_away() {
    let timeouts = Timeouts { stream_grace: Duration::from_millis(200), drain: PATIENCE, ..Timeouts::default() };
    let mut server = Server::start(true, ListenerOptions { timeouts, ..ListenerOptions::default() }).await;
    let mut sets = ApplicationSetServiceClient::new(server.channel().await);
    let mut watch = sets.watch(ApplicationSetWatchQuery::default()).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    let client = server.http();
    let events = client.get(server.url("/api/v1/stream/applicationsets")).header("accept", "text/event-stream");
    let mut events = events.send().await.unwrap();
    assert!(events.chunk().await.unwrap().unwrap().starts_with(b"data: "));
    let (begun, go_on) = (server.services.begun.clone(), server.services.go_on.clone());
    let mut slow_sets = sets.clone();
    let slow = tokio::spawn(async move {
        slow_sets.get(ApplicationSetGetQuery { name: "slow".into(), ..Default::default() }).await
    });
    begun.notified().await;

    server.shutdown.cancel();
    let ended = timeout(PATIENCE, watch.message()).await.unwrap().unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable, "{ended}");
    while let Some(chunk) = timeout(PATIENCE, events.chunk()).await.unwrap().expect("a plain end") {
        assert!(chunk.is_empty(), "{chunk:?}");
    }
    assert!(TcpStream::connect(server.address).await.is_err(), "no new connections");
    assert!(!server.task.is_finished());
    go_on.notify_one();
    assert_eq!(slow.await.unwrap().unwrap().into_inner(), application_set("slow"));
    timeout(PATIENCE, &mut server.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut() {
    let timeouts =
        Timeouts { stream_grace: Duration::from_millis(50), drain: Duration::from_millis(50), ..Timeouts::default() };
    let mut server = Server::start(false, ListenerOptions { timeouts, ..ListenerOptions::default() }).await;
    let mut sets = ApplicationSetServiceClient::new(server.channel().await);
    let begun = server.services.begun.clone();
    let slow =
        tokio::spawn(
            async move { sets.get(ApplicationSetGetQuery { name: "slow".into(), ..Default::default() }).await },
        );
    begun.notified().await;
    server.shutdown.cancel();
    timeout(PATIENCE, &mut server.task).await.unwrap().unwrap().unwrap();
    assert!(slow.await.unwrap().is_err());
}

#[tokio::test]
async fn unknown_methods_are_named_and_early_errors_are_in_the_headers() {
    let server = Server::start(true, ListenerOptions::default()).await;
    let client = server.http();
    let status = async |path: &str| {
        let answer = web(&server, &client, path, WEB, frame(&())).await;
        assert_eq!(answer.status(), 200);
        let text = |name: &str| answer.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        (text("grpc-status"), text("grpc-message").replace("%20", " "))
    };
    assert_eq!(status("/no.Service/Get").await, ("12".into(), "unknown service no.Service".into()));
    let unknown = "unknown method Nothing for service version.VersionService";
    assert_eq!(status("/version.VersionService/Nothing").await, ("12".into(), unknown.into()));
    assert_eq!(
        status("/applicationset.ApplicationSetService/Generate").await,
        ("12".into(), "not in this test".into())
    );
    let query = frame(&ApplicationSetWatchQuery { name: "forbidden".into(), ..Default::default() });
    let refused = web(&server, &client, "/applicationset.ApplicationSetService/Watch", WEB, query).await;
    assert_eq!(refused.headers()["grpc-status"], "7");
}

#[tokio::test]
async fn a_panic_is_an_answer_without_details() {
    let server = Server::start(true, ListenerOptions::default()).await;
    let mut sets = ApplicationSetServiceClient::new(server.channel().await);
    let panicked = sets.get(ApplicationSetGetQuery { name: "panic".into(), ..Default::default() }).await.unwrap_err();
    assert_eq!((panicked.code(), panicked.message()), (Code::Internal, "internal error"));
    for path in ["/panic", "/api/v1/applicationsets/panic"] {
        let answer = server.http().get(server.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 500);
        assert!(!answer.text().await.unwrap().contains("42"));
    }
}

#[tokio::test]
async fn answers_are_hardened_and_compressed_on_request() {
    let server = Server::start(true, ListenerOptions::default()).await;
    let client = server.http();
    let list = client.get(server.url("/api/v1/applicationsets"));
    let answer = list.try_clone().unwrap().send().await.unwrap();
    assert_eq!(answer.headers()["x-frame-options"], "sameorigin");
    assert_eq!(answer.headers()["content-security-policy"], "frame-ancestors 'self';");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    assert!(!answer.headers().contains_key("content-encoding"));
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
    let plain = answer.bytes().await.unwrap();
    let answer = list.header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let compressed = answer.bytes().await.unwrap();
    assert!(compressed.len() < plain.len());
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*compressed), &mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
    let mut watch = client
        .get(server.url("/api/v1/stream/applicationsets"))
        .header("accept-encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert!(watch.chunk().await.unwrap().is_some(), "a compressed stream is flushed as it goes");
}

#[tokio::test]
async fn large_messages_pass() {
    let server = Server::start(true, ListenerOptions::default()).await;
    let mut sets = ApplicationSetServiceClient::new(server.channel().await).max_decoding_message_size(64 << 20);
    let mut set = application_set("large");
    set.metadata.get_or_insert_default().annotations.insert("a".into(), "x".repeat(12 << 20));
    let request = ApplicationSetCreateRequest { applicationset: Some(set.clone()), ..Default::default() };
    assert!(sets.create(request).await.unwrap().into_inner() == set);
}
