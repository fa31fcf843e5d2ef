//! Calls to the owners of applications, repositories and clusters.
//!
//! Controller replicas publish their addresses in the home namespace and prove
//! themselves with certificates of the installation's own authority. Channels are
//! kept while a replica lives. Every call has a deadline, and an owner that is
//! away is `Unavailable` with words a person understands.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argosy_fleet::peer_tls::{Identity, TlsError, dial};
use argosy_home::Home;
use argosy_model::AppKey;
use argosy_proto::peer::ApplicationRef;
use argosy_proto::peer::peer_client::PeerClient;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// What one answer may weigh: the manifests of a large application.
const LARGEST: usize = 200 << 20;
/// From the first packet until the connection stands.
const CONNECTED: Duration = Duration::from_secs(5);
/// Until an answer begins, whatever is asked: longer than any caller waits.
const ANSWERED: Duration = Duration::from_secs(300);
/// A silent peer is given up after this long.
const ALIVE: Duration = Duration::from_secs(10);

/// A client of one replica.
pub(crate) type Peer = PeerClient<Channel>;

/// The owners, and how to reach them.
#[derive(Clone)]
pub(crate) struct Peers {
    home: Home,
    tls: Arc<ClientConfig>,
    channels: Arc<Mutex<HashMap<String, Channel>>>,
}

// === impl Peers ===

impl Peers {
    /// # Errors
    /// When the TLS library refuses the identity.
    pub(crate) fn new(home: Home, identity: &Identity) -> Result<Self, TlsError> {
        Ok(Self { home, tls: Arc::new(identity.client_config()?), channels: Arc::default() })
    }

    /// The owner of an application.
    ///
    /// # Errors
    /// `Unavailable` while no controller is there.
    pub(crate) fn of_application(&self, _: &AppKey) -> Result<Peer, Status> {
        self.any()
    }

    /// The owner of a repository.
    ///
    /// # Errors
    /// As [`Self::of_application`].
    pub(crate) fn of_repository(&self, _url: &str) -> Result<Peer, Status> {
        self.any()
    }

    /// The owner of a cluster.
    ///
    /// # Errors
    /// As [`Self::of_application`].
    pub(crate) fn of_cluster(&self, _server: &str) -> Result<Peer, Status> {
        self.any()
    }

    /// Every replica there is.
    pub(crate) fn all(&self) -> Vec<Peer> {
        self.home.peers().iter().filter_map(|peer| self.connect(&peer.address).ok()).collect()
    }

    fn any(&self) -> Result<Peer, Status> {
        let peers = self.home.peers();
        let peer =
            peers.first().ok_or_else(|| Status::unavailable("no controller replica is running at the moment"))?;
        self.connect(&peer.address)
    }

    fn connect(&self, address: &str) -> Result<Peer, Status> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.home.peers();
        channels.retain(|known, _| live.iter().any(|peer| peer.address == *known));
        if let Some(channel) = channels.get(address) {
            return Ok(client(channel.clone()));
        }
        let channel = self.open(address).map_err(|error| {
            tracing::error!(address, %error, "the address of a controller replica cannot be used");
            Status::unavailable("the controller replica cannot be reached")
        })?;
        channels.insert(address.to_owned(), channel.clone());
        Ok(client(channel))
    }

    fn open(&self, address: &str) -> Result<Channel, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(CONNECTED)
            // Callers are more impatient, as a rule. A stream only has to begin.
            .timeout(ANSWERED)
            .http2_keep_alive_interval(ALIVE)
            .keep_alive_timeout(ALIVE)
            .keep_alive_while_idle(true);
        let tls = self.tls.clone();
        let connector = service_fn(move |uri: Uri| {
            let tls = tls.clone();
            async move {
                let address = uri.authority().map(ToString::to_string).unwrap_or_default();
                dial(tls, &address).await.map(TokioIo::new)
            }
        });
        Ok(endpoint.connect_with_connector_lazy(connector))
    }
}

fn client(channel: Channel) -> Peer {
    PeerClient::new(channel).max_decoding_message_size(LARGEST).max_encoding_message_size(LARGEST)
}

/// What an owner answered, as it is passed on: code and words, no more.
pub(crate) fn told(status: Status) -> Status {
    if status.source().is_some() {
        tracing::warn!(error = %status, "a controller replica cannot be reached");
        return Status::unavailable("the controller replica cannot be reached");
    }
    Status::new(status.code(), status.message())
}

/// An application as peers name it.
pub(crate) fn application_ref(key: &AppKey) -> ApplicationRef {
    ApplicationRef { namespace: key.namespace.to_string(), name: key.name.to_string() }
}
