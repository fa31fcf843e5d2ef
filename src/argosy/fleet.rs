//! How this controller replica takes part in the fleet: alone, with others through
//! etcd, or with others by hand.

mod by_hand;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use argosy_fleet::etcd::{AccessSource, EtcdOptions, EtcdTls, EtcdUser};
use argosy_fleet::{
    ByHand, Cost, Divided, Epoch, Etcd, Fleet, LinkService, Local, Membership, Replica, Sight, keep_links,
};
use argosy_home::{Clock, Home, Peer};
use argosy_proto::peer::links_server::LinksServer;
use rustls::ClientConfig;
use tokio_util::sync::CancellationToken;

use crate::cli;
use crate::home::seed;

/// Parts of a lease by which it ends earlier here: a tenth.
const MARGIN: u32 = 10;

/// A replica's part in the fleet.
#[derive(Clone)]
pub(crate) struct Joined {
    placement: Arc<dyn Fleet>,
    etcd: Option<Arc<Etcd>>,
    drain: Duration,
}

// === impl Joined ===

impl Joined {
    /// Takes part. An etcd that is away is waited for, with nothing owned.
    ///
    /// # Errors
    /// When a file cannot be read, or the options make no sense.
    pub(crate) async fn begin(
        options: &cli::Fleet,
        (home, clock): (&Home, &Clock),
        peer: &Peer,
        first: Epoch,
    ) -> anyhow::Result<Self> {
        // A process that starts again is another replica.
        let name = format!("{}-{:x}", peer.name, seed());
        let me = Replica { shard: peer.shard, ..Replica::new(&name, &peer.address) };
        let own = Local::new(me.clone(), first);
        let drain = Duration::from_secs(options.drain_seconds);
        if options.etcd_endpoints.is_empty() {
            if options.replicas <= 1 {
                return Ok(Self { placement: Arc::new(own), etcd: None, drain });
            }
            home.watch_peers(clock.clone());
            let rule = by_hand::rule(home.clone(), options.replicas, peer.shard)?;
            return Ok(Self { placement: Arc::new(ByHand::new(own, Arc::new(rule))), etcd: None, drain });
        }
        let etcd = Arc::new(Etcd::start(etcd_options(options, me, first)?).context("the fleet cannot be joined")?);
        if let Err(error) = etcd.join().await {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::warn!(error, "this replica could not join the fleet yet; it goes on trying");
        }
        Ok(Self { placement: Arc::new(Divided::new(etcd.clone(), own)), etcd: Some(etcd), drain })
    }

    /// Who owns what.
    pub(crate) fn placement(&self) -> Arc<dyn Fleet> {
        self.placement.clone()
    }

    /// What answers other replicas that link to this one, until `ending`; `None` where
    /// there are none.
    pub(crate) fn link_service(&self, ending: CancellationToken) -> Option<LinksServer<LinkService>> {
        self.etcd.as_ref().map(|etcd| LinkService::server(etcd.me().id.clone(), ending))
    }

    /// Keeps links to the other replicas, and tells which of them are lost. It ends at
    /// once where there are none.
    pub(crate) async fn keep_links(self, tls: ClientConfig) {
        let Some(etcd) = self.etcd else { return };
        keep_links(&etcd.me().id, Arc::new(tls), etcd.members(), |links| etcd.report_sight(Sight::of(links))).await;
    }

    /// Gives everything to the others, one by one, while it is still worked on here.
    pub(crate) async fn drain(&self) {
        let Some(etcd) = &self.etcd else { return };
        tracing::info!("giving clusters to the other replicas");
        if etcd.drain(self.drain).await {
            tracing::info!("nothing is owned here any more");
        } else {
            tracing::warn!("the others have not taken everything over in time; they get the rest all the same");
        }
    }

    /// Gives everything back, so that others need not wait for the lease.
    pub(crate) async fn leave(&self) {
        if let Some(etcd) = &self.etcd
            && let Err(error) = etcd.leave().await
        {
            tracing::warn!(%error, "the fleet could not be left in order; the lease runs out by itself");
        }
    }
}

/// The shard a replica stands for: what it was told, else the number at the end of
/// the host's name.
pub(crate) fn shard(options: &cli::Fleet, host: &str) -> Option<u32> {
    let told = options.shard.filter(|shard| *shard >= 0);
    let ordinal = || host.rsplit_once('-')?.1.parse().ok();
    told.map_or_else(ordinal, |shard| u32::try_from(shard).ok())
}

/// Follows a fleet in etcd without being a member.
///
/// # Errors
/// When a file cannot be read, or the options make no sense.
pub(crate) fn onlooker(options: &cli::Fleet) -> anyhow::Result<Etcd> {
    let me = Replica::new(&format!("onlooker-{:x}", seed()), "");
    let options = EtcdOptions { stands: false, ..etcd_options(options, me, Epoch(0))? };
    Etcd::start(options).context("the fleet cannot be followed")
}

/// What gives access to etcd, as the files have it now.
fn access(options: &cli::Fleet) -> anyhow::Result<(Option<EtcdTls>, Option<EtcdUser>)> {
    let identity = match (&options.etcd_cert, &options.etcd_key) {
        (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
        _ => None,
    };
    let tls = match &options.etcd_ca {
        Some(authority) => Some(EtcdTls { authority: read(authority)?, identity }),
        None => None,
    };
    let user = match (&options.etcd_user, &options.etcd_password_file) {
        (Some(name), Some(file)) => {
            let password = String::from_utf8(read(file)?).context("the password of etcd is not UTF-8")?;
            Some(EtcdUser { name: name.clone(), password: password.trim_end_matches(['\r', '\n']).to_owned() })
        }
        _ => None,
    };
    Ok((tls, user))
}

fn etcd_options(options: &cli::Fleet, me: Replica, first: Epoch) -> anyhow::Result<EtcdOptions> {
    let (tls, user) = access(options)?;
    let source = options.clone();
    let source = AccessSource::new(move || access(&source).map_err(|error| format!("{error:#}")));
    let lease = Duration::from_secs(options.etcd_lease_seconds);
    Ok(EtcdOptions {
        prefix: options.etcd_prefix.clone(),
        tls,
        user,
        access: Some(source),
        lease,
        margin: lease / MARGIN,
        first_epoch: first,
        worth_splitting: Cost(options.split_millicores * 1_000),
        ..EtcdOptions::new(me, options.etcd_endpoints.clone())
    })
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}
