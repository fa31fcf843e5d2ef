//! Clusters of Argosy's own: one it lives in and one it deploys to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use argosy_proto::v1alpha1::{self as api, ClusterConfig, TlsClientConfig};
use argosy_sandbox::cluster::{Cluster, ClusterOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::words::Step;
use crate::files::replace;
use crate::home::{clock, random_bytes};

/// The cluster Argosy lives in, and the context of the kubeconfig that names it.
pub(super) const HOME: &str = "home";
/// The cluster it deploys to; so is its context, and its name in Argosy.
pub(super) const DESTINATION: &str = "sandbox";

/// Both of them, running.
pub(super) struct Clusters {
    home: Cluster,
    destination: Cluster,
    kubeconfig: PathBuf,
}

// === impl Clusters ===

impl Clusters {
    /// Starts them, from what the folder has of them.
    pub(super) async fn start(data_dir: &Path) -> anyhow::Result<Self> {
        let step = Step::begin("Two Kubernetes clusters in this process: home and sandbox");
        let (home, destination) = tokio::try_join!(start(data_dir, HOME), start(data_dir, DESTINATION))?;
        let kubeconfig = data_dir.join("kubeconfig");
        write_kubeconfig(&kubeconfig, &[(HOME, &home), (DESTINATION, &destination)])?;
        step.end(&format!("{}, {}", home.sandbox().url(), destination.sandbox().url()));
        Ok(Self { home, destination, kubeconfig })
    }

    /// The file that names both.
    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The destination as Argosy knows clusters.
    ///
    /// # Errors
    /// When no key can be made.
    pub(super) fn declared(&self) -> anyhow::Result<api::Cluster> {
        let sandbox = self.destination.sandbox();
        let identity = sandbox.sign_client("argosy", &["system:masters"]).context("cannot make a certificate")?;
        let tls = TlsClientConfig {
            cert_data: identity.certificate_pem.into_bytes(),
            key_data: identity.key_pem.expose().clone().into_bytes(),
            ca_data: sandbox.ca_pem().as_bytes().to_vec(),
            ..TlsClientConfig::default()
        };
        Ok(api::Cluster {
            server: sandbox.url(),
            name: DESTINATION.to_owned(),
            config: Some(ClusterConfig { tls_client_config: Some(tls), ..ClusterConfig::default() }),
            ..api::Cluster::default()
        })
    }

    /// Ends both once their requests have been answered.
    pub(super) async fn shutdown(self) {
        self.home.shutdown().await;
        self.destination.shutdown().await;
    }
}

async fn start(data_dir: &Path, name: &str) -> anyhow::Result<Cluster> {
    let folder = data_dir.join("clusters").join(name);
    let options =
        ClusterOptions { data_dir: Some(folder.clone()), ..ClusterOptions::new(clock(), Arc::new(random_bytes)) };
    let started = Cluster::start(options).await;
    started.with_context(|| format!("the cluster in {} did not start", folder.display()))
}

/// One file for `kubectl`, with a context for each.
fn write_kubeconfig(path: &Path, clusters: &[(&str, &Cluster)]) -> anyhow::Result<()> {
    let (mut servers, mut contexts, mut users) = (String::new(), String::new(), String::new());
    for (name, cluster) in clusters {
        let sandbox = cluster.sandbox();
        let identity = sandbox.sign_client("admin", &["system:masters"]).context("cannot make a certificate")?;
        let [authority, certificate, key] =
            [sandbox.ca_pem(), &identity.certificate_pem, identity.key_pem.expose()].map(|pem| STANDARD.encode(pem));
        servers += &format!(
            "- name: {name}\n  cluster: {{server: \"{}\", certificate-authority-data: {authority}}}\n",
            sandbox.url()
        );
        contexts += &format!("- name: {name}\n  context: {{cluster: {name}, user: {name}}}\n");
        users +=
            &format!("- name: {name}\n  user: {{client-certificate-data: {certificate}, client-key-data: {key}}}\n");
    }
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {HOME}\nclusters:\n{servers}contexts:\n{contexts}users:\n{users}"
    );
    replace(path, &text).with_context(|| format!("cannot write {}", path.display()))
}
