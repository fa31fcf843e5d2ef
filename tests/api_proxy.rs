//! A way to an API server that can be made to fail: answers with errors, hangs,
//! breaks connections. It speaks plain http to its clients and passes their
//! requests on with the administrator's rights, streams included.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::control_plane::ControlPlane;

/// How the proxy misbehaves, for every request until told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiFault {
    /// Answers 429 and asks for a pause of so many seconds.
    TooMany(u64),
    /// Answers with this status.
    Status(u16),
    /// Behaves like the servers of years ago: discovery is one document for each
    /// group and version, and lists are not streamed.
    Old,
    /// Takes requests and does not answer until healed.
    Hang,
    /// Breaks every connection, also those that are open, and takes no new one.
    Cut,
}

/// The running proxy; it ends with its value. Lives on the runtime that starts it.
pub struct ApiProxy {
    address: SocketAddr,
    fault: watch::Sender<Option<ApiFault>>,
    _task: AbortOnDropHandle<()>,
}

type Body = UnsyncBoxBody<Bytes, kube::Error>;

// === impl ApiProxy ===

impl ApiProxy {
    /// Starts one in front of a control plane.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(plane: &ControlPlane) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("binding the proxy")?;
        let address = listener.local_addr().context("a bound listener has an address")?;
        let fault = watch::Sender::new(None);
        let task = tokio::spawn(accept(listener, plane.client().await?, fault.subscribe()));
        Ok(Self { address, fault, _task: AbortOnDropHandle::new(task) })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it misbehaves.
    pub fn fail(&self, fault: ApiFault) {
        self.fault.send_replace(Some(fault));
    }

    /// From now on it behaves; requests that hang go on.
    pub fn heal(&self) {
        self.fault.send_replace(None);
    }
}

async fn accept(listener: TcpListener, upstream: kube::Client, fault: watch::Receiver<Option<ApiFault>>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let (upstream, fault) = (upstream.clone(), fault.clone());
        connections.spawn(async move {
            let mut cut = fault.clone();
            let service = service_fn(|request| serve(upstream.clone(), fault.clone(), request));
            let builder = Builder::new(TokioExecutor::new());
            tokio::select! {
                // An error is a client that left.
                _ = builder.serve_connection(TokioIo::new(socket), service) => {}
                _ = cut.wait_for(|f| *f == Some(ApiFault::Cut)) => {}
            }
        });
    }
}

async fn serve(
    upstream: kube::Client,
    mut fault: watch::Receiver<Option<ApiFault>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let fault = fault.wait_for(|f| *f != Some(ApiFault::Hang)).await.map(|f| *f).unwrap_or(None);
    Ok(match fault {
        Some(ApiFault::TooMany(seconds)) => {
            let mut response = refusal(StatusCode::TOO_MANY_REQUESTS);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            response
        }
        Some(ApiFault::Old) if request.uri().query().is_some_and(|q| q.contains("sendInitialEvents=true")) => {
            refusal(StatusCode::UNPROCESSABLE_ENTITY)
        }
        Some(ApiFault::Status(code)) => refusal(StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY)),
        fault => pass_on(upstream, request, fault == Some(ApiFault::Old)).await.unwrap_or_else(|error| {
            tracing::debug!("api proxy: {error:#}");
            refusal(StatusCode::BAD_GATEWAY)
        }),
    })
}

async fn pass_on(upstream: kube::Client, request: Request<Incoming>, old: bool) -> anyhow::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.context("reading a request")?.to_bytes();
    let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    let mut onwards = Request::builder().method(parts.method).uri(path);
    let is_unknown = |value: &HeaderValue| old && value.to_str().is_ok_and(|v| v.contains("apidiscovery"));
    for name in [header::ACCEPT, header::CONTENT_TYPE, header::IF_NONE_MATCH] {
        if let Some(value) = parts.headers.get(&name).filter(|value| !is_unknown(value)) {
            onwards = onwards.header(name, value);
        }
    }
    let onwards = onwards.body(kube::client::Body::from(body.to_vec())).context("describing a request")?;
    let answer = Arc::new(upstream).send(onwards).await.context("asking the API server")?;
    let (mut parts, body) = answer.into_parts();
    // The body is passed on in pieces of our own.
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION] {
        parts.headers.remove(name);
    }
    parts.version = http::Version::HTTP_11;
    Ok(Response::from_parts(parts, BodyExt::boxed_unsync(body.map_err(|e| kube::Error::Service(Box::new(e))))))
}

fn refusal(status: StatusCode) -> Response<Body> {
    let mut response =
        Response::new(BodyExt::boxed_unsync(Full::new(Bytes::from_static(b"{}")).map_err(|never| match never {})));
    *response.status_mut() = status;
    response
}
