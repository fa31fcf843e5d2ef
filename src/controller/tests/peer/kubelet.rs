//! A kubelet as far as logs go: it answers the API server over TLS and says what
//! it was told to.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

/// What Pods have written, by name; the channel of a log stays open while it is
/// followed.
pub(crate) type Logs = Arc<Mutex<HashMap<String, mpsc::Receiver<String>>>>;

/// Starts listening; returns the port.
pub(crate) async fn start(logs: Logs, asked: mpsc::Sender<String>) -> anyhow::Result<u16> {
    let (authority, key) = argosy_fleet::peer_tls::Authority::new(crate::world::clock()())?;
    drop(key);
    let leaf = authority.issue("kubelet", crate::world::clock()())?;
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(leaf.chain, leaf.key)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, logs, asked) = (acceptor.clone(), logs.clone(), asked.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let (logs, asked) = (logs.clone(), asked.clone());
                    async move { Ok::<_, Infallible>(answer(&logs, &asked, request.uri()).await) }
                });
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                // The API server goes away in the middle when its client does.
                let _ = server.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    Ok(port)
}

type Body = StreamBody<std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>>;

/// `/containerLogs/<namespace>/<pod>/<container>`
async fn answer(logs: &Logs, asked: &mpsc::Sender<String>, uri: &hyper::Uri) -> Response<Body> {
    let pod = uri.path().split('/').nth(3).unwrap_or_default().to_owned();
    // Only a test that looks takes these out.
    let _ = asked.try_send(uri.to_string());
    let log = logs.lock().expect("no panic").remove(&pod);
    let status = if log.is_some() { 200 } else { 500 };
    let lines = log.unwrap_or_else(|| mpsc::channel(1).1);
    let frames = ReceiverStream::new(lines).map(|line| Ok(Frame::data(Bytes::from(line))));
    Response::builder().status(status).body(StreamBody::new(Box::pin(frames) as _)).expect("a response")
}
