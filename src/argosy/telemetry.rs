//! Logs. Metrics live in `web`, beside the listener that serves them.

use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::cli::{Log, LogFormat};

/// Whether people read the log as it is written.
static IS_SEEN: OnceLock<bool> = OnceLock::new();

/// Starts logging to standard error, or to the end of a file. A malformed filter
/// falls back to `info`, with a warning: it must not keep the product from starting.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn init(log: &Log, file: Option<PathBuf>) -> anyhow::Result<()> {
    let is_seen = *IS_SEEN.get_or_init(|| file.is_none());
    let writer = match file {
        None => BoxMakeWriter::new(std::io::stderr),
        Some(path) => BoxMakeWriter::new(Mutex::new(open(&path)?)),
    };
    let (filter, problem) = match EnvFilter::try_new(&log.level) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    // Colours are for people; in a file they are noise.
    let colours = is_seen && std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    match log.format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    if let Some(error) = problem {
        tracing::warn!(level = log.level, %error, "the log level is not understood, using info");
    }
    Ok(())
}

/// The last words of a process that failed: in the log, and where that is a file, for
/// whoever started it too.
pub(crate) fn say_why_it_ended(error: &anyhow::Error) {
    tracing::error!("{error:#}");
    if IS_SEEN.get() != Some(&true) {
        // Nobody is left to be told that standard error is gone.
        let _ = writeln!(std::io::stderr(), "argosy: {error:#}");
    }
}

fn open(path: &std::path::Path) -> anyhow::Result<File> {
    let opened = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| File::options().create(true).append(true).open(path));
    opened
        .with_context(|| format!("the log {} cannot be written; choose another folder with --data-dir", path.display()))
}
