//! What a request to delete an object does to it.

use argosy_model::object;
use serde_json::{Value, json};

use crate::stamp::seconds;
use crate::store::ObjectKey;

/// The finalizer of an owner that waits for what it owns.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an owner that lets go of what it owns.
pub(crate) const ORPHAN: &str = "orphan";

/// Grace of a Pod that nobody asked another grace for, in seconds.
const POD_GRACE: i64 = 30;

/// What becomes of what an object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// It is deleted afterwards.
    Background,
    /// It is deleted first.
    Foreground,
    /// It stays, without an owner.
    Orphan,
}

/// What is to be done with the object.
#[derive(Clone, Debug, PartialEq)]
pub enum Deletion {
    /// It goes now.
    Remove,
    /// It is marked and goes when its finalizers, its grace or its content have gone.
    Mark(Value),
    /// It is marked already, and nothing changes.
    Unchanged,
}

// === impl Propagation ===

impl Propagation {
    /// As delete options name it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "Background" => Some(Self::Background),
            "Foreground" => Some(Self::Foreground),
            "Orphan" => Some(Self::Orphan),
            _ => None,
        }
    }
}

/// Decides what a deletion does. `grace` is in seconds and counts for Pods only;
/// without a `propagation` the object's own finalizers decide, else background.
#[must_use]
pub fn plan_deletion(
    key: &ObjectKey,
    current: &Value,
    propagation: Option<Propagation>,
    grace: Option<i64>,
    now: jiff::Timestamp,
) -> Deletion {
    let finalizers = finalizers_after(current, propagation);
    let grace = grace_of(key, current, grace);
    let contents = is_namespace(key) && object::get(current, &["spec", "finalizers"]).is_some_and(is_filled);
    if finalizers.is_empty() && grace == 0 && !contents {
        return Deletion::Remove;
    }
    let mut marked = current.clone();
    mark(&mut marked, finalizers, grace, now);
    if is_namespace(key) && contents {
        marked["status"]["phase"] = "Terminating".into();
    }
    if marked == *current { Deletion::Unchanged } else { Deletion::Mark(marked) }
}

/// Whether a finalizer is about what an object owns.
pub(crate) fn is_kept_by_owner(finalizer: &str) -> bool {
    finalizer == FOREGROUND || finalizer == ORPHAN
}

fn mark(value: &mut Value, finalizers: Vec<String>, grace: i64, now: jiff::Timestamp) {
    let deleting = object::is_deleting(value);
    let Some(metadata) = object::metadata(value) else { return };
    let earlier = metadata.get("deletionGracePeriodSeconds").and_then(Value::as_i64);
    let generation = metadata.get("generation").and_then(Value::as_i64).filter(|count| *count > 0 && !deleting);
    if let Some(generation) = generation {
        metadata.insert("generation".to_owned(), (generation + 1).into());
    }
    if !deleting || earlier.is_some_and(|earlier| grace < earlier) {
        let end = now.checked_add(jiff::SignedDuration::from_secs(grace)).unwrap_or(now);
        metadata.insert("deletionTimestamp".to_owned(), seconds(end).into());
        metadata.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
    }
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".to_owned(), json!(finalizers));
    }
}

/// The finalizers with those of the propagation added or taken away.
fn finalizers_after(current: &Value, propagation: Option<Propagation>) -> Vec<String> {
    let mut finalizers: Vec<String> = object::finalizers(current).map(str::to_owned).collect();
    let wanted = match propagation {
        None => return finalizers,
        Some(Propagation::Background) => None,
        Some(Propagation::Foreground) => Some(FOREGROUND),
        Some(Propagation::Orphan) => Some(ORPHAN),
    };
    finalizers
        .retain(|finalizer| (finalizer != FOREGROUND && finalizer != ORPHAN) || Some(finalizer.as_str()) == wanted);
    if let Some(wanted) = wanted.filter(|wanted| !finalizers.iter().any(|finalizer| finalizer == wanted)) {
        finalizers.push(wanted.to_owned());
    }
    finalizers
}

/// Only a Pod that is on a node and has not ended needs time to stop.
fn grace_of(key: &ObjectKey, current: &Value, asked: Option<i64>) -> i64 {
    let is_pod = key.group.is_empty() && &*key.resource == "pods";
    let text = |path: &[&str]| object::get(current, path).and_then(Value::as_str).unwrap_or_default();
    let ended = matches!(text(&["status", "phase"]), "Succeeded" | "Failed");
    if !is_pod || text(&["spec", "nodeName"]).is_empty() || ended {
        return 0;
    }
    let own = object::get(current, &["spec", "terminationGracePeriodSeconds"]).and_then(Value::as_i64);
    asked.or(own).unwrap_or(POD_GRACE).max(0)
}

fn is_namespace(key: &ObjectKey) -> bool {
    key.group.is_empty() && &*key.resource == "namespaces"
}

fn is_filled(list: &Value) -> bool {
    list.as_array().is_some_and(|list| !list.is_empty())
}
