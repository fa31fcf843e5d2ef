//! What the gRPC router's answers lack: the texts of the reference for methods that
//! do not exist, a status for panics, an end when the server stops, and for
//! gRPC-web the early errors where its clients look for them.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use bytes::Bytes;
use futures::FutureExt as _;
use http::HeaderMap;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_web::GrpcWebLayer;

use super::drain::Draining;

/// How long the headers of a gRPC-web answer wait for its first frame. The stock
/// client reads the status of an answer without messages from the headers only.
const FIRST_FRAME: Duration = Duration::from_millis(250);

/// How the codec begins to say that a request is no message. It calls that an error of
/// its own, and it is the client's.
const NO_MESSAGE: [&str; 5] = [
    "failed to decode Protobuf message",
    "protocol error:",
    "Unexpected EOF decoding stream",
    "Missing request message",
    "tonic-web: ",
];

/// Marks requests that came as gRPC-web.
#[derive(Clone, Copy, Debug)]
pub(super) struct Web;

#[derive(Clone)]
struct Completion {
    services: Arc<HashSet<String>>,
    streams_end: CancellationToken,
}

/// The router for everything of content type `application/grpc*`.
pub(super) fn router(grpc: Router, services: &[String], streams_end: &CancellationToken) -> Router {
    let completion =
        Completion { services: Arc::new(services.iter().cloned().collect()), streams_end: streams_end.clone() };
    grpc.layer(from_fn_with_state(completion, complete)).layer(GrpcWebLayer::new())
}

async fn complete(State(completion): State<Completion>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let web = request.extensions().get::<Web>().is_some();
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let Ok(mut response) = answered else {
        return Status::internal("internal error").into_http::<Body>();
    };
    if lacks_message(response.headers()) {
        return Status::unimplemented(completion.unknown(&path)).into_http::<Body>();
    }
    if let Some(words) = no_message(response.headers()) {
        return Status::invalid_argument(words).into_http::<Body>();
    }
    if web {
        response = early_error(response).await;
    }
    response.map(|body| Body::new(Draining::new(body, &completion.streams_end, true)))
}

/// Whether it is the answer of a router that found no method.
fn lacks_message(headers: &HeaderMap) -> bool {
    let unimplemented = headers.get(Status::GRPC_STATUS).is_some_and(|code| code == "12");
    unimplemented && headers.get(Status::GRPC_MESSAGE).is_none_or(|message| message.is_empty())
}

/// What the codec says of a request that it cannot read.
fn no_message(headers: &HeaderMap) -> Option<String> {
    let status = Status::from_header_map(headers).filter(|status| status.code() == Code::Internal)?;
    let is_codecs = NO_MESSAGE.iter().any(|start| status.message().starts_with(start));
    is_codecs.then(|| status.message().to_owned())
}

/// Moves a status that comes before any message from the trailers to the headers.
async fn early_error(response: Response) -> Response {
    let (mut parts, mut body) = response.into_parts();
    match timeout(FIRST_FRAME, body.frame()).await {
        Ok(Some(Ok(frame))) => match frame.into_trailers() {
            Ok(trailers) => {
                parts.headers.extend(trailers);
                Response::from_parts(parts, Body::empty())
            }
            Err(frame) => Response::from_parts(parts, rejoin(frame, body)),
        },
        Ok(Some(Err(error))) => {
            tracing::debug!(%error, "an answer failed before its first frame");
            Status::internal("internal error").into_http::<Body>()
        }
        Ok(None) => Response::from_parts(parts, Body::empty()),
        Err(_) => Response::from_parts(parts, body),
    }
}

/// Puts the first frame back in front of a body.
fn rejoin(frame: Frame<Bytes>, rest: Body) -> Body {
    let first = futures::stream::iter([Ok::<_, axum::Error>(frame)]);
    let rest = futures::stream::unfold(rest, async |mut rest| rest.frame().await.map(|frame| (frame, rest)));
    Body::new(StreamBody::new(futures::StreamExt::chain(first, rest)))
}

// === impl Completion ===

impl Completion {
    fn unknown(&self, path: &str) -> String {
        match path.strip_prefix('/').and_then(|path| path.rsplit_once('/')) {
            None => format!("malformed method name: {path:?}"),
            Some((service, method)) if self.services.contains(service) => {
                format!("unknown method {method} for service {service}")
            }
            Some((service, _)) => format!("unknown service {service}"),
        }
    }
}
