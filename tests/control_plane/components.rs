//! The command lines of the components, and the files and ports they share.

use std::path::PathBuf;
use std::process::Command;

use super::{Kind, Options};
use crate::process::Process;
use crate::tools;
use crate::watchdog::TempFolder;

/// Where everything of one control plane is.
pub(super) struct Layout {
    pub(super) kind: Kind,
    pub(super) folder: TempFolder,
    pub(super) binaries: PathBuf,
    pub(super) apiserver_port: u16,
    pub(super) etcd_port: u16,
    pub(super) etcd_peer_port: u16,
    pub(super) node_port: u16,
}

// Files of the folder that more than one place names.
pub(super) const AUTHORITY: &str = "ca.crt";
pub(super) const SERVING_CERTIFICATE: &str = "serving.crt";
pub(super) const SERVING_KEY: &str = "serving.key";
pub(super) const FRONT_CERTIFICATE: &str = "front.crt";
pub(super) const FRONT_KEY: &str = "front.key";
pub(super) const TOKEN_KEY: &str = "service-accounts.key";
pub(super) const TOKEN_PUBLIC_KEY: &str = "service-accounts.pub";
pub(super) const TOKENS: &str = "tokens.csv";
pub(super) const STAGES: &str = "stages.yaml";
pub(super) const ADMIN_KUBECONFIG: &str = "kubeconfig";

/// The node on which Pods run, whoever simulates it.
pub(super) const NODE: &str = "simulated";

/// The only name the API server accepts from an aggregating front proxy.
pub(super) const FRONT_PROXY: &str = "front-proxy-client";

// === impl Layout ===

impl Layout {
    pub(super) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.apiserver_port)
    }

    pub(super) fn start_etcd(&self) -> anyhow::Result<Process> {
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{}", self.etcd_peer_port);
        let mut command = self.command("etcd");
        command
            .args(["--name=test", "--unsafe-no-fsync", "--log-level=warn"])
            .arg(format!("--data-dir={}", self.folder.join("etcd").display()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=test={peer}"));
        self.start("etcd", command)
    }

    /// The API server: kube-apiserver, or the sandbox.
    pub(super) fn start_apiserver(&self, options: Options) -> anyhow::Result<Process> {
        match self.kind {
            Kind::Real => self.start_kube_apiserver(options.bench),
            Kind::Sandbox => self.start_sandbox(options.pods_become_ready),
        }
    }

    fn start_sandbox(&self, with_node: bool) -> anyhow::Result<Process> {
        let mut command = self.surrounded(Command::new(tools::argosy_binary()?));
        command
            .arg("sandbox")
            .arg(self.file("--data-dir", "sandbox"))
            .arg(format!("--address=127.0.0.1:{}", self.apiserver_port))
            .arg(self.file("--kubeconfig", ADMIN_KUBECONFIG))
            .arg(self.file("--client-ca-file", AUTHORITY))
            .arg(self.file("--token-auth-file", TOKENS))
            // As in the stages of the simulated node.
            .args(["--instant-pods", "--pod-outcome=argosy.test/pod=never-ready:pending"])
            .arg("--pod-outcome=argosy.test/pod=fails:fail")
            .arg(if with_node { format!("--node={NODE}") } else { "--no-node".to_owned() });
        self.start("sandbox", command)
    }

    fn start_kube_apiserver(&self, bench: bool) -> anyhow::Result<Process> {
        let mut command = self.command("kube-apiserver");
        command
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port))
            .arg(format!("--secure-port={}", self.apiserver_port))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .arg(self.file("--tls-cert-file", SERVING_CERTIFICATE))
            .arg(self.file("--tls-private-key-file", SERVING_KEY))
            .arg(self.file("--client-ca-file", AUTHORITY))
            .arg(self.file("--token-auth-file", TOKENS))
            .arg("--authorization-mode=RBAC")
            .arg(self.file("--service-account-key-file", TOKEN_PUBLIC_KEY))
            .arg(self.file("--service-account-signing-key-file", TOKEN_KEY))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg("--service-cluster-ip-range=10.96.0.0/16")
            .arg("--disable-admission-plugins=ServiceAccount")
            .arg(self.file("--requestheader-client-ca-file", AUTHORITY))
            .arg(format!("--requestheader-allowed-names={FRONT_PROXY}"))
            .arg("--requestheader-username-headers=X-Remote-User")
            .arg("--requestheader-group-headers=X-Remote-Group")
            .arg("--requestheader-extra-headers-prefix=X-Remote-Extra-")
            .arg(self.file("--proxy-client-cert-file", FRONT_CERTIFICATE))
            .arg(self.file("--proxy-client-key-file", FRONT_KEY));
        if bench {
            command.args(["--max-requests-inflight=1000", "--max-mutating-requests-inflight=500"]);
        }
        self.start("kube-apiserver", command)
    }

    pub(super) fn start_controller_manager(&self) -> anyhow::Result<Process> {
        let mut command = self.command("kube-controller-manager");
        command
            .arg(self.file("--kubeconfig", ADMIN_KUBECONFIG))
            .args(["--leader-elect=false", "--secure-port=0", "--use-service-account-credentials=false"])
            .arg(self.file("--service-account-private-key-file", TOKEN_KEY))
            .arg(self.file("--root-ca-file", AUTHORITY))
            // Nobody else is to be spared here, and tests wait for what it does.
            .args(["--kube-api-qps=500", "--kube-api-burst=1000"]);
        self.start("kube-controller-manager", command)
    }

    pub(super) fn start_scheduler(&self) -> anyhow::Result<Process> {
        let mut command = self.command("kube-scheduler");
        command
            .arg(self.file("--kubeconfig", ADMIN_KUBECONFIG))
            .args(["--leader-elect=false", "--secure-port=0"])
            .args(["--kube-api-qps=500", "--kube-api-burst=1000"]);
        self.start("kube-scheduler", command)
    }

    pub(super) fn start_node(&self) -> anyhow::Result<Process> {
        let mut command = self.command("kwok");
        command
            .arg(self.file("--kubeconfig", ADMIN_KUBECONFIG))
            .arg(self.file("--config", STAGES))
            // The lease is what keeps the node from being taken for lost.
            .arg("--node-lease-duration-seconds=40")
            .args(["--manage-all-nodes=true", "--cidr=10.244.0.0/16", "--node-ip=10.0.0.1"])
            .arg(format!("--node-port={}", self.node_port))
            .arg(format!("--server-address=127.0.0.1:{}", self.node_port));
        self.start("kwok", command)
    }

    /// A command of the tools folder that sees nothing of the person's own
    /// Kubernetes settings.
    pub(super) fn command(&self, name: &str) -> Command {
        self.surrounded(Command::new(self.binaries.join(name)))
    }

    fn surrounded(&self, mut command: Command) -> Command {
        command.current_dir(self.folder.path()).env("HOME", self.folder.path()).env_remove("KUBECONFIG");
        command
    }

    fn start(&self, name: &str, command: Command) -> anyhow::Result<Process> {
        Process::start(name, command, &self.folder.join(format!("{name}.log")))
    }

    fn file(&self, flag: &str, name: &str) -> String {
        format!("{flag}={}", self.folder.join(name).display())
    }
}
