//! A connected cluster, as passes over applications use it.

use std::sync::Arc;
use std::time::Duration;

use argosy_cluster::live::{Coverage, tree_kinds};
use argosy_cluster::{Applier, Connection, Discovery, FilterRule, LiveOptions, LiveState, OpenApi, ResourceFilter};
use argosy_fleet::Epoch;
use argosy_home::Settings;
use argosy_model::{AppKey, GroupKind};

use super::interest::Interest;
use super::{Writer, Writers};
use crate::context::Shared;
use crate::normalizers;

/// Everything about one connected cluster. Reading it takes no message: it is
/// the cluster's own index, kept current by its watches.
pub(crate) struct Target {
    pub(crate) server: String,
    pub(crate) discovery: Arc<Discovery>,
    pub(crate) openapi: Arc<OpenApi>,
    pub(crate) live: LiveState,
    pub(crate) applier: Applier,
    pub(crate) version: String,
    pub(crate) writers: Arc<Writers>,
    pub(super) interest: Arc<Interest>,
}

/// How a cluster is doing.
#[derive(Clone)]
pub(crate) enum TargetState {
    /// Nothing is known yet.
    Connecting,
    /// Connected, every kind seen once that can be.
    Ready(Arc<Target>),
    /// No connection, for this reason.
    Failed(String),
}

// === impl Target ===

impl Target {
    /// Reads all objects anew, in place.
    pub(crate) fn read_again(&self, shared: &Shared) {
        self.live.configure(options(shared, &shared.home.settings()));
    }

    /// The same cluster, changed through the connection of an ownership, once there is
    /// one.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn owned(&self, epoch: Epoch) -> Result<Arc<Self>, String> {
        let Writer { connection, .. } = self.writers.of(epoch).await?;
        let (discovery, openapi, live) = (self.discovery.clone(), self.openapi.clone(), self.live.clone());
        let applier = Applier::new(connection, discovery.clone(), openapi.clone(), Some(live.clone()));
        let (server, version, writers) = (self.server.clone(), self.version.clone(), self.writers.clone());
        let interest = self.interest.clone();
        Ok(Arc::new(Self { server, discovery, openapi, live, applier, version, writers, interest }))
    }

    /// An application manages these kinds: they are watched in full.
    pub(crate) fn manage(&self, key: &AppKey, kinds: &[GroupKind]) {
        self.interest.manage(&self.live, key, kinds);
    }

    /// Changes whenever kinds come or go.
    pub(crate) fn discovery_generation(&self) -> u64 {
        *self.discovery.changes().borrow()
    }
}

/// Longest wait for kinds of which the watches fail: a cluster may have an API whose
/// backend is away, and all else of it can be worked with.
const GRACE: Duration = Duration::from_secs(30);

/// Reads discovery, starts the watches under these settings and waits until all are
/// through, or the connection is closed. Kinds that go on failing are waited for no
/// longer than [`GRACE`], unless all of them do.
pub(super) async fn open(
    (shared, settings): (Arc<Shared>, Arc<Settings>),
    server: Arc<str>,
    connection: Connection,
    writers: Arc<Writers>,
    interest: Arc<Interest>,
) -> Result<Arc<Target>, String> {
    let version = connection.server_version().await.map_err(|e| argosy_model::report(&e))?;
    let discovery = Discovery::new(connection.clone());
    discovery.refresh().await.map_err(|e| argosy_model::report(&e))?;
    let openapi = OpenApi::new(connection.clone());
    let live = LiveState::start(
        connection.clone(),
        discovery.clone(),
        openapi.clone(),
        options(&shared, &settings),
        coverage(&shared, &settings, &server),
    );
    live.want(interest.wanted());
    let without_failing = async {
        tokio::time::sleep(GRACE).await;
        live.mostly_synced().await;
    };
    tokio::select! {
        () = live.synced() => {}
        () = without_failing => {}
        () = connection.closed() => return Err("the connection has been closed".to_owned()),
    }
    let applier = Applier::new(connection, discovery.clone(), openapi.clone(), Some(live.clone()));
    let version = version.git_version;
    tracing::info!(server = &*server, version, "cluster connected");
    let server = server.to_string();
    Ok(Arc::new(Target { server, discovery, openapi, live, applier, version, writers, interest }))
}

/// How objects are read under the settings.
pub(super) fn options(shared: &Shared, settings: &Arc<Settings>) -> LiveOptions {
    let normalizer = Arc::new(normalizers::compile_updates(settings));
    let managers = settings
        .overrides
        .values()
        .any(|o| o.ignore_differences.as_ref().is_some_and(|i| !i.managed_fields_managers.is_empty()));
    let health = shared.health.of(settings);
    // A kind with a rule of its own is one people look for in a tree.
    let tree_kinds = tree_kinds().into_iter().chain(health.kinds()).collect();
    LiveOptions {
        tracking: settings.tracking.clone(),
        health,
        tree_kinds,
        ignore_updates: Arc::new(move |object| {
            let schemas = argosy_engine::schema::Schemas::default();
            if let Some(std::borrow::Cow::Owned(reduced)) = normalizer.normalize(None, Some(object), &schemas).live {
                *object = reduced;
            }
        }),
        keep_managed_fields: managers,
    }
}

/// What of the cluster is looked at under the settings.
pub(super) fn coverage(shared: &Shared, settings: &Settings, server: &str) -> Coverage {
    let rules = |rules: &[argosy_home::settings::FilteredResource]| {
        rules
            .iter()
            .map(|r| FilterRule {
                api_groups: r.api_groups.clone(),
                kinds: r.kinds.clone(),
                clusters: r.clusters.clone(),
            })
            .collect()
    };
    let secret = shared.home.clusters().by_server(server).ok();
    Coverage {
        filter: ResourceFilter {
            exclusions: rules(&settings.filter.exclusions),
            inclusions: rules(&settings.filter.inclusions),
        },
        namespaces: secret.as_ref().map(|s| s.namespaces.clone()).unwrap_or_default(),
        cluster_resources: secret.is_some_and(|s| s.cluster_resources),
    }
}
