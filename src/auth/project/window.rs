//! What is wrong with a project's sync windows.

use std::collections::HashSet;

use argosy_model::cron::Schedule;
use argosy_model::duration;
use argosy_proto::v1alpha1::SyncWindow;

use super::validate::{Findings, ViolationKind};

/// Longest description, in bytes.
const MAX_DESCRIPTION: usize = 255;

pub(super) fn check(windows: &[SyncWindow], found: &mut Findings) {
    let mut seen = HashSet::new();
    for window in windows {
        let SyncWindow { kind, schedule, duration, .. } = window;
        if !seen.insert(identity(window)) {
            let message = format!(
                "sync window with kind '{kind}', schedule '{schedule}', and duration '{duration}' already exists \
                 (duplicate detected)"
            );
            found.add(ViolationKind::Duplicate, message);
        }
        if let Err(message) = check_one(window) {
            found.add(ViolationKind::Unreadable, message);
        }
        if window.applications.is_empty() && window.namespaces.is_empty() && window.clusters.is_empty() {
            let message =
                format!("window '{kind}':'{schedule}':'{duration}' requires one of application, cluster or namespace");
            found.add(ViolationKind::OutOfRange, message);
        }
    }
}

fn check_one(window: &SyncWindow) -> Result<(), String> {
    if !matches!(window.kind.as_str(), "allow" | "deny") {
        return Err(format!("kind '{}' mismatch: can only be allow or deny", window.kind));
    }
    Schedule::parse(&window.schedule)
        .map_err(|e| format!("cannot parse schedule '{}': {}", window.schedule, e.reason))?;
    duration::parse_go(&window.duration).map_err(|e| format!("cannot parse duration '{}': {e}", window.duration))?;
    if window.description.len() > MAX_DESCRIPTION {
        return Err(format!("description must not exceed {MAX_DESCRIPTION} characters"));
    }
    Ok(())
}

/// What makes two windows the same: when they open and what they apply to, not
/// what they let through.
fn identity(window: &SyncWindow) -> impl Eq + std::hash::Hash {
    let zone = if window.time_zone.is_empty() { "UTC" } else { &window.time_zone };
    let when = (window.kind.clone(), window.schedule.clone(), window.duration.clone(), zone.to_owned());
    let what = (window.applications.clone(), window.namespaces.clone(), window.clusters.clone(), window.and_operator);
    (when, what)
}
