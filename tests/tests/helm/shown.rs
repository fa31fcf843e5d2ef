//! What is compared: texts and objects, without what cannot be equal on two
//! clusters.

use std::fmt::Write as _;
use std::sync::LazyLock;

use anyhow::Context;
use argosy_tests::ControlPlane;
use regex::Regex;
use serde_json::{Map, Value};

use super::Outcome;

const KINDS: &str = "deployments,services,configmaps,serviceaccounts,jobs,secrets";

/// Times, ages, uids, addresses and names that are made of them.
static RULES: LazyLock<[(Regex, &str); 8]> = LazyLock::new(|| {
    let rules = [
        // Of JSON, of lists and of histories.
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?Z| ?[+-]\d{4} [A-Z]+)?", "<time>"),
        (r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}", "<time>"),
        ("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
        (r"(level=\w+ )?time=\S+ ", "time=<time> "),
        (r"\b10\.96\.\d+\.\d+\b", "<address>"),
        (r"\bweb-[0-9a-z]+-[0-9a-z]{5}\b", "<pod>"),
        (r" (\d+m)?\d+s$", " <age>"),
        (r"[ \t]+", " "),
    ];
    rules.map(|(pattern, to)| (Regex::new(pattern).expect("a pattern of this file"), to))
});

fn normal_text(text: &str) -> String {
    RULES.iter().fold(text.to_owned(), |text, (pattern, to)| pattern.replace_all(&text, *to).into_owned())
}

/// What was printed.
pub(crate) fn lines(text: &str) -> Vec<String> {
    // A watch that Helm itself breaks off is told of or not, by chance.
    let is_said = |line: &&str| !line.trim().is_empty() && !line.ends_with("err=\"context canceled\"");
    let lines = text.lines().filter(is_said).map(|line| normal_text(line.trim_end()));
    in_order(lines.collect())
}

/// Helm shows a release's resources kind by kind, the kinds in an order of chance.
fn in_order(mut lines: Vec<String>) -> Vec<String> {
    const HEADING: &str = "==> ";
    let Some(start) = lines.iter().position(|line| line.starts_with(HEADING)) else { return lines };
    let after = lines[start..].iter().position(|line| line.starts_with("TEST SUITE:"));
    let end = after.map_or(lines.len(), |after| start + after);
    let shown = &mut lines[start..end];
    let mut kinds: Vec<Vec<String>> = shown.chunk_by(|_, line| !line.starts_with(HEADING)).map(<[_]>::to_vec).collect();
    kinds.sort();
    shown.clone_from_slice(&kinds.concat());
    lines
}

/// What is in a namespace, as whoever applied it would see it.
pub(crate) fn objects(plane: &ControlPlane, namespace: &str) -> anyhow::Result<Vec<Value>> {
    let text = plane.kubectl_text(&["get", KINDS, "-n", namespace, "--show-managed-fields", "-o", "json"])?;
    let list: Value = serde_json::from_str(&text).context("a list of objects")?;
    let items = list["items"].as_array().context("a list has items")?;
    let mut objects: Vec<Value> = items.iter().cloned().map(object).collect();
    objects.sort_by_key(|object| [object["kind"].to_string(), object["metadata"]["name"].to_string()]);
    Ok(objects)
}

fn object(mut object: Value) -> Value {
    let is_release = object["type"].as_str().is_some_and(|kind| kind.starts_with("helm.sh/release"));
    if let Some(fields) = object.as_object_mut() {
        // Controllers' own affair, and compared elsewhere.
        fields.remove("status");
        if is_release || fields["metadata"]["name"] == "kube-root-ca.crt" {
            // The release with its times, packed; the authority of the cluster.
            fields.remove("data");
        }
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["resourceVersion", "uid", "creationTimestamp"] {
            metadata.remove(field);
        }
        if let Some(time) = metadata.get_mut("labels").and_then(|labels| labels.get_mut("modifiedAt")) {
            *time = "<time>".into();
        }
        // Of controllers a real cluster says more than the sandbox.
        let entries = metadata.remove("managedFields");
        let entries = entries.iter().filter_map(Value::as_array).flatten();
        let entries: Vec<Value> = entries.filter(|entry| entry["manager"] == "helm").cloned().collect();
        metadata.insert("managedFields".to_owned(), entries.into());
    }
    normal(object)
}

fn normal(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| {
                let value = if name == "nodePort" { "<port>".into() } else { normal(value) };
                // Owned fields have values in their names.
                (normal_text(&name), value)
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(normal).collect()),
        Value::String(text) => normal_text(&text).into(),
        other => other,
    }
}

/// Says where two outcomes differ.
pub(crate) fn differences(words: &str, wanted: &Outcome, got: &Outcome, report: &mut String) {
    let mut found = String::new();
    if wanted.success != got.success || wanted.said != got.said {
        let said = |outcome: &Outcome| format!("success {}\n    {}", outcome.success, outcome.said.join("\n    "));
        let _ = writeln!(found, "  real: {}\n  sandbox: {}", said(wanted), said(got));
    }
    let names = |outcome: &Outcome| -> Vec<String> {
        outcome.objects.iter().map(|o| format!("{}/{}", o["kind"], o["metadata"]["name"])).collect()
    };
    if names(wanted) == names(got) {
        for (wanted, got) in wanted.objects.iter().zip(&got.objects) {
            let name = format!("{}/{}", wanted["kind"], wanted["metadata"]["name"]);
            values(&name.replace('"', ""), wanted, got, &mut found);
        }
    } else {
        let _ = writeln!(found, "  real has {:?}\n  the sandbox {:?}", names(wanted), names(got));
    }
    if !found.is_empty() {
        let _ = writeln!(report, "--- helm {words}\n{found}");
    }
}

fn values(path: &str, wanted: &Value, got: &Value, report: &mut String) {
    match (wanted, got) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                values(&format!("{path}.{name}"), &wanted[name], &got[name], report);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (wanted, got)) in a.iter().zip(b).enumerate() {
                values(&format!("{path}[{index}]"), wanted, got, report);
            }
        }
        _ if wanted != got => {
            let _ = writeln!(report, "  {path}:\n    real    {wanted}\n    sandbox {got}");
        }
        _ => {}
    }
}
