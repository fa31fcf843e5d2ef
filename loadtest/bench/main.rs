//! What a fleet costs: 1,000 applications of one ConfigMap each, from one
//! repository onto one real API server, synced, refreshed, changed, and picked
//! up again after a restart beside 20,000 further objects.
//!
//! Prints for each step wall time, the controller's CPU per application, writes
//! per application by resource as the API server counted them, and memory. The
//! floor is what the same API server needs for the same writes from a bare
//! client, measured in the same run. Figures are noisy: compare within one run.
//!
//! `ARGOSY_BENCH_APPS` and `ARGOSY_BENCH_OBJECTS` change the sizes.

#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod fleet;
mod floor;
mod meter;

use std::time::Duration;

use anyhow::Context;
use argosy_tests::{Argosy, ControlPlane, GitServer, Options};
use tokio::time::Instant;

use fleet::Fleet;
use meter::Meter;

/// No step of a healthy run takes longer.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long nothing may be written for the fleet to count as quiet.
const QUIET: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    argosy_loadtest::use_crypto();
    let apps = number("ARGOSY_BENCH_APPS", 1000)?;
    let objects = number("ARGOSY_BENCH_OBJECTS", 20_000)?;

    println!("starting a control plane and {apps} applications; this takes some minutes");
    let plane = ControlPlane::start(Options { bench: true, controller_manager: true, ..Options::default() }).await?;
    plane.install().await?;
    let client = plane.client().await?;
    let git = GitServer::start()?;
    let fleet = Fleet::prepare(&git, client.clone(), apps).await?;

    let floor = floor::measure(&client, apps).await?;
    println!(
        "floor: the same writes from a bare client take {:.1} s, {:.2} ms of its CPU per application",
        floor.wall.as_secs_f64(),
        floor.cpu.as_secs_f64() * 1e3 / apps as f64
    );

    let mut argosy = Argosy::controller(&plane).env("ARGOCD_RECONCILIATION_TIMEOUT", "1h").start().await?;
    let mut meter = Meter::new(client.clone(), argosy.pid(), apps);
    meter::head();

    let step = meter.begin("sync of all").await?;
    fleet.create().await?;
    fleet.wait_deployed(PATIENCE).await?;
    meter.settle(QUIET).await?;
    let synced = meter.end(step, 0.0).await?;
    println!("    wall time is {:.2} of the floor's", synced.as_secs_f64() / floor.wall.as_secs_f64());

    let step = meter.begin("comparison of all, nothing new").await?;
    fleet.touch_project().await?;
    meter.settle(QUIET).await?;
    meter.end(step, 0.0).await?;

    let step = meter.begin("refresh of all, by annotation").await?;
    fleet.annotate("normal").await?;
    fleet.wait_served(PATIENCE).await?;
    meter.settle(QUIET).await?;
    meter.end(step, 1.0).await?;

    let step = meter.begin("hard refresh of all, by annotation").await?;
    fleet.annotate("hard").await?;
    fleet.wait_served(PATIENCE).await?;
    meter.settle(QUIET).await?;
    meter.end(step, 1.0).await?;

    fleet.add_objects(objects).await?;
    meter.settle(QUIET).await?;
    let step = meter.begin("restart beside further objects").await?;
    argosy.restart().await.context("restarting the controller")?;
    meter.follow(argosy.pid());
    meter.settle(QUIET).await?;
    meter.end(step, 0.0).await?;

    let step = meter.begin("commit that touches 10").await?;
    let began = Instant::now();
    fleet.commit(10)?;
    fleet.annotate_one("normal").await?;
    fleet.wait_changed(10, PATIENCE).await?;
    println!("    the 10 are deployed {:.2} s after the commit", began.elapsed().as_secs_f64());
    meter.settle(QUIET).await?;
    meter.end(step, 0.0).await?;
    Ok(())
}

fn number(name: &str, default: usize) -> anyhow::Result<usize> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is not a number")),
        Err(_) => Ok(default),
    }
}
