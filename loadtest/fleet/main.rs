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
//! A scenario file says how large the fleet is (`scenarios/`); `--report` writes the
//! figures as JSON, and `--ranges` holds them against a file of earlier ones, each with
//! its mean, spread and margin.

#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod clusters;
mod controllers;
mod report;
mod scenario;
mod trials;

use std::path::PathBuf;
use std::time::Duration;

use argosy_tests::{ControlPlane, Etcd, GitServer, Kind, Options};
use clap::Parser;
use tokio::time::Instant;

use clusters::Clusters;
use controllers::Controllers;
use report::Report;
use scenario::Scenario;

/// No step of a healthy run takes longer.
const PATIENCE: Duration = Duration::from_secs(900);

#[derive(Parser)]
struct Arguments {
    /// File with the scenario; a small one without it.
    scenario: Option<PathBuf>,
    /// File to write the figures to, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
    /// File with the ranges that the figures must be in.
    #[arg(long)]
    ranges: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    argosy_loadtest::use_crypto();
    let arguments = Arguments::parse();
    let scenario = Scenario::read(arguments.scenario.as_deref())?;
    let (apps, trials, mut report) = (scenario.applications, scenario.trials, Report::default());
    println!(
        "{apps} applications on {} clusters, {} controllers, a lease of {} s",
        scenario.clusters, scenario.controllers, scenario.lease_seconds
    );

    let (plane, etcd) = tokio::try_join!(ControlPlane::start_as(Kind::Sandbox, Options::default()), Etcd::start(1))?;
    plane.install().await?;
    let git = GitServer::start()?;
    let clusters = Clusters::start(&git, &scenario.spread()).await?;
    let mut controllers = Controllers::start(&plane, &etcd, &scenario).await?;

    let began = Instant::now();
    clusters.declare(&plane)?;
    clusters.create(&plane).await?;
    clusters.wait_deployed(&plane, PATIENCE).await?;
    let synced = began.elapsed().as_secs_f64();
    println!("sync of all: {synced:.1} s");
    report.note("sync_s", synced);
    controllers.report(apps, &mut report).await?;

    if trials > 0 {
        trials::repairs(&clusters, trials, &mut report).await?;
        trials::kills(&clusters, &mut controllers, trials, &mut report).await?;
        trials::drains(&clusters, &mut controllers, trials, &mut report).await?;
    }
    clusters.check()?;
    if let Some(path) = &arguments.report {
        report.write(path)?;
    }
    arguments.ranges.as_deref().map_or(Ok(()), |path| report.hold_against(path))
}
