//! How the fleet's etcd is reached, and how patient the fleet is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::id::{Cost, Epoch, Replica};

/// See the fields; [`EtcdOptions::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct EtcdOptions {
    /// This replica, under a name that no other process has or had.
    pub me: Replica,
    /// Addresses of etcd, `https://host:2379`. One that is dead is passed over.
    pub endpoints: Vec<String>,
    /// What all keys begin with. An etcd may be shared with others.
    pub prefix: String,
    /// How etcd is trusted and how it knows this replica; `None` speaks without TLS.
    pub tls: Option<EtcdTls>,
    /// User and password, where etcd asks for them.
    pub user: Option<EtcdUser>,
    /// Where both come from, which may change: asked whenever etcd does not answer or refuses.
    pub access: Option<AccessSource>,
    /// After how long without a word from it a replica is taken for dead. Whole
    /// seconds, at least 2.
    pub lease: Duration,
    /// How much earlier a replica stops by its own clock. It covers clocks that
    /// run at different speeds.
    pub margin: Duration,
    /// Whether this replica may lead.
    pub stands: bool,
    /// How long changes are gathered before the leader decides.
    pub settle: Duration,
    /// How long a replica may prepare to take over from another, at most. What has to
    /// be read of a large cluster takes a while.
    pub prepare: Duration,
    /// What a cluster costs at least that is split at all, however little else there
    /// is to do.
    pub worth_splitting: Cost,
    /// How often costs are written, and how soon after a move they may cause another.
    pub cost_interval: Duration,
    /// Where epochs start when etcd knows none: above all that were ever used
    /// with the same clusters.
    pub first_epoch: Epoch,
}

/// TLS towards etcd. Everything is PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdTls {
    /// Authority that signed the certificates of etcd.
    pub authority: Vec<u8>,
    /// Certificate and key of this replica, where etcd asks for one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// Who this replica is to etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdUser {
    /// Name of the user.
    pub name: String,
    /// Its password.
    pub password: String,
}

/// What etcd trusts and is trusted by, read anew.
#[derive(Clone)]
pub struct AccessSource(Arc<ReadAccess>);

/// The error is in words.
type ReadAccess = dyn Fn() -> Result<(Option<EtcdTls>, Option<EtcdUser>), String> + Send + Sync;

// === impl AccessSource ===

impl AccessSource {
    /// Reads with this, which may block for as long as small files take.
    pub fn new(read: impl Fn() -> Result<(Option<EtcdTls>, Option<EtcdUser>), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub(crate) fn read(&self) -> Result<(Option<EtcdTls>, Option<EtcdUser>), String> {
        (self.0)()
    }
}

impl fmt::Debug for AccessSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessSource").finish_non_exhaustive()
    }
}

// === impl EtcdOptions ===

impl EtcdOptions {
    /// The defaults: a lease of 10 s that ends 1 s earlier here.
    pub fn new(me: Replica, endpoints: Vec<String>) -> Self {
        Self {
            me,
            endpoints,
            prefix: "/argosy".to_owned(),
            tls: None,
            user: None,
            access: None,
            lease: Duration::from_secs(10),
            margin: Duration::from_secs(1),
            stands: true,
            settle: Duration::from_millis(100),
            prepare: Duration::from_secs(120),
            worth_splitting: Cost(50_000),
            cost_interval: Duration::from_secs(30),
            first_epoch: Epoch(1),
        }
    }

    /// How long the lease holds here, from the moment a keepalive was sent.
    pub(crate) fn held(&self) -> Duration {
        self.lease.saturating_sub(self.margin)
    }
}

// === impl EtcdTls ===

impl fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdTls").field("identity", &self.identity.is_some()).finish_non_exhaustive()
    }
}

// === impl EtcdUser ===

impl fmt::Debug for EtcdUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdUser").field("name", &self.name).finish_non_exhaustive()
    }
}
