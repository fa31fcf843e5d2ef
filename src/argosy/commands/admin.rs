//! `argosy admin`: looking after an installation.

mod doctor;
mod placement;

use crate::cli::Admin;

/// Runs one of the commands.
///
/// # Errors
/// Why it could not do its work.
pub(crate) fn run(command: Admin) -> anyhow::Result<()> {
    match command {
        Admin::Placement(options) => placement::run(&options),
        Admin::Doctor(options) => doctor::run(&options),
    }
}
