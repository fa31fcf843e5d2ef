//! The order of tasks.
//!
//! Phase, wave, kind, name; then two adjustments. What is removed goes in the
//! reverse order of what is made, so prunes swap waves among themselves. And
//! what others cannot exist without (their namespace, their type) is moved up
//! to just before the first that needs it, into its phase and wave.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use argosy_model::{GroupKind, Gvk, object};
use serde_json::Value;

use super::task::Task;
use super::{SyncInput, kind_order, mode};
use crate::hook::Phase;

/// Puts tasks in the order of execution.
pub(super) fn arrange(input: &SyncInput, tasks: &mut [Task]) {
    reverse_prunes(tasks);
    postpone_prunes(input, tasks);
    tasks.sort_by(compare);
    hoist(tasks, namespace_made, namespace_needed);
    hoist(tasks, type_made, type_needed);
}

fn compare(a: &Task, b: &Task) -> Ordering {
    let order = |task: &Task| (task.phase, task.wave, kind_order::rank(&task.gvk.kind));
    order(a)
        .cmp(&order(b))
        .then_with(|| a.key.name.cmp(&b.key.name))
        // Beyond Argo CD's four: the order is total, so that it never changes.
        .then_with(|| a.gvk.kind.cmp(&b.gvk.kind))
        .then_with(|| a.gvk.group.cmp(&b.gvk.group))
        .then_with(|| a.key.namespace.cmp(&b.key.namespace))
        .then_with(|| a.is_hook.cmp(&b.is_hook))
}

/// Gives the prunes of the n-th lowest wave the n-th highest instead.
fn reverse_prunes(tasks: &mut [Task]) {
    let waves: BTreeSet<i64> = tasks.iter().filter(|t| t.is_prune()).map(|t| t.wave).collect();
    let swapped: HashMap<i64, i64> = waves.iter().copied().zip(waves.iter().rev().copied()).collect();
    for task in tasks.iter_mut().filter(|t| t.is_prune()) {
        task.wave = swapped.get(&task.wave).copied().unwrap_or(task.wave);
    }
}

/// `PruneLast`: after everything else of the Sync phase.
fn postpone_prunes(input: &SyncInput, tasks: &mut [Task]) {
    let last = tasks.iter().filter(|t| t.phase == Phase::Sync).map(|t| t.wave).max().unwrap_or(0).max(0) + 1;
    for task in tasks.iter_mut().filter(|t| t.is_prune()) {
        if mode::option(&input.options, None, task.live.as_deref(), "PruneLast") == Some("true") {
            task.phase = Phase::Sync;
            task.wave = last;
        }
    }
}

/// Moves each task that makes a thing before the first task that needs it.
/// Tasks that make things do not themselves count as needing.
fn hoist<K: Eq>(tasks: &mut [Task], made: fn(&Value) -> Option<K>, needed: fn(&Value) -> Option<K>) {
    // What each task makes, or else needs, kept in step with the tasks.
    let mut ties: Vec<Tie<K>> = tasks
        .iter()
        .map(|task| match task.target.as_deref() {
            Some(target) => {
                made(target).map(Tie::Makes).or_else(|| needed(target).map(Tie::Needs)).unwrap_or(Tie::None)
            }
            None => Tie::None,
        })
        .collect();
    for maker in 0..ties.len() {
        // What lies before `maker` keeps its place or moves back by one, so
        // going forward visits every maker once.
        let Tie::Makes(thing) = &ties[maker] else { continue };
        let needs = |tie: &Tie<K>| matches!(tie, Tie::Needs(needed) if needed == thing);
        let Some(first) = ties[..maker].iter().position(needs) else { continue };
        let (phase, wave) = (tasks[first].phase, tasks[first].wave);
        tasks[first..=maker].rotate_right(1);
        ties[first..=maker].rotate_right(1);
        tasks[first].phase = phase;
        tasks[first].wave = wave;
    }
}

/// How a task is tied to a thing that others need.
enum Tie<K> {
    Makes(K),
    Needs(K),
    None,
}

fn namespace_made(target: &Value) -> Option<String> {
    mode::is_namespace(target).then(|| object::name(target).to_owned())
}

fn namespace_needed(target: &Value) -> Option<String> {
    Some(object::namespace(target)).filter(|namespace| !namespace.is_empty()).map(str::to_owned)
}

fn type_needed(target: &Value) -> Option<GroupKind> {
    Some(Gvk::of(target).group_kind())
}

/// The type that a CRD brings into being.
pub(super) fn type_made(target: &Value) -> Option<GroupKind> {
    if !mode::is_crd(target) {
        return None;
    }
    let group = object::get(target, &["spec", "group"])?.as_str()?;
    let kind = object::get(target, &["spec", "names", "kind"])?.as_str()?;
    Some(GroupKind::new(group, kind))
}
