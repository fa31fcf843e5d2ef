//! Label and field selectors.

use argosy_model::object;
use serde_json::Value;

use crate::failure::Failure;
use crate::kinds::Kind;
use crate::store::Json;

mod labels;

use self::labels::{Requirement, parse as parse_labels};

/// Which objects a list or watch is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    labels: Vec<Requirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Clone, Debug)]
struct FieldRequirement {
    path: String,
    value: String,
    is_equal: bool,
}

// === impl Selection ===

impl Selection {
    /// Reads both selectors of a request.
    pub(super) fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, Failure> {
        let requirements = parse_labels(labels).map_err(Failure::bad_request)?;
        let fields_read = parse_fields(fields).map_err(Failure::bad_request)?;
        for requirement in &fields_read {
            if !is_supported(kind, &requirement.path) {
                return Err(Failure::bad_request(unsupported(kind, &requirement.path)));
            }
        }
        Ok(Self { labels: requirements, fields: fields_read })
    }

    /// Whether everything is selected.
    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object is; it is not read where everything is.
    pub(super) fn matches(&self, object: &Json) -> bool {
        self.labels.iter().all(|r| r.matches(object)) && self.fields.iter().all(|r| r.matches(object))
    }
}

impl FieldRequirement {
    fn matches(&self, object: &Value) -> bool {
        let path: Vec<&str> = self.path.split('.').collect();
        let found = match object::get(object, &path) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => default_of(&self.path).to_owned(),
            Some(other) => other.to_string(),
        };
        (found == self.value) == self.is_equal
    }
}

/// What an absent field selects as.
fn default_of(path: &str) -> &'static str {
    match path {
        "spec.unschedulable" | "spec.hostNetwork" => "false",
        "status.successful" | "status.replicas" => "0",
        _ => "",
    }
}

fn is_supported(kind: &Kind, path: &str) -> bool {
    if matches!(path, "metadata.name") || (path == "metadata.namespace" && kind.namespaced) {
        return true;
    }
    let more: &[&str] = match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("" | "events.k8s.io", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("", "secrets") => &["type"],
        ("", "namespaces") => &["status.phase"],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "replicationcontrollers") | ("apps", "replicasets") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        ("certificates.k8s.io", "certificatesigningrequests") => &["spec.signerName"],
        _ => &[],
    };
    more.contains(&path)
}

fn unsupported(kind: &Kind, path: &str) -> String {
    match (kind.custom.is_some(), kind.group.as_str(), kind.plural.as_str()) {
        (false, "", "pods" | "events" | "secrets" | "namespaces" | "nodes" | "replicationcontrollers" | "services") => {
            format!("field label not supported: {path}")
        }
        (false, "batch", "jobs") => format!("field label \"{path}\" not supported for {}", kind.kind),
        (true, ..) => format!("field label not supported: {path}"),
        _ => format!("\"{path}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""),
    }
}

fn parse_fields(text: &str) -> Result<Vec<FieldRequirement>, String> {
    let terms = text.split(',').filter(|t| !t.is_empty());
    let parse = |term: &str| {
        let (path, value, is_equal) = if let Some((path, value)) = term.split_once("!=") {
            (path, value, false)
        } else if let Some((path, value)) = term.split_once("==") {
            (path, value, true)
        } else if let Some((path, value)) = term.split_once('=') {
            (path, value, true)
        } else {
            return Err(format!("invalid selector: '{text}'; can't understand '{term}'"));
        };
        Ok(FieldRequirement { path: path.to_owned(), value: value.to_owned(), is_equal })
    };
    terms.map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn label_selectors_select() {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "a"}}});
        for (text, selected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier!=b", true),
            ("app in (web, api),tier", true),
            ("app notin (web)", false),
            ("!app", false),
            ("!other,other notin (x)", true),
            ("other", false),
        ] {
            let requirements = parse_labels(text).expect("reads");
            assert_eq!(requirements.iter().all(|r| r.matches(&object)), selected, "{text}");
        }
        assert!(parse_labels("a b").is_err());
    }
}
