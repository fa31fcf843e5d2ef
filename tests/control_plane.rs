//! A real Kubernetes control plane on this machine: etcd and kube-apiserver
//! with TLS and RBAC, and on request the controller manager, a scheduler and a
//! simulated node. It answers after about four seconds. Or, if the environment says
//! so, the product's own sandbox as a process in place of all of them ([`Kind`]).
//!
//! Everything is in one temporary folder and ends with the value. Stopping and
//! restarting parts takes `&mut self`, so the instance that tests share through
//! [`shared`] cannot be pulled away under the others.

mod components;
mod helm;
mod kind;
mod kubeconfig;
mod kubectl;
mod node;
mod start;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::OnceCell;

use crate::certificates::{Authority, Identity};
use crate::process::Process;
use crate::watchdog::TempFolder;
use components::Layout;

pub use kind::{Kind, is_left_out_on_the_sandbox};

/// The user of [`ControlPlane::guest_token`]: known to the API server, allowed
/// nothing beyond discovery.
pub const GUEST: &str = "guest";

/// What runs besides etcd and kube-apiserver. In the sandbox the controllers always run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Namespaces finish terminating, owners are collected, Deployments make
    /// Pods (pending: there is no node).
    pub controller_manager: bool,
    /// A scheduler and one simulated node, so that Pods become ready and Jobs
    /// complete. Implies the controller manager.
    pub pods_become_ready: bool,
    /// Request limits for load instead of the defaults.
    pub bench: bool,
}

/// A running control plane.
pub struct ControlPlane {
    // Fields are dropped in this order: clients of the API server first.
    others: Vec<Process>,
    /// The sandbox is one, too.
    apiserver: Option<Process>,
    /// The sandbox keeps its state itself.
    etcd: Option<Process>,
    layout: Layout,
    /// Signs client certificates.
    authority: Authority,
    serving_authority_pem: String,
    admin: Identity,
    guest_token: String,
    options: Options,
    /// Kubeconfig files written so far, for distinct names.
    kubeconfigs: AtomicU32,
}

/// The control plane that the tests of one test program share, each in
/// namespaces of its own; with the controller manager.
///
/// # Panics
/// When it cannot be started.
pub async fn shared() -> &'static ControlPlane {
    static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
    let options = Options { controller_manager: true, ..Options::default() };
    SHARED
        .get_or_init(|| async {
            ControlPlane::start(options).await.unwrap_or_else(|error| panic!("no control plane: {error:#}"))
        })
        .await
}

// === impl ControlPlane ===

impl ControlPlane {
    /// The address clients use, `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.layout.url()
    }

    /// The folder with its files and logs.
    pub fn folder(&self) -> &TempFolder {
        &self.layout.folder
    }

    /// The folder with `kubectl` and the others.
    pub fn binaries(&self) -> PathBuf {
        self.layout.binaries.clone()
    }

    /// PEM of the authority that signed the API server's certificate.
    pub fn authority_pem(&self) -> &str {
        &self.serving_authority_pem
    }

    /// A client with all rights. Make one in each test: a client's worker lives
    /// on the runtime that made it.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read back.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        kubeconfig::client(&self.kubeconfig_path()).await
    }

    /// A client of whoever a kubeconfig names.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client_for(&self, kubeconfig: &std::path::Path) -> anyhow::Result<kube::Client> {
        kubeconfig::client(kubeconfig).await
    }

    /// Makes a namespace with a name of its own, and returns the name.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn namespace(&self, prefix: &str) -> anyhow::Result<String> {
        let namespaces: Api<Namespace> = Api::all(self.client().await?);
        let metadata = ObjectMeta { generate_name: Some(format!("{prefix}-")), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let made = namespaces.create(&PostParams::default(), &namespace).await.context("making a namespace")?;
        made.metadata.name.context("the API server names what it makes")
    }

    /// Kills the API server, as a crash would; etcd, or the sandbox's folder, keeps its state.
    pub fn stop_apiserver(&mut self) {
        self.apiserver = None;
    }

    /// Starts it again on the same port, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn restart_apiserver(&mut self) -> anyhow::Result<()> {
        self.stop_apiserver();
        let mut process = self.layout.start_apiserver(self.options)?;
        start::wait_until_ready(&self.client().await?, &mut process).await?;
        self.apiserver = Some(process);
        Ok(())
    }

    /// The last lines of each component's log, for a failure's message.
    pub fn logs(&self) -> String {
        let all = self.apiserver.iter().chain(&self.etcd).chain(&self.others);
        all.map(|p| format!("--- {} ({})\n{}\n", p.name(), p.log_path().display(), p.log_tail(15))).collect()
    }

    fn next_kubeconfig_name(&self) -> String {
        format!("kubeconfig-{}", self.kubeconfigs.fetch_add(1, Ordering::Relaxed))
    }
}
