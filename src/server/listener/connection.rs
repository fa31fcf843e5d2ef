//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::dispatch::Dispatch;
use super::{ListenerOptions, Stages, Timeouts, redirect};

/// Bytes of request headers: room for a token in twenty cookies.
const HEADER_BYTES: u32 = 128 << 10;
/// Calls at once on one HTTP/2 connection.
const CONCURRENT_STREAMS: u32 = 256;
/// Bytes that an HTTP/2 connection, and each call on it, may have on their way to us.
/// Half of it bounds what small frames cost before they are read: a window that adapts
/// begins at 64 KiB, which some 150 calls at once would exhaust.
const HTTP2_WINDOW: u32 = 1 << 20;
/// Between looks at a connection whose first bytes do not yet say what it is.
const PEEK_PAUSE: Duration = Duration::from_millis(10);

/// HTTP/2 frames that refuse plain text: empty settings, then GOAWAY with
/// INADEQUATE_SECURITY (RFC 9113, 6.5, 6.8 and 7).
const REFUSE_H2C: [u8; 26] = [0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0c];

/// Serves a connection; from the shutdown on it takes no new requests. A macro,
/// because hyper's kinds of connection share no trait.
macro_rules! until_drained {
    ($connection:expr, $shutdown:expr) => {{
        let mut connection = std::pin::pin!($connection);
        tokio::select! {
            served = connection.as_mut() => return Ok(served?),
            () = $shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        Ok(connection.await?)
    }};
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Tls,
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    Closed,
}

/// What every connection of the port shares.
#[derive(Clone)]
pub(super) struct Connection {
    tls: Option<TlsAcceptor>,
    dispatch: Dispatch,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    root_path: String,
    timeouts: Timeouts,
    stages: Stages,
}

// === impl Connection ===

impl Connection {
    pub(super) fn new(tls: Option<TlsAcceptor>, dispatch: Dispatch, options: &ListenerOptions, stages: Stages) -> Self {
        let timeouts = options.timeouts;
        let root_path = options.root_path.trim_matches('/').to_owned();
        Self { tls, dispatch, http1: http1(timeouts), http2: http2(timeouts), root_path, timeouts, stages }
    }

    /// Serves one connection to its end. Its failures are nobody else's.
    pub(super) async fn run(self, stream: TcpStream, address: SocketAddr) {
        let cut = self.stages.cut.clone();
        let served = tokio::select! {
            served = self.serve(stream, address) => served,
            () = cut.cancelled() => Ok(()),
        };
        if let Err(error) = served {
            tracing::debug!(client = %address, error = &*error, "a connection failed");
        }
    }

    async fn serve(self, mut stream: TcpStream, address: SocketAddr) -> Result<(), tonic::codegen::StdError> {
        stream.set_nodelay(true)?;
        let opening = tokio::select! {
            opening = timeout(self.timeouts.handshake, opening(&stream)) => opening??,
            () = self.stages.shutdown.cancelled() => return Ok(()),
        };
        match (opening, self.tls.clone()) {
            (Opening::Closed, _) => Ok(()),
            (Opening::Tls, Some(acceptor)) => {
                let stream = timeout(self.timeouts.handshake, acceptor.accept(stream)).await??;
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.http(stream, http2, address).await
            }
            // The reference closes it as well, and its clients then try plain text.
            (Opening::Tls, None) => Ok(()),
            (Opening::Http1, Some(_)) => self.redirect(stream).await,
            (Opening::Http2, Some(_)) => {
                stream.write_all(&REFUSE_H2C).await?;
                Ok(stream.shutdown().await?)
            }
            (Opening::Http1, None) => self.http(stream, false, address).await,
            (Opening::Http2, None) => self.http(stream, true, address).await,
        }
    }

    async fn http<I>(self, stream: I, http2: bool, address: SocketAddr) -> Result<(), tonic::codegen::StdError>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let dispatch = self.dispatch;
        let service = service_fn(move |request: http::Request<Incoming>| {
            let dispatch = dispatch.clone();
            async move { Ok::<_, Infallible>(dispatch.answer(request, address).await) }
        });
        let stream = TokioIo::new(stream);
        if http2 {
            until_drained!(self.http2.serve_connection(stream, service), self.stages.shutdown)
        } else {
            until_drained!(self.http1.serve_connection(stream, service).with_upgrades(), self.stages.shutdown)
        }
    }

    async fn redirect(self, stream: TcpStream) -> Result<(), tonic::codegen::StdError> {
        let root_path = self.root_path;
        let service = service_fn(move |request: http::Request<Incoming>| {
            let answer = redirect::to_https(&request, &root_path);
            async move { Ok::<_, Infallible>(answer) }
        });
        until_drained!(self.http1.serve_connection(TokioIo::new(stream), service), self.stages.shutdown)
    }
}

fn http1(timeouts: Timeouts) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(timeouts.idle);
    builder
}

fn http2(timeouts: Timeouts) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(timeouts.ping_interval)
        .keep_alive_timeout(timeouts.ping_timeout)
        .max_concurrent_streams(CONCURRENT_STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .initial_connection_window_size(HTTP2_WINDOW)
        .initial_stream_window_size(HTTP2_WINDOW);
    builder
}

/// Looks at the first bytes without taking them.
async fn opening(stream: &TcpStream) -> io::Result<Opening> {
    const PREFACE: &[u8] = b"PRI";
    let mut head = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut head).await?;
        match &head[..length] {
            [] => return Ok(Opening::Closed),
            // The record type of a handshake.
            [0x16, ..] => return Ok(Opening::Tls),
            PREFACE => return Ok(Opening::Http2),
            part if PREFACE.starts_with(part) => sleep(PEEK_PAUSE).await,
            _ => return Ok(Opening::Http1),
        }
    }
}
