//! What answers look like, and what a browser is held to.

use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_proto::account::{AccountsList, ListAccountRequest};
use argosy_proto::application::ApplicationQuery;
use argosy_proto::v1alpha1::{Application, ApplicationWatchEvent};
use argosy_tests::api::WebReply;
use argosy_tests::{ApiReply, eventually};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use prost::Message;
use reqwest::{Method, Response};
use serde_json::json;

use super::Case;

const PATIENCE: Duration = Duration::from_secs(20);

/// Reads an endless answer until it has as much as is wanted.
async fn read_until(response: Response, enough: impl Fn(&[u8]) -> bool) -> anyhow::Result<Vec<u8>> {
    let mut body = response.bytes_stream();
    let read = async {
        let mut read = Vec::new();
        while !enough(&read) {
            read.extend_from_slice(&body.next().await.context("the answer ended")??);
        }
        Ok::<_, anyhow::Error>(read)
    };
    tokio::time::timeout(PATIENCE, read).await.context("too little came")?
}

#[tokio::test(flavor = "multi_thread")]
async fn each_protocol_has_its_form() -> anyhow::Result<()> {
    let mut case = Case::start().await?;
    eventually(PATIENCE, || async {
        let list = case.admin.get("/api/v1/applications").await?.ok()?;
        ensure!(list["items"].as_array().map_or(0, Vec::len) == 1, "{list}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    rest(&case).await?;
    streams(&case).await?;
    grpc_web(&case).await?;
    browsers(&case).await?;
    case.is_unharmed()
}

async fn rest(case: &Case) -> anyhow::Result<()> {
    let denied = case.anybody.get("/api/v1/applications").await?;
    let words = "no session information";
    assert_eq!((denied.status, denied.json()), (401, json!({"error": words, "code": 16, "message": words})));
    assert_eq!(denied.header("content-type"), "application/json");

    let only = case.admin.get("/api/v1/applications?fields=items.metadata.name,items.spec.project").await?.ok()?;
    assert_eq!(only, json!({"items": [{"metadata": {"name": "one"}, "spec": {"project": "default"}}]}));
    let less =
        case.admin.get("/api/v1/applications?fields=-items.spec,items.status,items.metadata.labels").await?.ok()?;
    assert!(less["items"][0]["metadata"]["name"] == "one" && less["items"][0]["spec"].is_null(), "{less}");

    // Names of headers that stand for metadata.
    let request = case.anybody.rest(Method::GET, "/api/v1/account").header("grpc-metadata-token", case.admin.token());
    assert!([200, 401].contains(&ApiReply::of(request).await?.status));
    // Compressed for who can read it.
    let request = case.admin.rest(Method::GET, "/swagger.json").header("accept-encoding", "gzip");
    assert_eq!(ApiReply::of(request).await?.header("content-encoding"), "gzip");
    Ok(())
}

async fn streams(case: &Case) -> anyhow::Result<()> {
    let path = "/api/v1/stream/applications?name=one";
    let lines = case.admin.rest(Method::GET, path).send().await?;
    assert_eq!(lines.headers()["content-type"], "application/json");
    let line = read_until(lines, |read| read.contains(&b'\n')).await?;
    let event: serde_json::Value =
        serde_json::from_slice(line.split(|byte| *byte == b'\n').next().unwrap_or_default())?;
    assert_eq!(
        (&event["result"]["type"], &event["result"]["application"]["metadata"]["name"]),
        (&json!("ADDED"), &json!("one"))
    );

    let events = case.admin.rest(Method::GET, path).header("accept", "text/event-stream").send().await?;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let read = read_until(events, |read| read.windows(2).any(|two| two == b"\n\n")).await?;
    let text = String::from_utf8(read)?;
    let event = text.split("\n\n").next().and_then(|event| event.strip_prefix("data: ")).context("an event")?;
    assert_eq!(serde_json::from_str::<serde_json::Value>(event)?["result"]["type"], "ADDED");

    let refused = case.anybody.get(path).await?;
    assert_eq!((refused.status, refused.refusal().0), (401, 16), "what is refused at once has its own status");
    Ok(())
}

async fn grpc_web(case: &Case) -> anyhow::Result<()> {
    let accounts =
        case.admin.web("account.AccountService/ListAccounts", &ListAccountRequest {}.encode_to_vec()).await?;
    assert_eq!(accounts.code, Some(0));
    let list = AccountsList::decode(&*accounts.messages.concat())?;
    assert_eq!(list.items.len(), 1);
    let refused = case.anybody.web("account.AccountService/ListAccounts", &[]).await?;
    assert_eq!((refused.code, refused.messages.len()), (Some(16), 0));
    assert_eq!(refused.message.replace("%20", " "), "no session information");

    let query = ApplicationQuery { name: Some("one".into()), ..Default::default() };
    let stream = case.admin.web_request("application.ApplicationService/Watch", &query.encode_to_vec()).send().await?;
    assert_eq!(stream.headers()["content-type"], "application/grpc-web+proto");
    let headers = stream.headers().clone();
    let has_message = |read: &[u8]| WebReply::read(&headers, read).is_ok_and(|reply| !reply.messages.is_empty());
    let read = read_until(stream, has_message).await?;
    let event = ApplicationWatchEvent::decode(&*WebReply::read(&headers, &read)?.messages[0])?;
    assert_eq!(event.r#type, "ADDED");

    // As text, for browsers that read no bytes.
    let body = STANDARD.encode([&[0, 0, 0, 0, 5][..], &query.encode_to_vec()].concat());
    let request = case.admin.http().post(format!("{}/application.ApplicationService/Get", case.admin.base()));
    let request =
        request.header("content-type", "application/grpc-web-text").header("token", case.admin.token()).body(body);
    let reply = ApiReply::of(request).await?;
    assert!(reply.header("content-type").starts_with("application/grpc-web-text"), "{:?}", reply.headers);
    // Each frame may be padded for itself: four letters at a time, the end of one is no trouble.
    let bytes: Result<Vec<_>, _> = reply.text.as_bytes().chunks(4).map(|letters| STANDARD.decode(letters)).collect();
    let reply = WebReply::read(&reply.headers, &bytes?.concat())?;
    assert_eq!((reply.code, reply.messages.len()), (Some(0), 1), "{reply:?}");
    assert_eq!(Application::decode(&*reply.messages[0])?.metadata.context("metadata")?.name, "one");
    Ok(())
}

async fn browsers(case: &Case) -> anyhow::Result<()> {
    let reply = case.admin.get("/api/version").await?;
    let headers =
        ["x-content-type-options", "x-frame-options", "content-security-policy"].map(|name| reply.header(name));
    assert_eq!(headers, ["nosniff", "sameorigin", "frame-ancestors 'self';"]);

    // A content type that a page of another site could send without asking.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let request = case.admin.rest(Method::POST, "/api/v1/projects").header("content-type", kind).body("{}");
        let reply = ApiReply::of(request).await?;
        assert_eq!((reply.status, reply.refusal().1), (415, "Invalid content type".to_owned()), "{kind}");
    }
    let without = ApiReply::of(case.admin.rest(Method::DELETE, "/api/v1/projects/x")).await?;
    assert_eq!(without.status, 415);
    let with_charset =
        case.admin.rest(Method::POST, "/api/v1/projects").header("content-type", "application/json; charset=utf-8");
    assert_eq!(ApiReply::of(with_charset.body("{}")).await?.status, 400);

    // A page of another site, with the cookie that the browser adds.
    let cookie = format!("argocd.token={}", case.admin.token());
    let post = || case.anybody.rest(Method::POST, "/api/v1/projects").header("cookie", &cookie).json(&json!({}));
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example.com"),
        ("origin", "null"),
    ] {
        let reply = ApiReply::of(post().header(name, value)).await?;
        assert_eq!((reply.status, reply.refusal().0), (403, 7), "{name}: {value}: {}", reply.text);
    }
    for (name, value) in [("sec-fetch-site", "same-origin"), ("origin", case.admin.base())] {
        let reply = ApiReply::of(post().header(name, value)).await?;
        assert_eq!(reply.status, 400, "its own pages are let through, as far as their body goes: {}", reply.text);
    }
    // Plain text on the port of TLS is sent there.
    let plain = case.admin.http().get(format!("http://{}/api/version?a=b", case.world.server.api_address()));
    let reply = ApiReply::of(plain).await?;
    assert_eq!(reply.status, 307, "{}", reply.text);
    assert!(reply.header("location").starts_with("https://") && reply.header("location").ends_with("/api/version?a=b"));
    Ok(())
}
