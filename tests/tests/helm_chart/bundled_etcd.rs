//! The etcd that a release describes, run here: the real program with the arguments
//! and certificates of its Pod, on other ports and in other folders.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use argosy_tests::process::Process;
use argosy_tests::tools::kubernetes_binaries;
use argosy_tests::{ControlPlane, TempFolder};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// Its first and only member.
const MEMBER: &str = "argosy-etcd-0";

/// The running etcd.
pub(crate) struct BundledEtcd {
    _process: Process,
    folder: TempFolder,
    port: u16,
}

// === impl BundledEtcd ===

impl BundledEtcd {
    /// Starts what the release `argosy` in `argocd` describes.
    pub(crate) async fn start(plane: &ControlPlane) -> anyhow::Result<Self> {
        let folder = TempFolder::new("bundled-etcd")?;
        for part in ["server", "client"] {
            std::fs::create_dir(folder.join(part))?;
            let secret = json(plane, "secret", &format!("argosy-etcd-{part}"))?;
            for (key, value) in secret["data"].as_object().context("the Secret has data")? {
                let bytes = STANDARD.decode(value.as_str().context("a value is text")?)?;
                folder.write(&format!("{part}/{key}"), bytes)?;
            }
        }
        let set = json(plane, "statefulset", "argosy-etcd")?;
        let container = &set["spec"]["template"]["spec"]["containers"][0];
        // All are held until all are known, else the same one would come twice.
        let listeners = [(); 3].map(|()| TcpListener::bind(("127.0.0.1", 0)));
        let mut ports = [0; 3];
        for (port, listener) in ports.iter_mut().zip(&listeners) {
            *port = listener.as_ref().map_err(|error| anyhow::anyhow!("no port: {error}"))?.local_addr()?.port();
        }
        drop(listeners);
        let here = |argument: &str| {
            let mut argument = argument
                .replace("$(POD_NAME)", MEMBER)
                .replace(&format!("{MEMBER}.argosy-etcd.argocd.svc"), "127.0.0.1")
                .replace("0.0.0.0", "127.0.0.1")
                .replace("/etc/etcd/tls", &folder.join("server").display().to_string())
                .replace("/var/lib/etcd", &folder.path().display().to_string());
            for (theirs, ours) in [":2379", ":2380", ":2381"].iter().zip(ports) {
                argument = argument.replace(theirs, &format!(":{ours}"));
            }
            argument
        };
        let mut command = Command::new(kubernetes_binaries()?.join("etcd"));
        for argument in container["args"].as_array().context("etcd has arguments")? {
            command.arg(here(argument.as_str().context("an argument is text")?));
        }
        let mut process = Process::start("etcd", command, &folder.join("etcd.log"))?;
        // As the kubelet would ask.
        let path = container["readinessProbe"]["httpGet"]["path"].as_str().context("a path")?.to_owned();
        let probe = || {
            let url = format!("http://127.0.0.1:{}{path}", ports[2]);
            async move {
                let client = reqwest::Client::builder().no_proxy().build()?;
                client.get(url).send().await?.error_for_status().map(drop).context("it is not ready")
            }
        };
        process.wait_until("ready", PATIENCE, probe).await?;
        Ok(Self { _process: process, folder, port: ports[0] })
    }

    /// The flags with which a controller reaches it, as the Pod's name them.
    pub(crate) fn flags(&self) -> [String; 4] {
        let file =
            |flag: &str, name: &str| format!("--etcd-{flag}={}", self.folder.join("client").join(name).display());
        let endpoints = format!("--etcd-endpoints=https://127.0.0.1:{}", self.port);
        [endpoints, file("ca", "ca.crt"), file("cert", "tls.crt"), file("key", "tls.key")]
    }
}

fn json(plane: &ControlPlane, kind: &str, name: &str) -> anyhow::Result<Value> {
    let text = plane.kubectl_text(&["-n", "argocd", "get", kind, name, "-o", "json"])?;
    serde_json::from_str(&text).context("kubectl prints JSON")
}
