//! A whole cluster: the API server with identities, roles and admission, the
//! controllers behind it, and a folder it comes back from.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use argosy_model::Secret;

use crate::controllers::{Controllers, Options, PodOptions, Surroundings};
use crate::faults::Faults;
use crate::identity::{KeyError, StaticToken, TokenKeys};
use crate::journal::Journal;
use crate::kinds::KUBERNETES_VERSION;
use crate::lifecycle::Bootstrap;
use crate::private_file;
use crate::serve::{Sandbox, SandboxOptions, StartError};
use crate::stamp::{Clock, Random};
use crate::store::StoreError;

/// Where the key that signs tokens is kept, within the folder.
const TOKEN_KEY: &str = "tokens.key";
/// Where the last address is kept, within the folder.
const ADDRESS: &str = "address";
/// A free port, reached from this machine alone.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// How a cluster is started.
pub struct ClusterOptions {
    /// Where its state, its keys and its address are kept; `None` keeps all in memory.
    pub data_dir: Option<PathBuf>,
    /// Where it listens. `None` takes the address of the last time where that is
    /// free, so that kubeconfigs stay valid, else a free port of 127.0.0.1.
    pub address: Option<SocketAddr>,
    /// The name of its one node; `None` for a cluster that runs nothing.
    pub node: Option<String>,
    /// Whether the roles `admin`, `edit` and `view` are there. They are most of what a
    /// fresh cluster stores.
    pub user_facing_roles: bool,
    /// How its Pods fare.
    pub pods: PodOptions,
    /// Tokens that are known besides those of service accounts.
    pub tokens: Vec<StaticToken>,
    /// PEM of authorities whose client certificates are believed as its own are.
    pub client_authorities: Option<String>,
    /// Tells the time.
    pub clock: Clock,
    /// Where uids, names and keys come from.
    pub random: Random,
}

/// Why a cluster did not start.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The API server did not.
    #[error(transparent)]
    Serve(#[from] StartError),
    /// The key that signs tokens can be neither made nor used.
    #[error("the key that signs tokens cannot be used")]
    TokenKey(#[from] KeyError),
    /// A file of the folder can be neither read nor written.
    #[error("{} cannot be used", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What every cluster has could not be written.
    #[error("the first objects cannot be written")]
    Store(#[from] StoreError),
}

/// A running cluster; it ends when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    // Dropped first: they write through the other two.
    controllers: Controllers,
    surroundings: Surroundings,
    sandbox: Sandbox,
}

// === impl ClusterOptions ===

impl ClusterOptions {
    /// In memory, on a free port of 127.0.0.1, with one node.
    pub fn new(clock: Clock, random: Random) -> Self {
        Self {
            data_dir: None,
            address: None,
            node: Some("sandbox".to_owned()),
            user_facing_roles: true,
            pods: PodOptions::default(),
            tokens: Vec::new(),
            client_authorities: None,
            clock,
            random,
        }
    }
}

// === impl Cluster ===

impl Cluster {
    /// Starts it.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn start(options: ClusterOptions) -> Result<Self, ClusterError> {
        let folder = options.data_dir.as_deref();
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder).map_err(|source| file_error(folder, source))?;
        }
        let (surroundings, sandbox) = match (options.address, folder.and_then(kept_address)) {
            (None, Some(kept)) => match serve(&options, kept).await {
                Err(ClusterError::Serve(StartError::Listen { .. })) => serve(&options, ANY_PORT).await?,
                other => other?,
            },
            (address, _) => serve(&options, address.unwrap_or(ANY_PORT)).await?,
        };
        if let Some(folder) = folder {
            let path = folder.join(ADDRESS);
            std::fs::write(&path, sandbox.address().to_string()).map_err(|source| file_error(&path, source))?;
        }
        let what = Bootstrap {
            node: options.node.clone(),
            user_facing_roles: options.user_facing_roles,
            version: KUBERNETES_VERSION.to_owned(),
            address: sandbox.address(),
        };
        let behind = Options { node: options.node, pods: options.pods, ..Options::default() };
        let controllers = surroundings.inhabit(&sandbox, &what, behind)?;
        Ok(Self { controllers, surroundings, sandbox })
    }

    /// Its API server.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// What a test makes go wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.surroundings.faults()
    }

    /// Who wrote what.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        self.surroundings.journal()
    }

    /// A kubeconfig for somebody who may do everything.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn admin_kubeconfig(&self) -> Result<String, StartError> {
        self.sandbox.kubeconfig("admin", &["system:masters"])
    }

    /// Ends the controllers, and the API server once its requests have been answered.
    pub async fn shutdown(self) {
        let Self { controllers, sandbox, .. } = self;
        drop(controllers);
        sandbox.shutdown().await;
    }
}

async fn serve(options: &ClusterOptions, address: SocketAddr) -> Result<(Surroundings, Sandbox), ClusterError> {
    let surroundings = Surroundings::new(token_keys(options.data_dir.as_deref())?, options.tokens.clone());
    let options = SandboxOptions {
        data_dir: options.data_dir.clone(),
        address,
        client_authorities: options.client_authorities.clone(),
        hooks: surroundings.hooks(),
        ..SandboxOptions::new(options.clock.clone(), options.random.clone())
    };
    let sandbox = Sandbox::start(options).await?;
    Ok((surroundings, sandbox))
}

/// The keys of a folder stay the same, so that tokens stay valid.
fn token_keys(folder: Option<&Path>) -> Result<TokenKeys, ClusterError> {
    let Some(folder) = folder else { return Ok(TokenKeys::generate()?) };
    let path = folder.join(TOKEN_KEY);
    match std::fs::read_to_string(&path) {
        Ok(pem) => Ok(TokenKeys::from_pem(&Secret::new(pem))?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let keys = TokenKeys::generate()?;
            private_file::write(&path, keys.to_pem().expose()).map_err(|source| file_error(&path, source))?;
            Ok(keys)
        }
        Err(source) => Err(file_error(&path, source)),
    }
}

/// Where it listened the last time, as far as anybody knows.
fn kept_address(folder: &Path) -> Option<SocketAddr> {
    std::fs::read_to_string(folder.join(ADDRESS)).ok()?.trim().parse().ok()
}

fn file_error(path: &Path, source: std::io::Error) -> ClusterError {
    ClusterError::File { path: path.to_owned(), source }
}
