//! What is refused about an object's content, in the API server's words: names and
//! labels of every kind, schemas of custom ones, and of Kubernetes' own kinds the
//! rules that users run into.

use std::sync::LazyLock;

use argosy_model::object;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::api::EXTENSIONS;
use crate::failure::Fault;
use crate::kinds::Kind;
use crate::kinds::custom::CustomVersion;

const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const OLD_LABEL: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const IMMUTABLE: &str = "field is immutable";

fn whole(pattern: &str) -> Regex {
    Regex::new(&format!("^(?:{pattern})$")).expect("a pattern of this file")
}

static IS_SUBDOMAIN: LazyLock<Regex> = LazyLock::new(|| whole(SUBDOMAIN));
static IS_LABEL: LazyLock<Regex> = LazyLock::new(|| whole(LABEL));
static IS_OLD_LABEL: LazyLock<Regex> = LazyLock::new(|| whole(OLD_LABEL));
static IS_LABEL_VALUE: LazyLock<Regex> = LazyLock::new(|| whole(LABEL_VALUE));
static IS_QUALIFIED: LazyLock<Regex> = LazyLock::new(|| whole(QUALIFIED));

/// What is wrong with a new object.
pub(super) fn create(kind: &Kind, value: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    name(kind, value, &mut faults);
    metadata(value, &mut faults);
    content(kind, value, &mut faults);
    faults
}

/// What is wrong with a change.
pub(super) fn update(kind: &Kind, subresource: &str, old: &Value, new: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    metadata(new, &mut faults);
    if object::is_deleting(old) {
        let before: Vec<&str> = object::finalizers(old).collect();
        let added: Vec<&str> = object::finalizers(new).filter(|f| !before.contains(f)).collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers {}",
                go_list(&added)
            );
            let fault = Fault::forbidden("metadata.finalizers", &detail);
            // Kubernetes' own kinds are looked at twice, and say so.
            if kind.custom.is_none() {
                faults.push(fault.clone());
            }
            faults.push(fault);
        }
    }
    if subresource.is_empty() || kind.custom.is_some() {
        immutable(kind, old, new, &mut faults);
        content(kind, new, &mut faults);
    }
    faults
}

fn go_list(items: &[&str]) -> String {
    let quoted: Vec<String> = items.iter().map(|i| format!("\"{i}\"")).collect();
    format!("[]string{{{}}}", quoted.join(", "))
}

fn name(kind: &Kind, value: &Value, faults: &mut Vec<Fault>) {
    let name = object::name(value);
    if name.is_empty() {
        faults.push(Fault::required("metadata.name", "name or generateName is required"));
        return;
    }
    let (rule, limit): (NameRule, usize) = match (&*kind.group, &*kind.plural) {
        ("", "namespaces") => (NameRule::Label, 63),
        ("", "services") => (NameRule::OldLabel, 63),
        ("rbac.authorization.k8s.io", _) => (NameRule::PathSegment, usize::MAX),
        _ => (NameRule::Subdomain, 253),
    };
    let shown = Value::from(name);
    let unit = if matches!(rule, NameRule::OldLabel) { "characters" } else { "bytes" };
    if name.len() > limit {
        faults.push(Fault::invalid("metadata.name", &shown, &format!("must be no more than {limit} {unit}")));
    }
    let (fits, detail) = match rule {
        NameRule::Subdomain => (
            IS_SUBDOMAIN.is_match(name),
            format!(
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
                 start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')"
            ),
        ),
        NameRule::Label => (
            IS_LABEL.is_match(name),
            format!(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
                 end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')"
            ),
        ),
        NameRule::OldLabel => (
            IS_OLD_LABEL.is_match(name),
            format!(
                "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                 character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
                 validation is '{OLD_LABEL}')"
            ),
        ),
        NameRule::PathSegment => {
            let bad = if name.contains('/') { "may not contain '/'" } else { "may not contain '%'" };
            (!name.contains(['/', '%']), bad.to_owned())
        }
    };
    if !fits {
        faults.push(Fault::invalid("metadata.name", &shown, &detail));
    }
}

enum NameRule {
    Subdomain,
    Label,
    OldLabel,
    PathSegment,
}

fn metadata(value: &Value, faults: &mut Vec<Fault>) {
    let map = |field: &str| object::get(value, &["metadata", field]).and_then(Value::as_object);
    for (field, is_label) in [("labels", true), ("annotations", false)] {
        for (key, text) in map(field).into_iter().flatten() {
            qualified(&format!("metadata.{field}"), key, faults);
            let text = text.as_str().unwrap_or("");
            if is_label {
                label_value("metadata.labels", text, faults);
            }
        }
    }
}

fn qualified(field: &str, key: &str, faults: &mut Vec<Fault>) {
    let name = key.rsplit('/').next().unwrap_or(key);
    let shown = Value::from(key);
    if name.len() > 63 {
        faults.push(Fault::invalid(field, &shown, "name part must be no more than 63 bytes"));
    }
    if name.is_empty() {
        faults.push(Fault::invalid(field, &shown, "name part must be non-empty"));
    }
    if !IS_QUALIFIED.is_match(name) {
        let detail = format!(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
             alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{QUALIFIED}')"
        );
        faults.push(Fault::invalid(field, &shown, &detail));
    }
}

fn label_value(field: &str, text: &str, faults: &mut Vec<Fault>) {
    let shown = Value::from(text);
    if text.len() > 63 {
        faults.push(Fault::invalid(field, &shown, "must be no more than 63 bytes"));
    }
    if !IS_LABEL_VALUE.is_match(text) {
        let detail = format!(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
             and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
             validation is '{LABEL_VALUE}')"
        );
        faults.push(Fault::invalid(field, &shown, &detail));
    }
}

fn content(kind: &Kind, value: &Value, faults: &mut Vec<Fault>) {
    if let Some(custom) = &kind.custom {
        custom.validate(value, faults);
        replicas(custom, value, faults);
        return;
    }
    match (&*kind.group, &*kind.plural) {
        ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets") => workload(value, faults),
        ("batch", "jobs") => {
            template(value.pointer("/spec/template"), "spec.template", faults);
            job_restarts(value.pointer("/spec/template"), "spec.template", faults);
        }
        ("batch", "cronjobs") => {
            let text = value.pointer("/spec/schedule").and_then(Value::as_str).unwrap_or("");
            if text.is_empty() {
                faults.push(Fault::required("spec.schedule", ""));
            }
            let place = "spec.jobTemplate.spec.template";
            template(value.pointer("/spec/jobTemplate/spec/template"), place, faults);
            job_restarts(value.pointer("/spec/jobTemplate/spec/template"), place, faults);
        }
        ("", "pods") => pod_spec(value.get("spec"), "spec", faults),
        ("", "services") => service(value, faults),
        ("", "configmaps" | "secrets") => data_keys(value, faults),
        (EXTENSIONS, "customresourcedefinitions") => definition(value, faults),
        _ => {}
    }
}

/// Where a custom kind scales, there is a number.
fn replicas(custom: &CustomVersion, value: &Value, faults: &mut Vec<Fault>) {
    let Some(scale) = &custom.scale else { return };
    let path: Vec<&str> = scale.spec.split('.').filter(|part| !part.is_empty()).collect();
    let (given, shown) = match object::get(value, &path) {
        None | Some(Value::Number(_)) => return,
        Some(Value::String(text)) => ("string", text.clone()),
        Some(Value::Bool(flag)) => ("bool", flag.to_string()),
        Some(other) if other.is_object() => ("map[string]interface {}", other.to_string()),
        Some(other) => ("[]interface {}", other.to_string()),
    };
    let detail = format!("{} accessor error: {shown} is of the type {given}, expected int64", scale.spec);
    faults.push(Fault::invalid(scale.spec.clone(), &0.into(), &detail));
}

fn workload(value: &Value, faults: &mut Vec<Fault>) {
    if let Some(replicas) = value.pointer("/spec/replicas").and_then(Value::as_i64).filter(|r| *r < 0) {
        faults.push(Fault::invalid("spec.replicas", &replicas.into(), "must be greater than or equal to 0"));
    }
    let selector = value.pointer("/spec/selector");
    let is_empty = |s: &Value| s.as_object().is_none_or(Map::is_empty);
    match selector {
        None | Some(Value::Null) => {
            faults.push(Fault::required("spec.selector", ""));
            let labels = value.pointer("/spec/template/metadata/labels").unwrap_or(&Value::Null);
            let detail = "`selector` does not match template `labels`";
            faults.push(Fault::invalid("spec.template.metadata.labels", labels, detail));
        }
        Some(selector) if is_empty(selector) => {
            faults.push(Fault::invalid("spec.selector", selector, "empty selector is invalid for deployment"));
        }
        Some(selector) => {
            let labels = value.pointer("/spec/template/metadata/labels").and_then(Value::as_object);
            let wanted = selector.get("matchLabels").and_then(Value::as_object);
            let matches = wanted.into_iter().flatten().all(|(k, v)| labels.and_then(|l| l.get(k)) == Some(v));
            if !matches {
                let shown = labels.cloned().map_or(Value::Null, Value::Object);
                faults.push(Fault::invalid(
                    "spec.template.metadata.labels",
                    &shown,
                    "`selector` does not match template `labels`",
                ));
            }
        }
    }
    template(value.pointer("/spec/template"), "spec.template", faults);
    let policy = value.pointer("/spec/template/spec/restartPolicy");
    if let Some(policy) = policy.filter(|p| **p != json!("Always")) {
        faults.push(Fault::unsupported("spec.template.spec.restartPolicy", policy, &["Always"]));
    }
}

fn job_restarts(template: Option<&Value>, path: &str, faults: &mut Vec<Fault>) {
    let policy = template.and_then(|t| t.pointer("/spec/restartPolicy")).cloned().unwrap_or(Value::Null);
    if policy == json!("Always") {
        let message = "Required value: valid values: \"OnFailure\", \"Never\"";
        let field = format!("{path}.spec.restartPolicy");
        faults.push(Fault { reason: "FieldValueRequired", field, message: message.to_owned() });
    }
}

fn template(template: Option<&Value>, path: &str, faults: &mut Vec<Fault>) {
    let labels = template.and_then(|t| object::get(t, &["metadata", "labels"])).and_then(Value::as_object);
    for (_, text) in labels.into_iter().flatten() {
        label_value(&format!("{path}.labels"), text.as_str().unwrap_or(""), faults);
    }
    pod_spec(template.and_then(|t| t.get("spec")), &format!("{path}.spec"), faults);
}

fn pod_spec(spec: Option<&Value>, path: &str, faults: &mut Vec<Fault>) {
    let containers = spec.and_then(|s| s.get("containers")).and_then(Value::as_array).filter(|c| !c.is_empty());
    if containers.is_none() {
        faults.push(Fault::required(format!("{path}.containers"), ""));
    }
    let mut seen: Vec<&Value> = Vec::new();
    for (i, container) in containers.into_iter().flatten().enumerate() {
        let place = format!("{path}.containers[{i}]");
        let text = |field: &str| container.get(field).and_then(Value::as_str).unwrap_or("");
        if text("name").is_empty() {
            faults.push(Fault::required(format!("{place}.name"), ""));
        } else if !IS_LABEL.is_match(text("name")) {
            let detail = format!(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
                 end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')"
            );
            faults.push(Fault::invalid(format!("{place}.name"), &text("name").into(), &detail));
        }
        if text("image").is_empty() {
            faults.push(Fault::required(format!("{place}.image"), ""));
        }
        if let Some(name) = container.get("name") {
            if seen.contains(&name) {
                faults.push(Fault::duplicate(format!("{place}.name"), name));
            }
            seen.push(name);
        }
        for (j, port) in container.get("ports").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let number = port.get("containerPort").and_then(Value::as_i64).unwrap_or(0);
            let field = format!("{place}.ports[{j}].containerPort");
            if number == 0 {
                faults.push(Fault::required(field, ""));
            } else if !(1..=65_535).contains(&number) {
                faults.push(Fault::invalid(field, &number.into(), "must be between 1 and 65535, inclusive"));
            }
        }
        let volumes = spec.and_then(|s| s.get("volumes")).and_then(Value::as_array);
        for (j, mount) in container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let name = mount.get("name").and_then(Value::as_str).unwrap_or("");
            let known = volumes.into_iter().flatten().any(|v| v.get("name") == mount.get("name"));
            if !known {
                let message = format!("Not found: \"{name}\"");
                faults.push(Fault {
                    reason: "FieldValueNotFound",
                    field: format!("{place}.volumeMounts[{j}].name"),
                    message,
                });
            }
        }
    }
}

fn service(value: &Value, faults: &mut Vec<Fault>) {
    let spec = |field: &str| value.pointer(&format!("/spec/{field}"));
    let kind = spec("type").cloned().unwrap_or(Value::Null);
    let known = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !kind.as_str().is_some_and(|k| known.contains(&k)) {
        faults.push(Fault::unsupported("spec.type", &kind, &known));
    }
    let ports = spec("ports").and_then(Value::as_array).cloned().unwrap_or_default();
    let headless = spec("clusterIP") == Some(&json!("None"));
    if ports.is_empty() && !headless && kind != json!("ExternalName") {
        faults.push(Fault::required("spec.ports", ""));
    }
    for (i, port) in ports.iter().enumerate() {
        if ports.len() > 1 && port.get("name").and_then(Value::as_str).unwrap_or("").is_empty() {
            faults.push(Fault::required(format!("spec.ports[{i}].name"), ""));
        }
        for field in ["port", "targetPort"] {
            // A port of a Pod may be given by its name.
            let number = port.get(field).and_then(Value::as_i64);
            if let Some(number) = number.filter(|number| !(1..=65_535).contains(number)) {
                let field = format!("spec.ports[{i}].{field}");
                faults.push(Fault::invalid(field, &number.into(), "must be between 1 and 65535, inclusive"));
            }
        }
    }
}

fn data_keys(value: &Value, faults: &mut Vec<Fault>) {
    for key in value.get("data").and_then(Value::as_object).into_iter().flatten().map(|(k, _)| k) {
        let fits =
            !key.is_empty() && key.len() <= 253 && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !fits {
            let detail = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
                          'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
            faults.push(Fault::invalid(format!("data[{key}]"), &key.as_str().into(), detail));
        }
    }
}

fn definition(value: &Value, faults: &mut Vec<Fault>) {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or("");
    let (plural, group) = (text("/spec/names/plural"), text("/spec/group"));
    for (path, field) in [
        ("/spec/group", "spec.group"),
        ("/spec/scope", "spec.scope"),
        ("/spec/names/plural", "spec.names.plural"),
        ("/spec/names/kind", "spec.names.kind"),
    ] {
        if text(path).is_empty() {
            faults.push(Fault::required(field, ""));
        }
    }
    let wanted = format!("{plural}.{group}");
    if object::name(value) != wanted {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        faults.push(Fault::invalid("metadata.name", &object::name(value).into(), detail));
    }
    let versions = value.pointer("/spec/versions").and_then(Value::as_array).cloned().unwrap_or_default();
    if versions.iter().filter(|v| v.get("storage") == Some(&json!(true))).count() != 1 {
        faults.push(Fault::invalid(
            "spec.versions",
            &versions.clone().into(),
            "must have exactly one version marked as storage version",
        ));
    }
    for (i, version) in versions.iter().enumerate() {
        if version.pointer("/schema/openAPIV3Schema").is_none() {
            faults.push(Fault::required(format!("spec.versions[{i}].schema.openAPIV3Schema"), "schemas are required"));
        }
    }
}

fn immutable(kind: &Kind, old: &Value, new: &Value, faults: &mut Vec<Fault>) {
    let fixed = |path: &str| old.pointer(path) != new.pointer(path);
    let mut refuse = |pointer: &str, field: &str, detail: &str| {
        if fixed(pointer) {
            faults.push(Fault::invalid(field, new.pointer(pointer).unwrap_or(&Value::Null), detail));
        }
    };
    match (&*kind.group, &*kind.plural) {
        ("apps", "deployments" | "replicasets" | "daemonsets") => refuse("/spec/selector", "spec.selector", IMMUTABLE),
        ("apps", "statefulsets") => stateful_set(old, new, faults),
        ("batch", "jobs") => {
            refuse("/spec/selector", "spec.selector", IMMUTABLE);
            refuse("/spec/completions", "spec.completions", IMMUTABLE);
            let resumes = old.pointer("/spec/suspend") == Some(&json!(true));
            if !resumes {
                refuse("/spec/template", "spec.template", IMMUTABLE);
            }
        }
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") if fixed("/roleRef") => {
            let part = |name: &str| new.pointer(&format!("/roleRef/{name}")).cloned().unwrap_or(Value::Null);
            let shown = json!({"APIGroup": part("apiGroup"), "Kind": part("kind"), "Name": part("name")});
            faults.push(Fault::invalid("roleRef", &shown, "cannot change roleRef"));
        }
        ("", "services") => {
            let name = |v: &Value| v.pointer("/spec/type").cloned();
            if name(old) == name(new) {
                let address = old.pointer("/spec/clusterIP").and_then(Value::as_str).unwrap_or("");
                if !address.is_empty() && fixed("/spec/clusterIP") {
                    let shown = new.pointer("/spec/clusterIP").cloned().unwrap_or(Value::Null);
                    faults.push(Fault::invalid("spec.clusterIPs[0]", &json!([shown]), "may not change once set"));
                }
            }
        }
        ("", "configmaps" | "secrets") => frozen(kind, old, new, faults),
        ("storage.k8s.io", "storageclasses") => {
            for (pointer, field) in [("/parameters", "parameters"), ("/provisioner", "provisioner")] {
                if fixed(pointer) {
                    faults.push(Fault::forbidden(field, &format!("updates to {field} are forbidden.")));
                }
            }
            refuse_if(fixed("/reclaimPolicy"), "reclaimPolicy", faults);
        }
        ("", "persistentvolumeclaims") => claim(old, new, faults),
        ("", "pods") => pod(old, new, faults),
        _ => {}
    }
}

fn refuse_if(changed: bool, field: &str, faults: &mut Vec<Fault>) {
    if changed {
        faults.push(Fault::forbidden(field, &format!("updates to {field} are forbidden.")));
    }
}

fn stateful_set(old: &Value, new: &Value, faults: &mut Vec<Fault>) {
    const CHANGEABLE: [&str; 8] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
        "status",
    ];
    let fixed = |value: &Value| -> Map<String, Value> {
        let spec = value.get("spec").and_then(Value::as_object).into_iter().flatten();
        spec.filter(|(name, _)| !CHANGEABLE.contains(&name.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect()
    };
    if fixed(old) != fixed(new) {
        faults.push(Fault::forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
             'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ));
    }
}

fn frozen(kind: &Kind, old: &Value, new: &Value, faults: &mut Vec<Fault>) {
    if kind.plural == "secrets" && old.get("type") != new.get("type") {
        faults.push(Fault::invalid("type", new.get("type").unwrap_or(&Value::Null), IMMUTABLE));
    }
    if old.get("immutable") != Some(&json!(true)) {
        return;
    }
    let detail = "field is immutable when `immutable` is set";
    if new.get("immutable") != Some(&json!(true)) {
        faults.push(Fault::forbidden("immutable", detail));
    }
    for field in ["data", "binaryData"] {
        if old.get(field) != new.get(field) {
            faults.push(Fault::forbidden(field, detail));
        }
    }
}

fn claim(old: &Value, new: &Value, faults: &mut Vec<Fault>) {
    let fixed = |value: &Value| {
        let mut spec = value.get("spec").cloned().unwrap_or(Value::Null);
        if let Some(spec) = spec.as_object_mut() {
            for field in ["resources", "volumeName", "volumeAttributesClassName"] {
                spec.remove(field);
            }
        }
        spec
    };
    if fixed(old) != fixed(new) {
        faults.push(Fault::forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        ));
    }
}

fn pod(old: &Value, new: &Value, faults: &mut Vec<Fault>) {
    let fixed = |value: &Value| {
        let mut spec = value.get("spec").cloned().unwrap_or(Value::Null);
        if let Some(spec) = spec.as_object_mut() {
            for field in
                ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates", "nodeName"]
            {
                spec.remove(field);
            }
            for list in ["containers", "initContainers"] {
                for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Some(container) = container.as_object_mut() {
                        container.remove("image");
                    }
                }
            }
        }
        spec
    };
    if fixed(old) != fixed(new) {
        faults.push(Fault::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
             `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ));
    }
}
