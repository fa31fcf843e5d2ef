//! Real etcd of one or more members, with TLS and users where a test asks for
//! them. A member can be stopped, paused and started again on its own data.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::certificates::{Authority, Identity, install_crypto};
use crate::ports::free_ports;
use crate::process::Process;
use crate::tools::kubernetes_binaries;
use crate::watchdog::TempFolder;

/// Until a member is ready.
const STARTED: Duration = Duration::from_secs(60);

/// Until it says whether it is.
const ANSWERED: Duration = Duration::from_secs(5);

/// An etcd cluster.
pub struct Etcd {
    members: Vec<Member>,
    authority: Option<Authority>,
    folder: TempFolder,
}

struct Member {
    name: String,
    client_port: u16,
    peer_port: u16,
    /// Without TLS and users, whatever the others want.
    health_port: u16,
    process: Option<Process>,
}

// === impl Etcd ===

impl Etcd {
    /// Members on free ports, ready to be used.
    ///
    /// # Errors
    /// When they do not come up.
    pub async fn start(members: usize) -> anyhow::Result<Self> {
        Self::with(members, false).await
    }

    /// One member that speaks TLS alone and asks for a client certificate.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with_tls() -> anyhow::Result<Self> {
        Self::with(1, true).await
    }

    async fn with(members: usize, tls: bool) -> anyhow::Result<Self> {
        let folder = TempFolder::new("etcd")?;
        let authority = if tls { Some(Authority::new("argosy test etcd authority")?) } else { None };
        if let Some(authority) = &authority {
            install_crypto();
            let server = authority.sign_server(&["127.0.0.1", "localhost"])?;
            folder.write("ca.crt", authority.certificate_pem())?;
            folder.write("server.crt", server.certificate_pem)?;
            folder.write("server.key", server.key_pem)?;
        }
        let members = (0..members)
            .map(|number| {
                let [client_port, peer_port, health_port] = free_ports()?;
                Ok(Member { name: format!("member-{number}"), client_port, peer_port, health_port, process: None })
            })
            .collect::<anyhow::Result<_>>()?;
        let mut etcd = Self { members, authority, folder };
        for index in 0..etcd.members.len() {
            etcd.spawn(index)?;
        }
        for index in 0..etcd.members.len() {
            etcd.ready(index).await?;
        }
        Ok(etcd)
    }

    /// Addresses of all members.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| self.client_url(member)).collect()
    }

    /// PEM of the authority, and a client's identity that it has signed.
    ///
    /// # Errors
    /// When it has no TLS, or no key can be made.
    pub fn tls(&self, user: &str) -> anyhow::Result<(String, Identity)> {
        let authority = self.authority.as_ref().context("this etcd has no TLS")?;
        Ok((authority.certificate_pem().to_owned(), authority.sign_client(user, None)?))
    }

    /// Stops a member with `SIGKILL`; its data stay.
    pub fn stop(&mut self, member: usize) {
        self.members[member].process = None;
    }

    /// Starts a member again and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn restart(&mut self, member: usize) -> anyhow::Result<()> {
        self.stop(member);
        self.spawn(member)?;
        self.ready(member).await
    }

    /// Makes a member stand still: its connections stay open and say nothing.
    pub fn pause(&mut self, member: usize) {
        self.members[member].process.as_mut().into_iter().for_each(Process::pause);
    }

    /// Lets it go on.
    pub fn resume(&mut self, member: usize) {
        self.members[member].process.as_mut().into_iter().for_each(Process::resume);
    }

    fn spawn(&mut self, index: usize) -> anyhow::Result<()> {
        let member = &self.members[index];
        let peer = |member: &Member| format!("http://127.0.0.1:{}", member.peer_port);
        let cluster: Vec<String> = self.members.iter().map(|m| format!("{}={}", m.name, peer(m))).collect();
        let client = self.client_url(member);
        let mut command = std::process::Command::new(kubernetes_binaries()?.join("etcd"));
        command
            .args(["--unsafe-no-fsync", "--log-level=warn"])
            // Quick to notice that its leader is gone, as tests are.
            .args(["--heartbeat-interval=50", "--election-timeout=500"])
            .arg(format!("--name={}", member.name))
            .arg(format!("--data-dir={}", self.folder.join(&member.name).display()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={}", peer(member)))
            .arg(format!("--initial-advertise-peer-urls={}", peer(member)))
            .arg(format!("--initial-cluster={}", cluster.join(",")))
            .arg(format!("--listen-metrics-urls=http://127.0.0.1:{}", member.health_port))
            .arg("--quota-backend-bytes=16777216");
        if self.authority.is_some() {
            let file = |name: &str| self.folder.join(name).display().to_string();
            command
                .arg(format!("--cert-file={}", file("server.crt")))
                .arg(format!("--key-file={}", file("server.key")))
                .arg(format!("--trusted-ca-file={}", file("ca.crt")))
                .arg("--client-cert-auth");
        }
        let log: &Path = &self.folder.join(format!("{}.log", member.name));
        let process = Process::start(&member.name, command, log)?;
        self.members[index].process = Some(process);
        Ok(())
    }

    async fn ready(&mut self, index: usize) -> anyhow::Result<()> {
        let Member { name, health_port, process, .. } = &mut self.members[index];
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWERED).build()?;
        let (client, address) = (&client, format!("http://127.0.0.1:{health_port}/health"));
        // The port for clients opens long before anybody is answered there.
        let probe =
            || async { client.get(&address).send().await?.error_for_status().map(drop).context("it is not ready") };
        let process = process.as_mut().context("it was started")?;
        process.wait_until("ready", STARTED, probe).await.with_context(|| format!("starting {name}"))
    }

    fn client_url(&self, member: &Member) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", member.client_port)
    }
}
