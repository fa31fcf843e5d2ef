//! What is shown of an application: the lines for what changed between two
//! looks, and the table of its resources. Pure, and without colours.

use std::collections::BTreeMap;

use argosy_tests::AppState;
use serde_json::Value;

/// One look at an application, as far as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Sync status, health and short revision.
    state: (String, String, String),
    /// Phase and message.
    operation: (String, String),
    conditions: Vec<String>,
    /// By `Kind/name`: sync status and health.
    resources: BTreeMap<String, (String, String)>,
    /// By `Kind/name` and the sync phase it runs in: how it went.
    hooks: BTreeMap<String, String>,
}

// === impl Snapshot ===

impl Snapshot {
    pub(crate) fn of(app: &AppState) -> Self {
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or("").to_owned();
        let name = |value: &Value| format!("{}/{}", text(value, "kind"), text(value, "name"));
        let resources = app.list("/status/resources").iter().map(|resource| {
            let health = resource.pointer("/health/status").and_then(Value::as_str).unwrap_or("");
            // A hook has no sync status of its own.
            let sync = if resource["hook"] == true { "hook".to_owned() } else { text(resource, "status") };
            (name(resource), (sync, health.to_owned()))
        });
        let results = app.list("/status/operationState/syncResult/resources").iter();
        let hooks = results.filter(|result| result["hookType"].is_string()).map(|result| {
            let key = format!("{} ({} hook)", name(result), text(result, "hookType"));
            (key, text(result, "hookPhase"))
        });
        let conditions = app.conditions();
        Self {
            state: (app.sync_status().into(), app.health().into(), short(app.revision()).into()),
            operation: (app.phase().into(), app.message().into()),
            conditions: conditions.iter().map(|(kind, message)| format!("{kind}: {message}")).collect(),
            resources: resources.collect(),
            hooks: hooks.collect(),
        }
    }

    /// A line for each thing that is otherwise than before.
    pub(crate) fn changes_since(&self, before: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.operation != before.operation && !self.operation.0.is_empty() {
            lines.push(format!("sync {}: {}", self.operation.0, self.operation.1));
        }
        for (hook, phase) in self.hooks.iter().filter(|(hook, phase)| before.hooks.get(*hook) != Some(phase)) {
            lines.push(row(hook, phase, ""));
        }
        for (resource, (sync, health)) in &self.resources {
            if before.resources.get(resource) != Some(&(sync.clone(), health.clone())) {
                lines.push(row(resource, sync, health));
            }
        }
        for resource in before.resources.keys().filter(|resource| !self.resources.contains_key(*resource)) {
            lines.push(row(resource, "gone", ""));
        }
        for condition in self.conditions.iter().filter(|condition| !before.conditions.contains(condition)) {
            lines.push(format!("condition {condition}"));
        }
        if self.state != before.state {
            let (sync, health, revision) = &self.state;
            lines.push(format!("application is {}, {} at {revision}", or_dash(sync), or_dash(health)));
        }
        lines
    }

    /// Every resource with its sync status and health.
    pub(crate) fn table(&self) -> String {
        let head = row("RESOURCE", "SYNC", "HEALTH");
        let rows = self.resources.iter().map(|(resource, (sync, health))| row(resource, sync, or_dash(health)));
        [head].into_iter().chain(rows).map(|line| format!("  {line}\n")).collect()
    }
}

fn row(name: &str, first: &str, second: &str) -> String {
    format!("{name:<40} {first:<12} {second}").trim_end().to_owned()
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// Enough of a commit's id to tell it from the others.
pub(crate) fn short(revision: &str) -> &str {
    revision.get(..7).unwrap_or(revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn app(health: &str) -> AppState {
        AppState(json!({"status": {
            "sync": {"status": "Synced", "revision": "0123456789"},
            "health": {"status": health},
            "resources": [
                {"kind": "Service", "name": "web", "status": "Synced"},
                {"kind": "Deployment", "name": "web", "status": "Synced", "health": {"status": health}},
            ],
            "operationState": {"phase": "Succeeded", "message": "done", "syncResult": {"resources": [
                {"kind": "Job", "name": "schema", "hookType": "PreSync", "hookPhase": "Succeeded"}]}},
        }}))
    }

    #[test]
    fn only_what_changed_is_said() {
        let first = Snapshot::of(&app("Progressing"));
        assert_eq!(first.changes_since(&Snapshot::default()).len(), 5);
        assert!(first.changes_since(&first).is_empty());
        let second = Snapshot::of(&app("Healthy"));
        let lines = second.changes_since(&first);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("Deployment/web ") && lines[0].ends_with("Healthy"));
        assert_eq!(lines[1], "application is Synced, Healthy at 0123456");
    }

    #[test]
    fn a_resource_that_left_is_said_to_be_gone() {
        let lines = Snapshot::default().changes_since(&Snapshot::of(&app("Healthy")));
        assert_eq!(lines.iter().filter(|line| line.ends_with("gone")).count(), 2, "{lines:?}");
    }
}
