//! Flags of `argosy sandbox`.

use std::net::SocketAddr;
use std::path::PathBuf;

use argosy_sandbox::controllers::OutcomeRule;
use clap::Args;

/// Whatever is not kept in a folder is gone at the end.
#[derive(Args, Debug)]
pub(crate) struct Sandbox {
    /// Folder in which its state, its keys and its address are kept; without it they
    /// are in memory.
    #[arg(long)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address to listen on. Without it, that of the last time, else a free port of
    /// 127.0.0.1.
    #[arg(long)]
    pub(crate) address: Option<SocketAddr>,
    /// File into which an administrator's kubeconfig is written once the cluster
    /// answers; `kubeconfig` in the data folder when not said.
    #[arg(long, required_unless_present = "data_dir")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Name of its one node.
    #[arg(long, default_value = "sandbox")]
    pub(crate) node: String,
    /// Has no node: Pods are made and stay pending.
    #[arg(long, conflicts_with = "node")]
    pub(crate) no_node: bool,
    /// Pods start, end and stop at once; without it about as fast as small ones do.
    #[arg(long)]
    pub(crate) instant_pods: bool,
    /// What becomes of Pods with a label of this value: `fail`, `crash`, `complete`,
    /// `unready`, `pending` or `missing-image`. May be repeated.
    #[arg(long = "pod-outcome", value_name = "LABEL=VALUE:OUTCOME")]
    pub(crate) pod_outcomes: Vec<OutcomeRule>,
    /// PEM of authorities whose client certificates are believed: the common name is
    /// the user, organisations are groups.
    #[arg(long)]
    pub(crate) client_ca_file: Option<PathBuf>,
    /// Static tokens, a line for each: token, user, uid and, in quotes, groups.
    #[arg(long)]
    pub(crate) token_auth_file: Option<PathBuf>,
}
