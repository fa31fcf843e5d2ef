//! How well a live object is doing, and how well an application is.
//!
//! [`assess`] looks at one live object and answers with a [`Health`], or with
//! nothing for kinds that have no notion of health (a ConfigMap simply is).
//! [`application`] combines the answers. Messages are the ones Argo CD's users
//! know, numbers included, because people search for them.
//!
//! A user's own rules come first through [`Overrides`]; what runs them (Lua)
//! lives elsewhere, so that everything here stays pure and total: an odd object
//! yields an odd health, never a panic.

pub mod application;
mod autoscaler;
mod exposure;
mod pod;
mod run;
mod workload;

use std::fmt;

use argosy_model::{Gvk, names, object};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use application::{Contribution, aggregate, contribution};

/// A health status. The order is from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    /// Works as asked.
    Healthy,
    /// Stopped on purpose.
    Suspended,
    /// Not there yet, and may still get there.
    Progressing,
    /// Asked for and absent.
    Missing,
    /// Has failed, or will not get there in time.
    Degraded,
    /// Could not be told.
    Unknown,
}

/// A status and why, in words for people. The message may be empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The status.
    pub status: Status,
    /// One line or empty.
    pub message: String,
}

/// What a user's own rule says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is no such rule for its kind; the built-in one decides.
    NoRule,
    /// It has no health, whatever a built-in rule would say.
    NoHealth,
    /// This one.
    Health(Health),
    /// The rule failed, for this reason: the health is [`Status::Unknown`].
    Failed(String),
}

/// A user's own health rules, asked before the built-in ones.
pub trait Overrides: Send + Sync {
    /// What the user's rule for this kind says.
    fn assess(&self, live: &Value) -> Verdict;
}

/// No rules but the built-in ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltIn;

// === impl Status ===

impl Status {
    /// The word used in custom resources and replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Suspended => "Suspended",
            Self::Progressing => "Progressing",
            Self::Missing => "Missing",
            Self::Degraded => "Degraded",
            Self::Unknown => "Unknown",
        }
    }

    /// Reads the word; `None` when it is none of the six.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Healthy, Self::Suspended, Self::Progressing, Self::Missing, Self::Degraded, Self::Unknown]
            .into_iter()
            .find(|status| status.as_str() == word)
    }

    /// The worse of two.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        self.max(other)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Health ===

impl Health {
    /// A status with its reason.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

// === impl BuiltIn ===

impl Overrides for BuiltIn {
    fn assess(&self, _live: &Value) -> Verdict {
        Verdict::NoRule
    }
}

/// The health of one live object, `None` when its kind has none.
///
/// An object on its way out is [`Status::Progressing`], unless it is a hook
/// held by our own finalizer: its real state is what the sync waits for.
pub fn assess(live: &Value, overrides: &dyn Overrides) -> Option<Health> {
    try_assess(live, overrides).unwrap_or_else(|reason| Some(Health::new(Status::Unknown, reason)))
}

/// The same, with the reason where a user's rule failed.
fn try_assess(live: &Value, overrides: &dyn Overrides) -> Result<Option<Health>, String> {
    if object::is_deleting(live) && !object::finalizers(live).any(|f| f == names::FINALIZER_HOOK) {
        return Ok(Some(Health::new(Status::Progressing, "Pending deletion")));
    }
    match overrides.assess(live) {
        Verdict::NoRule => Ok(built_in(live)),
        Verdict::NoHealth => Ok(None),
        Verdict::Health(health) => Ok(Some(health)),
        Verdict::Failed(reason) => Err(reason),
    }
}

/// The verdict of the built-in rules alone.
fn built_in(live: &Value) -> Option<Health> {
    let gvk = Gvk::of(live);
    let health = match (&*gvk.group, &*gvk.kind) {
        ("apps", "Deployment") => workload::deployment(live),
        ("apps", "StatefulSet") => workload::stateful_set(live),
        ("apps", "ReplicaSet") => workload::replica_set(live),
        ("apps", "DaemonSet") => workload::daemon_set(live),
        ("", "Pod") => pod::pod(live),
        ("", "PersistentVolumeClaim") => run::claim(live),
        ("", "Service") => exposure::service(live),
        ("networking.k8s.io" | "extensions", "Ingress") => exposure::ingress(live),
        ("apiregistration.k8s.io", "APIService") => exposure::api_service(live),
        ("batch", "Job") => run::job(live),
        ("argoproj.io", "Workflow") => run::workflow(live),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler::autoscaler(live, &gvk.version),
        _ => return None,
    };
    Some(health)
}

/// A number at a path, `0` when absent or of another type, as Kubernetes' own
/// structs read.
fn number(object: &Value, path: &[&str]) -> i64 {
    object::get(object, path).and_then(Value::as_i64).unwrap_or(0)
}

/// A string at a path, empty when absent or of another type.
fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    object::get(object, path).and_then(Value::as_str).unwrap_or("")
}

/// The items of an array at a path, none when it is absent or something else.
fn items<'a>(object: &'a Value, path: &[&str]) -> impl Iterator<Item = &'a Value> {
    object::get(object, path).and_then(Value::as_array).into_iter().flatten()
}

/// The condition of a type in `status.conditions`.
fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    items(object, &["status", "conditions"]).find(|c| text(c, &["type"]) == kind)
}

/// Whether the controller has yet to look at the newest spec.
fn is_stale(live: &Value) -> bool {
    number(live, &["metadata", "generation"]) > number(live, &["status", "observedGeneration"])
}
