//! A fleet: several controllers that agree through etcd, and many simulated clusters
//! with applications that repair themselves.
//!
//! | step | what is measured |
//! | --- | --- |
//! | sync of all | wall time, CPU and memory of the controllers, how evenly clusters are shared out |
//! | repair | from an object's deletion until it is there again, with nothing else going on |
//! | kill -9 | from the kill until objects of the dead controller's clusters, deleted at once, are there again |
//! | drain | the same while a controller is told to end and gives its clusters away |
//!
//! Every write of the controllers is in the clusters' journals: each deletion must be
//! made good by exactly one creation, however owners change.
//!
//! `ARGOSY_BENCH_CLUSTERS` (20), `ARGOSY_BENCH_APPS` (of all clusters, 200),
//! `ARGOSY_BENCH_CONTROLLERS` (3), `ARGOSY_BENCH_TRIALS` (20) and
//! `ARGOSY_BENCH_LEASE_SECONDS` (2) change the sizes. Fewer trials than a hundred say
//! little of a 99th percentile.

#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod clusters;
mod controllers;
mod trials;

use std::time::Duration;

use anyhow::Context;
use argosy_tests::{ControlPlane, Etcd, GitServer, Kind, Options};
use tokio::time::Instant;

use clusters::Clusters;
use controllers::Controllers;

/// No step of a healthy run takes longer.
const PATIENCE: Duration = Duration::from_secs(900);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The one provider of cryptography; a second installation would be our own bug.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (clusters, apps) = (number("ARGOSY_BENCH_CLUSTERS", 20)?, number("ARGOSY_BENCH_APPS", 200)?);
    let (count, trials) = (number("ARGOSY_BENCH_CONTROLLERS", 3)?, number("ARGOSY_BENCH_TRIALS", 20)?);
    let lease = number("ARGOSY_BENCH_LEASE_SECONDS", 2)?;
    println!("{apps} applications on {clusters} clusters, {count} controllers, a lease of {lease} s");

    let (plane, etcd) = tokio::try_join!(ControlPlane::start_as(Kind::Sandbox, Options::default()), Etcd::start(1))?;
    plane.install().await?;
    let git = GitServer::start()?;
    let clusters = Clusters::start(&git, clusters, apps).await?;
    let mut controllers = Controllers::start(&plane, &etcd, count, lease).await?;

    let began = Instant::now();
    clusters.declare(&plane)?;
    clusters.create(&plane).await?;
    clusters.wait_deployed(&plane, PATIENCE).await?;
    println!("sync of all: {:.1} s", began.elapsed().as_secs_f64());
    controllers.report(apps).await?;

    trials::repairs(&clusters, trials).await?;
    trials::kills(&clusters, &mut controllers, trials).await?;
    trials::drains(&clusters, &mut controllers, trials).await?;
    clusters.check()
}

fn number(name: &str, default: usize) -> anyhow::Result<usize> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is not a number")),
        Err(_) => Ok(default),
    }
}
