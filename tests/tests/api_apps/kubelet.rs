//! A kubelet as far as logs go: it answers the API server over TLS and says what it was
//! told to.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use argosy_tests::certificates::Authority;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::{Request, Response, Uri};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// What Pods have written, by name; the channel of a log stays open while it is
/// followed.
pub(crate) type Logs = Arc<Mutex<HashMap<String, mpsc::Receiver<String>>>>;

type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// Starts listening, as long as the test runs; returns the port.
pub(crate) async fn start(logs: Logs) -> anyhow::Result<u16> {
    let identity = Authority::new("argosy test kubelet authority")?.sign_server(&["127.0.0.1"])?;
    let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())?;
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.context("binding")?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, logs) = (acceptor.clone(), logs.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let answer = service_fn(move |request: Request<Incoming>| {
                    let answer = answer(&logs, request.uri());
                    async move { Ok::<_, Infallible>(answer) }
                });
                // The API server goes away in the middle when its client does.
                let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    Ok(port)
}

/// `/containerLogs/<namespace>/<pod>/<container>`
fn answer(logs: &Logs, uri: &Uri) -> Response<Body> {
    let pod = uri.path().split('/').nth(3).unwrap_or_default();
    let log = logs.lock().expect("no panic").remove(pod);
    let status = if log.is_some() { 200 } else { 500 };
    let lines = log.unwrap_or_else(|| mpsc::channel(1).1);
    let frames = stream::unfold(lines, |mut lines| async move {
        let line = lines.recv().await?;
        Some((Ok(Frame::data(Bytes::from(line))), lines))
    });
    Response::builder().status(status).body(StreamBody::new(frames.boxed())).expect("a response")
}
