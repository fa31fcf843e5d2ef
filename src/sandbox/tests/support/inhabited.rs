//! A whole cluster whose Pods start at once: for the tests that need what surrounds
//! the API.

use argosy_sandbox::cluster::{Cluster, ClusterOptions};
use argosy_sandbox::controllers::PodOptions;

use crate::support;

pub(crate) async fn start() -> anyhow::Result<Cluster> {
    let machine = support::options();
    let options = ClusterOptions { pods: PodOptions::instant(), ..ClusterOptions::new(machine.clock, machine.random) };
    Ok(Cluster::start(options).await?)
}
