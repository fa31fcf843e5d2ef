//! What every role that works on the home cluster has in common: the way there,
//! the clock, chance, and who the process is to its peers.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use argosy_cluster::ClusterConfig;
use argosy_fleet::peer_tls::{Authority, Identity};
use argosy_home::events::{EventOptions, Pace};
use argosy_home::{Clock, EventWriter, Home, HomeOptions, Peer};
use clap::Args;
use rand::TryRngCore as _;
use tokio_util::sync::CancellationToken;

/// How to find the home cluster.
#[derive(Args, Clone, Debug)]
pub(crate) struct HomeArgs {
    /// Kubeconfig of the home cluster. Without it the current kubeconfig is used, or
    /// the service account of the pod.
    #[arg(long, env = "KUBECONFIG")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// Namespace that holds the settings, and applications unless others are named.
    #[arg(long, short, env = "ARGOCD_CONTROLLER_NAMESPACE", default_value = "argocd")]
    pub(crate) namespace: String,
    /// More namespaces whose applications are served: globs or `/regular expressions/`.
    #[arg(long, env = "ARGOCD_APPLICATION_NAMESPACES", value_delimiter = ',')]
    pub(crate) application_namespaces: Vec<String>,
    /// Kinds of Kubernetes events that are written: `all`, `none`, or reasons. Without
    /// it the setting `controller.enable.k8s.event` decides.
    #[arg(long, value_delimiter = ',')]
    pub(crate) enable_k8s_event: Vec<String>,
}

/// How long a published address counts, and how often it is renewed.
const LEASE: Duration = Duration::from_secs(30);
const RENEWED: Duration = Duration::from_secs(10);

/// The way to the home cluster, once it was found.
pub(crate) struct Way {
    pub(crate) config: ClusterConfig,
    pub(crate) client: kube::Client,
    pub(crate) clock: Clock,
}

// === impl HomeArgs ===

impl HomeArgs {
    /// Finds the home cluster; nothing is asked of it yet.
    ///
    /// # Errors
    /// When there is no usable configuration.
    pub(crate) async fn find(&self) -> anyhow::Result<Way> {
        let config = self.config().await?;
        let client =
            kube::Client::try_from(config.to_kube()?).context("cannot use the home cluster's configuration")?;
        Ok(Way { config, client, clock: clock() })
    }

    /// A kubeconfig where one is named or at hand, else the pod's service account.
    async fn config(&self) -> anyhow::Result<ClusterConfig> {
        let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        if self.kubeconfig.is_none() && self.context.is_none() && in_pod {
            return Ok(ClusterConfig::in_cluster());
        }
        let mut config = ClusterConfig::from_kubeconfig(self.kubeconfig.as_deref(), self.context.as_deref())
            .await
            .context("no home cluster: name a kubeconfig with --kubeconfig or KUBECONFIG, or run inside a cluster")?;
        argosy_model::names::IN_CLUSTER_SERVER.clone_into(&mut config.server);
        argosy_model::names::IN_CLUSTER_NAME.clone_into(&mut config.name);
        Ok(config)
    }

    /// Starts the watches and waits until everything was read once; `None` when
    /// the process is to end before that.
    pub(crate) async fn open(&self, way: &Way, shutdown: &CancellationToken) -> Option<Home> {
        let options = HomeOptions {
            namespace: self.namespace.clone(),
            application_namespaces: self.namespaces(),
            env: self.environment(),
            seed: seed(),
        };
        let home = Home::start(way.client.clone(), options);
        tracing::info!(namespace = self.namespace, server = way.config.server, "reading the home cluster");
        tokio::select! {
            () = home.ready() => Some(home),
            () = shutdown.cancelled() => None,
        }
    }

    /// Namespaces of applications; `None` leaves them to the settings.
    pub(crate) fn namespaces(&self) -> Option<Vec<String>> {
        (!self.application_namespaces.is_empty()).then(|| self.application_namespaces.clone())
    }

    /// The environment with what flags say in the place of its own words.
    fn environment(&self) -> HashMap<String, String> {
        let mut environment: HashMap<String, String> = std::env::vars().collect();
        if !self.enable_k8s_event.is_empty() {
            environment.insert("ARGOCD_ENABLE_K8S_EVENT".to_owned(), self.enable_k8s_event.join(","));
        }
        environment
    }
}

// === impl Way ===

impl Way {
    /// Starts writing events as this component.
    pub(crate) fn events(&self, component: &str) -> EventWriter {
        let options = EventOptions {
            component: component.to_owned(),
            clock: self.clock.clone(),
            ids: Arc::new(|| u64::try_from(since_epoch().as_nanos()).unwrap_or(u64::MAX)),
            pace: Pace::default(),
        };
        EventWriter::start(self.client.clone(), options)
    }

    /// Who this process is to the other replicas of the installation, whose
    /// authority is made with the first of them.
    ///
    /// # Errors
    /// When the authority can be neither read nor kept.
    pub(crate) async fn identity(&self, home: &Home, name: &str) -> anyhow::Result<Identity> {
        let now = (self.clock)();
        let (fresh, key) = Authority::new(now).context("cannot make an authority for replicas")?;
        let kept = home
            .peer_authority(|| (fresh.certificate_pem().to_owned(), key.clone()))
            .await
            .context("cannot read or keep the authority of replicas (Secret argosy-peers)")?;
        let authority = Authority::from_pem(&kept.certificate, kept.key.expose())
            .context("the authority of replicas in the Secret argosy-peers is unusable")?;
        Identity::new(authority, name, self.clock.clone()).context("cannot make a certificate for peers")
    }
}

/// Publishes where this replica answers its peers, until the process ends.
pub(crate) async fn publish(home: Home, peer: Peer, clock: Clock, shutdown: CancellationToken) {
    loop {
        if let Err(error) = home.publish_peer(&peer, LEASE, clock()).await {
            tracing::warn!(%error, "the replica's address could not be published; it is tried again");
        }
        tokio::select! {
            () = tokio::time::sleep(RENEWED) => {}
            () = shutdown.cancelled() => break,
        }
    }
    if let Err(error) = home.withdraw_peer(&peer.name).await {
        tracing::warn!(%error, "the replica's address could not be taken back; it expires by itself");
    }
}

/// The name of this process among its peers.
pub(crate) fn host_name() -> String {
    std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "argosy".to_owned())
}

/// The machine's clock.
pub(crate) fn clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "this is where the clock comes from")]
    Arc::new(jiff::Timestamp::now)
}

/// A number that differs from start to start.
pub(crate) fn seed() -> u64 {
    u64::from(since_epoch().subsec_nanos()) << 32 | u64::from(std::process::id())
}

/// Fills a buffer with random bytes of the system.
pub(crate) fn random_bytes(bytes: &mut [u8]) {
    rand::rngs::OsRng.try_fill_bytes(bytes).expect("the system has a source of random bytes");
}

/// Time since 1970.
pub(crate) fn since_epoch() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "this is where the clock comes from")]
    let now = SystemTime::now();
    // A clock before 1970 is a broken one; then any number will do.
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}
