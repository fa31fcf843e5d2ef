//! The address book of a replica: where each application, repository and cluster
//! lives, and how to reach it without knowing.
//!
//! Whoever needs a repository or a cluster asks here by its name. One that nobody
//! has asked for yet is declared to the placement, and the asker waits until its
//! owner is known.

mod address;
mod rights;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use actix::Addr;
use argosy_engine::refresh::Level;
use argosy_fleet::{EntityId, Fleet};
use argosy_model::AppKey;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::application::Application;
use crate::bell::{Bell, Wake};
use crate::cluster::{Target, TargetState};
use crate::context::Shared;
use crate::repository::{Forget, Generate, GenerateError, Generated, Lend, Lent, PollNow, Redeclared, Repository};
use crate::views::Views;
use address::SCOPE;

/// How long an asker waits for an entity to find its owner.
const PLACED: Duration = Duration::from_secs(30);

/// How long an asker waits for a cluster's first connection: listing a large one
/// takes a while, and one that hangs must not keep its applications for ever.
const CONNECTED: Duration = Duration::from_secs(120);

/// For how long a repository that moves is asked for again, and after what at least each
/// time. A repository that is not placed in [`PLACED`] is not asked for again.
const MOVED: (Duration, Duration) = (Duration::from_secs(4), Duration::from_millis(100));

const MOVING: &str = "it is moving to another replica";

/// See the module's page.
pub(crate) struct Directory {
    book: RwLock<Book>,
    placement: OnceLock<Arc<dyn Fleet>>,
    /// Counts new addresses, for those who wait for one.
    additions: watch::Sender<u64>,
    views: Views,
}

#[derive(Default)]
struct Book {
    applications: HashMap<AppKey, Entry>,
    by_instance: HashMap<String, AppKey>,
    repositories: HashMap<Arc<str>, Addr<Repository>>,
    clusters: HashMap<Arc<str>, watch::Receiver<TargetState>>,
}

struct Entry {
    address: Addr<Application>,
    bell: Arc<Bell>,
    /// Cluster the application went to last.
    server: Option<String>,
    /// Namespace there whose orphans concern it.
    monitored: Option<String>,
    /// Its cluster belonged to another replica when it last wanted to work.
    waits: bool,
    /// Repositories it read from, by their entity names.
    repositories: HashSet<Arc<str>>,
}

// === impl Directory ===

impl Default for Directory {
    fn default() -> Self {
        Self {
            book: RwLock::default(),
            placement: OnceLock::new(),
            additions: watch::Sender::new(0),
            views: Views::default(),
        }
    }
}

impl Directory {
    /// Says who places entities. Once, before anything is asked for.
    pub(crate) fn place_with(&self, placement: Arc<dyn Fleet>) {
        // A second placement would be a bug of the composition; the first one stays.
        if self.placement.set(placement).is_err() {
            tracing::error!("the directory has a placement already");
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        look(&self.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        change(&mut self.book.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// What onlookers see of applications.
    pub(crate) fn views(&self) -> &Views {
        &self.views
    }

    // --- Applications ----------------------------------------------------

    /// Whether the application has an actor that works.
    pub(crate) fn is_alive(&self, key: &AppKey) -> bool {
        self.read(|book| book.applications.get(key).is_some_and(|entry| entry.address.connected()))
    }

    pub(crate) fn add_application(&self, key: &AppKey, instance: String, address: Addr<Application>, bell: Arc<Bell>) {
        self.write(|book| {
            book.by_instance.insert(instance, key.clone());
            let entry =
                Entry { address, bell, server: None, monitored: None, waits: false, repositories: HashSet::new() };
            book.applications.insert(key.clone(), entry);
        });
    }

    /// Forgets an application, here and where it has registered an interest.
    pub(crate) fn remove_application(&self, key: &AppKey, instance: &str) {
        let gone = self.write(|book| {
            if book.by_instance.get(instance) == Some(key) {
                book.by_instance.remove(instance);
            }
            let entry = book.applications.remove(key)?;
            let interested: Vec<_> =
                entry.repositories.iter().filter_map(|name| book.repositories.get(name).cloned()).collect();
            Some((entry, interested))
        });
        self.views.forget(key);
        let Some((entry, interested)) = gone else { return };
        entry.bell.ring(&entry.address, Wake::Gone);
        for repository in interested {
            #[expect(clippy::disallowed_methods, reason = "one per application that goes, and it must not be lost")]
            repository.do_send(Forget(key.clone()));
        }
    }

    /// Wakes one application for a comparison.
    pub(crate) fn wake(&self, key: &AppKey, level: Level) {
        self.ring(key, Wake::Refresh(level));
    }

    /// Wakes one application.
    pub(crate) fn ring(&self, key: &AppKey, wake: Wake) {
        self.read(|book| {
            if let Some(entry) = book.applications.get(key) {
                entry.bell.ring(&entry.address, wake);
            }
        });
    }

    /// Wakes the application of this name on its resources.
    pub(crate) fn wake_instance(&self, instance: &str, level: Level) {
        self.read(|book| {
            let Some(key) = book.by_instance.get(instance) else { return };
            self.views.touch(key);
            if let Some(entry) = book.applications.get(key) {
                entry.bell.ring(&entry.address, Wake::Refresh(level));
            }
        });
    }

    /// Whether an application has this name on its resources.
    pub(crate) fn knows_instance(&self, instance: &str) -> bool {
        self.read(|book| book.by_instance.contains_key(instance))
    }

    /// Says in which namespace of its cluster orphans concern an application.
    pub(crate) fn monitor(&self, key: &AppKey, namespace: Option<&str>) {
        let known = self.read(|book| book.applications.get(key).map(|e| e.monitored.as_deref() == namespace));
        if known == Some(false) {
            self.write(|book| book.applications.get_mut(key).map(|e| e.monitored = namespace.map(str::to_owned)));
        }
    }

    /// Wakes the applications of a cluster that look for orphans in one of these
    /// namespaces.
    pub(crate) fn wake_monitors(&self, server: &str, namespaces: &HashSet<&str>) {
        self.read(|book| {
            for (key, entry) in &book.applications {
                let monitors = entry.monitored.as_deref().is_some_and(|n| namespaces.contains(n));
                if monitors && entry.server.as_deref() == Some(server) {
                    self.views.touch(key);
                    entry.bell.ring(&entry.address, Wake::Refresh(Level::Recorded));
                }
            }
        });
    }

    /// Wakes every application, or those that go to one cluster.
    pub(crate) fn wake_all(&self, server: Option<&str>, wake: Wake) {
        self.read(|book| {
            for entry in book.applications.values() {
                if server.is_none_or(|server| entry.server.as_deref() == Some(server)) {
                    entry.bell.ring(&entry.address, wake);
                }
            }
        });
    }

    // --- Repositories ----------------------------------------------------

    pub(crate) fn add_repository(&self, name: &Arc<str>, address: Addr<Repository>) {
        self.write(|book| book.repositories.insert(name.clone(), address));
        self.additions.send_modify(|n| *n += 1);
    }

    pub(crate) fn remove_repository(&self, name: &str) {
        self.write(|book| book.repositories.remove(name));
    }

    /// Tells every repository that credentials were declared anew.
    pub(crate) fn redeclare_repositories(&self) {
        let all: Vec<_> = self.read(|book| book.repositories.values().cloned().collect());
        for repository in all {
            #[expect(clippy::disallowed_methods, reason = "one per repository and change of credentials")]
            repository.do_send(Redeclared);
        }
    }

    /// Takes an application off the lists of repositories it no longer reads from.
    pub(crate) fn leave_repositories(&self, shared: &Shared, key: &AppKey, project: &str, urls: &[&str]) {
        let known = self.read(|book| book.applications.get(key).map(|e| e.repositories.len()));
        // One repository, read by a source: nothing to leave.
        if known.is_none_or(|known| known <= 1 && urls.len() == known) {
            return;
        }
        let stays: HashSet<Arc<str>> =
            urls.iter().filter_map(|url| entity_of(shared, project, url).ok()).map(|(_, name)| name).collect();
        let left: Vec<Addr<Repository>> = self.write(|book| {
            let Some(entry) = book.applications.get_mut(key) else { return Vec::new() };
            let left: Vec<Arc<str>> = entry.repositories.difference(&stays).cloned().collect();
            entry.repositories.retain(|name| stays.contains(name));
            left.iter().filter_map(|name| book.repositories.get(name).cloned()).collect()
        });
        for repository in left {
            #[expect(clippy::disallowed_methods, reason = "one per repository an application leaves")]
            repository.do_send(Forget(key.clone()));
        }
    }

    /// Asks the owner of a source's repository for its manifests, and asks again where it
    /// moves: that is nothing to tell an application's owner, nor is the end of this process.
    pub(crate) async fn generate(
        &self,
        shared: &Shared,
        project: &str,
        request: Generate,
    ) -> Result<Generated, GenerateError> {
        let (patience, wait) = MOVED;
        let began = Instant::now();
        loop {
            match self.ask_owner(shared, project, request.clone()).await {
                Err(GenerateError::Moved(_)) if began.elapsed() < patience => sleep(shared.jitter(wait, wait)).await,
                answer => return answer,
            }
        }
    }

    async fn ask_owner(&self, shared: &Shared, project: &str, request: Generate) -> Result<Generated, GenerateError> {
        let (url, name) = entity_of(shared, project, &request.source.repo_url)?;
        let entity = EntityId::Repository { url: name.clone() };
        let key = request.app.clone();
        let found = self.find(entity, |book| book.repositories.get(&name).cloned()).await;
        let repository = found.ok_or_else(|| GenerateError::Moved(url.to_string()))?;
        self.write(|book| book.applications.get_mut(&key).map(|e| e.repositories.insert(name.clone())));
        repository.send(request).await.unwrap_or_else(|_| Err(GenerateError::Moved(url.to_string())))
    }

    /// A project's repository, to look into.
    pub(crate) async fn lend(&self, shared: &Shared, project: &str, url: &str) -> Result<Lent, GenerateError> {
        let (url, name) = entity_of(shared, project, url)?;
        let moved = || GenerateError::Moved(url.to_string());
        let entity = EntityId::Repository { url: name.clone() };
        let found = self.find(entity, |book| book.repositories.get(&name).cloned()).await;
        found.ok_or_else(moved)?.send(Lend).await.unwrap_or_else(|_| Err(moved()))
    }

    /// The names of all repositories that are owned here.
    pub(crate) fn repository_names(&self) -> Vec<Arc<str>> {
        self.read(|book| book.repositories.keys().cloned().collect())
    }

    /// Polls a repository that is owned here; false when it is not any more.
    pub(crate) fn poll_repository(&self, name: &str) -> bool {
        let Some(repository) = self.read(|book| book.repositories.get(name).cloned()) else { return false };
        // A full mailbox means that the repository is asked for something all the time.
        repository.try_send(PollNow).is_ok()
    }

    // --- Clusters --------------------------------------------------------

    pub(crate) fn add_cluster(&self, server: &Arc<str>, state: watch::Receiver<TargetState>) {
        self.write(|book| book.clusters.insert(server.clone(), state));
        self.additions.send_modify(|n| *n += 1);
    }

    pub(crate) fn remove_cluster(&self, server: &str) {
        self.write(|book| book.clusters.remove(server));
    }

    /// How a cluster is doing; `None` when nobody goes there.
    pub(crate) fn cluster_state(&self, server: &str) -> Option<TargetState> {
        let state = self.read(|book| book.clusters.get(server).cloned())?;
        let state = state.borrow();
        Some(state.clone())
    }

    /// A cluster that is connected already.
    pub(crate) fn known_target(&self, server: &str) -> Option<Arc<Target>> {
        let state = self.read(|book| book.clusters.get(server).cloned())?;
        match &*state.borrow() {
            TargetState::Ready(target) => Some(target.clone()),
            TargetState::Connecting | TargetState::Failed(_) => None,
        }
    }

    /// The cluster an application goes to, waiting for its first connection; or
    /// why it cannot be reached.
    pub(crate) async fn target(&self, key: &AppKey, server: &str) -> Result<Arc<Target>, String> {
        let name: Arc<str> = server.into();
        self.write(|book| book.applications.get_mut(key).map(|e| e.server = Some(server.to_owned())));
        let found = self.find(EntityId::cluster(server), |book| book.clusters.get(&name).cloned()).await;
        let mut state = found.ok_or(MOVING)?;
        let settled = async {
            let read = match &*state.wait_for(|s| !matches!(s, TargetState::Connecting)).await.map_err(|_| MOVING)? {
                TargetState::Ready(target) => target.clone(),
                TargetState::Failed(reason) => return Err(reason.clone()),
                TargetState::Connecting => return Err(MOVING.to_owned()),
            };
            let right = self.owned(key, server).ok_or(MOVING)?;
            read.owned(right.epoch()).await
        };
        let read = tokio::time::timeout(CONNECTED, settled).await;
        read.unwrap_or_else(|_| Err("it has not been read completely yet".to_owned()))
    }

    /// An address, after declaring its entity where there is none yet.
    async fn find<T>(&self, entity: EntityId, look: impl Fn(&Book) -> Option<T>) -> Option<T> {
        let mut additions = self.additions.subscribe();
        if let Some(found) = self.read(&look) {
            return Some(found);
        }
        if let Err(error) = self.placement.get()?.declare(vec![entity.clone()]).await {
            tracing::warn!(%entity, %error, "the entity could not be placed");
            return None;
        }
        let placed = async {
            loop {
                if let Some(found) = self.read(&look) {
                    return Some(found);
                }
                additions.changed().await.ok()?;
            }
        };
        tokio::time::timeout(PLACED, placed).await.ok().flatten()
    }
}

/// A source's repository, and its name as an entity for a project.
fn entity_of(shared: &Shared, project: &str, url: &str) -> Result<(argosy_git::RepoUrl, Arc<str>), GenerateError> {
    let parsed = address::read(shared, url)?;
    let scope = shared.home.repositories().resolve(url, project).project;
    let name = repository_name(&parsed, &scope);
    Ok((parsed, name))
}

/// The name of a repository as an entity. Repositories of a project that has its
/// own credentials are apart: what one may read, another may not.
fn repository_name(url: &argosy_git::RepoUrl, project: &str) -> Arc<str> {
    if project.is_empty() { url.to_string().into() } else { format!("{url}{SCOPE}{project}").into() }
}

/// Takes a repository's entity name apart: address and project.
pub(crate) fn repository_parts(name: &str) -> (&str, &str) {
    name.split_once(SCOPE).unwrap_or((name, ""))
}
