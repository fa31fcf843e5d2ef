//! Logs. Metrics live in `web`, beside the listener that serves them.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::cli::{Log, LogFormat};

/// Starts logging to standard error. A malformed filter falls back to `info`,
/// with a warning: logging must not keep the product from starting.
pub(crate) fn init(log: &Log) {
    let (filter, problem) = match EnvFilter::try_new(&log.level) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    // Colours are for people; in a file they are noise.
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match log.format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    if let Some(error) = problem {
        tracing::warn!(level = log.level, %error, "the log level is not understood, using info");
    }
}
