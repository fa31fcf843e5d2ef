//! Whose turn it is after a change.

use std::sync::Arc;

use argosy_model::object;
use serde_json::Value;

use super::kind::*;
use super::selector::selects;
use super::world::{World, text};
use super::{autoscaler, cluster_role, service, token_secret};
use crate::lifecycle::is_kept_by_owner;
use crate::store::{Change, Object, ObjectKey, WatchEvent};

/// One thing to do. Two that are equal are done once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Work {
    /// Brings a namespace its service account and certificate.
    Furnish(Arc<str>),
    /// Goes on with the end of a namespace.
    Terminate(Arc<str>),
    /// Looks whether an object has an owner left.
    Collect(ObjectKey),
    /// Goes on with the deletion of an owner.
    SettleOwner(ObjectKey),
    /// Removes the volume of a claim that is gone.
    ReleaseVolume(Gone),
    /// A turn of the object's own controller.
    Reconcile(ObjectKey),
}

/// An object that is gone, by its last version.
#[derive(Clone, Debug)]
pub(super) struct Gone(pub(super) Arc<Object>);

// === impl Gone ===

impl PartialEq for Gone {
    fn eq(&self, other: &Self) -> bool {
        self.0.version == other.0.version
    }
}

impl Eq for Gone {}

impl PartialOrd for Gone {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Gone {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.version.cmp(&other.0.version)
    }
}

impl std::hash::Hash for Gone {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.version.hash(state);
    }
}

/// What a change gives to do. `world` knows of the change already.
pub(super) fn work_of(world: &World, change: &Change) -> Vec<Work> {
    let (key, object) = (&change.key, change.event.object());
    let value = &object.value;
    let gone = matches!(change.event, WatchEvent::Deleted(_));
    let mut work = Vec::new();
    own(change, gone, &mut work);
    owners(world, change, &mut work);
    if gone {
        // What it owned is looked at, and its namespace may be empty now.
        work.extend(world.owners.owned_by(object::uid(value)).cloned().map(Work::Collect));
        let namespace = world.get(&NAMESPACE, "", &key.namespace);
        if namespace.is_some_and(|namespace| object::is_deleting(&namespace.value)) {
            work.push(Work::Terminate(key.namespace.clone()));
        }
    } else {
        if object::get(value, &["metadata", "ownerReferences"]).is_some() {
            work.push(Work::Collect(key.clone()));
        }
        if object::is_deleting(value) && object::finalizers(value).any(is_kept_by_owner) {
            work.push(Work::SettleOwner(key.clone()));
        }
    }
    others(world, change, gone, &mut work);
    work
}

/// The turn of the object itself.
fn own(change: &Change, gone: bool, work: &mut Vec<Work>) {
    let key = &change.key;
    let value = &change.event.object().value;
    if NAMESPACE.is_of(key) {
        if !gone && object::is_deleting(value) {
            work.push(Work::Terminate(key.name.clone()));
        } else if !gone {
            work.push(Work::Furnish(key.name.clone()));
        }
    } else if gone {
        if CLAIM.is_of(key) {
            work.push(Work::ReleaseVolume(Gone(change.event.object().clone())));
        } else if is_furniture(key) {
            work.push(Work::Furnish(key.namespace.clone()));
        }
    } else if !SECRET.is_of(key) || token_secret::is_token(value) {
        work.push(Work::Reconcile(key.clone()));
    }
}

fn is_furniture(key: &ObjectKey) -> bool {
    (SERVICE_ACCOUNT.is_of(key) && &*key.name == "default")
        || (CONFIG_MAP.is_of(key) && &*key.name == "kube-root-ca.crt")
}

/// The turns of the controllers that made it, now and before; and of an owner that waits.
fn owners(world: &World, change: &Change, work: &mut Vec<Work>) {
    let values = [Some(&change.event.object().value), change.previous.as_ref().map(|previous| &previous.value)];
    for value in values.into_iter().flatten() {
        let references = object::get(value, &["metadata", "ownerReferences"]).and_then(Value::as_array);
        for reference in references.into_iter().flatten() {
            let Some(owner) = reference["uid"].as_str().and_then(|uid| world.owners.find(uid)) else { continue };
            let Some(found) = world.store.get(owner) else { continue };
            if object::is_deleting(&found.value) {
                work.push(Work::SettleOwner(owner.clone()));
            }
            if reference["controller"] == true {
                work.push(Work::Reconcile(owner.clone()));
            }
        }
    }
}

/// The turns of those who look at objects that are not theirs.
fn others(world: &World, change: &Change, gone: bool, work: &mut Vec<Work>) {
    let key = &change.key;
    let value = &change.event.object().value;
    let namespace = &*key.namespace;
    let mut again = |kind: &Kind, of: &dyn Fn(&Value) -> bool, scope: Option<&str>| {
        let concerned = world.list(kind, scope).into_iter().filter(|one| of(&one.value));
        work.extend(
            concerned.map(|one| Work::Reconcile(kind.key(object::namespace(&one.value), object::name(&one.value)))),
        );
    };
    match (&*key.group, &*key.resource) {
        ("", "pods") if is_news(change) => {
            let before = change.previous.as_ref().map(|previous| &*previous.value);
            work.extend(service::selecting(world, namespace, [Some(value), before]).into_iter().map(Work::Reconcile));
            let claims = value["spec"]["volumes"].as_array().into_iter().flatten();
            let claims = claims.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str());
            work.extend(claims.map(|claim| Work::Reconcile(CLAIM.key(namespace, claim))));
            let budgets = world.list(&DISRUPTION_BUDGET, Some(namespace));
            let budgets =
                budgets.iter().filter(|one| selects(&one.value["spec"]["selector"], &value["metadata"]["labels"]));
            work.extend(budgets.map(|one| Work::Reconcile(DISRUPTION_BUDGET.key(namespace, object::name(&one.value)))));
        }
        ("", "services") if gone => work.push(Work::Reconcile(key.clone())),
        ("", "serviceaccounts") => {
            again(&SECRET, &|secret| token_secret::account_of(secret) == Some(&*key.name), Some(namespace));
        }
        ("", "nodes") if change.previous.is_none() || gone => again(&DAEMON_SET, &|_| true, None),
        ("", "persistentvolumeclaims") if gone => {
            work.push(Work::Reconcile(VOLUME.key("", text(value, &["spec", "volumeName"]))));
        }
        ("storage.k8s.io", "storageclasses") if !gone => {
            again(&CLAIM, &|claim| text(claim, &["status", "phase"]) != "Bound", None);
        }
        ("rbac.authorization.k8s.io", "clusterroles") => again(&CLUSTER_ROLE, &cluster_role::aggregates, None),
        ("apps", "deployments" | "statefulsets" | "replicasets") => {
            again(&AUTOSCALER, &|scaler| autoscaler::is_for(scaler, key), Some(namespace));
        }
        _ => {}
    }
}

/// Whether a Pod's change is of interest to those who only look at it.
fn is_news(change: &Change) -> bool {
    let Some(previous) = &change.previous else { return true };
    let value = &change.event.object().value;
    let shown = |value: &Value| {
        (
            value["metadata"]["labels"].clone(),
            value["metadata"]["deletionTimestamp"].clone(),
            value["status"]["podIP"].clone(),
            value["status"]["phase"].clone(),
            super::condition::is_true(value, "Ready"),
        )
    };
    matches!(change.event, WatchEvent::Deleted(_)) || shown(value) != shown(&previous.value)
}
