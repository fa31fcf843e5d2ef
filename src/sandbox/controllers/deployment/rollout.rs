//! How many Pods each ReplicaSet of a Deployment is to have next.

use argosy_model::object;
use serde_json::Value;

use super::View;
use crate::controllers::template::resolve_share;
use crate::controllers::world::{count, text};
use crate::store::Object;

/// Names of ReplicaSets and their new number of replicas.
pub(super) type Scales = Vec<(String, i64)>;

/// The next step of a rollout.
pub(super) fn plan(view: &View<'_>) -> Scales {
    if text(view.deployment, &["spec", "strategy", "type"]) == "Recreate" {
        return plan_recreate(view);
    }
    let mut scales = Scales::new();
    let Some(new) = &view.new else { return scales };
    let wanted = grow_new(view, new);
    if wanted != replicas(new) {
        scales.push((object::name(&new.value).to_owned(), wanted));
        // The old ones shrink when this has been done.
        return scales;
    }
    shrink_old(view, new, &mut scales);
    scales
}

/// A paused Deployment is still scaled, as long as one ReplicaSet alone has Pods.
pub(super) fn plan_paused(view: &View<'_>) -> Scales {
    let active: Vec<_> = view.all().filter(|set| replicas(set) > 0).collect();
    match active.as_slice() {
        [one] if replicas(one) != view.replicas() => vec![(object::name(&one.value).to_owned(), view.replicas())],
        _ => Scales::new(),
    }
}

/// How many Pods there may be more than wanted.
pub(super) fn surge(deployment: &Value) -> i64 {
    if text(deployment, &["spec", "strategy", "type"]) == "Recreate" {
        return 0;
    }
    bounds(deployment).0
}

/// With how many Pods a new ReplicaSet begins.
pub(super) fn initial(view: &View<'_>) -> i64 {
    (view.replicas() + surge(view.deployment) - total(view)).clamp(0, view.replicas())
}

/// How many Pods may be missing.
pub(super) fn unavailable(deployment: &Value) -> i64 {
    if text(deployment, &["spec", "strategy", "type"]) == "Recreate" {
        return 0;
    }
    bounds(deployment).1
}

/// `maxSurge` and `maxUnavailable` as numbers.
fn bounds(deployment: &Value) -> (i64, i64) {
    let wanted = count(deployment, &["spec", "replicas"], 1);
    let quarter = Value::from("25%");
    let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
    let share = |field: &str, up| {
        let value = if rolling[field].is_null() { &quarter } else { &rolling[field] };
        resolve_share(value, wanted, up)
    };
    let (surge, unavailable) = (share("maxSurge", true), share("maxUnavailable", false));
    // Nothing would ever move otherwise.
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable.min(wanted)) }
}

fn plan_recreate(view: &View<'_>) -> Scales {
    let busy: Scales =
        view.old.iter().filter(|set| replicas(set) > 0).map(|set| (object::name(&set.value).to_owned(), 0)).collect();
    if !busy.is_empty() || view.old.iter().any(|set| count(&set.value, &["status", "replicas"], 0) > 0) {
        return busy;
    }
    let new = view.new.iter().filter(|set| replicas(set) != view.replicas());
    new.map(|set| (object::name(&set.value).to_owned(), view.replicas())).collect()
}

fn grow_new(view: &View<'_>, new: &Object) -> i64 {
    let (wanted, present) = (view.replicas(), replicas(new));
    if present >= wanted {
        return wanted;
    }
    let room = wanted + bounds(view.deployment).0 - total(view);
    if room <= 0 { present } else { present + room.min(wanted - present) }
}

fn shrink_old(view: &View<'_>, new: &Object, scales: &mut Scales) {
    let (_, unavailable) = bounds(view.deployment);
    let at_least = view.replicas() - unavailable;
    let not_yet = replicas(new) - available(new);
    let mut removable = total(view) - at_least - not_yet;
    let mut targets: Vec<(&Object, i64)> = view.old.iter().map(|set| (&**set, replicas(set))).collect();
    // Pods that do not work go first: nobody misses them.
    for (set, target) in &mut targets {
        let broken = (replicas(set) - available(set)).max(0).min(removable.max(0));
        *target -= broken;
        removable -= broken;
    }
    let working: i64 = view.all().map(|set| available(set)).sum();
    let mut spare = (working - at_least).min(removable);
    for (set, target) in &mut targets {
        let share = (*target).min(available(set)).min(spare.max(0));
        *target -= share;
        spare -= share;
    }
    let changed = targets.into_iter().filter(|(set, target)| replicas(set) != *target);
    scales.extend(changed.map(|(set, target)| (object::name(&set.value).to_owned(), target)));
}

fn total(view: &View<'_>) -> i64 {
    view.all().map(|set| replicas(set)).sum()
}

fn replicas(set: &Object) -> i64 {
    count(&set.value, &["spec", "replicas"], 1)
}

fn available(set: &Object) -> i64 {
    count(&set.value, &["status", "availableReplicas"], 0)
}
