//! A fleet: several controllers that agree through etcd, and many simulated clusters
//! with applications that repair themselves.
//!
//! | step | what is measured |
//! | --- | --- |
//! | `sync` | of all applications: until their objects are in the clusters, and what that costs the controllers |
//! | `shares` | what each controller keeps of clusters they share, once each object is kept whole by one of them |
//! | `repairs` | from an object's deletion until it is there again, with nothing else going on |
//! | `commits` | from a commit to the clusters |
//! | `churn` | applications that are removed and made anew |
//! | `kills` | from kill -9 until objects of the dead controller's clusters, deleted at once, are there again |
//! | `drains` | planned handovers: for how long nobody could write, as the controllers tell and as repairs show |
//! | `rolls` | all controllers are replaced one after the other, under load |
//! | `rotations` | every cluster's credential is exchanged, under load |
//!
//! After each step it must be true that no operation of any application failed, and that
//! each deletion, commit, creation and removal was answered by exactly one write, however
//! owners changed. For exchanges of credentials it must be true that no request met a
//! refusal but those that try whether an old token is refused, that no kind was listed
//! again, and that all tokens that were replaced are refused.
//!
//! A scenario file says how large the fleet is, which fence its clusters have, and how
//! often each thing is done (`scenarios/`, and `scenario.rs` for the fields). `--report`
//! writes figures, single times and resources as JSON, with plots beside it, and
//! `--ranges` holds the figures against a file of earlier ones, each with its mean, spread
//! and margin; `fleet ranges` makes that file from reports. `ARGOSY_KEEP=1` leaves the
//! controllers' logs in the temporary folder.

#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod clusters;
mod controllers;
mod load;
mod member;
mod operations;
mod plot;
mod ranges;
mod report;
mod resources;
mod scenario;
mod steps;
mod told;
mod witness;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use scenario::Scenario;

/// No step of a healthy run takes longer.
const PATIENCE: Duration = Duration::from_secs(900);

/// Runs a fleet of controllers and simulated clusters, and measures it.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    instead: Option<Instead>,
    /// File with the scenario; a small one without it.
    scenario: Option<PathBuf>,
    /// File to write the figures to, as JSON; plots are written beside it.
    #[arg(long)]
    report: Option<PathBuf>,
    /// File with the ranges that the figures must be in.
    #[arg(long)]
    ranges: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Instead {
    /// Makes a file of ranges from reports of one scenario, instead of running one.
    Ranges {
        /// The file to make.
        file: PathBuf,
        /// Reports of two runs or more.
        #[arg(required = true, num_args = 2..)]
        reports: Vec<PathBuf>,
        /// How far a figure may be beyond three times its spread, in percent of its mean.
        #[arg(long, default_value_t = 25.0)]
        margin: f64,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    argosy_loadtest::use_crypto();
    let arguments = Arguments::parse();
    if let Some(Instead::Ranges { file, reports, margin }) = arguments.instead {
        return ranges::record(&file, &reports, margin / 100.0);
    }
    argosy_loadtest::allow_files()?;
    let scenario = Scenario::read(arguments.scenario.as_deref())?;
    println!(
        "{} applications on {} clusters with fence {}, {} controllers, a lease of {} s",
        scenario.applications,
        scenario.clusters,
        scenario.fence.setting(),
        scenario.controllers,
        scenario.lease_seconds
    );
    let report = steps::run(scenario).await?;
    if let Some(path) = &arguments.report {
        report.write(path)?;
    }
    arguments.ranges.as_deref().map_or(Ok(()), |path| ranges::hold_against(&report.figures, path))
}
