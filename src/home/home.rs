//! The handle to the home cluster: watches, stores, snapshots and writes.

mod admitted;
mod boot;
mod certificate;
mod clusters;
mod credentials;
mod involved;
mod maps;
mod modify;
mod objects;
mod peers;
mod sessions;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use argosy_model::AppKey;
use argosy_proto::resource::CustomResource;
use argosy_proto::v1alpha1::{AppProject, Application, ApplicationSet};
use kube::client::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::call::{Call, PATIENCE, Path};
use crate::clusters::Clusters;
use crate::concern::Moment;
use crate::documents::Documents;
use crate::error::{Error, Result};
use crate::repositories::Repositories;
use crate::settings::Settings;
use crate::snapshots::{Inputs, Snapshots, fill};
use crate::store::Store;
use crate::watch::{Target, Watched};
use admitted::{Admitted, watch_admitted};

pub use boot::Prepared;
pub use credentials::Access;
pub use objects::{Cascade, Deletion};
pub use peers::Peer;

const ROOT: &str = "/apis/argoproj.io/v1alpha1";

/// Where the control plane lives and what it looks at.
#[derive(Clone, Debug, Default)]
pub struct HomeOptions {
    /// Namespace of the settings, credentials and projects.
    pub namespace: String,
    /// Namespaces besides it in which Applications are looked for: names, globs,
    /// `/regex/`. `None` follows the setting `application.namespaces`.
    pub application_namespaces: Option<Vec<String>>,
    /// Environment variables that override settings.
    pub env: HashMap<String, String>,
    /// Spreads retries and the ends of watches over replicas.
    pub seed: u64,
}

/// The home cluster. Clones share everything; the last one to go ends the watches.
#[derive(Clone)]
pub struct Home {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    namespace: String,
    apps: Arc<Store<Application>>,
    projects: Arc<Store<AppProject>>,
    /// Watched from the first time that somebody asks for them.
    application_sets: OnceLock<(Arc<Store<ApplicationSet>>, AbortOnDropHandle<()>)>,
    peers: watch::Sender<Arc<Vec<Peer>>>,
    peer_watch: OnceLock<[AbortOnDropHandle<()>; 2]>,
    inputs: Inputs,
    snapshots: Arc<Snapshots>,
    documents: Arc<Documents>,
    admitted: Admitted,
    /// A new seed for each call's retries.
    seed: AtomicU64,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

// === impl Home ===

impl Home {
    /// Starts watching. Must be called on a tokio runtime; returns at once, see
    /// [`Self::ready`].
    pub fn start(client: Client, options: HomeOptions) -> Self {
        let HomeOptions { namespace, application_namespaces, env, seed } = options;
        let (apps, projects) = (Store::new(1), Store::new(1));
        let (inputs, snapshots) = (Inputs::new(), Snapshots::new());
        let documents = Documents::new(&namespace, inputs.secret.clone());
        let admitted =
            Admitted { snapshots: snapshots.clone(), home: namespace.clone(), fixed: application_namespaces };
        let mut tasks: Vec<_> = inputs.watches(&client, &namespace, seed).into_iter().map(spawn).collect();
        let target = Target::new(ROOT, Some(&namespace), AppProject::PLURAL);
        tasks.push(spawn(fill(client.clone(), target, seed ^ 32, projects.clone(), |_| true)));
        tasks.push(spawn(snapshots.clone().follow(inputs.clone(), env)));
        tasks.push(spawn(watch_admitted(client.clone(), apps.clone(), admitted.clone(), seed ^ 64)));
        tasks.extend(documents.watches(&client, seed).map(spawn));
        tasks.push(spawn(documents.clone().follow()));
        let shared = Shared {
            client,
            namespace,
            apps,
            projects,
            application_sets: OnceLock::new(),
            peers: watch::Sender::default(),
            peer_watch: OnceLock::new(),
            inputs,
            snapshots,
            documents,
            admitted,
            seed: AtomicU64::new(seed),
            _tasks: tasks,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns once everything that existed at the start is in the stores and
    /// snapshots. Waits as long as the API cannot be reached.
    pub async fn ready(&self) {
        let Shared { apps, projects, snapshots, documents, .. } = &*self.shared;
        // The sender is in `self` and cannot be gone.
        let _ = snapshots.ready.subscribe().wait_for(|ready| *ready).await;
        documents.ready().await;
        projects.synced().await;
        apps.synced().await;
    }

    /// Namespace of the control plane.
    pub fn namespace(&self) -> &str {
        &self.shared.namespace
    }

    /// The Applications.
    pub fn apps(&self) -> &Store<Application> {
        &self.shared.apps
    }

    /// The AppProjects of the control plane's namespace.
    pub fn projects(&self) -> &Store<AppProject> {
        &self.shared.projects
    }

    /// The ApplicationSets of the namespaces where Applications are looked for.
    /// They are watched from the first call on, which must be on a tokio runtime;
    /// [`Store::synced`] tells when they are complete.
    pub fn application_sets(&self) -> &Store<ApplicationSet> {
        let Shared { client, admitted, .. } = &*self.shared;
        let (store, _) = self.shared.application_sets.get_or_init(|| {
            let store = Store::new(1);
            let watch = watch_admitted(client.clone(), store.clone(), admitted.clone(), self.seed());
            (store, spawn(watch))
        });
        store
    }

    /// A project by its name.
    pub fn project(&self, name: &str) -> Option<Arc<AppProject>> {
        self.shared.projects.get(&AppKey::new(&self.shared.namespace, name))
    }

    /// The settings now.
    pub fn settings(&self) -> Arc<Settings> {
        self.shared.snapshots.settings.borrow().clone()
    }

    /// Wakes when the settings have changed.
    pub fn settings_changes(&self) -> watch::Receiver<Arc<Settings>> {
        self.shared.snapshots.settings.subscribe()
    }

    /// Repositories and their credentials now.
    pub fn repositories(&self) -> Arc<Repositories> {
        self.shared.snapshots.repositories.borrow().clone()
    }

    /// Wakes when they have changed.
    pub fn repositories_changes(&self) -> watch::Receiver<Arc<Repositories>> {
        self.shared.snapshots.repositories.subscribe()
    }

    /// The clusters now.
    pub fn clusters(&self) -> Arc<Clusters> {
        self.shared.snapshots.clusters.borrow().clone()
    }

    /// Wakes when they have changed; [`Clusters::changes_since`] tells how.
    pub fn clusters_changes(&self) -> watch::Receiver<Arc<Clusters>> {
        self.shared.snapshots.clusters.subscribe()
    }

    /// Merge-patches an Application; with a version, only if it still has that
    /// one. The answer is in the store before this returns. Tried again for a few
    /// seconds while the API is overloaded or away.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`] (changed meanwhile; after a lost
    /// answer perhaps by this very call), [`Error::TooLarge`],
    /// [`Error::Forbidden`], or another.
    pub async fn patch_application(
        &self,
        key: &AppKey,
        merge_patch: Value,
        resource_version: Option<&str>,
    ) -> Result<Arc<Application>> {
        self.patch(&self.shared.apps, key, merge_patch, resource_version).await
    }

    /// The same for an AppProject.
    ///
    /// # Errors
    /// As [`Self::patch_application`].
    pub async fn patch_project(
        &self,
        key: &AppKey,
        merge_patch: Value,
        resource_version: Option<&str>,
    ) -> Result<Arc<AppProject>> {
        self.patch(&self.shared.projects, key, merge_patch, resource_version).await
    }

    /// Asks the API for an Application; what it says is in the store before this
    /// returns, where the Application is known there.
    ///
    /// # Errors
    /// As [`Self::patch_application`].
    pub async fn get_application(&self, key: &AppKey) -> Result<Arc<Application>> {
        self.send(&self.shared.apps, key, &Call::get(path::<Application>(key))).await
    }

    /// What applications rely on besides their objects and projects, now.
    pub fn moment(&self) -> Moment {
        Moment::new(self.settings(), self.clusters(), self.repositories())
    }

    /// An Application from memory. One that is not known is asked for: another replica's
    /// watch may have been faster. `None` where there is none, or none in the
    /// namespaces that are looked at.
    ///
    /// # Errors
    /// When the API cannot be asked, or the object is malformed.
    pub async fn find_application(&self, key: &AppKey) -> Result<Option<Arc<Application>>> {
        if let Some(app) = self.apps().get(key) {
            return Ok(Some(app));
        }
        match self.get_application(key).await {
            Ok(_) => Ok(self.apps().arrival(key).await),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn patch<T: CustomResource + Watched>(
        &self,
        store: &Store<T>,
        key: &AppKey,
        mut patch: Value,
        version: Option<&str>,
    ) -> Result<Arc<T>> {
        if let Some(version) = version {
            argosy_proto::resource::apply_merge_patch(&mut patch, &json!({"metadata": {"resourceVersion": version}}));
        }
        self.send(store, key, &Call::merge_patch(path::<T>(key), &patch)).await
    }

    async fn send<T: CustomResource + Watched>(&self, store: &Store<T>, key: &AppKey, call: &Call) -> Result<Arc<T>> {
        let answer = call.send_with_retries(&self.shared.client, PATIENCE, self.seed()).await?;
        let mut object: T =
            serde_json::from_slice(&answer).map_err(|source| Error::Decode { what: "a custom resource", source })?;
        object.slim();
        Ok(store.on_written(key, object))
    }

    fn seed(&self) -> u64 {
        self.shared.seed.fetch_add(1, Ordering::Relaxed)
    }
}

fn path<T: CustomResource>(key: &AppKey) -> Path {
    Path::new(ROOT).segment("namespaces").segment(&key.namespace).segment(T::PLURAL).segment(&key.name)
}

fn spawn(future: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(future))
}
