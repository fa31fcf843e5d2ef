//! `argosy controller`: one controller replica.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use argosy_controller::{Controller, ControllerOptions, MetricsPage, peer};
use argosy_fleet::Epoch;
use argosy_home::events::COMPONENT;
use argosy_home::{Home, Peer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::cli;
use crate::fleet::{Joined, shard};
use crate::home::{Way, host_name, publish, seed, since_epoch};
use crate::signals;
use crate::web::{self, Vitals};

/// What `/metrics` and `/healthz` say of a controller.
struct ControllerVitals {
    page: MetricsPage,
}

// === impl ControllerVitals ===

impl Vitals for ControllerVitals {
    fn exposition(&self) -> String {
        self.page.text()
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Runs the replica until it is told to end.
///
/// # Errors
/// When the home cluster cannot be used or an address is taken.
pub(crate) fn run(options: cli::Controller) -> anyhow::Result<()> {
    super::on_actors(serve(options))
}

async fn serve(options: cli::Controller) -> anyhow::Result<()> {
    let shutdown = signals::shutdown()?;
    let recorder = web::install_recorder()?;
    let way = options.home.find().await?;
    let Some(home) = options.home.open(&way, &shutdown).await else { return Ok(()) };
    let replica = start(&options.replica, &options.fleet, &home, &way).await?;
    let page = web::bind(options.metrics_address).await?;
    let fleet = replica.fleet();
    // Who drains still works, and answers.
    let drained = CancellationToken::new();
    let drain = async {
        shutdown.cancelled().await;
        fleet.drain().await;
        drained.cancel();
        Ok(())
    };
    let watched = web::serve(page, recorder, replica.vitals(), drained.clone());
    let ended = tokio::try_join!(replica.answer(drained.clone()), watched, drain).map(drop);
    fleet.leave().await;
    ended
}

/// A replica that works, and does not answer its peers yet.
pub(super) struct Started<'a> {
    controller: Controller,
    port: PeerPort,
    fleet: Joined,
    home: &'a Home,
    way: &'a Way,
}

/// Starts a replica on a home that has been read.
///
/// # Errors
/// When the address for peers cannot be used.
pub(super) async fn start<'a>(
    options: &cli::Replica,
    fleet: &cli::Fleet,
    home: &'a Home,
    way: &'a Way,
) -> anyhow::Result<Started<'a>> {
    let mut port = listen(options, home).await?;
    port.peer.shard = shard(fleet, &host_name());
    let fleet = Joined::begin(fleet, (home, &way.clock), &port.peer, first_epoch()).await?;
    let controller = Controller::start(
        home.clone(),
        fleet.placement(),
        way.events(COMPONENT),
        way.clock.clone(),
        ControllerOptions {
            namespace: home.namespace().to_owned(),
            data_dir: options.data_dir.clone(),
            in_cluster: way.config.clone(),
            seed: seed(),
        },
    );
    Ok(Started { controller, port, fleet, home, way })
}

// === impl Started ===

impl Started<'_> {
    /// What `/metrics` and `/healthz` say of it.
    pub(super) fn vitals(&self) -> Arc<dyn Vitals> {
        Arc::new(ControllerVitals { page: self.controller.metrics_page() })
    }

    /// Its part in the fleet.
    pub(super) fn fleet(&self) -> Joined {
        self.fleet.clone()
    }

    /// Answers the other replicas until the process ends.
    ///
    /// # Errors
    /// When there can be no TLS, or the port fails.
    pub(super) async fn answer(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { controller, port, fleet, home, way } = self;
        let identity = way.identity(home, &port.peer.name).await?;
        let tls = identity.server_config().context("cannot set up TLS for peers")?;
        let client = identity.client_config().context("cannot set up TLS towards peers")?;
        let published = publish(home.clone(), port.peer, way.clock.clone(), shutdown.clone());
        let links = fleet.link_service(shutdown.clone());
        let _linked = AbortOnDropHandle::new(tokio::spawn(fleet.keep_links(client)));
        let service = controller.peer_service(shutdown.clone());
        let served = peer::serve(port.listener, tls, service, links, shutdown.cancelled_owned());
        let (served, ()) = tokio::join!(served, published);
        served.context("the peers' port failed")
    }
}

/// The port of the peers, and what is published about it.
struct PeerPort {
    listener: TcpListener,
    peer: Peer,
}

async fn listen(options: &cli::Replica, home: &Home) -> anyhow::Result<PeerPort> {
    let address = options.peer_address;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another with --peer-address"))?;
    let bound = listener.local_addr().context("the address of the peers' port cannot be read")?;
    let advertised = match &options.advertise {
        // An IPv6 address stands in brackets before a port.
        Some(host) => match host.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, bound.port()).to_string(),
            Err(_) => format!("{host}:{}", bound.port()),
        },
        None if bound.ip().is_unspecified() => {
            anyhow::bail!("--peer-address {address} is no address others can reach: say which with --advertise-host")
        }
        None => bound.to_string(),
    };
    tracing::info!(address = advertised, namespace = home.namespace(), "answering other replicas");
    // Several replicas may run on one host; with the port each has its own name.
    let name = format!("{}-{}", host_name(), bound.port()).to_lowercase();
    Ok(PeerPort { listener, peer: Peer { name, address: advertised, shard: None } })
}

/// Above all epochs of earlier processes: time does not go back by a restart.
fn first_epoch() -> Epoch {
    Epoch(since_epoch().as_secs())
}
