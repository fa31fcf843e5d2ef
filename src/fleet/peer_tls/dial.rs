//! Connecting to a peer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::PEER_NAME;

/// Longest wait for a connection and its handshake together.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no connection to a peer.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody listens there, or the network is in the way.
    #[error("cannot reach the peer at {address}")]
    Connect {
        /// `host:port`.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Whoever listens there is not a peer, or does not take us for one.
    #[error("the peer at {address} and this replica do not trust each other")]
    Handshake {
        /// `host:port`.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No answer in time.
    #[error("no answer from the peer at {address} within 10 s")]
    Timeout {
        /// `host:port`.
        address: String,
    },
}

/// Connects to the peer at `host:port` and verifies that it is one.
///
/// # Errors
/// [`DialError`].
pub async fn dial(config: Arc<ClientConfig>, address: &str) -> Result<TlsStream<TcpStream>, DialError> {
    let connected = async {
        let connect = |source| DialError::Connect { address: address.to_owned(), source };
        let stream = TcpStream::connect(address).await.map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        let name = ServerName::try_from(PEER_NAME).expect("the peers' name is a DNS name");
        let handshake = TlsConnector::from(config).connect(name, stream).await;
        handshake.map_err(|source| DialError::Handshake { address: address.to_owned(), source })
    };
    let timeout = |_| DialError::Timeout { address: address.to_owned() };
    tokio::time::timeout(PATIENCE, connected).await.map_err(timeout)?
}
