//! The `argosy` command: roles of the product and tools for people.
//!
//! This crate is the one composition root. It reads flags and the environment,
//! owns the clock, the random seed and the process-wide telemetry, and hands
//! them down; nothing below it reaches for any of these by itself.

mod cli;
mod commands;
mod files;
mod fleet;
mod home;
mod signals;
mod telemetry;
mod web;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // The one provider of cryptography; it can only fail when set twice.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::warn!("a cryptography provider was already installed");
    }
    let ended = telemetry::init(&cli.log, commands::log_file(&cli.command)).and_then(|()| commands::run(cli.command));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::say_why_it_ended(&error);
            ExitCode::FAILURE
        }
    }
}
