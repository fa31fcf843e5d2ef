//! From an application, its comparison and its operation to what the sync engine
//! is told.

use std::sync::Arc;

use argosy_cluster::Applier;
use argosy_engine::health::Overrides;
use argosy_engine::operation::from_wire;
use argosy_engine::refresh::Level;
use argosy_engine::sync::{Destination, NamespaceRequest, Pair, Selected, Served, SyncInput};
use argosy_model::options::SyncOptions;
use argosy_model::{Gvk, ResourceKey, names, object};
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{
    Application, ApplicationSource, ApplicationSpec, OperationState, SyncOperation, SyncOperationResult,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::application::acting_applier;
use crate::application::compare::{Compared, Request};
use crate::application::execute;
use crate::application::memory::Memory;
use crate::application::resolve::sources_of;
use crate::cluster::Target;
use crate::context::Shared;
use crate::health_rules::CustomHealth;
use crate::projects::Project;

/// What an operation compares with: what it began with where it has begun, else
/// what it asks for.
pub(super) fn comparison(
    spec: Option<&ApplicationSpec>,
    sync: &SyncOperation,
    begun: Option<&SyncOperationResult>,
) -> Result<Request, String> {
    let spec = spec.cloned().unwrap_or_default();
    let (source, several) = sources(&spec, sync);
    let mut sources = if several.is_empty() { source.into_iter().collect() } else { several };
    let mut manifests = Vec::new();
    for manifest in &sync.manifests {
        let parsed: Value =
            serde_json::from_str(manifest).map_err(|e| format!("the operation's manifests are not JSON: {e}"))?;
        manifests.push(Arc::new(parsed));
    }
    let revisions = match begun {
        Some(result) if result.revisions.is_empty() => vec![result.revision.clone()],
        Some(result) => result.revisions.clone(),
        None => Vec::new(),
    };
    if begun.is_none() {
        ask_for(&mut sources, &sync.revision, &sync.revisions);
    }
    let level = if revisions.is_empty() { Level::Remote } else { Level::Recorded };
    Ok(Request { sources: Some(sources), revisions, level, no_cache: false, manifests })
}

/// Puts the revisions an operation names in the place of the sources' own.
fn ask_for(sources: &mut [ApplicationSource], revision: &str, revisions: &[String]) {
    let single = std::slice::from_ref(&revision).iter().map(|r| (*r).to_owned()).filter(|r| !r.is_empty());
    let asked: Vec<String> = if revisions.is_empty() { single.collect() } else { revisions.to_vec() };
    for (source, revision) in sources.iter_mut().zip(asked).filter(|(_, r)| !r.is_empty()) {
        source.target_revision = revision;
    }
}

/// The sources of an operation: its own, or the application's.
pub(super) fn sources(
    spec: &ApplicationSpec,
    sync: &SyncOperation,
) -> (Option<ApplicationSource>, Vec<ApplicationSource>) {
    if !sync.sources.is_empty() {
        return (None, sync.sources.clone());
    }
    if let Some(source) = &sync.source {
        return (Some(source.clone()), Vec::new());
    }
    if spec.sources.is_empty() { (spec.source.clone(), Vec::new()) } else { (None, sources_of(spec)) }
}

/// The writer of an operation.
pub(super) fn applier(shared: &Shared, app: &Application, compared: &Compared) -> Result<Applier, String> {
    acting_applier(shared, app, &compared.grounds, &compared.target)
}

fn destination_namespace(app: &Application) -> String {
    app.spec.as_ref().and_then(|s| s.destination.as_ref()).map(|d| d.namespace.clone()).unwrap_or_default()
}

/// The input of one pass.
pub(super) async fn sync(
    shared: &Shared,
    memory: &Memory,
    app: &Application,
    compared: &Compared,
    state: &OperationState,
    sync: &SyncOperation,
    now: Timestamp,
) -> SyncInput {
    let settings = shared.home.settings();
    let options = SyncOptions::new(sync.sync_options.iter().cloned());
    let strategy = sync.sync_strategy.unwrap_or_default();
    let hook_force = strategy.hook.as_ref().and_then(|h| h.sync_strategy_apply.as_ref()).is_some_and(|a| a.force);
    let started_at = state.started_at.map_or(now, |at| at.timestamp());
    let annotations = &app.metadata().annotations;
    let keeps_ignored = options.has("RespectIgnoreDifferences=true");
    let recorded = state.sync_result.iter().flat_map(|r| r.resources.iter()).filter_map(from_wire).collect();
    SyncInput {
        resources: compared
            .pairing
            .pairs
            .iter()
            .filter(|pair| pair.self_referenced)
            .map(|pair| Pair {
                key: pair.key.clone(),
                target: if keeps_ignored { with_ignored(memory, pair) } else { pair.target.clone() },
                live: pair.live.clone(),
                modified: pair.modified,
            })
            .collect(),
        hooks: compared.pairing.hooks.clone(),
        create_namespace: namespace_request(app, &options, &compared.target).await,
        prune: sync.prune,
        dry_run: sync.dry_run,
        force: strategy.apply.as_ref().is_some_and(|a| a.force) || hook_force,
        skip_hooks: strategy.apply.is_some(),
        selection: sync
            .resources
            .iter()
            .map(|r| Selected {
                group: r.group.clone(),
                kind: r.kind.clone(),
                namespace: r.namespace.clone(),
                name: r.name.clone(),
            })
            .collect(),
        deletion_approved_at: annotations.get(names::ANNOTATION_DELETION_APPROVED).and_then(|at| at.parse().ok()),
        migration_manager: annotations.get(names::ANNOTATION_SSA_MIGRATION_MANAGER).cloned(),
        revision: compared.revisions.first().cloned().unwrap_or_default(),
        started_at,
        attempt: state.retry_count,
        namespace: destination_namespace(app),
        terminating: state.phase == "Terminating",
        validated: memory.validated == Some((started_at, state.retry_count)),
        recorded,
        wave_delay: settings.controller.sync_wave_delay,
        now,
        options,
    }
}

/// The target with the live values of what the application ignores, so that
/// applying it leaves them alone.
fn with_ignored(memory: &Memory, pair: &argosy_engine::compare::Pair) -> Option<Arc<Value>> {
    let target = pair.target.as_ref()?;
    let (Some(live), Some(known)) = (&pair.live, &memory.normalizer) else { return Some(target.clone()) };
    let schemas = argosy_engine::schema::Schemas::default();
    Some(Arc::new(known.normalizer.respect_ignored(target, live, &schemas)))
}

/// The destination's namespace, where the application asks for it to be made.
async fn namespace_request(app: &Application, options: &SyncOptions, target: &Target) -> Option<NamespaceRequest> {
    let name = destination_namespace(app);
    if name.is_empty() || !options.has("CreateNamespace=true") {
        return None;
    }
    let mut manifest = execute::namespace_manifest(&name);
    let managed = app.spec.as_ref().and_then(|s| s.sync_policy.as_ref()?.managed_namespace_metadata.clone());
    for (key, value) in managed.iter().flat_map(|m| &m.labels) {
        object::set_label(&mut manifest, key, value);
    }
    for (key, value) in managed.iter().flat_map(|m| &m.annotations) {
        object::set_annotation(&mut manifest, key, value);
    }
    let key = ResourceKey::new("", "Namespace", "", &name);
    let live = match target.live.get(&key) {
        None => None,
        // Only metadata of ours makes its state matter.
        Some(_) if managed.is_none() => Some(Arc::new(execute::namespace_manifest(&name))),
        Some(_) => target.live.fetch(&key).await.ok().flatten().map(Arc::new),
    };
    Some(NamespaceRequest { manifest: Arc::new(manifest), live })
}

/// What destination and project say during a pass.
pub(super) struct Permits {
    target: Arc<Target>,
    project: Arc<Project>,
    health: Arc<CustomHealth>,
    server: String,
    name: String,
}

// === impl Permits ===

impl Permits {
    pub(super) fn new(shared: &Shared, compared: &Compared) -> Self {
        Self {
            health: shared.health.of(&shared.home.settings()),
            target: compared.target.clone(),
            project: compared.grounds.project.clone(),
            server: compared.grounds.cluster.server.clone(),
            name: compared.grounds.cluster.name.clone(),
        }
    }
}

impl Destination for Permits {
    fn served(&self, gvk: &Gvk) -> Served {
        execute::served(&self.target, gvk)
    }

    fn permitted(&self, object: &Value, namespaced: bool) -> Result<(), String> {
        let key = ResourceKey::of(object);
        let rules = &self.project.rules;
        let kind = key.group_kind();
        if !rules.permits_kind(&kind, namespaced, &key.name).permitted {
            return Err(format!("resource {}:{} is not permitted in project {}", key.group, key.kind, rules.name()));
        }
        if namespaced && !rules.permits_destination(&self.server, &self.name, &key.namespace).permitted {
            return Err(format!("namespace {} is not permitted in project '{}'", key.namespace, rules.name()));
        }
        Ok(())
    }

    fn overrides(&self) -> &dyn Overrides {
        &*self.health
    }
}
