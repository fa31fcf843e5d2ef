//! Flags and the environment variables that stand for them.

mod admin;
mod sandbox;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::home::HomeArgs;
pub(crate) use admin::{Admin, Doctor, Output, Placement};
pub(crate) use sandbox::Sandbox;

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
    Controller(Box<Controller>),
    /// Runs an API replica: gRPC, REST, sign-in and webhooks on one port.
    Server(Box<Server>),
    /// Runs all of Argosy on this machine, with clusters of its own unless a kubeconfig
    /// is named, and deploys a sample application while one watches.
    Up(Box<Up>),
    /// Prints the configuration of Dex that the settings make, for a Dex that runs
    /// beside Argosy. It has secrets in it.
    DexConfig(Box<DexConfig>),
    /// Serves a Kubernetes cluster whose API is real and whose Pods are simulated, for
    /// trying and testing, until it is told to end.
    Sandbox(Box<Sandbox>),
    /// Looks after an installation.
    #[command(subcommand)]
    Admin(Admin),
}

#[derive(Args, Debug)]
pub(crate) struct Controller {
    #[command(flatten)]
    pub(crate) home: HomeArgs,
    /// Address of `/metrics` and `/healthz`.
    #[arg(long, default_value = "0.0.0.0:8082")]
    pub(crate) metrics_address: SocketAddr,
    #[command(flatten)]
    pub(crate) replica: Replica,
    #[command(flatten)]
    pub(crate) fleet: Fleet,
}

/// How several controller replicas share the work. Without an etcd there is one.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Fleet {
    /// Addresses of the etcd in which replicas agree, such as `https://etcd-0:2379`.
    /// One that does not answer is passed over.
    #[arg(long, env = "ARGOSY_ETCD_ENDPOINTS", value_delimiter = ',')]
    pub(crate) etcd_endpoints: Vec<String>,
    /// File with the authority (PEM) that signed the certificates of etcd.
    #[arg(long, env = "ARGOSY_ETCD_CA", requires = "etcd_endpoints")]
    pub(crate) etcd_ca: Option<PathBuf>,
    /// File with the certificate (PEM) that etcd knows this replica by.
    #[arg(long, env = "ARGOSY_ETCD_CERT", requires = "etcd_key", requires = "etcd_ca")]
    pub(crate) etcd_cert: Option<PathBuf>,
    /// File with the key (PEM) of that certificate.
    #[arg(long, env = "ARGOSY_ETCD_KEY", requires = "etcd_cert")]
    pub(crate) etcd_key: Option<PathBuf>,
    /// User of etcd.
    #[arg(long, env = "ARGOSY_ETCD_USER", requires = "etcd_password_file")]
    pub(crate) etcd_user: Option<String>,
    /// File with the password of that user.
    #[arg(long, env = "ARGOSY_ETCD_PASSWORD_FILE", requires = "etcd_user")]
    pub(crate) etcd_password_file: Option<PathBuf>,
    /// What all keys in etcd begin with; one of its own for each installation.
    #[arg(long, env = "ARGOSY_ETCD_PREFIX", default_value = "/argosy")]
    pub(crate) etcd_prefix: String,
    /// Seconds without a word after which a replica is taken for dead.
    #[arg(long, env = "ARGOSY_ETCD_LEASE_SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=600))]
    pub(crate) etcd_lease_seconds: u64,
    /// Thousandths of a core that a cluster costs at least before its applications are
    /// spread over several replicas. A cluster that costs more is split when it passes
    /// a quarter of what a replica carries.
    #[arg(long, env = "ARGOSY_SPLIT_MILLICORES", default_value_t = 50)]
    pub(crate) split_millicores: u64,
    /// Seconds a replica that is told to end takes at most to give its clusters to the
    /// others, each prepared before it takes over.
    #[arg(long, env = "ARGOSY_DRAIN_SECONDS", default_value_t = 60)]
    pub(crate) drain_seconds: u64,
    /// Replicas among which clusters are shared out by hand, without an etcd.
    #[arg(long = "replicas", env = "ARGOCD_CONTROLLER_REPLICAS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) replicas: u32,
    /// The shard this replica stands for, from 0: clusters that are pinned to it come
    /// here. Without it the number at the end of the host's name.
    #[arg(long, env = "ARGOCD_CONTROLLER_SHARD", allow_hyphen_values = true)]
    pub(crate) shard: Option<i64>,
}

/// How a controller replica is reached, and where it works.
#[derive(Args, Debug)]
pub(crate) struct Replica {
    /// Address on which API replicas ask this one; TLS with certificates on both sides.
    #[arg(long, env = "ARGOSY_PEER_ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) peer_address: SocketAddr,
    /// Host under which they reach it, where that is not the address above: the pod's
    /// own, as a rule.
    #[arg(long = "advertise-host", env = "ARGOSY_ADVERTISE_HOST")]
    pub(crate) advertise: Option<String>,
    /// Folder for mirrors of Git repositories. They are a cache: it may be emptied.
    #[arg(long, env = "ARGOSY_DATA_DIR", default_value = "/var/lib/argosy")]
    pub(crate) data_dir: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Server {
    #[command(flatten)]
    pub(crate) home: HomeArgs,
    /// Address of `/metrics` and `/healthz`.
    #[arg(long, default_value = "0.0.0.0:8083")]
    pub(crate) metrics_address: SocketAddr,
    #[command(flatten)]
    pub(crate) api: Api,
}

/// Where the settings are, and where the configuration of Dex goes.
#[derive(Args, Debug)]
pub(crate) struct DexConfig {
    #[command(flatten)]
    pub(crate) home: HomeArgs,
    /// File to write it to, for its owner alone, in place of the standard output.
    #[arg(long)]
    pub(crate) output: Option<PathBuf>,
}

/// Everything in one process. The environment's kubeconfig counts for nothing here:
/// nobody's cluster is changed without being named.
#[derive(Args, Debug)]
pub(crate) struct Up {
    /// Kubeconfig of a cluster to run on, in the place of clusters of its own.
    #[arg(long)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, requires = "kubeconfig")]
    pub(crate) context: Option<String>,
    /// Namespace that holds the settings and applications.
    #[arg(long, short, default_value = "argocd")]
    pub(crate) namespace: String,
    /// Folder for everything that is kept: clusters, mirrors, the sample, the log.
    #[arg(long, env = "ARGOSY_DATA_DIR", default_value_os_t = default_data_dir())]
    pub(crate) data_dir: PathBuf,
    /// Deploys the sample application. Without it: where the clusters are Argosy's own.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) sample: Option<bool>,
    /// Ends as soon as the sample application is Synced and Healthy; without one, as
    /// soon as everything runs.
    #[arg(long)]
    pub(crate) once: bool,
    /// Address of `/metrics` and `/healthz`; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) metrics_address: SocketAddr,
    #[command(flatten)]
    pub(crate) api: Api,
}

/// How the API is served. Flags that have a setting follow it where they are not given.
#[derive(Args, Debug)]
pub(crate) struct Api {
    /// Address to listen on.
    #[arg(long)]
    pub(crate) address: Option<String>,
    /// Port to listen on.
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// Serves without TLS.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) insecure: Option<bool>,
    /// Lets everybody do everything.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) disable_auth: Option<bool>,
    /// Path below which everything is served.
    #[arg(long = "rootpath")]
    pub(crate) root_path: Option<String>,
    /// Path at which the web page is found by browsers.
    #[arg(long = "basehref")]
    pub(crate) base_href: Option<String>,
    /// Lowest version of TLS.
    #[arg(long = "tlsminversion")]
    pub(crate) tls_min_version: Option<String>,
    /// Highest version of TLS.
    #[arg(long = "tlsmaxversion")]
    pub(crate) tls_max_version: Option<String>,
    /// Cipher suites of TLS 1.2, separated by colons.
    #[arg(long = "tlsciphers")]
    pub(crate) tls_ciphers: Option<String>,
    /// `X-Frame-Options` of answers; empty leaves it out.
    #[arg(long)]
    pub(crate) x_frame_options: Option<String>,
    /// `Content-Security-Policy` of answers; empty leaves it out.
    #[arg(long)]
    pub(crate) content_security_policy: Option<String>,
    /// Content types of changing requests, separated by semicolons; empty permits all.
    #[arg(long)]
    pub(crate) api_content_types: Option<String>,
    /// Compresses answers.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) enable_gzip: Option<bool>,
    /// Address of Dex.
    #[arg(long)]
    pub(crate) dex_server: Option<String>,
    /// Reaches Dex without TLS.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) dex_server_plaintext: Option<bool>,
    /// Verifies the certificate of Dex.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) dex_server_strict_tls: Option<bool>,
    /// Networks of proxies in front of the server (`10.0.0.0/8`). Failed sign-ins are
    /// counted by address; behind a proxy that is not named here all users are one.
    #[arg(long, env = "ARGOSY_TRUSTED_PROXIES", value_delimiter = ',')]
    pub(crate) trusted_proxies: Vec<ipnet::IpNet>,
    /// Sign-ins that are verified at once.
    #[arg(long, env = "ARGOCD_MAX_CONCURRENT_LOGIN_REQUESTS_COUNT", default_value_t = 50)]
    pub(crate) max_concurrent_logins: usize,
    /// Failed sign-ins that lock an account for a while.
    #[arg(long, env = "ARGOCD_SESSION_FAILURE_MAX_FAIL_COUNT", default_value_t = 5)]
    pub(crate) login_max_failures: u32,
    /// Seconds in which they are counted; 0 means until one succeeds.
    #[arg(long, env = "ARGOCD_SESSION_FAILURE_WINDOW_SECONDS", default_value_t = 300)]
    pub(crate) login_window: u64,
    /// Most entries of the counters of failed sign-ins.
    #[arg(long, env = "ARGOCD_SESSION_MAX_CACHE_SIZE", default_value_t = 10_000)]
    pub(crate) login_cache_size: usize,
}

/// Where the user's programs keep their data.
fn default_data_dir() -> PathBuf {
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    base.or_else(home).unwrap_or_else(std::env::temp_dir).join("argosy")
}
