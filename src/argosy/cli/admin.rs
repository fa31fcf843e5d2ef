//! Flags of the commands that look after an installation.

use clap::{Args, Subcommand, ValueEnum};

use super::Fleet;
use crate::home::HomeArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Prints which replica owns which cluster, why, and what would move if one left.
    Placement(Box<Placement>),
    /// Says of each declared cluster whether it can be reached, as whom, and which
    /// rights are missing there.
    Doctor(Box<Doctor>),
}

/// Reads the declared clusters at home and asks each of them; it changes nothing.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) home: HomeArgs,
    /// Only the clusters of these names or addresses.
    #[arg(value_name = "CLUSTER")]
    pub(crate) clusters: Vec<String>,
    /// How it is printed.
    #[arg(long, short, value_enum, default_value = "wide")]
    pub(crate) output: Output,
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
