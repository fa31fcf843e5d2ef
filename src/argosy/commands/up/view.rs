//! What is shown of an application: the lines for what changed between two
//! looks, and the table of its resources. Pure, and without colours.

use std::collections::BTreeMap;

use argosy_proto::v1alpha1::{Application, ApplicationStatus, OperationState};

/// One look at an application, as far as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// Sync status, health and revision.
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
    pub(super) fn of(app: &Application) -> Self {
        let ApplicationStatus { sync, health, operation_state, conditions, resources, .. } =
            app.status.clone().unwrap_or_default();
        let (sync, health) = (sync.unwrap_or_default(), health.unwrap_or_default());
        let OperationState { phase, message, sync_result, .. } = operation_state.unwrap_or_default();
        let resources = resources.into_iter().map(|resource| {
            let health = resource.health.unwrap_or_default().status;
            // A hook has no sync status of its own.
            let sync = if resource.hook { "hook".to_owned() } else { resource.status };
            (format!("{}/{}", resource.kind, resource.name), (sync, health))
        });
        let results = sync_result.unwrap_or_default().resources.into_iter();
        let hooks = results
            .filter(|result| !result.hook_type.is_empty())
            .map(|result| (format!("{}/{} ({} hook)", result.kind, result.name, result.hook_type), result.hook_phase));
        Self {
            state: (sync.status, health.status, sync.revision),
            operation: (phase, message),
            conditions: conditions.iter().map(|one| format!("{}: {}", one.r#type, one.message)).collect(),
            resources: resources.collect(),
            hooks: hooks.collect(),
        }
    }

    /// Whether it is Synced and Healthy at a commit, and no operation is on its way.
    pub(super) fn is_deployed_at(&self, app: &Application, commit: &str) -> bool {
        let (sync, health, revision) = &self.state;
        let is_busy = app.operation.is_some() || matches!(self.operation.0.as_str(), "Running" | "Terminating");
        sync == "Synced" && health == "Healthy" && revision == commit && !is_busy
    }

    /// A line for each thing that is otherwise than before.
    pub(super) fn changes_since(&self, before: &Self) -> Vec<String> {
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
            let (sync, health) = (or_dash(sync), or_dash(health));
            lines.push(format!("application is {sync}, {health} at {}", or_dash(short(revision))));
        }
        lines
    }

    /// Every resource with its sync status and health.
    pub(super) fn table(&self) -> String {
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
pub(super) fn short(revision: &str) -> &str {
    revision.get(..7).unwrap_or(revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn app(health: &str) -> Application {
        let value = json!({"metadata": {"name": "web"}, "status": {
            "sync": {"status": "Synced", "revision": "0123456789"},
            "health": {"status": health},
            "resources": [
                {"kind": "Service", "name": "web", "status": "Synced"},
                {"kind": "Deployment", "name": "web", "status": "Synced", "health": {"status": health}},
            ],
            "operationState": {"phase": "Succeeded", "message": "done", "syncResult": {"resources": [
                {"kind": "Job", "name": "schema", "hookType": "PreSync", "hookPhase": "Succeeded"}]}},
        }});
        serde_json::from_value(value).expect("an Application")
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

    #[test]
    fn a_commit_is_deployed_when_nothing_is_left_to_do() {
        let (deployed, progressing) = (app("Healthy"), app("Progressing"));
        assert!(Snapshot::of(&deployed).is_deployed_at(&deployed, "0123456789"));
        assert!(!Snapshot::of(&deployed).is_deployed_at(&deployed, "abcdef"));
        assert!(!Snapshot::of(&progressing).is_deployed_at(&progressing, "0123456789"));
        let busy = Application { operation: Some(Default::default()), ..deployed };
        assert!(!Snapshot::of(&busy).is_deployed_at(&busy, "0123456789"));
    }
}
