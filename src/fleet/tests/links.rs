//! Links between replicas over mutual TLS: who is gone is noticed at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use argosy_fleet::peer_tls::{Authority, Clock, Identity};
use argosy_fleet::{Link, LinkService, Replica, ReplicaId, keep_links};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Server;

const PATIENCE: Duration = Duration::from_secs(30);

type Stream = std::io::Result<TlsStream<tokio::net::TcpStream>>;

/// A replica that answers links, with a runtime of its own, whose end is a crash.
struct Answering {
    replica: Replica,
    ending: CancellationToken,
    runtime: Option<Runtime>,
}

// === impl Answering ===

impl Answering {
    /// Answers as `name`, at a free port or at the one of somebody before.
    fn start(identity: &Identity, name: &str, address: &str) -> Self {
        let listener = std::net::TcpListener::bind(address).expect("a port");
        let replica = Replica::new(name, &listener.local_addr().expect("an address").to_string());
        let acceptor = TlsAcceptor::from(Arc::new(identity.server_config().expect("a configuration")));
        let ending = CancellationToken::new();
        let service = LinkService::server(replica.id.clone(), ending.clone());
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        runtime.spawn(async move {
            listener.set_nonblocking(true).expect("is possible");
            let listener = TcpListener::from_std(listener).expect("is possible");
            let (tx, rx) = tokio::sync::mpsc::channel::<Stream>(8);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        drop(tx.send(Ok(stream)).await);
                    }
                }
            });
            Server::builder().add_service(service).serve_with_incoming(ReceiverStream::new(rx)).await.expect("serves");
        });
        Self { replica, ending, runtime: Some(runtime) }
    }

    fn crash(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.crash();
    }
}

fn clock() -> Clock {
    Arc::new(|| Timestamp::from_second(1_800_000_000).expect("a time"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_link_breaks_is_lost_and_one_that_ends_in_order_is_not() {
    let (authority, _) = Authority::new(clock()()).expect("an authority");
    let identity = Identity::new(authority, "a replica", clock()).expect("an identity");
    let mut crashes = Answering::start(&identity, "crashes", "127.0.0.1:0");
    let mut ends = Answering::start(&identity, "ends", "127.0.0.1:0");
    // Nobody listens at a port that can be bound no longer.
    let absent = Replica::new("absent", "127.0.0.1:1");
    let of = |replicas: &[&Replica]| {
        Arc::new(replicas.iter().map(|replica| (replica.id.clone(), (*replica).clone())).collect::<BTreeMap<_, _>>())
    };
    let (members, told) = watch::channel(of(&[&crashes.replica, &ends.replica, &absent]));
    let (tell, mut links) = watch::channel(BTreeMap::new());
    let tls = Arc::new(identity.client_config().expect("a configuration"));
    let _keeping = AbortOnDropHandle::new(tokio::spawn(async move {
        let me = ReplicaId::new("me");
        keep_links(&me, tls, told, |links| drop(tell.send_replace(links.clone()))).await;
    }));
    let mut until = async |wanted: &[(&str, Link)]| {
        let is_so = |links: &BTreeMap<ReplicaId, Link>| {
            let of = |name: &str| links.get(&ReplicaId::new(name)).copied().unwrap_or(Link::Unknown);
            wanted.iter().all(|(name, link)| of(name) == *link)
        };
        let seen = timeout(PATIENCE, links.wait_for(is_so)).await;
        assert!(seen.is_ok(), "not {wanted:?}");
    };
    until(&[("crashes", Link::Stands), ("ends", Link::Stands), ("absent", Link::Unreached)]).await;

    crashes.crash();
    until(&[("crashes", Link::Lost), ("ends", Link::Stands)]).await;
    ends.ending.cancel();
    until(&[("ends", Link::Unknown)]).await;
    ends.crash();

    // Another process at the same address is not the one that was lost.
    let other = Answering::start(&identity, "other", &crashes.replica.address);
    members.send_replace(of(&[&crashes.replica, &other.replica]));
    until(&[("other", Link::Stands), ("crashes", Link::Lost)]).await;
    members.send_replace(of(&[&other.replica]));
    until(&[("crashes", Link::Unknown), ("other", Link::Stands)]).await;
}
