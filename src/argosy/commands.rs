//! One file per command.

mod admin;
mod controller;
mod dex_config;
mod sandbox;
mod server;
mod up;

use std::path::PathBuf;

use anyhow::Context as _;

use crate::cli::Command;

/// Runs a command to its end.
///
/// # Errors
/// Why the command could not do its work, in words for a person.
pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Controller(options) => controller::run(*options),
        Command::Server(options) => server::run(*options),
        Command::Up(options) => up::run(*options),
        Command::DexConfig(options) => dex_config::run(&options),
        Command::Sandbox(options) => sandbox::run(*options),
        Command::Admin(command) => admin::run(command),
    }
}

/// The file a command logs to, where it talks to a person otherwise.
pub(crate) fn log_file(command: &Command) -> Option<PathBuf> {
    match command {
        Command::Up(options) => Some(options.data_dir.join(up::LOG)),
        Command::Controller(_)
        | Command::Server(_)
        | Command::DexConfig(_)
        | Command::Sandbox(_)
        | Command::Admin(_) => None,
    }
}

/// Runs a role that is made of actors, on threads for every core.
fn on_actors(role: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    actix_rt::System::with_tokio_rt(move || runtime).block_on(role)
}
