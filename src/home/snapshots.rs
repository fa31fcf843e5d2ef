//! Keeps the snapshots of settings, repositories and clusters up to date.
//!
//! The settings objects are watched by name, so they count with or without the
//! label that Argo CD asks for. One task wakes when any of them or any credential
//! Secret changes, and publishes only snapshots that differ.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use argosy_model::{AppKey, Secret, names};
use kube::client::Client;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::clusters::Clusters;
use crate::documents;
use crate::object::{ConfigMapObject, SecretObject};
use crate::repositories::Repositories;
use crate::settings::{Names, Problem, Settings, Sources};
use crate::store::Store;
use crate::watch::{Target, Watched, run};

/// How long a writer waits for the snapshot of what it wrote: far more than
/// reading all settings takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// The API of Secrets and ConfigMaps.
const CORE: &str = "/api/v1";

/// The published snapshots.
pub(crate) struct Snapshots {
    pub(crate) settings: watch::Sender<Arc<Settings>>,
    pub(crate) repositories: watch::Sender<Arc<Repositories>>,
    pub(crate) clusters: watch::Sender<Arc<Clusters>>,
    /// Whether the first ones have been published.
    pub(crate) ready: watch::Sender<bool>,
    /// How far the inputs were that they were made from.
    made_from: watch::Sender<Progress>,
}

/// How many changes each of the inputs has seen.
type Progress = [u64; 4];

/// What the snapshots are made from.
#[derive(Clone)]
pub(crate) struct Inputs {
    pub(crate) config_maps: Arc<Store<ConfigMapObject>>,
    /// `argocd-secret`.
    pub(crate) secret: Arc<Store<SecretObject>>,
    /// Secrets that are part of Argo CD, which `$name:key` may refer to.
    parts: Arc<Store<SecretObject>>,
    /// Repositories, templates, clusters.
    pub(crate) credentials: Arc<Store<SecretObject>>,
}

// === impl Snapshots ===

impl Snapshots {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            settings: watch::Sender::default(),
            repositories: watch::Sender::default(),
            clusters: watch::Sender::default(),
            ready: watch::Sender::new(false),
            made_from: watch::Sender::new([0; 4]),
        })
    }

    /// Follows the inputs until it is dropped.
    pub(crate) async fn follow(self: Arc<Self>, inputs: Inputs, env: HashMap<String, String>) {
        inputs.synced().await;
        let mut versions = inputs.versions();
        loop {
            let progress = versions.each_mut().map(|version| *version.borrow_and_update());
            self.publish(&inputs, &env);
            self.made_from.send_replace(progress);
            self.ready.send_replace(true);
            let [config_maps, secret, parts, credentials] = &mut versions;
            // The senders are in `inputs`, so that none of these can fail.
            let _ = tokio::select! {
                changed = config_maps.changed() => changed,
                changed = secret.changed() => changed,
                changed = parts.changed() => changed,
                changed = credentials.changed() => changed,
            };
        }
    }

    /// Returns when the snapshots are made of all that the inputs hold now.
    pub(crate) async fn catch_up(&self, inputs: &Inputs) {
        let now = inputs.versions().map(|version| *version.borrow());
        let mut made_from = self.made_from.subscribe();
        let reached = made_from.wait_for(|progress| progress.iter().zip(&now).all(|(at, wanted)| at >= wanted));
        if timeout(PATIENCE, reached).await.is_err() {
            tracing::debug!("written, and not in the snapshots yet");
        }
    }

    fn publish(&self, inputs: &Inputs, env: &HashMap<String, String>) {
        let previous = self.settings.borrow().clone();
        let settings = Settings::read(Arc::new(inputs.sources(env)), &previous);
        report("settings", &previous.problems, &settings.problems);
        let secrets = inputs.credentials.list();
        let each = || secrets.iter().map(|(key, secret)| (key, &**secret));
        let repositories = Repositories::read(each(), &settings);
        report("repository", &self.repositories.borrow().problems, &repositories.problems);
        let clusters = Clusters::read(each(), settings.general.in_cluster_enabled);
        report("cluster", &self.clusters.borrow().problems, &clusters.problems);
        replace(&self.settings, settings);
        replace(&self.repositories, repositories);
        replace(&self.clusters, clusters);
    }
}

fn replace<T: PartialEq>(sender: &watch::Sender<Arc<T>>, new: T) {
    sender.send_if_modified(|current| {
        let differs = **current != new;
        if differs {
            *current = Arc::new(new);
        }
        differs
    });
}

/// Logs each problem once, when it appears.
fn report(what: &'static str, previous: &[Problem], now: &[Problem]) {
    for problem in now.iter().filter(|problem| !previous.contains(problem)) {
        tracing::warn!(what, key = %problem.key, message = %problem.message, "cannot be used as it is set");
    }
}

// === impl Inputs ===

impl Inputs {
    pub(crate) fn new() -> Self {
        Self {
            config_maps: Store::new(Names::CONFIG_MAPS.len()),
            secret: Store::new(1),
            parts: Store::new(1),
            credentials: Store::new(1),
        }
    }

    /// The watches that fill them, each to be spawned.
    pub(crate) fn watches(
        &self,
        client: &Client,
        namespace: &str,
        seed: u64,
    ) -> Vec<impl Future<Output = ()> + Send + 'static> {
        let target = |plural| Target::new(CORE, Some(namespace), plural);
        let mut all = Vec::new();
        let mut add = |future: BoxFuture| all.push(future);
        for (i, name) in (0..).zip(Names::CONFIG_MAPS) {
            let one = target("configmaps").named(name);
            add(Box::pin(fill(client.clone(), one, seed ^ i, self.config_maps.clone(), move |k| &*k.name == name)));
        }
        let one = target("secrets").named(Names::SECRET);
        add(Box::pin(fill(client.clone(), one, seed ^ 16, self.secret.clone(), |_| true)));
        let part_of = format!("{}={}", names::LABEL_PART_OF, names::PART_OF_VALUE);
        let parts = target("secrets").labelled(&part_of);
        // The replicas' own documents are no settings, and no text may refer to them.
        let is_setting = |key: &AppKey| !documents::is_document(&key.name);
        add(Box::pin(fill(client.clone(), parts, seed ^ 17, self.parts.clone(), is_setting)));
        let credentials = target("secrets").labelled(names::LABEL_SECRET_TYPE);
        add(Box::pin(fill(client.clone(), credentials, seed ^ 18, self.credentials.clone(), |_| true)));
        all
    }

    async fn synced(&self) {
        self.config_maps.synced().await;
        self.secret.synced().await;
        self.parts.synced().await;
        self.credentials.synced().await;
    }

    fn versions(&self) -> [watch::Receiver<u64>; 4] {
        [self.config_maps.version(), self.secret.version(), self.parts.version(), self.credentials.version()]
    }

    fn sources(&self, env: &HashMap<String, String>) -> Sources {
        let mut sources = Sources { env: env.clone(), ..Sources::default() };
        for (key, object) in self.config_maps.list() {
            if let Some(data) = sources.config_map_mut(&key.name) {
                data.clone_from(&object.data);
            }
        }
        let mut secrets = BTreeMap::new();
        for (key, object) in self.parts.list() {
            let named = object.data.expose().iter().map(|(k, v)| (format!("{}:{k}", key.name), v.clone()));
            secrets.extend(named);
        }
        for (_, object) in self.secret.list() {
            secrets.extend(object.data.expose().clone());
        }
        sources.secrets = Secret::new(secrets);
        sources
    }
}

type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// Fills a store from one watch. `owned` tells which keys are that watch's.
pub(crate) async fn fill<T: Watched>(
    client: Client,
    target: Target,
    seed: u64,
    store: Arc<Store<T>>,
    owned: impl Fn(&AppKey) -> bool + Send,
) {
    let mut first = true;
    run::<T>(client, target, seed, move |event| {
        let synced = matches!(event, crate::watch::Event::Synced { .. });
        store.on_event(event, &owned);
        if synced && std::mem::take(&mut first) {
            store.on_first_sync();
        }
    })
    .await;
}
