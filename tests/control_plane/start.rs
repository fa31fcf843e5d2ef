//! Bringing the components up in order, again on other ports when somebody took
//! one of ours in the moment between choosing and using it.

use std::io::Read;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;

use super::components::{self, FRONT_PROXY, Layout};
use super::{ControlPlane, GUEST, Kind, Options, kubeconfig, node};
use crate::certificates::{Authority, Identity, generate_signing_keys};
use crate::ports::free_ports;
use crate::process::Process;
use crate::tools;
use crate::watchdog::TempFolder;

/// Four seconds on an idle machine; the rest is for a busy one.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// How often a taken port is forgiven.
const ATTEMPTS: usize = 4;

struct Credentials {
    authority: Authority,
    admin: Identity,
    guest_token: String,
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Starts a control plane, of the kind that the environment chooses, and waits
    /// until it answers.
    ///
    /// # Errors
    /// When a component ends or is not ready in time, with the end of its log.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        Self::start_as(Kind::chosen()?, options).await
    }

    /// Starts one of a certain kind.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_as(kind: Kind, options: Options) -> anyhow::Result<Self> {
        // Building takes minutes the first time, so it leaves the runtime's threads.
        let binaries =
            tokio::task::spawn_blocking(tools::kubernetes_binaries).await.context("building the tools")??;
        let mut attempt = 1;
        loop {
            match start_once(kind, binaries, options).await {
                Err(error) if attempt < ATTEMPTS && is_taken(&error) => {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }
}

fn is_taken(error: &anyhow::Error) -> bool {
    format!("{error:#}").to_lowercase().contains("address already in use")
}

async fn start_once(kind: Kind, binaries: &Path, options: Options) -> anyhow::Result<ControlPlane> {
    let [apiserver_port, etcd_port, etcd_peer_port, node_port] = free_ports()?;
    let folder = TempFolder::new("kubernetes")?;
    let binaries = binaries.to_owned();
    let layout = Layout { kind, folder, binaries, apiserver_port, etcd_port, etcd_peer_port, node_port };
    let credentials = write_files(&layout)?;
    match kind {
        Kind::Real => start_real(layout, credentials, options).await,
        Kind::Sandbox => start_sandbox(layout, credentials, options).await,
    }
}

async fn start_real(layout: Layout, credentials: Credentials, options: Options) -> anyhow::Result<ControlPlane> {
    let Credentials { authority, admin, guest_token } = credentials;
    let user = kubeconfig::certificate_user(&admin);
    let document = kubeconfig::document(&layout.url(), authority.certificate_pem(), &user);
    layout.folder.write(components::ADMIN_KUBECONFIG, document)?;

    let mut etcd = layout.start_etcd()?;
    let mut apiserver = layout.start_apiserver(options)?;
    let client = kubeconfig::client(&layout.folder.join(components::ADMIN_KUBECONFIG)).await?;
    let ready = wait_until_ready(&client, &mut apiserver).await;
    // Without etcd the API server waits: etcd's own words are the better ones.
    etcd.check_running()?;
    ready?;

    let mut others = Vec::new();
    if options.controller_manager || options.pods_become_ready {
        others.push(layout.start_controller_manager()?);
    }
    if options.pods_become_ready {
        others.push(layout.start_scheduler()?);
        let mut simulator = layout.start_node()?;
        node::add_node(client, &mut simulator).await?;
        others.push(simulator);
    }
    for process in &mut others {
        process.check_running()?;
    }
    Ok(ControlPlane {
        others,
        apiserver: Some(apiserver),
        etcd: Some(etcd),
        layout,
        serving_authority_pem: authority.certificate_pem().to_owned(),
        authority,
        admin,
        guest_token,
        options,
        kubeconfigs: AtomicU32::new(0),
    })
}

async fn start_sandbox(layout: Layout, credentials: Credentials, options: Options) -> anyhow::Result<ControlPlane> {
    let mut process = layout.start_apiserver(options)?;
    let path = layout.folder.join(components::ADMIN_KUBECONFIG);
    // It is there once the sandbox answers.
    let written = process.wait_until("answering", READY_WITHIN, || async {
        std::fs::metadata(&path).context("there is no kubeconfig yet")
    });
    written.await?;
    wait_until_ready(&kubeconfig::client(&path).await?, &mut process).await?;
    // The administrator's certificate is the one that the sandbox made.
    let (serving_authority_pem, admin) = kubeconfig::read_identity(&path)?;
    Ok(ControlPlane {
        others: Vec::new(),
        apiserver: Some(process),
        etcd: None,
        layout,
        serving_authority_pem,
        authority: credentials.authority,
        admin,
        guest_token: credentials.guest_token,
        options,
        kubeconfigs: AtomicU32::new(0),
    })
}

fn write_files(layout: &Layout) -> anyhow::Result<Credentials> {
    let folder = &layout.folder;
    let authority = Authority::new("argosy test authority")?;
    let serving = authority.sign_server(&["127.0.0.1", "localhost", "kubernetes.default.svc"])?;
    let front = authority.sign_client(FRONT_PROXY, None)?;
    let admin = authority.sign_client("admin", Some("system:masters"))?;
    let guest_token = kubeconfig::random_token()?;
    folder.write(components::AUTHORITY, authority.certificate_pem())?;
    folder.write(components::SERVING_CERTIFICATE, &serving.certificate_pem)?;
    folder.write(components::SERVING_KEY, &serving.key_pem)?;
    folder.write(components::FRONT_CERTIFICATE, &front.certificate_pem)?;
    folder.write(components::FRONT_KEY, &front.key_pem)?;
    let (private_key, public_key) = generate_signing_keys()?;
    folder.write(components::TOKEN_KEY, private_key)?;
    folder.write(components::TOKEN_PUBLIC_KEY, public_key)?;
    folder.write(components::TOKENS, format!("{guest_token},{GUEST},{GUEST}\n"))?;
    folder.write(components::STAGES, include_str!("stages.yaml"))?;
    Ok(Credentials { authority, admin, guest_token })
}

/// Waits for `/readyz` and for the namespace `default`, which comes a moment later.
pub(super) async fn wait_until_ready(client: &kube::Client, apiserver: &mut Process) -> anyhow::Result<()> {
    apiserver.wait_until("ready", READY_WITHIN, || probe(client)).await
}

async fn probe(client: &kube::Client) -> anyhow::Result<()> {
    let request = http::Request::get("/readyz").body(Vec::new()).context("describing a request")?;
    client.request_text(request).await.context("asking /readyz")?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.get("default").await.context("reading the namespace default")?;
    Ok(())
}

/// From the system's generator.
pub(super) fn random_bytes(buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut source = std::fs::File::open("/dev/urandom").context("opening /dev/urandom")?;
    source.read_exact(buffer).context("reading /dev/urandom")
}
