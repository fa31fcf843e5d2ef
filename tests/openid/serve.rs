//! Serving a router on a port, with or without TLS.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::certificates::Authority;

pub(super) fn acceptor(authority: &Authority) -> anyhow::Result<TlsAcceptor> {
    let identity = authority.sign_server(&["127.0.0.1"])?;
    let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes())
        .map_err(|error| anyhow!("reading our own certificate: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())
        .map_err(|error| anyhow!("reading our own key: {error}"))?;
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    Ok(TlsAcceptor::from(Arc::new(config.context("configuring TLS")?)))
}

pub(super) async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, router: Router) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            match acceptor {
                None => answer(socket, router).await,
                // A client that does not trust us goes away here; it knows why.
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(socket).await {
                        answer(stream, router).await;
                    }
                }
            }
        });
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, router: Router) {
    let service = TowerToHyperService::new(router);
    // An error is a client that left.
    drop(Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await);
}
