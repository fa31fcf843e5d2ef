//! The line kubectl would print.

use argosy_model::{Gvk, object};

use super::{ApplyTask, Done, Mode};

/// `deployment.apps/name configured (dry run)`, preceded by what `kubectl auth
/// reconcile` would print for RBAC kinds and followed by the server's warnings.
pub(super) fn line(task: &ApplyTask<'_>, gvk: &Gvk, done: &Done) -> String {
    let name = object::name(&done.live);
    let name = if name.is_empty() { object::name(task.target) } else { name };
    if done.verb == "updated" {
        return with_warnings(format!("{}/{name} updated", gvk.kind), done);
    }
    let kind = gvk.kind.to_lowercase();
    let shown = if gvk.group.is_empty() { format!("{kind}/{name}") } else { format!("{kind}.{}/{name}", gvk.group) };
    let note = match (task.dry_run, &task.mode) {
        (false, _) => "",
        (true, Mode::ServerSide { .. }) => " (server dry run)",
        (true, _) => " (dry run)",
    };
    let mut line = String::new();
    if gvk.api_version() == "rbac.authorization.k8s.io/v1" {
        line = format!("{shown} reconciled{note}. ");
    }
    line.push_str(&format!("{shown} {}{note}", done.verb));
    with_warnings(line, done)
}

fn with_warnings(mut line: String, done: &Done) -> String {
    for warning in &done.warnings {
        line.push_str(". Warning: ");
        line.push_str(warning);
    }
    line
}
