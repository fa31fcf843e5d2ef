//! `make run`: a Kubernetes control plane, a Git repository and Argosy on this
//! machine, and a sample application that gets deployed while one watches.
//!
//! Everything lives in temporary folders and ends with this program. With
//! `--once` it ends by itself as soon as the application is Synced and Healthy.
#![expect(clippy::print_stdout, reason = "this program talks to the person who started it")]

mod follow;
mod view;
mod worktree;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use follow::Follower;
use world::World;

/// Runs everything on this machine and deploys a sample application.
#[derive(Parser)]
struct Arguments {
    /// End as soon as the application is Synced and Healthy.
    #[arg(long)]
    once: bool,
    /// How many seconds the first deployment may take.
    #[arg(long, default_value_t = 180)]
    timeout: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = tokio::select! {
        outcome = run(&arguments) => outcome,
        stopped = stop_signal() => stopped,
    };
    println!("Everything that was started here has been stopped.");
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nargosy run: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut world = World::start().await?;
    let mut follower = Follower::new(&world).await?;
    follower.until_deployed(&mut world, Duration::from_secs(arguments.timeout)).await?;
    if arguments.once {
        return Ok(());
    }
    println!("{}", world.what_to_try());
    follower.go_on(&mut world).await
}

/// Ends with the first Ctrl-C or request to terminate.
async fn stop_signal() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    println!();
    Ok(())
}
