//! What every kind's metadata must be.

use argosy_model::object;
use serde_json::{Value, json};

use super::texts::{self, not_label, not_qualified, not_subdomain, refuse};
use crate::failure::Fault;
use crate::kinds::Kind;

/// Finalizers without a domain that Kubernetes itself has.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// The name of a new object, and what it is generated from.
pub(super) fn name(kind: &Kind, value: &Value, faults: &mut Vec<Fault>) {
    let prefix = object::generate_name(value);
    if !prefix.is_empty() {
        // A dash at the end is not the end of the name.
        let masked = prefix.strip_suffix('-').map_or_else(|| prefix.to_owned(), |start| format!("{start}a"));
        refuse("metadata.generateName", prefix, wrong_name(kind, &masked), faults);
    }
    let name = object::name(value);
    if name.is_empty() {
        faults.push(Fault::required("metadata.name", "name or generateName is required"));
        return;
    }
    refuse("metadata.name", name, wrong_name(kind, name), faults);
}

fn wrong_name(kind: &Kind, name: &str) -> Vec<String> {
    let (limit, unit, wrong) = match (&*kind.group, &*kind.plural) {
        ("", "namespaces") if name.contains('.') => (63, "characters", Some("must not contain dots".to_owned())),
        ("", "namespaces" | "services") => (63, "characters", not_label(name)),
        ("rbac.authorization.k8s.io", _) => {
            let bad = if name.contains('/') { "may not contain '/'" } else { "may not contain '%'" };
            (usize::MAX, "bytes", name.contains(['/', '%']).then(|| bad.to_owned()))
        }
        _ => (253, "bytes", not_subdomain(name)),
    };
    let long = (name.len() > limit).then(|| format!("must be no more than {limit} {unit}"));
    long.into_iter().chain(wrong).collect()
}

/// Labels, annotations and owners, and finalizers. `times` is how often those and
/// these are looked at, and said to be wrong.
pub(super) fn all(kind: &Kind, value: &Value, times: (usize, usize), faults: &mut Vec<Fault>) {
    let map = |field: &str| object::get(value, &["metadata", field]).and_then(Value::as_object);
    let mut wrong = Vec::new();
    texts::labels("metadata.labels", map("labels"), &mut wrong);
    for (key, _) in map("annotations").into_iter().flatten() {
        refuse("metadata.annotations", key, not_qualified(&key.to_lowercase()), &mut wrong);
    }
    owners(value, &mut wrong);
    for _ in 0..times.0 {
        faults.extend(wrong.iter().cloned());
    }
    for _ in 0..times.1 {
        finalizers(kind, value, faults);
    }
}

fn finalizers(kind: &Kind, value: &Value, faults: &mut Vec<Fault>) {
    let all: Vec<&str> = object::finalizers(value).collect();
    for (i, name) in all.iter().enumerate() {
        refuse("metadata.finalizers", name, not_qualified(name), faults);
        if kind.custom.is_none() && !name.contains('/') && !STANDARD_FINALIZERS.contains(name) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            faults.push(Fault::invalid(format!("metadata.finalizers[{i}]"), &(*name).into(), detail));
        }
    }
    if all.contains(&"orphan") && all.contains(&"foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        faults.push(Fault::invalid("metadata.finalizers", &json!(all), detail));
    }
}

fn owners(value: &Value, faults: &mut Vec<Fault>) {
    let field = "metadata.ownerReferences";
    let mut controllers: Vec<String> = Vec::new();
    for (_, owner) in texts::items(value, "/metadata/ownerReferences") {
        let text = |name: &str| owner.get(name).and_then(Value::as_str).unwrap_or("");
        let version = text("apiVersion").rsplit('/').next().unwrap_or("");
        if version.is_empty() {
            faults.push(Fault::invalid(
                format!("{field}.apiVersion"),
                &text("apiVersion").into(),
                "version must not be empty",
            ));
        }
        for name in ["kind", "name", "uid"] {
            if text(name).is_empty() {
                faults.push(Fault::invalid(format!("{field}.{name}"), &"".into(), "must not be empty"));
            }
        }
        if text("apiVersion") == "v1" && text("kind") == "Event" {
            let shown = shown_owner(owner);
            let message = format!("Invalid value: {shown}: /v1, Kind=Event is disallowed from being an owner");
            faults.push(Fault { reason: "FieldValueInvalid", field: field.to_owned(), message });
        }
        if owner.get("controller") == Some(&json!(true)) {
            controllers.push(format!("{}/{}", text("kind"), text("name")));
        }
    }
    if let [first, second, ..] = &controllers[..] {
        let all: Vec<String> = texts::items(value, "/metadata/ownerReferences").map(|(_, o)| shown_owner(o)).collect();
        let message = format!(
            "Invalid value: [{}]: Only one reference can have Controller set to true. Found \"true\" in references for {first} \
             and {second}",
            all.join(",")
        );
        faults.push(Fault { reason: "FieldValueInvalid", field: field.to_owned(), message });
    }
}

/// In the order of the server's fields.
fn shown_owner(owner: &Value) -> String {
    let fields = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let shown = fields.iter().filter_map(|field| Some(format!("\"{field}\":{}", owner.get(*field)?)));
    format!("{{{}}}", shown.collect::<Vec<_>>().join(","))
}

/// Finalizers do not come to what is going.
pub(super) fn late_finalizers(old: &Value, new: &Value, faults: &mut Vec<Fault>) {
    if !object::is_deleting(old) {
        return;
    }
    let before: Vec<&str> = object::finalizers(old).collect();
    let added: Vec<String> =
        object::finalizers(new).filter(|f| !before.contains(f)).map(|f| format!("\"{f}\"")).collect();
    if added.is_empty() {
        return;
    }
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        added.join(", ")
    );
    // It is looked at twice, and said twice.
    let fault = Fault::forbidden("metadata.finalizers", &detail);
    faults.extend([fault.clone(), fault]);
}
