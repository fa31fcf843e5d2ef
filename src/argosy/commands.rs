//! One file per command.

mod controller;

use crate::cli::Command;

/// Runs a command to its end.
///
/// # Errors
/// Why the command could not do its work, in words for a person.
pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Controller(options) => controller::run(options),
    }
}
