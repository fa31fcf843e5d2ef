//! The one port of an API replica: TLS and plain text, HTTP/1.1 and HTTP/2, gRPC,
//! gRPC-web and everything else are told apart here and nowhere else.
//!
//! A connection is looked at before it is read: its first byte says whether it
//! speaks TLS. Plain text on a TLS port is sent to `https`. What is inside goes by
//! content type, `application/grpc*` to one router and the rest to the other.
//!
//! Promises: a changed certificate serves the next handshake and drops nobody; no
//! client holds a connection by saying nothing; a panic is an answer without
//! details; and [`serve`] ends in stages: no new connections, calls end, streams
//! are told to come back, what is left is cut.

pub mod certificate;
mod clients;
mod compress;
mod connection;
mod dispatch;
mod drain;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod grpc;
mod headers;
mod redirect;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::sign::CertifiedKey;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::clients::Clients;
use self::connection::Connection;
use self::dispatch::Dispatch;
pub use self::tls::TlsOptions;

/// Most bytes of one gRPC message unless configured, as the reference's server has
/// it. Services take it as their limit for decoding and encoding.
pub const DEFAULT_MAX_GRPC_MESSAGE: usize = 100 << 20;

/// Pause after an accept that failed, so that a process out of file descriptors
/// does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Silence after which a client is asked whether it is there: one that is gone without a
/// word must not keep a stream on which nothing happens to be sent.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// How the port behaves. Names and defaults are those of Argo CD's flags.
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// Path below which everything is served; slashes at its ends do not matter,
    /// empty is none. Native gRPC is served without it too, and `/healthz`.
    pub root_path: String,
    /// Versions and ciphers of TLS.
    pub tls: TlsOptions,
    /// `X-Frame-Options` of HTTP answers that have none; empty leaves it out.
    pub x_frame_options: String,
    /// `Content-Security-Policy` of HTTP answers that have none; empty leaves it out.
    pub content_security_policy: String,
    /// Whether HTTP answers are compressed for clients that ask.
    pub gzip: bool,
    /// Full names of the registered gRPC services, for the wording of the answer to
    /// calls of methods that do not exist.
    pub grpc_services: Vec<String>,
    /// Most open connections of one client address (of a /64 for IPv6).
    pub connections_per_client: usize,
    /// Deadlines.
    pub timeouts: Timeouts,
}

/// Deadlines of connections.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From accept to a finished TLS handshake or the first bytes of plain text.
    pub handshake: Duration,
    /// An HTTP/1.1 connection waiting for a complete request head, idle or not.
    pub idle: Duration,
    /// Between pings on an HTTP/2 connection.
    pub ping_interval: Duration,
    /// For the answer to a ping.
    pub ping_timeout: Duration,
    /// From the shutdown to the end of streams that are still open.
    pub stream_grace: Duration,
    /// From there to cutting what is left.
    pub drain: Duration,
}

/// Who is at the other end of the connection; on every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub SocketAddr);

/// Why the port cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A version of TLS that does not exist.
    #[error("{0} is not valid TLS version")]
    TlsVersion(String),
    /// No version is left.
    #[error("no supported TLS version from {min} to {max}: 1.2 and 1.3 are supported")]
    TlsVersions {
        /// Lowest as configured.
        min: String,
        /// Highest as configured.
        max: String,
    },
    /// A cipher suite nobody knows.
    #[error("invalid cipher suite specified: {0}")]
    Cipher(String),
    /// Only cipher suites without forward secrecy or authentication of the text.
    #[error("none of the cipher suites is supported: {0}")]
    Ciphers(String),
    /// The TLS library refuses the configuration.
    #[error("the TLS configuration is refused")]
    Tls(#[source] rustls::Error),
}

/// The stages of a shutdown, as connections see them.
#[derive(Clone, Debug)]
struct Stages {
    /// No new requests.
    shutdown: CancellationToken,
    /// Open streams end.
    streams_end: CancellationToken,
    /// Everything ends.
    cut: CancellationToken,
}

/// Serves until `shutdown`, then drains. `certificate` is asked at each handshake;
/// `None` is plain text (`--insecure`): HTTP/1.1 and HTTP/2 with prior knowledge.
///
/// # Errors
/// When the TLS options are impossible. Failed connections are theirs alone.
pub async fn serve(
    listener: TcpListener,
    certificate: Option<watch::Receiver<Arc<CertifiedKey>>>,
    grpc: Router,
    http: Router,
    options: ListenerOptions,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let tls = match certificate {
        Some(certificate) => Some(TlsAcceptor::from(Arc::new(tls::config(certificate, &options.tls)?))),
        None => None,
    };
    let stages = Stages { shutdown, streams_end: CancellationToken::new(), cut: CancellationToken::new() };
    let timeouts = options.timeouts;
    let clients = Clients::new(options.connections_per_client);
    let dispatch = Dispatch::new(grpc, http, &options, &stages.streams_end);
    let connection = Connection::new(tls, dispatch, &options, stages.clone());
    let tasks = TaskTracker::new();
    loop {
        let (stream, address) = tokio::select! {
            biased;
            () = stages.shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let Some(seat) = clients.admit(address.ip()) else {
            tracing::debug!(client = %address.ip(), "too many connections of one client");
            continue;
        };
        if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE)) {
            tracing::debug!(client = %address.ip(), %error, "the connection is not kept alive");
        }
        let connection = connection.clone();
        tasks.spawn(async move {
            connection.run(stream, address).await;
            drop(seat);
        });
    }
    drop(listener);
    drain(&tasks, &stages, timeouts).await;
    Ok(())
}

async fn drain(tasks: &TaskTracker, stages: &Stages, timeouts: Timeouts) {
    tasks.close();
    if timeout(timeouts.stream_grace, tasks.wait()).await.is_ok() {
        return;
    }
    stages.streams_end.cancel();
    if timeout(timeouts.drain, tasks.wait()).await.is_ok() {
        return;
    }
    tracing::warn!(connections = tasks.len(), "requests are cut that did not end in time");
    stages.cut.cancel();
    tasks.wait().await;
}

// === impl ListenerOptions ===

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            root_path: String::new(),
            tls: TlsOptions::default(),
            x_frame_options: "sameorigin".to_owned(),
            content_security_policy: "frame-ancestors 'self';".to_owned(),
            gzip: true,
            grpc_services: Vec::new(),
            // A proxy in front makes one client of all users.
            connections_per_client: 4096,
            timeouts: Timeouts::default(),
        }
    }
}

// === impl Timeouts ===

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            // Above the minute that load balancers keep connections for.
            idle: Duration::from_secs(90),
            ping_interval: Duration::from_secs(60),
            ping_timeout: Duration::from_secs(20),
            stream_grace: Duration::from_secs(3),
            drain: Duration::from_secs(17),
        }
    }
}
