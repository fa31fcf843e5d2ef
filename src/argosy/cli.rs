//! Flags and the environment variables that stand for them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// GitOps continuous delivery for large fleets of Kubernetes clusters.
#[derive(Debug, Parser)]
#[command(name = "argosy", version, about)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is logged, and how.
#[derive(Args, Debug)]
pub(crate) struct Log {
    /// Least important level that is logged, or a filter such as `info,argosy_git=debug`.
    #[arg(long = "loglevel", env = "ARGOCD_LOG_LEVEL", default_value = "info", global = true)]
    pub(crate) level: String,
    /// How log lines are written.
    #[arg(long = "logformat", env = "ARGOCD_LOG_FORMAT", value_enum, default_value = "text", global = true)]
    pub(crate) format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a controller replica: it makes clusters match what Git says.
    Controller(Controller),
}

#[derive(Args, Debug)]
pub(crate) struct Controller {
    /// Kubeconfig of the home cluster. Without it the current kubeconfig is used, or
    /// the service account of the pod.
    #[arg(long, env = "KUBECONFIG")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// Namespace that holds the settings, and applications unless others are named.
    #[arg(long, short, env = "ARGOCD_CONTROLLER_NAMESPACE", default_value = "argocd")]
    pub(crate) namespace: String,
    /// More namespaces whose applications are served: globs or `/regular expressions/`.
    #[arg(long, env = "ARGOCD_APPLICATION_NAMESPACES", value_delimiter = ',')]
    pub(crate) application_namespaces: Vec<String>,
    /// Address of `/metrics` and `/healthz`.
    #[arg(long, default_value = "0.0.0.0:8082")]
    pub(crate) metrics_address: SocketAddr,
    /// Folder for mirrors of Git repositories. They are a cache: it may be emptied.
    #[arg(long, env = "ARGOSY_DATA_DIR", default_value = "/var/lib/argosy")]
    pub(crate) data_dir: PathBuf,
    /// Kinds of Kubernetes events that are written: `all`, `none`, or reasons. Without
    /// it the setting `controller.enable.k8s.event` decides.
    #[arg(long, value_delimiter = ',')]
    pub(crate) enable_k8s_event: Vec<String>,
}
