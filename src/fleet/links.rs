//! Links between replicas: each keeps one to every other, and notices when it breaks.
//!
//! A process that dies takes its connections with it, so a broken link tells at once
//! what a lease tells after seconds. It may as well be the network: whoever acts on
//! it must be right in both cases ([`crate::Etcd::report_sight`]).
//!
//! A replica counts as lost when a link to it broke, or its host does not answer
//! ([`ANSWERED`]), and it cannot be linked to again. One that there never was a link
//! to is not lost, nor is one that ends in order: its lease says when it is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use argosy_proto::peer::links_client::LinksClient;
use argosy_proto::peer::links_server::{Links, LinksServer};
use argosy_proto::peer::{Held, HoldRequest};
use futures::{Stream, StreamExt, stream};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};
use tower::service_fn;

use crate::id::{Replica, ReplicaId};
use crate::membership::Members;
use crate::peer_tls::dial;

/// How often a silent replica is asked whether it is there, and how long it may take
/// to answer. A program that is starved of its processor for longer is as good as gone.
const ANSWERED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(2));
/// Longest time until a link stands.
const LINKED: Duration = Duration::from_secs(2);
/// Between two tries to link.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a link must have stood to a replica that was lost before, that it can be
/// lost again: one that comes and goes is left to its lease.
const STEADY: Duration = Duration::from_secs(30);

/// Answers those who link to this replica.
pub struct LinkService {
    me: ReplicaId,
    ending: CancellationToken,
}

/// How it stands between this replica and another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// There is none yet, or it ended in order.
    Unknown,
    /// There was none yet, and the first try has failed.
    Unreached,
    /// The replica is there.
    Stands,
    /// It has just broken, and is tried again.
    Broken,
    /// It was there, and cannot be reached any more.
    Lost,
}

/// What a replica has lost sight of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Replicas that were there and cannot be reached any more.
    pub lost: BTreeSet<ReplicaId>,
    /// Replicas of which that may turn out in a moment.
    pub broken: BTreeSet<ReplicaId>,
    /// Replicas that never were there for this one: gone before it came, perhaps.
    pub unreached: BTreeSet<ReplicaId>,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error(transparent)]
    Transport(#[from] tonic::transport::Error),
    #[error(transparent)]
    Status(#[from] Status),
    #[error("another process answers at its address")]
    Another,
    #[error("no answer in time")]
    Timeout,
}

// === impl Sight ===

impl Sight {
    /// What links say.
    pub fn of(links: &BTreeMap<ReplicaId, Link>) -> Self {
        let those = |wanted| links.iter().filter(|(_, link)| **link == wanted).map(|(name, _)| name.clone()).collect();
        Self { lost: those(Link::Lost), broken: those(Link::Broken), unreached: those(Link::Unreached) }
    }
}

// === impl LinkService ===

impl LinkService {
    /// Answers as `me`, and ends all links in order when `ending` is cancelled.
    pub fn server(me: ReplicaId, ending: CancellationToken) -> LinksServer<Self> {
        LinksServer::new(Self { me, ending })
    }
}

#[tonic::async_trait]
impl Links for LinkService {
    type HoldStream = Pin<Box<dyn Stream<Item = Result<Held, Status>> + Send>>;

    async fn hold(&self, request: Request<HoldRequest>) -> Result<Response<Self::HoldStream>, Status> {
        tracing::debug!(replica = request.get_ref().replica, "another replica has linked");
        let first = stream::iter([Ok(Held { replica: self.me.as_str().to_owned() })]);
        let silence = stream::pending().take_until(self.ending.clone().cancelled_owned());
        Ok(Response::new(first.chain(silence).boxed()))
    }
}

/// Keeps a link to each other member, and calls `tell` with how it stands with each
/// whenever that changes. It ends with `members`.
pub async fn keep_links(
    me: &ReplicaId,
    tls: Arc<ClientConfig>,
    mut members: watch::Receiver<Members>,
    tell: impl Fn(&BTreeMap<ReplicaId, Link>),
) {
    let (states, mut changed) = watch::channel(BTreeMap::<ReplicaId, Link>::new());
    let mut keeping: BTreeMap<ReplicaId, AbortOnDropHandle<()>> = BTreeMap::new();
    loop {
        let now = members.borrow_and_update().clone();
        keeping.retain(|name, _| now.contains_key(name));
        states.send_modify(|states| states.retain(|name, _| now.contains_key(name)));
        for replica in now.values().filter(|replica| replica.id != *me) {
            keeping.entry(replica.id.clone()).or_insert_with(|| {
                let keeper = keep(me.clone(), replica.clone(), tls.clone(), states.clone());
                AbortOnDropHandle::new(tokio::spawn(keeper))
            });
        }
        let states = changed.borrow_and_update().clone();
        let count = |link| states.values().filter(|state| **state == link).count() as f64;
        metrics::gauge!("argosy_fleet_links", "state" => "stands").set(count(Link::Stands));
        metrics::gauge!("argosy_fleet_links", "state" => "lost").set(count(Link::Lost));
        tell(&states);
        tokio::select! {
            changed = members.changed() => if changed.is_err() { return },
            // Its sender is here.
            _ = changed.changed() => {}
        }
    }
}

/// Links to one replica over and over.
async fn keep(
    me: ReplicaId,
    replica: Replica,
    tls: Arc<ClientConfig>,
    states: watch::Sender<BTreeMap<ReplicaId, Link>>,
) {
    let set = |link| {
        states.send_modify(|states| {
            states.insert(replica.id.clone(), link);
        });
    };
    let (mut stood, mut was_lost, mut is_new) = (false, false, true);
    loop {
        match timeout(LINKED, open(&me, &replica, tls.clone())).await.unwrap_or(Err(LinkError::Timeout)) {
            Ok(mut held) => {
                set(Link::Stands);
                is_new = false;
                let since = Instant::now();
                match held.message().await {
                    // It said nothing more: it ends in order.
                    Ok(_) => {
                        stood = false;
                        set(Link::Unknown);
                    }
                    Err(error) => {
                        stood = !was_lost || since.elapsed() > STEADY;
                        set(if stood { Link::Broken } else { Link::Unknown });
                        tracing::debug!(replica = %replica.id, %error, "the link to another replica has broken");
                        // At once: it may be only the connection.
                        continue;
                    }
                }
            }
            Err(error) if stood => {
                (stood, was_lost) = (false, true);
                let error = argosy_model::report(&error);
                tracing::warn!(replica = %replica.id, error, "another replica cannot be reached any more");
                set(Link::Lost);
            }
            Err(error) => {
                if is_new {
                    set(Link::Unreached);
                }
                tracing::debug!(replica = %replica.id, error = argosy_model::report(&error), "another replica cannot be reached");
            }
        }
        sleep(PAUSE).await;
    }
}

async fn open(me: &ReplicaId, replica: &Replica, tls: Arc<ClientConfig>) -> Result<Streaming<Held>, LinkError> {
    let connector = service_fn({
        let address = replica.address.clone();
        move |_| {
            let (tls, address) = (tls.clone(), address.clone());
            async move { dial(tls, &address).await.map(TokioIo::new) }
        }
    });
    let endpoint = Endpoint::from_shared(format!("http://{}", replica.address))?
        .http2_keep_alive_interval(ANSWERED.0)
        .keep_alive_timeout(ANSWERED.1)
        .keep_alive_while_idle(true);
    let channel: Channel = endpoint.connect_with_connector(connector).await?;
    let request = HoldRequest { replica: me.as_str().to_owned() };
    let mut held = LinksClient::new(channel).hold(request).await?.into_inner();
    match held.message().await? {
        Some(answer) if answer.replica == replica.id.as_str() => Ok(held),
        _ => Err(LinkError::Another),
    }
}
