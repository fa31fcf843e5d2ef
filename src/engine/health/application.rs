//! The health of an application out of that of its resources.
//!
//! Two steps, so that a change of one object costs one assessment: what each
//! resource contributes ([`contribution`], to be kept per resource) and what
//! they amount to ([`aggregate`], a fold over small values).

use argosy_model::{Gvk, names, object};
use serde_json::Value;

use super::{Health, Overrides, Status, try_assess};
use crate::hook;

/// What one resource has to say about its application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contribution {
    /// Shown for the resource itself; `None` where its kind has no health.
    pub health: Option<Health>,
    /// The part of it that the application's health is made of.
    pub counted: Option<Status>,
    /// Whether the application is expected to have this resource.
    pub expected: bool,
    /// Whether it exists.
    pub live: bool,
    /// Why a user's health rule could not judge it.
    pub failure: Option<String>,
}

/// Assesses one managed resource. `is_self` marks the Application object itself
/// where it is among its own resources.
pub fn contribution(
    target: Option<&Value>,
    live: Option<&Value>,
    is_self: bool,
    overrides: &dyn Overrides,
) -> Contribution {
    if target.is_some_and(|t| hook::is_skipped(t) || hook::is_hook(t)) || live.is_some_and(hook::is_hook) {
        return Contribution::default();
    }
    let Some(live) = live else {
        // Being absent shows as out of sync already; it does not count here.
        let health = target.map(|_| Health::new(Status::Missing, ""));
        return Contribution { health, expected: target.is_some(), ..Contribution::default() };
    };
    let silent = Contribution { expected: true, live: true, ..Contribution::default() };
    if is_self || object::annotation(live, names::ANNOTATION_IGNORE_HEALTHCHECK) == Some("true") {
        return silent;
    }
    let (health, failure) = match try_assess(live, overrides) {
        Ok(health) => (health, None),
        Err(reason) => (Some(Health::new(Status::Unknown, &*reason)), Some(reason)),
    };
    let counted = health.as_ref().map(|h| h.status).filter(|status| !is_ignored_for_child(live, *status));
    Contribution { health, counted, failure, ..silent }
}

/// The application's health: the worst that counts; missing when resources are
/// expected and not one exists.
pub fn aggregate<'a>(contributions: impl IntoIterator<Item = &'a Contribution>) -> Status {
    let (mut status, mut expected, mut live) = (Status::Healthy, false, false);
    for contribution in contributions {
        status = contribution.counted.map_or(status, |counted| status.worst(counted));
        expected |= contribution.expected;
        live |= contribution.live;
    }
    if expected && !live { status.worst(Status::Missing) } else { status }
}

/// A child application that cannot be judged yet does not drag its parent down.
fn is_ignored_for_child(live: &Value, status: Status) -> bool {
    let gvk = Gvk::of(live);
    &*gvk.group == names::GROUP && &*gvk.kind == "Application" && matches!(status, Status::Missing | Status::Unknown)
}
