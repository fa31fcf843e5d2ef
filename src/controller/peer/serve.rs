//! The listener that peers connect to.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use argosy_fleet::LinkService;
use argosy_proto::peer::links_server::LinksServer;
use argosy_proto::peer::peer_server::PeerServer;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::PeerService;

/// Longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at once; more wait in the system's own queue.
const HANDSHAKES: usize = 64;
/// A silent peer is asked whether it is there, and this long is waited for the answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// Time for calls under way to come to their end once the server is to end. Whoever made
/// one that takes longer hears that the replica is not there any more.
const CALLS_END: Duration = Duration::from_secs(10);
/// Pause after the system refused to accept, for instance for want of descriptors.
const REFUSED: Duration = Duration::from_millis(100);

/// Why peers cannot be served any longer.
#[derive(Debug, thiserror::Error)]
#[error("serving peers failed")]
pub struct ServeError(#[source] tonic::transport::Error);

/// Answers peers until `shutdown` ends; then calls under way are brought to
/// their end, as far as that comes soon. Replicas of a fleet hold `links` with each
/// other. `tls` must demand the peers' certificates, as
/// `argosy_fleet::peer_tls::Identity::server_config` does.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    listener: TcpListener,
    tls: ServerConfig,
    service: PeerServer<PeerService>,
    links: Option<LinksServer<LinkService>>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (tx, rx) = mpsc::channel(HANDSHAKES);
    let mut accepting = JoinSet::new();
    accepting.spawn(accept(listener, TlsAcceptor::from(Arc::new(tls)), tx));
    let ending = CancellationToken::new();
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE.0))
        .http2_keepalive_timeout(Some(KEEP_ALIVE.1))
        .tcp_nodelay(true)
        .add_service(service)
        .add_optional_service(links)
        .serve_with_incoming_shutdown(ReceiverStream::new(rx), ending.cancelled());
    let mut serving = pin!(serving);
    tokio::select! {
        served = &mut serving => return served.map_err(ServeError),
        () = shutdown => {}
    }
    // No more connections; those there are come to their end.
    accepting.abort_all();
    ending.cancel();
    match tokio::time::timeout(CALLS_END, serving).await {
        Ok(served) => served.map_err(ServeError),
        Err(_) => {
            tracing::warn!("calls of other replicas are cut that did not end in time");
            Ok(())
        }
    }
}

type Incoming = mpsc::Sender<io::Result<TlsStream<TcpStream>>>;

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, tx: Incoming) {
    let turns = Arc::new(Semaphore::new(HANDSHAKES));
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let Ok(turn) = turns.clone().acquire_owned().await else { return };
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted at the moment");
                tokio::time::sleep(REFUSED).await;
                continue;
            }
        };
        let (acceptor, tx) = (acceptor.clone(), tx.clone());
        handshakes.spawn(async move {
            let _turn = turn;
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                // Nobody takes it when the server has ended.
                Ok(Ok(stream)) => drop(tx.send(Ok(stream)).await),
                Ok(Err(error)) => tracing::debug!(%address, %error, "somebody who is no peer was turned away"),
                Err(_) => tracing::debug!(%address, "a handshake took too long"),
            }
        });
    }
}
