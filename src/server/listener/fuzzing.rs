//! gRPC-web bodies, binary and text, as the port hands them on.

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::grpc;
use argosy_fuzz_harness::wait_for;

/// The first line is the path, whose first letter says whether the body after it is
/// text (`t`). Each call ends with a status, and what cannot be read is its client's
/// fault.
pub(crate) fn run(input: &[u8]) {
    thread_local! {
        static ROUTER: Router = router();
    }
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let line = String::from_utf8_lossy(&input[..end]);
    let is_text = line.starts_with('t');
    let path = line.strip_prefix(['t', 'b']).unwrap_or(&line);
    let kind =
        HeaderValue::from_static(if is_text { "application/grpc-web-text" } else { "application/grpc-web+proto" });
    let body = input.get(end + 1..).unwrap_or_default().to_vec();
    let request = http::Request::post(path).header(CONTENT_TYPE, kind.clone()).header(ACCEPT, kind);
    let Ok(mut request) = request.body(Body::from(body)) else { return };
    request.extensions_mut().insert(grpc::Web);
    let router = ROUTER.with(Router::clone);
    let (status, headers, answer) = wait_for(async {
        let answer = match router.oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let (parts, body) = answer.into_parts();
        (parts.status, parts.headers, body.collect().await.map(|body| body.to_bytes()).unwrap_or_default())
    });
    assert_eq!(status, StatusCode::OK, "{line}");
    let answer = if is_text { decoded(&answer) } else { answer.to_vec() };
    let code = in_headers(&headers).or_else(|| in_trailers(&answer));
    let code = code.unwrap_or_else(|| panic!("{line} ends without a status: {answer:?}"));
    // 2 and 13 say that the server is at fault.
    assert!(!matches!(&*code, "2" | "13"), "{line}: status {code}, {headers:?}");
}

fn router() -> Router {
    let (_, health) = tonic_health::server::health_reporter();
    let services = tonic::service::Routes::new(health).into_axum_router();
    grpc::router(services, &["grpc.health.v1.Health".to_owned()], &CancellationToken::new())
}

fn in_headers(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("grpc-status")?.to_str().ok()?.to_owned())
}

/// The status in the frame of trailers, which is the last.
fn in_trailers(mut frames: &[u8]) -> Option<String> {
    while let [kind, a, b, c, d, rest @ ..] = frames {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (frame, rest) = rest.split_at_checked(length)?;
        if kind & 0x80 != 0 {
            let text = String::from_utf8_lossy(frame);
            let status = text.lines().find_map(|line| line.strip_prefix("grpc-status:"));
            return status.map(|code| code.trim().to_owned());
        }
        frames = rest;
    }
    None
}

/// Frames are encoded one by one, so padding may stand anywhere.
fn decoded(text: &[u8]) -> Vec<u8> {
    text.chunks(4).flat_map(|four| STANDARD.decode(four).expect("an answer in text is base64")).collect()
}
