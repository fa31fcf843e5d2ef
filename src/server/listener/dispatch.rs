//! Which router answers a request, and what holds for every answer.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::drain::Draining;
use super::headers::Hardening;
use super::{ClientAddress, ListenerOptions, compress, grpc};

/// Answered without the root path too, for those who watch the process.
const HEALTH: &str = "/healthz";

/// See the module's page.
#[derive(Clone)]
pub(super) struct Dispatch {
    grpc: Router,
    http: Router,
    /// Without slashes at its ends.
    root_path: String,
    hardening: Hardening,
    gzip: bool,
    streams_end: CancellationToken,
}

/// How a request names itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Grpc,
    GrpcWeb,
    Http,
}

// === impl Dispatch ===

impl Dispatch {
    pub(super) fn new(grpc: Router, http: Router, options: &ListenerOptions, streams_end: &CancellationToken) -> Self {
        Self {
            grpc: grpc::router(grpc, &options.grpc_services, streams_end),
            http,
            root_path: options.root_path.trim_matches('/').to_owned(),
            hardening: Hardening::new(options),
            gzip: options.gzip,
            streams_end: streams_end.clone(),
        }
    }

    pub(super) async fn answer(&self, request: http::Request<Incoming>, address: SocketAddr) -> Response {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ClientAddress(address));
        let kind = Kind::of(request.headers());
        if !self.strip_root(&mut request) && kind != Kind::Grpc && request.uri().path() != HEALTH {
            return self.outside_root(&request);
        }
        match kind {
            Kind::Http => self.http(request).await,
            Kind::GrpcWeb => self.grpc_web(request).await,
            Kind::Grpc => infallible(self.grpc.clone().oneshot(request).await),
        }
    }

    async fn grpc_web(&self, mut request: Request) -> Response {
        request.extensions_mut().insert(grpc::Web);
        // Who sends text gets text, whether they ask for it or not.
        let text = request.headers().get(CONTENT_TYPE).filter(|kind| is(kind, "application/grpc-web-text")).cloned();
        if let Some(text) = text {
            request.headers_mut().insert(ACCEPT, text);
        }
        infallible(self.grpc.clone().oneshot(request).await)
    }

    async fn http(&self, request: Request) -> Response {
        let accepts_gzip = self.gzip && compress::is_wanted(request.headers());
        let answered = AssertUnwindSafe(self.http.clone().oneshot(request)).catch_unwind().await;
        let mut response = answered.map_or_else(|_| panicked(), infallible);
        self.hardening.complete(response.headers_mut());
        // A protocol switch has no body of its own.
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return response;
        }
        let response = response.map(|body| Body::new(Draining::new(body, &self.streams_end, false)));
        if accepts_gzip { compress::answer(response) } else { response }
    }

    /// Takes the root path off; whether the request is below it.
    fn strip_root(&self, request: &mut Request) -> bool {
        if self.root_path.is_empty() {
            return true;
        }
        let uri = request.uri();
        let Some(path) = uri.path_and_query().map(PathAndQuery::as_str) else { return false };
        let below = path.strip_prefix('/').and_then(|path| path.strip_prefix(&*self.root_path));
        let Some(below) = below.filter(|below| below.starts_with('/')) else { return false };
        let Ok(below) = below.parse::<PathAndQuery>() else { return false };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(below);
        let Ok(uri) = Uri::from_parts(parts) else { return false };
        *request.uri_mut() = uri;
        true
    }

    fn outside_root(&self, request: &Request) -> Response {
        let root = format!("/{}", self.root_path);
        let mut response = if request.uri().path() == root {
            let location = HeaderValue::try_from(format!("{root}/")).ok();
            let headers = location.map(|location| [(LOCATION, location)]);
            (StatusCode::MOVED_PERMANENTLY, headers.map(HeaderMap::from_iter).unwrap_or_default()).into_response()
        } else {
            (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
        };
        self.hardening.complete(response.headers_mut());
        response
    }
}

fn infallible(answered: Result<Response, std::convert::Infallible>) -> Response {
    match answered {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn panicked() -> Response {
    const BODY: &str = r#"{"error":"internal error","code":13,"message":"internal error"}"#;
    (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "application/json")], BODY).into_response()
}

/// Whether a content type is of a kind, be it followed by a suffix or parameters.
fn is(content_type: &HeaderValue, kind: &str) -> bool {
    let text = content_type.as_bytes();
    text.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind.as_bytes()))
}

// === impl Kind ===

impl Kind {
    fn of(headers: &HeaderMap) -> Self {
        match headers.get(CONTENT_TYPE) {
            Some(content_type) if is(content_type, "application/grpc-web") => Self::GrpcWeb,
            Some(content_type) if is(content_type, "application/grpc") => Self::Grpc,
            _ => Self::Http,
        }
    }
}
