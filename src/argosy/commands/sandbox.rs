//! `argosy sandbox`: a Kubernetes cluster in one process, for trying and testing.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use argosy_sandbox::cluster::{Cluster, ClusterOptions};
use argosy_sandbox::controllers::PodOptions;
use argosy_sandbox::identity::StaticToken;

use crate::cli;
use crate::files::{quoted, replace};
use crate::home::{clock, random_bytes};
use crate::signals;

/// The kubeconfig in the data folder.
const KUBECONFIG: &str = "kubeconfig";

/// Serves the cluster until the process is told to end.
///
/// # Errors
/// When it cannot be started, or its kubeconfig cannot be written.
pub(crate) fn run(options: cli::Sandbox) -> anyhow::Result<()> {
    super::on_actors(serve(options))
}

async fn serve(options: cli::Sandbox) -> anyhow::Result<()> {
    let shutdown = signals::shutdown()?;
    let kubeconfig = kubeconfig_path(&options)?;
    let cluster = Cluster::start(cluster_options(options)?).await.context("the sandbox does not start")?;
    let admin = cluster.admin_kubeconfig().context("no kubeconfig can be made")?;
    replace(&kubeconfig, &admin).with_context(|| format!("cannot write {}", kubeconfig.display()))?;
    let url = cluster.sandbox().url();
    tracing::info!(url, kubeconfig = %kubeconfig.display(), "the sandbox answers");
    let mut out = std::io::stdout();
    writeln!(
        out,
        "The sandbox answers at {url}. In another terminal:\n\n    export KUBECONFIG={}\n",
        quoted(&kubeconfig)
    )
    .and_then(|()| out.flush())
    .context("cannot write to the standard output")?;
    shutdown.cancelled().await;
    cluster.shutdown().await;
    Ok(())
}

fn cluster_options(options: cli::Sandbox) -> anyhow::Result<ClusterOptions> {
    let read =
        |path: &PathBuf| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let client_authorities = options.client_ca_file.as_ref().map(read).transpose()?;
    let tokens = match &options.token_auth_file {
        Some(path) => StaticToken::read(&read(path)?).with_context(|| format!("cannot use {}", path.display()))?,
        None => Vec::new(),
    };
    let pods = if options.instant_pods { PodOptions::instant() } else { PodOptions::default() };
    Ok(ClusterOptions {
        data_dir: options.data_dir,
        address: options.address,
        node: (!options.no_node).then_some(options.node),
        pods: PodOptions { outcomes: options.pod_outcomes, ..pods },
        tokens,
        client_authorities,
        ..ClusterOptions::new(clock(), Arc::new(random_bytes))
    })
}

/// The absolute path of the kubeconfig, so that it is right in every folder.
fn kubeconfig_path(options: &cli::Sandbox) -> anyhow::Result<PathBuf> {
    let in_folder = || options.data_dir.as_ref().map(|folder| folder.join(KUBECONFIG));
    let path = options.kubeconfig.clone().or_else(in_folder).context("name a file with --kubeconfig")?;
    std::path::absolute(&path).with_context(|| format!("{} is no path", path.display()))
}
