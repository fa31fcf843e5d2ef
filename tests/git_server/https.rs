//! The TLS server in front of `git http-backend`, on a runtime of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::journal::{GitRequest, Journal};
use super::{Failure, backend};
use crate::certificates::{Authority, install_crypto};

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// The running server.
pub(super) struct HttpsServer {
    address: SocketAddr,
    authority: Authority,
    state: Arc<State>,
    // `None` only while dropping.
    runtime: Option<Runtime>,
}

/// What tests change and read while it runs.
pub(super) struct State {
    root: PathBuf,
    pub(super) journal: Journal,
    /// The `Authorization` header that is asked for.
    authorization: Mutex<Option<String>>,
    failure: watch::Sender<Option<Failure>>,
}

// === impl HttpsServer ===

impl HttpsServer {
    pub(super) fn start(root: PathBuf) -> anyhow::Result<Self> {
        install_crypto();
        let authority = Authority::new("argosy test git authority")?;
        let acceptor = acceptor(&authority)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("git-https")
            .enable_all()
            .build()
            .context("starting the git server's runtime")?;
        // Bound without the runtime's help: the caller may be inside another one.
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("binding the git server")?;
        listener.set_nonblocking(true).context("preparing the git server's socket")?;
        let address = listener.local_addr().context("a bound listener has an address")?;
        let failure = watch::Sender::new(None);
        let state = Arc::new(State { root, journal: Journal::default(), authorization: Mutex::default(), failure });
        runtime.spawn(accept(listener, acceptor, Arc::clone(&state)));
        Ok(Self { address, authority, state, runtime: Some(runtime) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn authority_pem(&self) -> &str {
        self.authority.certificate_pem()
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for it is not allowed inside the test's own runtime.
            runtime.shutdown_background();
        }
    }
}

fn acceptor(authority: &Authority) -> anyhow::Result<TlsAcceptor> {
    let identity = authority.sign_server(&["127.0.0.1", "localhost"])?;
    let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes())
        .map_err(|error| anyhow!("reading our own certificate: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())
        .map_err(|error| anyhow!("reading our own key: {error}"))?;
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .context("configuring TLS")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: std::net::TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    let listener = TcpListener::from_std(listener).expect("a non-blocking listener inside a runtime");
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            // A client that does not trust us goes away here; it knows why.
            let Ok(stream) = acceptor.accept(socket).await else { return };
            let service = service_fn(|request| serve(Arc::clone(&state), request));
            let builder = Builder::new(TokioExecutor::new());
            // An error is a client that left or a connection we cut on purpose.
            drop(builder.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn serve(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let place = state.journal.enter(GitRequest::read(&request));
    let response = answer(&state, request).await.unwrap_or_else(|error| {
        tracing::error!("git server: {error:#}");
        empty(StatusCode::BAD_GATEWAY)
    });
    state.journal.answered(place, response.status().as_u16());
    Ok(response)
}

async fn answer(state: &State, request: Request<Incoming>) -> anyhow::Result<Response<Body>> {
    let failure = state.failure_after_hanging().await;
    if let Some(Failure::Status(code)) = failure {
        return Ok(empty(StatusCode::from_u16(code).context("a failure's status")?));
    }
    let wanted = state.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let given = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    if wanted.is_some() && given != wanted.as_deref() {
        let mut response = empty(StatusCode::UNAUTHORIZED);
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, http::HeaderValue::from_static("Basic realm=\"argosy test git\""));
        return Ok(response);
    }
    let (parts, body) = request.into_parts();
    let body = body.collect().await.context("reading a request")?.to_bytes();
    let answer = backend::respond(&state.root, &parts, body, wanted.as_ref().map(|_| "known")).await?;
    let mut left = match failure {
        Some(Failure::CutAfter(bytes)) => bytes,
        _ => usize::MAX,
    };
    let body = answer.body.map(move |chunk| chunk.and_then(|chunk| cut(chunk, &mut left)).map(Frame::data));
    let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(body)));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

/// Lets a chunk pass while there is an allowance, then fails, which makes hyper
/// break the connection.
fn cut(chunk: Bytes, left: &mut usize) -> std::io::Result<Bytes> {
    if *left == 0 {
        return Err(std::io::Error::other("cut on purpose"));
    }
    let chunk = chunk.slice(..chunk.len().min(*left));
    *left -= chunk.len();
    Ok(chunk)
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(BodyExt::boxed_unsync(Empty::new().map_err(|never| match never {})));
    *response.status_mut() = status;
    response
}

// === impl State ===

impl State {
    pub(super) fn require_basic(&self, user: &str, password: &str) {
        self.require(Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))));
    }

    pub(super) fn require(&self, authorization: Option<String>) {
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = authorization;
    }

    pub(super) fn set_failure(&self, failure: Option<Failure>) {
        self.failure.send_replace(failure);
    }

    /// Waits while requests are to hang, then says what else goes wrong.
    async fn failure_after_hanging(&self) -> Option<Failure> {
        let mut failure = self.failure.subscribe();
        let settled = failure.wait_for(|f| *f != Some(Failure::Hang)).await;
        settled.map(|f| *f).unwrap_or(None)
    }
}
