//! Accepting connections: TLS with optional client certificates, HTTP/1.1 and 2.

use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StartError;
use super::api::Api;
use super::certificate::{Authority, Signed};
use super::handle;

/// From accept to a finished handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Longest pause of an HTTP/1 connection between requests: longer than clients keep one
/// (90 s is common), so that the server does not close one just as it is used again.
const IDLE: Duration = Duration::from_secs(120);

/// Pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// TLS with the server's certificate; clients may show one of the same authority, or
/// of those in the PEM.
pub(super) fn tls(authority: &Authority, server: &Signed, others: Option<&str>) -> Result<TlsAcceptor, StartError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der.clone())).map_err(StartError::Tls)?;
    for one in others.map(client_authorities).transpose()?.unwrap_or_default() {
        roots.add(one).map_err(StartError::Tls)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|_| StartError::Tls(rustls::Error::General("no client verifier".to_owned())))?;
    let chain = vec![CertificateDer::from(server.der.clone()), CertificateDer::from(authority.der.clone())];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server.key_der.clone()));
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(StartError::Tls)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(StartError::Tls)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn client_authorities(pem: &str) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or(StartError::ClientAuthorities)
}

/// Serves until the token is cancelled.
pub(super) async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    api: Arc<Api>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let stream = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the sandbox could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        tasks.spawn(connection(stream, tls.clone(), api.clone(), shutdown.clone()));
    }
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, api: Arc<Api>, shutdown: CancellationToken) {
    // Small answers are not worth waiting for more.
    drop(stream.set_nodelay(true));
    let Ok(Ok(stream)) = timeout(HANDSHAKE, tls.accept(stream)).await else { return };
    let certificate: Option<Arc<[u8]>> =
        stream.get_ref().1.peer_certificates().and_then(|c| c.first()).map(|c| Arc::from(c.as_ref()));
    let service = service_fn(move |request| {
        let (api, certificate) = (api.clone(), certificate.clone());
        async move { Ok::<_, std::convert::Infallible>(handle::handle(api, certificate, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(1000);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // A broken connection is the client's affair.
        result = serving => drop(result),
        () = shutdown.cancelled() => {}
    }
}
