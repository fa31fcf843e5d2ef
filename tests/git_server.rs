//! A Git host of the test's own: bare repositories in a temporary folder, served
//! as files, over https (`git http-backend` behind TLS) and over ssh (a real
//! `sshd`).
//!
//! Every https request is written to a journal, so that a test can say how often
//! a repository was asked; failures can be ordered with [`GitServer::fail`].

mod backend;
mod https;
mod journal;
mod repo;
mod ssh;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, anyhow};

use crate::watchdog::TempFolder;
use https::HttpsServer;
pub use journal::{GitRequest, Service};
pub use repo::{Change, Repo};
pub use ssh::SshServer;

/// How the https server misbehaves, for every request until told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Takes the request and does not answer until healed.
    Hang,
    /// Answers with this status and nothing else.
    Status(u16),
    /// Breaks the connection after so many bytes of an answer's body.
    CutAfter(usize),
}

/// A running Git host. Dropping it ends it and removes the repositories.
pub struct GitServer {
    inner: Arc<Inner>,
}

struct Inner {
    // Dropped in this order: servers before the files they serve.
    https: HttpsServer,
    ssh: OnceLock<Result<SshServer, String>>,
    folder: TempFolder,
}

// === impl GitServer ===

impl GitServer {
    /// Starts a host with no repositories. It has threads of its own and may be
    /// shared by tests with different runtimes.
    ///
    /// # Errors
    /// When git is missing or no port is free.
    pub fn start() -> anyhow::Result<Self> {
        let folder = TempFolder::new("git")?;
        std::fs::create_dir(folder.join("repositories")).context("making the repositories' folder")?;
        let https = HttpsServer::start(folder.join("repositories"))?;
        Ok(Self { inner: Arc::new(Inner { https, ssh: OnceLock::new(), folder }) })
    }

    /// Makes an empty bare repository whose default branch is `main`.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn repo(&self, name: &str) -> anyhow::Result<Repo> {
        Repo::create(Arc::clone(&self.inner), name)
    }

    /// PEM of the authority that signed the https certificate.
    pub fn authority_pem(&self) -> &str {
        self.inner.https.authority_pem()
    }

    /// `127.0.0.1:PORT` of the https server.
    pub fn https_host(&self) -> String {
        self.inner.https.address().to_string()
    }

    /// From now on https asks for this user and password.
    pub fn require_basic(&self, user: &str, password: &str) {
        self.inner.https.state().require_basic(user, password);
    }

    /// From now on https asks for this bearer token.
    pub fn require_bearer(&self, token: &str) {
        self.inner.https.state().require(Some(format!("Bearer {token}")));
    }

    /// From now on https is open to everybody, as at the start.
    pub fn require_nothing(&self) {
        self.inner.https.state().require(None);
    }

    /// From now on https misbehaves.
    pub fn fail(&self, failure: Failure) {
        self.inner.https.state().set_failure(Some(failure));
    }

    /// From now on https behaves; requests that hang go on.
    pub fn heal(&self) {
        self.inner.https.state().set_failure(None);
    }

    /// Every https request so far, in the order in which they came.
    pub fn requests(&self) -> Vec<GitRequest> {
        self.inner.https.state().journal.all()
    }

    /// How often the references of a repository were asked for over https: once
    /// in an `ls-remote`, once more in each fetch. Refused requests do not count.
    pub fn advertisements(&self, repo: &str) -> usize {
        let asked = |r: &GitRequest| r.repo == repo && r.service == Service::Advertise && r.status != 401;
        self.requests().iter().filter(|r| asked(r)).count()
    }

    /// The ssh server, started by the first call.
    ///
    /// # Errors
    /// When there is no `sshd`, or it does not start.
    pub fn ssh(&self) -> anyhow::Result<&SshServer> {
        self.inner.ssh()
    }
}

// === impl Inner ===

impl Inner {
    fn ssh(&self) -> anyhow::Result<&SshServer> {
        let server = self.ssh.get_or_init(|| SshServer::start().map_err(|error| format!("{error:#}")));
        server.as_ref().map_err(|reason| anyhow!("no ssh server: {reason}"))
    }

    fn path_of(&self, name: &str) -> PathBuf {
        self.folder.join("repositories").join(format!("{name}.git"))
    }
}
