//! Bad input: refused with plain words, whatever it is, and nobody is harmed.

use anyhow::{Context, ensure};
use argosy_tests::api::WebReply;
use argosy_tests::{ApiClient, ApiReply};
use reqwest::Method;
use serde_json::{Value, json};

use super::Case;

/// Longest words of a refusal, in bytes.
const LONGEST: usize = 4096;

/// One line for people: no stack, no place in the program, no panic.
pub(super) fn assert_plain(what: &str, words: &str) {
    let traces = [".rs:", "src/", "panicked", "stack backtrace", "RUST_BACKTRACE", "unwrap"];
    assert!(words.len() <= LONGEST, "{what}: {} bytes", words.len());
    assert!(!traces.iter().any(|trace| words.contains(trace)), "{what}: {words}");
}

/// The answer is a refusal in the gateway's form, with one of these statuses.
fn assert_refused(what: &str, reply: &ApiReply, statuses: &[u16]) {
    assert!(statuses.contains(&reply.status), "{what}: {} {}", reply.status, reply.text);
    let body = reply.json();
    assert!(body["code"].is_i64() && body["message"] == body["error"], "{what}: {}", reply.text);
    assert_plain(what, &reply.refusal().1);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_in_plain_words() -> anyhow::Result<()> {
    let mut case = Case::start().await?;
    protobuf(&case).await?;
    bodies(&case).await?;
    tokens(&case).await?;
    queries(&case).await?;
    paths(&case).await?;
    case.is_unharmed()
}

async fn protobuf(case: &Case) -> anyhow::Result<()> {
    // No tag, a length beyond the end, an unending number, a wrong type, no UTF-8.
    let garbage: [&[u8]; 5] =
        [&[0xff; 40], &[0x0a, 0x7f, 1], &[0x08, 0xff, 0xff, 0xff, 0xff], &[0x09, 1, 2], &[0x0a, 2, 0xc3, 0x28]];
    for rpc in [
        "session.SessionService/Create",
        "application.ApplicationService/Get",
        "application.ApplicationService/Create",
        "project.ProjectService/Create",
        "cluster.ClusterService/Update",
        "repository.RepositoryService/CreateRepository",
    ] {
        for (number, message) in garbage.into_iter().enumerate() {
            for client in [&case.admin, &case.anybody] {
                let reply = client.web(rpc, message).await?;
                let code = reply.code.with_context(|| format!("{rpc} {number}: no status"))?;
                assert!([3, 7, 16].contains(&code), "{rpc} {number}: {code} {}", reply.message);
                assert_plain(rpc, &reply.message.replace("%20", " "));
            }
        }
        // Frames that are none: cut off, longer than they say, compressed by nobody.
        for body in [&[0_u8, 0, 0][..], &[0, 0, 0, 0, 9, 1], &[1, 0, 0, 0, 1, 0], &[0, 0xff, 0xff, 0xff, 0xff], &[]] {
            let request = case.admin.http().post(format!("{}/{rpc}", case.admin.base()));
            let request =
                request.header("content-type", "application/grpc-web+proto").header("token", case.admin.token());
            let reply = ApiReply::of(request.body(body.to_vec())).await?;
            let code = WebReply::read(&reply.headers, reply.text.as_bytes())?.code;
            ensure!(matches!(code, Some(3 | 11)), "{rpc} {body:?}: {} {code:?} {:?}", reply.status, reply.headers);
        }
    }
    Ok(())
}

async fn bodies(case: &Case) -> anyhow::Result<()> {
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let deep_objects = format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000));
    let bad = [
        "{",
        "[]",
        "5",
        "\"text\"",
        "{\"metadata\": 5}",
        "{\"spec\": []}",
        "{\"metadata\": {\"name\": 5}}",
        "\u{0}",
        "{\"metadata\": {\"name\": \"x\"}} trailing",
        &deep,
        &deep_objects,
    ];
    for (method, path) in [
        (Method::POST, "/api/v1/applications"),
        (Method::PUT, "/api/v1/applications/one"),
        (Method::POST, "/api/v1/applications/absent/sync"),
        (Method::POST, "/api/v1/projects"),
        (Method::POST, "/api/v1/clusters"),
        (Method::POST, "/api/v1/repositories"),
        (Method::POST, "/api/v1/repocreds"),
        (Method::POST, "/api/v1/session"),
        (Method::PUT, "/api/v1/account/password"),
    ] {
        for body in bad {
            let request = case.admin.rest(method.clone(), path).header("content-type", "application/json");
            let reply = ApiReply::of(request.body(body.to_owned())).await?;
            // Some of it is JSON that says nothing of the kind; then what is missing is told.
            assert_refused(&format!("{method} {path} {body:.40}"), &reply, &[400, 401, 403, 404]);
        }
        let request = case.admin.rest(method.clone(), path).header("content-type", "application/json");
        let reply = ApiReply::of(request.body(vec![b'{', b'"', 0xff, 0xfe])).await?;
        assert_refused(path, &reply, &[400]);
    }
    let large = json!({"metadata": {"name": "x", "annotations": {"a": "x".repeat(9 << 20)}}}).to_string();
    let request = case.admin.rest(Method::POST, "/api/v1/applications").header("content-type", "application/json");
    assert_refused("a large body", &ApiReply::of(request.body(large)).await?, &[413]);
    Ok(())
}

async fn tokens(case: &Case) -> anyhow::Result<()> {
    let good = case.admin.token();
    let long = format!("a.{}.c", "b".repeat(70_000));
    let other = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovLzE2OS4yNTQuMTY5LjI1NC8iLCJzdWIiOiJhZG1pbiJ9.c2ln";
    let shortened = &good[..good.len() - 4];
    for token in ["x", "..", "a.b.c", "....", "%00", "\"", shortened, other, &long, "eyJ9.e30.", "null"] {
        for header in [
            ("authorization", format!("Bearer {token}")),
            ("token", token.to_owned()),
            ("cookie", format!("argocd.token={token}")),
        ] {
            let request = case.anybody.rest(Method::GET, "/api/v1/applications").header(header.0, &header.1);
            let reply = ApiReply::of(request).await?;
            assert_refused(&format!("{} {token:.30}", header.0), &reply, &[401]);
        }
    }
    for value in [&b"Bearer \xff\xfe.\xff.\xff"[..], b"Bearer", b"Basic YTpi", b"bearer  ", b"Bearer a.b.c d.e.f"] {
        let value = reqwest::header::HeaderValue::from_bytes(value)?;
        let request = case.anybody.rest(Method::GET, "/api/v1/applications").header("authorization", value);
        assert_refused("authorization", &ApiReply::of(request).await?, &[401]);
    }
    for cookie in [
        "argocd.token=99999999999999999999:x",
        "argocd.token=20:x",
        "argocd.token=0:",
        "argocd.token=-1:x",
        "=; ;;=",
        "argocd.token",
    ] {
        let request = case.anybody.rest(Method::GET, "/api/v1/applications").header("cookie", cookie);
        assert_refused(cookie, &ApiReply::of(request).await?, &[401]);
    }
    Ok(())
}

async fn queries(case: &Case) -> anyhow::Result<()> {
    let long = format!("selector={}", "a,".repeat(20_000));
    for query in [
        "selector=%28%28",
        "selector=a%20in%20%28",
        "selector=a%3D%3D%3Db",
        "selector=%2Fb",
        "selector=a%20in%20b",
        &long,
        "selector=%21",
        "selector=a%3E%3Eb",
    ] {
        for path in ["/api/v1/applications", "/api/v1/stream/applications"] {
            assert_refused(query, &case.admin.get(&format!("{path}?{query}")).await?, &[400]);
        }
    }
    for (path, query) in [
        ("/api/v1/applications/one/manifests", "noCache=perhaps"),
        ("/api/v1/applications/one/manifests", "sourcePositions=one"),
        ("/api/v1/applications/one/logs", "tailLines=many"),
        ("/api/v1/applications/one/logs", "sinceSeconds=99999999999999999999"),
        ("/api/v1/applications/one/revisions/HEAD/metadata", "sourceIndex=1.5"),
        ("/api/v1/repositories", "forceRefresh=2"),
    ] {
        assert_refused(query, &case.admin.get(&format!("{path}?{query}")).await?, &[400]);
    }
    // Odd, and understood as saying nothing.
    for query in [
        "resourceVersion=abc",
        "nothing=1",
        "a.b.c=1",
        "project=&projects=",
        "fields=,,,.-",
        "name=%F0%9F%90%99",
        "=",
        "&&&",
    ] {
        let reply = case.admin.get(&format!("/api/v1/applications?{query}")).await?;
        assert!(reply.status == 200 || reply.status == 400, "{query}: {} {}", reply.status, reply.text);
    }
    assert_refused("refresh", &case.admin.get("/api/v1/applications/absent?refresh=sideways").await?, &[400, 403]);
    Ok(())
}

async fn paths(case: &Case) -> anyhow::Result<()> {
    for path in [
        "/api/v1/applications/%zz",
        "/api/v1/applications/%00",
        "/api/v1/applications/%ff",
        "/api/v1/applications/..%2f..",
        "/api/v1/applications/%2e%2e%2fadmin",
        "/api/v1/projects/..%2Fargocd-secret",
        "/api/v1/applications/one/pods/..%2f/logs",
        "/api/v1//applications",
        "/api/v1/applications/one/",
        "/api/v1/account/can-i/a",
        "/api/v1/clusters/%E0%A4%A",
        "/api/v1/projects/%20",
        "/api/v1/projects/a%2Fb%2Fc",
        "/api/v1/repositories/%2F%2F%2F",
        "/api/v1/gpgkeys/%0a",
    ] {
        assert_refused(path, &case.admin.get(path).await?, &[400, 403, 404]);
    }
    let long = format!("/api/v1/applications/{}", "x".repeat(8000));
    assert_refused("a long name", &case.admin.get(&long).await?, &[400, 403, 404, 414]);
    odd_objects(&case.admin).await
}

/// JSON of the right form that says what cannot be.
async fn odd_objects(admin: &ApiClient) -> anyhow::Result<()> {
    let source = json!({"repoURL": "https://127.0.0.1:1/x.git", "path": ".", "targetRevision": "HEAD"});
    let destination = json!({"server": "https://kubernetes.default.svc", "namespace": "default"});
    let app = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let spec = json!({"project": "default", "source": source, "destination": destination});
    let with = |key: &str, value: Value| {
        let mut spec = spec.clone();
        spec[key] = value;
        spec
    };
    for body in [
        json!({}),
        app("", spec.clone()),
        app("Has Capitals", spec.clone()),
        app(&"x".repeat(300), spec.clone()),
        app("a/b", spec.clone()),
        app("x", json!({})),
        app("x", with("destination", json!({}))),
        app("x", with("destination", json!({"server": "a", "name": "b"}))),
        app("x", with("source", json!({}))),
        app("x", with("project", json!("absent"))),
        app("x", with("syncPolicy", json!({"retry": {"backoff": {"duration": "forever"}}}))),
    ] {
        let reply = admin.send(Method::POST, "/api/v1/applications", &body).await?;
        assert_refused(&body.to_string(), &reply, &[400, 403, 404]);
    }
    for body in [
        json!({}),
        json!({"project": {}}),
        json!({"project": {"metadata": {"name": "Has Capitals"}}}),
        json!({"project": {"metadata": {"name": "x"}, "spec": {"syncWindows": [{"kind": "allow", "schedule": "every day"}]}}}),
    ] {
        let reply = admin.send(Method::POST, "/api/v1/projects", &body).await?;
        assert_refused(&body.to_string(), &reply, &[400, 500]);
    }
    Ok(())
}
