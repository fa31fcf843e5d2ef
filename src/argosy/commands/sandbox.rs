//! `argosy sandbox`: a Kubernetes cluster in one process, for trying and testing.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use argosy_sandbox::cluster::{Cluster, ClusterOptions};
use argosy_sandbox::controllers::PodOptions;
use argosy_sandbox::identity::StaticToken;

use crate::cli;
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
    #[expect(clippy::disallowed_methods, reason = "this is where the clock comes from")]
    let clock = Arc::new(jiff::Timestamp::now);
    Ok(ClusterOptions {
        data_dir: options.data_dir,
        address: options.address,
        node: (!options.no_node).then_some(options.node),
        pods: PodOptions { outcomes: options.pod_outcomes, ..pods },
        tokens,
        client_authorities,
        ..ClusterOptions::new(clock, Arc::new(super::server::fill))
    })
}

/// The absolute path of the kubeconfig, so that it is right in every folder.
fn kubeconfig_path(options: &cli::Sandbox) -> anyhow::Result<PathBuf> {
    let in_folder = || options.data_dir.as_ref().map(|folder| folder.join(KUBECONFIG));
    let path = options.kubeconfig.clone().or_else(in_folder).context("name a file with --kubeconfig")?;
    std::path::absolute(&path).with_context(|| format!("{} is no path", path.display()))
}

/// Writes a file that only its owner may read; whoever sees it sees all of it.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside.persist(path)?;
    Ok(())
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@%,:".contains(letter);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_a_quoted_path_as_one_word() {
        assert_eq!(quoted(Path::new("/home/me/kube.yaml")), "/home/me/kube.yaml");
        assert_eq!(quoted(Path::new("/it's/my file")), r"'/it'\''s/my file'");
    }

    #[test]
    fn a_kubeconfig_is_replaced_whole_and_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, "a longer text than the new one").unwrap();
        replace(&path, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "nothing is left beside it");
    }
}
