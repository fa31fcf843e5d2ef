//! Flags of the commands that look after an installation.

use clap::{Args, Subcommand, ValueEnum};

use super::Fleet;

#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Prints which replica owns which cluster, why, and what would move if one left.
    Placement(Box<Placement>),
}

/// Reads the etcd in which the replicas agree; it changes nothing.
#[derive(Args, Debug)]
pub(crate) struct Placement {
    #[command(flatten)]
    pub(crate) fleet: Fleet,
    /// Lists what would move if this replica left.
    #[arg(long, value_name = "REPLICA")]
    pub(crate) without: Option<String>,
    /// How it is printed.
    #[arg(long, short, value_enum, default_value = "wide")]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Tables for people.
    Wide,
    /// JSON.
    Json,
}
