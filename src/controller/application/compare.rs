//! Comparing one application: sources, targets, live state, and per resource
//! whether they differ.
//!
//! Only what changed is computed: manifests come from the renderer's cache,
//! targets are kept as long as what they were made of is the same, and a pair of
//! objects that was compared before keeps its verdict ([`judge`]).

use std::sync::Arc;
use std::time::Duration;

use argosy_engine::compare::{Pairing, Summary, summarize};
use argosy_engine::condition::{Finding, Kind};
use argosy_engine::refresh::{Level, Refresh};
use argosy_engine::target::{TargetContext, Targets, prepare_targets};
use argosy_model::options::SyncOptions;
use argosy_model::{AppKey, Gvk};
use argosy_proto::v1alpha1::{Application, ApplicationSource, ApplicationSpec};
use argosy_render::{Rendered, SourceType};
use serde_json::Value;

use super::destination::{self, Grounds};
use super::memory::{Memory, RememberedTargets};
use super::resolve::{self, Sources};
use super::{judge, kinds, live, orphans};
use crate::cluster::Target;
use crate::context::Shared;
use crate::repository::Asked;

/// What to compare with.
pub(super) struct Request {
    /// Sources and their revisions instead of the specification's own.
    pub(super) sources: Option<Vec<ApplicationSource>>,
    /// Commits to use instead of what the sources name; empty for none.
    pub(super) revisions: Vec<String>,
    /// How fresh revisions must be.
    pub(super) level: Level,
    /// Render anew.
    pub(super) no_cache: bool,
    /// Manifests handed in with an operation, instead of the sources'.
    pub(super) manifests: Vec<Arc<Value>>,
}

/// A comparison that came through.
pub(super) struct Compared {
    pub(super) grounds: Grounds,
    pub(super) target: Arc<Target>,
    pub(super) pairing: Pairing,
    pub(super) summary: Summary,
    pub(super) revisions: Vec<String>,
    pub(super) types: Vec<SourceType>,
    pub(super) findings: Vec<Finding>,
    /// The comparison has gaps; fill them after this long.
    pub(super) again: Option<Duration>,
}

/// Why there is no comparison.
pub(super) enum Failure {
    /// The specification is wrong.
    Spec(Vec<Finding>),
    /// The repository or a source cannot be read.
    Source {
        finding: Finding,
        /// Waiting may help.
        transient: bool,
    },
    /// The destination cannot be read.
    Live(Finding),
}

// === impl Request ===

impl Request {
    /// What a refresh compares with.
    pub(super) fn refresh(refresh: &Refresh) -> Self {
        Self {
            sources: None,
            revisions: Vec::new(),
            level: refresh.level,
            no_cache: refresh.hard,
            manifests: Vec::new(),
        }
    }
}

/// Compares. Fast where nothing changed; never fails as a whole for one object.
pub(super) async fn run(
    shared: &Arc<Shared>,
    memory: &mut Memory,
    key: &AppKey,
    app: &Application,
    request: &Request,
) -> Result<Compared, Failure> {
    let grounds = destination::find(shared, key, app).map_err(Failure::Spec)?;
    let spec = app.spec.clone().unwrap_or_default();
    let since = memory.since();
    let mut sources = shared.turns.aside(load_sources(shared, memory, key, app, &spec, request)).await?;
    let target = shared
        .turns
        .aside(shared.directory.target(key, &grounds.cluster.server))
        .await
        .map_err(|e| live_failure(&format!("failed to get cluster {:?}: {e}", grounds.cluster.server)))?;
    if memory.since() != since {
        // The owner before was at work until the target was this one's.
        sources = shared.turns.aside(load_sources(shared, memory, key, app, &spec, request)).await?;
    }
    if request.sources.is_none() {
        let read = resolve::sources_of(&spec);
        let urls: Vec<&str> = read.iter().map(|s| s.repo_url.as_str()).collect();
        shared.directory.leave_repositories(shared, key, destination::project_name(&spec), &urls);
    }
    let targets = remember_targets(shared, memory, key, &spec, &sources, &target);
    let kinds = kinds::of(&targets);
    target.manage(key, &kinds);
    shared.turns.aside(kinds::ready(&target, &kinds)).await?;
    shared.turns.aside(live::complete(shared, key, &target)).await;

    let pairing = live::pair(shared, memory, key, &grounds, &target, &targets).await?;
    let judged = judge::judge(shared, memory, &spec, app, &target, pairing).await?;
    let mut findings = targets.findings.clone();
    findings.extend(judged.pairing.findings.iter().cloned());
    findings.extend(orphans::find(shared, key, &spec, &grounds, &target));
    let summary = summarize(&judged.pairing.pairs, shared.home.settings().controller.resource_health_persist);
    memory.compared_at = Some((shared.clock)());
    // What is recorded can be had although the repository fails.
    if request.level >= Level::Latest {
        memory.repository_failing_since = None;
    }
    Ok(Compared {
        grounds,
        target,
        summary,
        pairing: judged.pairing,
        revisions: sources.revisions,
        types: sources.types,
        findings: findings.into_iter().chain(judged.findings).collect(),
        again: judged.again,
    })
}

/// Reports a comparison's time under the name dashboards know.
pub(super) fn observe(app: &Application, took: Duration) {
    let destination = app.spec.as_ref().and_then(|s| s.destination.clone()).unwrap_or_default();
    let namespace = app.metadata.as_ref().map(|m| m.namespace.clone()).unwrap_or_default();
    metrics::histogram!("argocd_app_reconcile", "namespace" => namespace, "dest_server" => destination.server)
        .record(took.as_secs_f64());
}

async fn load_sources(
    shared: &Arc<Shared>,
    memory: &mut Memory,
    key: &AppKey,
    app: &Application,
    spec: &ApplicationSpec,
    request: &Request,
) -> Result<Sources, Failure> {
    if !request.manifests.is_empty() {
        let rendered =
            Arc::new(Rendered::new(request.manifests.iter().map(|m| Value::clone(m)).collect(), SourceType::Directory));
        return Ok(Sources { revisions: request.revisions.clone(), rendered: vec![rendered], types: Vec::new() });
    }
    let sources = request.sources.clone().unwrap_or_else(|| resolve::sources_of(spec));
    let (recorded, since) = (recorded_revisions(app), memory.since());
    let asked = |index: usize| {
        let named = sources.get(index).map(|s| &s.target_revision).filter(|r| resolve::is_commit(r));
        let pinned = request.revisions.get(index).filter(|r| !r.is_empty()).or(named);
        match (pinned, request.level) {
            (Some(commit), _) => Asked::Commit(commit.clone()),
            (None, Level::Remote) => Asked::Remote,
            (None, Level::Tree | Level::Recorded) if recorded.get(index).is_some_and(|r| !r.is_empty()) => {
                Asked::Commit(recorded[index].clone())
            }
            (None, _) => Asked::Latest(since),
        }
    };
    resolve::generate(shared, &mut memory.sources, key, spec, &sources, &asked, request.no_cache).await.map_err(
        |error| Failure::Source {
            finding: Finding::new(Kind::ComparisonError, error.message),
            transient: error.transient,
        },
    )
}

/// The revisions of the last comparison that came through; after one that failed,
/// what is recorded may be of other sources than those of now.
fn recorded_revisions(app: &Application) -> Vec<String> {
    let Some(sync) = app.status.as_ref().and_then(|s| s.sync.as_ref()) else { return Vec::new() };
    if sync.status == "Unknown" {
        return Vec::new();
    }
    if sync.revisions.is_empty() { vec![sync.revision.clone()] } else { sync.revisions.clone() }
}

pub(super) fn live_failure(reason: &str) -> Failure {
    Failure::Live(Finding::new(Kind::ComparisonError, format!("Failed to load live state: {reason}")))
}

/// Targets as made last, if all they were made of is the same.
fn remember_targets(
    shared: &Shared,
    memory: &mut Memory,
    key: &AppKey,
    spec: &ApplicationSpec,
    sources: &Sources,
    target: &Target,
) -> Arc<Targets> {
    let settings = shared.home.settings();
    let namespace = spec.destination.as_ref().map(|d| d.namespace.clone()).unwrap_or_default();
    let kinds = target.discovery_generation();
    let same_sources = |known: &[Arc<Rendered>]| {
        known.len() == sources.rendered.len() && known.iter().zip(&sources.rendered).all(|(a, b)| Arc::ptr_eq(a, b))
    };
    if let Some(known) = &memory.targets
        && known.namespace == namespace
        && known.kinds == kinds
        && Arc::ptr_eq(&known.settings, &settings)
        && same_sources(&known.rendered)
    {
        return known.targets.clone();
    }
    let catalog = target.discovery.catalog();
    let misses = std::cell::Cell::new(false);
    let is_namespaced = |gvk: &Gvk| {
        let known = catalog.get(gvk).map(|r| r.namespaced).or_else(|| catalog.is_namespaced(&gvk.group_kind()));
        misses.set(misses.get() || known.is_none());
        known
    };
    let manifests: Vec<Arc<Value>> = sources.rendered.iter().flat_map(|r| r.manifests.iter().cloned()).collect();
    let targets = prepare_targets(
        &manifests,
        &TargetContext {
            instance: &key.instance_name(&shared.options.namespace),
            namespace: &namespace,
            tracking: &settings.tracking,
            is_namespaced: &is_namespaced,
            is_excluded: &|gvk| settings.filter.excludes(&gvk.group, &gvk.kind, &target.server),
        },
    );
    memory.misses_kinds = misses.get();
    let targets = Arc::new(targets);
    let rendered = sources.rendered.clone();
    memory.targets = Some(RememberedTargets { rendered, namespace, settings, kinds, targets: targets.clone() });
    targets
}

/// The application's own sync options.
pub(super) fn sync_options(spec: &ApplicationSpec) -> SyncOptions {
    SyncOptions::new(spec.sync_policy.iter().flat_map(|p| p.sync_options.iter().cloned()))
}
