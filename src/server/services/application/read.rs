//! Lists, watches and single applications.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use argosy_model::{AppKey, ResourceKey, names};
use argosy_proto::application::ApplicationQuery;
use argosy_proto::meta::ListMeta;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{Application, ApplicationList, ApplicationWatchEvent, HealthStatus, ResourceNode};
use futures::stream;
use serde_json::json;
use tonic::Status;

use super::Service;
use super::answer::within;
use super::found::{Found, Named, Read};
use super::present::shown;
use super::viewer::Grounds;
use crate::caller::Caller;
use crate::index::{Event, EventKind, Filter, Replay, Selector, Watcher, version};
use crate::peers::application_ref;
use crate::permission::action;
use crate::services::guard::{Answers, guarded};
use crate::status::from_home;

/// Asks for hydrating anew. Nobody takes it off an application that is not hydrated.
const HYDRATE: &str = "argocd.argoproj.io/hydrate";
/// What health of resources is waited for, where a list or a watch shows it too.
const HEALTH: Duration = Duration::from_secs(3);
/// How often a refresh that was asked for is looked at while no change is told.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

// === impl Service ===

impl Service {
    pub(super) fn list_applications(
        &self,
        caller: &Caller,
        query: &ApplicationQuery,
    ) -> Result<ApplicationList, Status> {
        let mut filter = filter(query)?;
        filter.name = query.name.clone().filter(|name| !name.is_empty());
        // Taken before the list is read: a watch from here on misses nothing.
        let latest = self.shared.index.latest_version();
        let grounds = Grounds::new(self, caller);
        let permissions = grounds.permissions();
        let page = self.shared.index.list(&filter, None, usize::MAX, grounds.viewer(permissions.as_ref()));
        Ok(ApplicationList {
            metadata: Some(ListMeta { resource_version: latest.to_string(), ..ListMeta::default() }),
            items: page.items.iter().map(|app| shown(app)).collect(),
        })
    }

    pub(super) fn watch_applications(
        &self,
        caller: &Caller,
        query: &ApplicationQuery,
    ) -> Result<Answers<ApplicationWatchEvent>, Status> {
        let mut filter = filter(query)?;
        let given = query.resource_version.as_deref().unwrap_or_default();
        filter.since = given.parse().unwrap_or(0);
        let name = query.name.clone().filter(|name| !name.is_empty());
        if name.is_some() {
            let home = self.shared.home.namespace();
            filter.namespace.get_or_insert_with(|| home.to_owned());
        }
        // One application is told of in any case: who waits for an operation must
        // not miss its end.
        let replay = if given.is_empty() || name.is_some() { Replay::Everything } else { Replay::Newer };
        filter.name = name;
        let events = self.events(caller, self.shared.index.watch(filter.clone(), replay), filter.name.is_some());
        Ok(guarded(&self.shared, caller, events, |_| Ok(())))
    }

    fn events(&self, caller: &Caller, watcher: Watcher, alone: bool) -> Answers<ApplicationWatchEvent> {
        let state = (self.clone(), caller.clone(), Some(watcher));
        Box::pin(stream::unfold(state, move |(service, caller, watcher)| async move {
            let mut watcher = watcher?;
            loop {
                match watcher.next().await {
                    Ok(event) => {
                        let Some(told) = service.tell(&caller, &event, alone).await else { continue };
                        return Some((Ok(told), (service, caller, Some(watcher))));
                    }
                    // Clients that watch start over by themselves.
                    Err(error) => return Some((Err(Status::unavailable(error.to_string())), (service, caller, None))),
                }
            }
        }))
    }

    async fn tell(&self, caller: &Caller, event: &Event, alone: bool) -> Option<ApplicationWatchEvent> {
        let key = self.key_of(&event.app);
        if !self.serves(&key.namespace) || !self.permits(caller, action::GET, &key, &event.app) {
            return None;
        }
        let mut app = shown(&event.app);
        if alone && event.kind != EventKind::Deleted {
            self.fill_health(&key, &mut app).await;
        }
        Some(ApplicationWatchEvent { r#type: event.kind.as_str().to_owned(), application: Some(app) })
    }

    pub(super) async fn get_application(
        &self,
        caller: &Caller,
        query: &ApplicationQuery,
    ) -> Result<Application, Status> {
        let projects = projects(query);
        if projects.len() > 1 {
            return Err(Status::invalid_argument(
                "multiple projects specified - the get endpoint accepts either zero or one project",
            ));
        }
        let named = Named {
            name: query.name.as_deref().unwrap_or_default(),
            namespace: query.app_namespace.as_deref().unwrap_or_default(),
            project: projects.first().map_or("", String::as_str),
        };
        let found = self.find(caller, action::GET, named, Read::Latest).await?;
        let app = match &query.refresh {
            None => found.app,
            Some(kind) => self.refreshed(&found, kind == "hard").await?,
        };
        let mut app = shown(&app);
        self.fill_health(&found.key, &mut app).await;
        Ok(app)
    }

    /// Asks for a refresh and waits until the controller has served it.
    async fn refreshed(&self, found: &Found, hard: bool) -> Result<Arc<Application>, Status> {
        let key = &found.key;
        let filter = Filter {
            name: Some(key.name.to_string()),
            namespace: Some(key.namespace.to_string()),
            ..Filter::default()
        };
        // Before it is asked for: the answer may be faster than this.
        let mut watcher = self.shared.index.watch(filter, Replay::Newer);
        let kind = if hard { "hard" } else { "normal" };
        let mut annotations = json!({names::ANNOTATION_REFRESH: kind});
        if found.app.spec.as_ref().is_some_and(|spec| spec.source_hydrator.is_some()) {
            annotations[HYDRATE] = kind.into();
        }
        let patch = json!({"metadata": {"annotations": annotations}});
        let home = &self.shared.home;
        let asked = home.patch_application(key, patch, None).await.map_err(|error| {
            let status = from_home(&error);
            Status::new(status.code(), format!("error refreshing the app: {}", status.message()))
        })?;
        let since = version(&asked);
        loop {
            // The store first: it holds what was written before the index does.
            let known = home.apps().get(key);
            let served = |app: &Application| {
                version(app) > since && !app.metadata().annotations.contains_key(names::ANNOTATION_REFRESH)
            };
            if let Some(app) = known.filter(|app| served(app)) {
                return Ok(app);
            }
            match tokio::time::timeout(LOOK_AGAIN, watcher.next()).await {
                Ok(Ok(event)) if event.kind == EventKind::Deleted => {
                    return Err(super::answer::not_found(&key.name));
                }
                Ok(Ok(_)) | Err(_) => {}
                Ok(Err(error)) => return Err(Status::unavailable(error.to_string())),
            }
        }
    }

    /// Where the status leaves the health of resources to the tree, fills it in,
    /// as far as the owner can say soon.
    async fn fill_health(&self, key: &AppKey, app: &mut Application) {
        let Some(status) = &mut app.status else { return };
        if status.resource_health_source != "appTree" || status.resources.is_empty() {
            return;
        }
        let Ok(mut owner) = self.shared.peers.of_application(key) else { return };
        let tree = owner.resource_tree(within(HEALTH, application_ref(key))).await;
        let Ok(tree) = tree.map(tonic::Response::into_inner) else {
            tracing::debug!(application = %key, "no tree to read the health of resources from");
            return;
        };
        let health: HashMap<ResourceKey, HealthStatus> = tree.nodes.iter().filter_map(health_of).collect();
        for resource in &mut status.resources {
            let key = ResourceKey::new(&resource.group, &resource.kind, &resource.namespace, &resource.name);
            resource.health = health.get(&key).cloned();
        }
    }
}

fn health_of(node: &ResourceNode) -> Option<(ResourceKey, HealthStatus)> {
    let at = node.resource_ref.as_ref()?;
    let is_missing = node.resource_version.is_empty() && at.uid.is_empty() && node.created_at.is_none();
    let missing = || HealthStatus {
        status: "Missing".to_owned(),
        message: "Resource has not been created".to_owned(),
        ..HealthStatus::default()
    };
    let health = node.health.clone().or_else(|| is_missing.then(missing))?;
    Some((ResourceKey::new(&at.group, &at.kind, &at.namespace, &at.name), health))
}

/// All of a query but the name.
fn filter(query: &ApplicationQuery) -> Result<Filter, Status> {
    let selector = query.selector.as_deref().unwrap_or_default();
    let selector = Selector::parse(selector)
        .map_err(|error| Status::invalid_argument(format!("error parsing the selector: {error}")))?;
    Ok(Filter {
        name: None,
        namespace: query.app_namespace.clone().filter(|namespace| !namespace.is_empty()),
        projects: projects(query).to_vec(),
        repository: query.repo.clone().unwrap_or_default(),
        selector,
        since: 0,
    })
}

/// The older field counts where it is used.
fn projects(query: &ApplicationQuery) -> &[String] {
    if query.project.is_empty() { &query.projects } else { &query.project }
}
