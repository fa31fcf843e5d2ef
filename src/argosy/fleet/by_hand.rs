//! Clusters shared out by hand: the rule of `ARGOCD_CONTROLLER_REPLICAS` and
//! `ARGOCD_CONTROLLER_SHARD`, of the `shard` of cluster Secrets, and of the setting
//! `controller.sharding.algorithm`.

use anyhow::bail;
use argosy_fleet::{Replica, Rule, deal};
use argosy_home::Home;

pub(super) struct Dealt {
    home: Home,
    replicas: u32,
    own: u32,
}

/// The rule among so many replicas, of which this one stands for `shard`.
///
/// # Errors
/// When it stands for none, or for one that is beyond their number.
pub(super) fn rule(home: Home, replicas: u32, shard: Option<u32>) -> anyhow::Result<Dealt> {
    match shard {
        Some(own) if own < replicas => {
            tracing::info!(shard = own, replicas, "clusters are shared out by hand");
            Ok(Dealt { home, replicas, own })
        }
        Some(own) => {
            bail!("shard {own} is beyond the {replicas} replicas of ARGOCD_CONTROLLER_REPLICAS; they begin at 0")
        }
        None => bail!(
            "there are {replicas} replicas by ARGOCD_CONTROLLER_REPLICAS, and the host's name does not end in a number: \
             set ARGOCD_CONTROLLER_SHARD"
        ),
    }
}

// === impl Dealt ===

impl Dealt {
    /// A cluster that nobody has declared is of shard 0: somebody has to say so.
    fn shard_of(&self, server: &str) -> u32 {
        let (clusters, settings) = (self.home.clusters(), self.home.settings());
        let declared: Vec<_> = clusters.iter().collect();
        let dealt: Vec<(&str, Option<u64>)> = declared.iter().map(|cluster| (&*cluster.id, cluster.shard)).collect();
        let shards = deal(&settings.controller.sharding_algorithm, &dealt, self.replicas);
        let place = declared.iter().position(|cluster| cluster.server == server);
        place.and_then(|place| shards.get(place).copied()).unwrap_or(0)
    }
}

impl Rule for Dealt {
    fn is_ours(&self, server: &str) -> bool {
        self.shard_of(server) == self.own
    }

    fn owner(&self, server: &str) -> Option<Replica> {
        let shard = self.shard_of(server);
        let peers = self.home.peers();
        let peer = peers.iter().find(|peer| peer.shard == Some(shard) && shard != self.own)?;
        Some(Replica { shard: peer.shard, ..Replica::new(&peer.name, &peer.address) })
    }
}
