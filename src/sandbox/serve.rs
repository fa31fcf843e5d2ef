//! The HTTP side of a sandbox: one listener with TLS, the verbs of the API over
//! the [`Store`], and the documents that describe what there is.
//!
//! A [`Sandbox`] owns its listener and its connections; [`Sandbox::shutdown`] ends
//! both. Kinds, schemas and documents of Kubernetes' own are shared by all the
//! sandboxes of a process. With a folder, an answer to a write is sent when the
//! write would survive the end of the process.

mod api;
mod body;
mod certificate;
mod delete;
mod discovery;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handle;
mod listener;
mod metrics;
mod openapi;
mod order;
mod own;
mod patch;
mod prepare;
mod query;
mod question;
mod read;
mod respond;
mod route;
mod scale;
mod select;
mod validate;
mod watch;
mod write;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use argosy_model::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::api::Api;
use self::certificate::{Authority, Signed};
use crate::hooks::Hooks;
use crate::kinds::Kinds;
use crate::private_file;
use crate::stamp::{Clock, Random, Stamps};
use crate::store::{DEFAULT_HISTORY, DiskError, Store};

/// Makes the hooks of a sandbox from its objects, kinds and stamps.
pub type MakeHooks = Box<dyn FnOnce(&Store, &Kinds, &Stamps) -> Hooks + Send>;

/// How a sandbox is started.
pub struct SandboxOptions {
    /// Where its state is kept; `None` keeps it in memory.
    pub data_dir: Option<PathBuf>,
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// More names and addresses for its certificate.
    pub names: Vec<String>,
    /// PEM of authorities whose client certificates are believed as its own are.
    pub client_authorities: Option<String>,
    /// Tells the time.
    pub clock: Clock,
    /// Where uids, names and keys come from.
    pub random: Random,
    /// Events remembered per resource.
    pub history: usize,
    /// Makes what surrounds the machinery; given what it may want to look at.
    pub hooks: MakeHooks,
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened at.
    #[error("cannot listen at {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The folder cannot be used.
    #[error("the folder of the sandbox cannot be used")]
    Folder(#[source] std::io::Error),
    /// Nor what is kept in it.
    #[error("the state of the sandbox cannot be used")]
    State(#[source] DiskError),
    /// No certificate can be made.
    #[error("the sandbox's certificates cannot be made")]
    Certificate {
        /// Why not.
        source: rcgen::Error,
    },
    /// The authorities of clients are no certificates.
    #[error("the authorities of client certificates are no PEM of certificates")]
    ClientAuthorities,
    /// The TLS library refuses.
    #[error("the sandbox's TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// Who a client is, by certificate.
#[derive(Debug)]
pub struct ClientIdentity {
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key.
    pub key_pem: Secret<String>,
}

/// A running API server.
pub struct Sandbox {
    api: Arc<Api>,
    address: SocketAddr,
    authority: Authority,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

// === impl SandboxOptions ===

impl SandboxOptions {
    /// In memory, on a free port of 127.0.0.1, with permissive hooks.
    pub fn new(clock: Clock, random: Random) -> Self {
        Self {
            data_dir: None,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            names: Vec::new(),
            client_authorities: None,
            clock,
            random,
            history: DEFAULT_HISTORY,
            hooks: Box::new(|_, _, _| Hooks::default()),
        }
    }
}

// === impl Sandbox ===

impl Sandbox {
    /// Starts listening.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(options: SandboxOptions) -> Result<Self, StartError> {
        let stamps = Stamps::new(options.clock, options.random);
        let (store, kept) = match &options.data_dir {
            Some(folder) => {
                std::fs::create_dir_all(folder).map_err(StartError::Folder)?;
                let store = Store::open(&folder.join("state.redb"), options.history).map_err(StartError::State)?;
                (store, Some(folder.clone()))
            }
            None => (Store::with_history(options.history), None),
        };
        let authority = keep_authority(kept.as_deref())?;
        let address = options.address;
        let listener = TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
        let kinds = Kinds::new();
        let hooks = (options.hooks)(&store, &kinds, &stamps);
        let api = Arc::new(Api::new(store, kinds, stamps, hooks, address.to_string()));
        api.load_definitions();
        let mut names = vec!["127.0.0.1".to_owned(), "localhost".to_owned(), "kubernetes.default.svc".to_owned()];
        names.push(address.ip().to_string());
        names.extend(options.names);
        names.sort();
        names.dedup();
        let tls = listener::tls(&authority, &authority.sign_server(&names)?, options.client_authorities.as_deref())?;
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(listener::serve(listener, tls, api.clone(), shutdown.clone(), tasks.clone()));
        Ok(Self { api, address, authority, shutdown, tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is: `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The authority that signed its certificate.
    pub fn ca_pem(&self) -> &str {
        &self.authority.pem
    }

    /// A certificate for a user of this sandbox, and its key; members of
    /// `system:masters` may do everything.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn sign_client(&self, user: &str, groups: &[&str]) -> Result<ClientIdentity, StartError> {
        let Signed { pem, key_pem, .. } = self.authority.sign_client(user, groups)?;
        Ok(ClientIdentity { certificate_pem: pem, key_pem: Secret::new(key_pem) })
    }

    /// A kubeconfig for a user with a client certificate of this sandbox.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn kubeconfig(&self, user: &str, groups: &[&str]) -> Result<String, StartError> {
        let identity = self.sign_client(user, groups)?;
        Ok(self.kubeconfig_with(&format!(
            "client-certificate-data: {}, client-key-data: {}",
            BASE64.encode(identity.certificate_pem),
            BASE64.encode(identity.key_pem.expose())
        )))
    }

    /// A kubeconfig for the bearer of a token.
    pub fn kubeconfig_with_token(&self, token: &str) -> String {
        self.kubeconfig_with(&format!("token: {}", serde_json::Value::from(token)))
    }

    /// Its objects.
    pub fn store(&self) -> &Store {
        &self.api.store
    }

    /// Its kinds.
    pub fn kinds(&self) -> &Kinds {
        &self.api.kinds
    }

    /// Its times, uids and names.
    pub fn stamps(&self) -> &Stamps {
        &self.api.stamps
    }

    /// Ends the listener and every connection, and waits for that.
    pub async fn shutdown(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn kubeconfig_with(&self, user: &str) -> String {
        let authority = BASE64.encode(&self.authority.pem);
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: sandbox\n\
             clusters:\n- name: sandbox\n  cluster: {{server: \"{}\", certificate-authority-data: {authority}}}\n\
             contexts:\n- name: sandbox\n  context: {{cluster: sandbox, user: sandbox}}\n\
             users:\n- name: sandbox\n  user: {{{user}}}\n",
            self.url()
        )
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The authority of a folder stays the same, so that kubeconfigs stay valid.
fn keep_authority(folder: Option<&std::path::Path>) -> Result<Authority, StartError> {
    let Some(folder) = folder else { return Authority::load(None).map(|(authority, _)| authority) };
    let (certificate, key) = (folder.join("authority.crt"), folder.join("authority.key"));
    let kept = match (std::fs::read_to_string(&certificate), std::fs::read_to_string(&key)) {
        (Ok(certificate), Ok(key)) => Some((certificate, key)),
        _ => None,
    };
    let is_new = kept.is_none();
    let (authority, key_pem) = Authority::load(kept)?;
    if is_new {
        private_file::write(&key, &key_pem).map_err(StartError::Folder)?;
        std::fs::write(&certificate, &authority.pem).map_err(StartError::Folder)?;
    }
    Ok(authority)
}
