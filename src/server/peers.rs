//! Calls to the owners of applications, repositories and clusters.
//!
//! Controller replicas publish their addresses in the home namespace and prove
//! themselves with certificates of the installation's own authority. Channels are
//! kept while a replica lives. Every call has a deadline, and an owner that is
//! away is `Unavailable` with words a person understands.
//!
//! Any replica can be asked: one that is not the owner says who is, and the call
//! goes there ([`routed`]).

mod routed;

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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

use routed::Routed;

/// What one answer may weigh: the manifests of a large application.
const LARGEST: usize = 200 << 20;
/// From the first packet until the connection stands.
const CONNECTED: Duration = Duration::from_secs(5);
/// Until an answer begins, whatever is asked: longer than any caller waits.
const ANSWERED: Duration = Duration::from_secs(300);
/// A silent peer is given up after this long.
const ALIVE: Duration = Duration::from_secs(10);

/// What of one stream a replica may send ahead of its reader, and of all together: the
/// most that HTTP/2 has.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// Most owners that are remembered. Whoever is forgotten is asked for again.
const REMEMBERED: usize = 10_000;
/// How long a replica that could not be reached is passed over, if there are others.
const PASSED_OVER: Duration = Duration::from_secs(5);

/// A client of whoever owns something.
pub(crate) type Peer = PeerClient<Routed>;

/// The owners, and how to reach them.
#[derive(Clone)]
pub(crate) struct Peers {
    home: Home,
    tls: Arc<ClientConfig>,
    channels: Arc<Mutex<HashMap<String, Channel>>>,
    book: Arc<Mutex<Book>>,
}

/// What calls have taught about the replicas.
#[derive(Default)]
struct Book {
    /// Address of the owner, by what was asked for.
    owners: HashMap<Arc<str>, String>,
    unreachable: HashMap<String, Instant>,
}

// === impl Peers ===

impl Peers {
    /// # Errors
    /// When the TLS library refuses the identity.
    pub(crate) fn new(home: Home, identity: &Identity) -> Result<Self, TlsError> {
        Ok(Self { home, tls: Arc::new(identity.client_config()?), channels: Arc::default(), book: Arc::default() })
    }

    /// The owner of an application.
    ///
    /// # Errors
    /// `Unavailable` while no controller is there.
    pub(crate) fn of_application(&self, key: &AppKey) -> Result<Peer, Status> {
        self.owner(format!("application {key}"))
    }

    /// A replica that has a repository at hand: each has those of its own.
    ///
    /// # Errors
    /// As [`Self::of_application`].
    pub(crate) fn of_repository(&self, url: &str) -> Result<Peer, Status> {
        self.owner(format!("repository {url}"))
    }

    /// The owner of a cluster.
    ///
    /// # Errors
    /// As [`Self::of_application`].
    pub(crate) fn of_cluster(&self, server: &str) -> Result<Peer, Status> {
        self.owner(format!("cluster {server}"))
    }

    /// Every replica there is.
    pub(crate) fn all(&self) -> Vec<Peer> {
        let addresses = self.home.peers().iter().map(|peer| peer.address.clone()).collect::<Vec<_>>();
        addresses.into_iter().map(|address| client(Routed::to(self.clone(), address))).collect()
    }

    fn owner(&self, subject: String) -> Result<Peer, Status> {
        if self.home.peers().is_empty() {
            return Err(Status::unavailable("no controller replica is running at the moment"));
        }
        Ok(client(Routed::about(self.clone(), subject.into())))
    }

    /// Whom to ask: the owner as it was last heard of, else any replica.
    fn first(&self, subject: &str) -> Option<String> {
        let (peers, book) = (self.home.peers(), self.book());
        let is_well = |address: &str| book.unreachable.get(address).is_none_or(|at| at.elapsed() > PASSED_OVER);
        let known = book.owners.get(subject).filter(|owner| peers.iter().any(|peer| peer.address == **owner));
        known
            .filter(|owner| is_well(owner))
            .cloned()
            .or_else(|| peers.iter().map(|peer| &peer.address).find(|address| is_well(address)).cloned())
            .or_else(|| peers.first().map(|peer| peer.address.clone()))
    }

    /// Remembers who owns something; false for an address that is no replica's.
    fn learn(&self, subject: &Arc<str>, owner: &str) -> bool {
        if !self.home.peers().iter().any(|peer| peer.address == owner) {
            return false;
        }
        let mut book = self.book();
        if book.owners.len() >= REMEMBERED {
            book.owners.clear();
        }
        book.owners.insert(subject.clone(), owner.to_owned());
        true
    }

    fn on_unreachable(&self, address: &str) {
        self.book().unreachable.insert(address.to_owned(), Instant::now());
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, address: &str) -> Result<Channel, Status> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.home.peers();
        channels.retain(|known, _| live.iter().any(|peer| peer.address == *known));
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        let channel = self.open(address).map_err(|error| {
            tracing::error!(address, %error, "the address of a controller replica cannot be used");
            Status::unavailable("the controller replica cannot be reached")
        })?;
        channels.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }

    fn open(&self, address: &str) -> Result<Channel, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(CONNECTED)
            // Callers are more impatient, as a rule. A stream only has to begin.
            .timeout(ANSWERED)
            .http2_keep_alive_interval(ALIVE)
            .keep_alive_timeout(ALIVE)
            .keep_alive_while_idle(true)
            // A stream that is not read holds up itself, and none of the others.
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
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

fn client(routed: Routed) -> Peer {
    PeerClient::new(routed).max_decoding_message_size(LARGEST).max_encoding_message_size(LARGEST)
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
