//! Target and live state side by side, and what their comparison amounts to.
//!
//! Three steps: [`pair_resources`] decides what belongs together, the caller
//! says of each pair whether it differs ([`crate::diff`], cached per object) and
//! how it is doing ([`crate::health`]), and [`summarize`] makes the status of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use argosy_model::options::has_resource_option;
use argosy_model::tracking::Tracking;
use argosy_model::{AppKey, Gvk, ResourceKey, names, object};
use argosy_proto::v1alpha1::{HealthStatus, ResourceStatus};
use serde_json::Value;

use crate::condition::{Finding, Kind};
use crate::health::{self, Contribution, Status};
use crate::hook;

/// What a pairing is decided on.
pub struct PairContext<'a> {
    /// The application.
    pub app: &'a AppKey,
    /// Its name on the resources it owns.
    pub instance: &'a str,
    /// How ownership is read.
    pub tracking: &'a Tracking,
    /// Live objects that carry the application's name.
    pub owned: &'a [Arc<Value>],
    /// A live object by key, tracked or not.
    pub live: &'a dyn Fn(&ResourceKey) -> Option<Arc<Value>>,
    /// Whether the project lets the application touch this live object.
    pub permits_live: &'a dyn Fn(&Value) -> bool,
    /// Whether the project lets the application manage this target's kind.
    pub permits_target: &'a dyn Fn(&Value) -> bool,
}

/// A resource as it should be and as it is. At least one side is present.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Identity in the destination.
    pub key: ResourceKey,
    /// Type, of the target where there is one.
    pub gvk: Gvk,
    /// What the source wants.
    pub target: Option<Arc<Value>>,
    /// What the cluster has.
    pub live: Option<Arc<Value>>,
    /// The object is a hook.
    pub hook: bool,
    /// The live object's tracking id names that very object.
    pub self_referenced: bool,
    /// The project does not let the application manage the kind.
    pub denied: bool,
    /// Whether the two sides differ. Set by the caller.
    pub modified: bool,
    /// What the resource says about the application's health. Set by the caller.
    pub contribution: Contribution,
}

/// The outcome of pairing.
#[derive(Clone, Debug, Default)]
pub struct Pairing {
    /// Everything that is compared.
    pub pairs: Vec<Pair>,
    /// Hook manifests of the source, which run in a sync instead.
    pub hooks: Vec<Arc<Value>>,
    /// What was found wrong on the way.
    pub findings: Vec<Finding>,
}

/// What a comparison amounts to.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// `status.resources`, sorted.
    pub resources: Vec<ResourceStatus>,
    /// Whether anything that counts is out of sync.
    pub out_of_sync: bool,
    /// Whether the only thing out of sync is what pruning would remove.
    pub only_prunes: bool,
    /// The application's health.
    pub health: Status,
}

/// Decides which target belongs to which live object.
pub fn pair_resources(targets: &[Arc<Value>], context: &PairContext<'_>) -> Pairing {
    let mut pairing = Pairing::default();
    let mut matched: HashSet<ResourceKey> = HashSet::new();
    let owned: HashMap<ResourceKey, &Arc<Value>> = context.owned.iter().map(|o| (ResourceKey::of(o), o)).collect();
    for target in targets {
        if hook::is_delete_only(target) || hook::is_ignored(target) {
            continue;
        }
        if hook::is_hook(target) && !hook::is_skipped(target) {
            pairing.hooks.push(target.clone());
            continue;
        }
        let (key, live) = find_live(target, &owned, context);
        matched.insert(key.clone());
        let live = live.filter(|live| (context.permits_live)(live));
        if let Some(finding) = live.as_ref().and_then(|live| shared_with(live, &key, context)) {
            pairing.findings.push(finding);
        }
        pairing.pairs.push(pair(key, Some(target.clone()), live, context));
    }
    for live in context.owned {
        let key = ResourceKey::of(live);
        let expected_hook = hook::is_delete_only(live);
        if expected_hook || matched.contains(&key) || !(context.permits_live)(live) {
            continue;
        }
        matched.insert(key.clone());
        pairing.pairs.push(pair(key, None, Some(live.clone()), context));
    }
    pairing
}

/// A type of unknown scope may turn out to be cluster-scoped, so both are tried.
fn find_live(
    target: &Value,
    owned: &HashMap<ResourceKey, &Arc<Value>>,
    context: &PairContext<'_>,
) -> (ResourceKey, Option<Arc<Value>>) {
    let key = ResourceKey::of(target);
    let find = |key: &ResourceKey| owned.get(key).map(|o| (*o).clone()).or_else(|| (context.live)(key));
    if let Some(live) = find(&key) {
        return (key, Some(live));
    }
    let cluster_scoped = ResourceKey { namespace: "".into(), ..key.clone() };
    match find(&cluster_scoped) {
        Some(live) => (cluster_scoped, Some(live)),
        None => (key, None),
    }
}

fn pair(key: ResourceKey, target: Option<Arc<Value>>, live: Option<Arc<Value>>, context: &PairContext<'_>) -> Pair {
    let object = target.as_ref().or(live.as_ref());
    let gvk = object.map(|o| Gvk::of(o)).unwrap_or_default();
    let hook = live.as_ref().is_some_and(|l| hook::is_hook(l)) && target.is_none();
    let self_referenced = live.as_ref().is_none_or(|live| is_self_referenced(live, target.as_deref(), context));
    let denied = target.as_ref().is_some_and(|t| !(context.permits_target)(t));
    Pair {
        key,
        gvk,
        hook,
        self_referenced,
        denied,
        modified: target.is_none() != live.is_none(),
        contribution: Contribution::default(),
        target,
        live,
    }
}

/// Objects that are not tracked yet are ours to adopt when the source names them.
fn is_self_referenced(live: &Value, target: Option<&Value>, context: &PairContext<'_>) -> bool {
    target.is_some() || context.tracking.is_self_referenced(live)
}

fn shared_with(live: &Value, key: &ResourceKey, context: &PairContext<'_>) -> Option<Finding> {
    let owner = context.tracking.owner(live)?;
    if owner == context.instance || !context.tracking.is_self_referenced(live) {
        return None;
    }
    let message = format!("{}/{} is part of applications {} and {owner}", key.kind, key.name, context.app);
    Some(Finding::new(Kind::SharedResourceWarning, message))
}

/// Makes the status of compared pairs. `persist_health` writes each resource's
/// health into its status; else it is shown from the tree alone.
pub fn summarize(pairs: &[Pair], persist_health: bool) -> Summary {
    let (mut out_of_sync, mut only_prunes) = (false, true);
    let mut resources = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let status = sync_status(pair);
        let prunes = pair.target.is_none() && !pair.hook && pair.self_referenced;
        // One whose kind is not permitted is shown as unknown, and makes the
        // application out of sync all the same: its sync says what is wrong.
        if !status.is_empty() && differs(pair) && !(prunes && is_extraneous(pair)) {
            out_of_sync = true;
            only_prunes &= prunes;
        }
        resources.push(resource_status(pair, status, prunes, persist_health));
    }
    resources
        .sort_by(|a, b| (&a.group, &a.kind, &a.namespace, &a.name).cmp(&(&b.group, &b.kind, &b.namespace, &b.name)));
    Summary {
        resources,
        out_of_sync,
        only_prunes: out_of_sync && only_prunes,
        health: health::aggregate(pairs.iter().map(|p| &p.contribution)),
    }
}

/// The resource's sync status; empty where it has none.
fn sync_status(pair: &Pair) -> &'static str {
    let skipped = pair.target.as_ref().is_some_and(|t| hook::is_skipped(t));
    if pair.hook || skipped || !pair.self_referenced {
        ""
    } else if pair.denied {
        "Unknown"
    } else if differs(pair) {
        "OutOfSync"
    } else {
        "Synced"
    }
}

fn differs(pair: &Pair) -> bool {
    pair.modified || pair.target.is_none() || pair.live.is_none()
}

fn is_extraneous(pair: &Pair) -> bool {
    pair.live
        .as_ref()
        .is_some_and(|live| has_resource_option(live, names::ANNOTATION_COMPARE_OPTIONS, "IgnoreExtraneous", ""))
}

fn resource_status(pair: &Pair, status: &str, requires_pruning: bool, persist_health: bool) -> ResourceStatus {
    let object = pair.target.as_ref().or(pair.live.as_ref());
    let confirms =
        |word: &str| object.is_some_and(|o| has_resource_option(o, names::ANNOTATION_SYNC_OPTIONS, word, "confirm"));
    let health = pair.contribution.health.as_ref().filter(|_| persist_health && !pair.hook);
    ResourceStatus {
        group: pair.gvk.group.to_string(),
        version: pair.gvk.version.to_string(),
        kind: pair.gvk.kind.to_string(),
        namespace: pair.key.namespace.to_string(),
        name: object.map(|o| object::name(o).to_owned()).unwrap_or_default(),
        status: status.to_owned(),
        health: health.map(|h| HealthStatus {
            status: h.status.as_str().to_owned(),
            message: h.message.clone(),
            last_transition_time: None,
        }),
        hook: pair.hook,
        requires_pruning,
        sync_wave: object.map(|o| hook::wave(o)).unwrap_or_default(),
        requires_deletion_confirmation: confirms("Prune") || confirms("Delete"),
    }
}

#[cfg(test)]
mod tests;
