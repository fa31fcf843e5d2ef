//! A Pod in a few lines, in the words `kubectl get pods` uses.

use argosy_model::object;
use serde_json::{Value, json};

use super::{Network, NodeSummary, string_map};

/// Adds what a tree shows of a Pod.
pub(super) fn describe(pod: &Value, summary: &mut NodeSummary) {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let status = pod.get("status").unwrap_or(&Value::Null);
    let (reason, ready, restarts) = state(pod, status);
    if !reason.is_empty() {
        summary.lines.push(("Status Reason", reason));
    }
    let node = spec.get("nodeName").and_then(Value::as_str).unwrap_or("");
    summary.lines.push(("Node", node.to_owned()));
    let total = list(spec, "containers").count();
    summary.lines.push(("Containers", format!("{ready}/{total}")));
    if restarts > 0 {
        summary.lines.push(("Restart Count", restarts.to_string()));
    }
    let labels = string_map(object::get(pod, &["metadata", "labels"]));
    if !labels.is_empty() {
        summary.network = Some(Network { labels, ..Network::default() });
    }
    let phase = status.get("phase").and_then(Value::as_str).unwrap_or("");
    summary.host = Some(json!({"nodeName": node, "phase": phase, "requests": requests(spec)}));
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: Option<&'a Value>, field: &str) -> &'a str {
    value.and_then(|v| v.get(field)).and_then(Value::as_str).unwrap_or("")
}

/// The reason shown for the Pod, its ready containers and its restarts.
fn state(pod: &Value, status: &Value) -> (String, usize, u64) {
    let mut reason = text(Some(status), "reason").to_owned();
    if reason.is_empty() {
        reason = text(Some(status), "phase").to_owned();
    }
    let init: Vec<&Value> = list(status, "initContainerStatuses").collect();
    if let Some((at, waiting)) = init.iter().enumerate().find_map(|(i, c)| Some((i, initializing(c)?))) {
        let restarts = init.iter().map(|c| restart_count(c)).sum();
        let total = list(pod.get("spec").unwrap_or(&Value::Null), "initContainers").count();
        let shown = if waiting.is_empty() { format!("Init:{at}/{total}") } else { format!("Init:{waiting}") };
        return (overridden(pod, status, shown), 0, restarts);
    }
    let (mut ready, mut restarts, mut running) = (0, 0, false);
    for container in list(status, "containerStatuses").collect::<Vec<_>>().into_iter().rev() {
        restarts += restart_count(container);
        let state = container.get("state");
        let waiting = text(state.and_then(|s| s.get("waiting")), "reason");
        let terminated = state.and_then(|s| s.get("terminated"));
        if !waiting.is_empty() {
            reason = waiting.to_owned();
        } else if terminated.is_some() {
            reason = ended(terminated);
        } else if container.get("ready").and_then(Value::as_bool) == Some(true) {
            running = true;
            ready += 1;
        }
    }
    if reason == "Completed" && running {
        reason = "Running".to_owned();
    }
    (overridden(pod, status, reason), ready, restarts)
}

/// What an init container that has not succeeded waits for, empty when it merely runs.
fn initializing(container: &Value) -> Option<String> {
    let state = container.get("state");
    let terminated = state.and_then(|s| s.get("terminated"));
    if terminated.and_then(|t| t.get("exitCode")).and_then(Value::as_i64) == Some(0) {
        return None;
    }
    // A sidecar has started for good.
    if container.get("started").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    if terminated.is_some() {
        return Some(ended(terminated));
    }
    let waiting = text(state.and_then(|s| s.get("waiting")), "reason");
    Some(if waiting == "PodInitializing" { String::new() } else { waiting.to_owned() })
}

fn ended(terminated: Option<&Value>) -> String {
    let reason = text(terminated, "reason");
    if !reason.is_empty() {
        return reason.to_owned();
    }
    let number = |field: &str| terminated.and_then(|t| t.get(field)).and_then(Value::as_i64).unwrap_or(0);
    match number("signal") {
        0 => format!("ExitCode:{}", number("exitCode")),
        signal => format!("Signal:{signal}"),
    }
}

fn restart_count(container: &Value) -> u64 {
    container.get("restartCount").and_then(Value::as_u64).unwrap_or(0)
}

fn overridden(pod: &Value, status: &Value, reason: String) -> String {
    if !object::is_deleting(pod) {
        return reason;
    }
    if text(Some(status), "reason") == "NodeLost" { "Unknown".to_owned() } else { "Terminating".to_owned() }
}

/// Requests of all containers, in thousandths of a core and of a byte as Argo CD counts them.
fn requests(spec: &Value) -> Value {
    let sum = |resource: &str| {
        let amounts = list(spec, "containers").filter_map(|c| object::get(c, &["resources", "requests", resource]));
        amounts.filter_map(Value::as_str).filter_map(milli).sum::<i64>()
    };
    json!({"cpu": sum("cpu"), "memory": sum("memory")})
}

/// A quantity in thousandths, as exactly as a chart needs it.
fn milli(quantity: &str) -> Option<i64> {
    const SUFFIXES: [(&str, f64); 14] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("", 1.0),
    ];
    let (number, factor) =
        SUFFIXES.iter().find_map(|(suffix, factor)| Some((quantity.strip_suffix(suffix)?, factor)))?;
    let value: f64 = number.parse().ok()?;
    Some((value * factor * 1000.0).ceil() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crashing_pod_says_why() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"nodeName": "n1", "containers": [{"resources": {"requests": {"cpu": "100m", "memory": "1Ki"}}}, {}]},
            "status": {"phase": "Running", "containerStatuses": [
                {"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}, {"ready": true, "state": {"running": {}}}]}});
        let mut summary = NodeSummary::default();
        describe(&pod, &mut summary);
        assert_eq!(summary.lines[0], ("Status Reason", "CrashLoopBackOff".to_owned()));
        assert!(summary.lines.contains(&("Containers", "1/2".to_owned())));
        assert!(summary.lines.contains(&("Restart Count", "3".to_owned())));
        assert_eq!(summary.host.expect("host")["requests"], json!({"cpu": 100, "memory": 1_024_000}));
    }
}
