//! CustomResourceDefinitions.

use argosy_model::object;
use serde_json::{Value, json};

use super::texts::{items, not_old_label, not_subdomain, one_of, refuse, text};
use crate::failure::Fault;

/// The name of a new one says what it defines.
pub(super) fn name(value: &Value, faults: &mut Vec<Fault>) {
    let (plural, group) = (text(value, "/spec/names/plural"), text(value, "/spec/group"));
    if object::name(value) != format!("{plural}.{group}") {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        faults.push(Fault::invalid("metadata.name", &object::name(value).into(), detail));
    }
}

pub(super) fn content(value: &Value, faults: &mut Vec<Fault>) {
    let group = text(value, "/spec/group");
    if group.is_empty() {
        faults.push(Fault::required("spec.group", ""));
    } else {
        refuse("spec.group", group, not_subdomain(group), faults);
        if !group.contains('.') {
            faults.push(Fault::invalid("spec.group", &group.into(), "should be a domain with at least one dot"));
        }
    }
    if text(value, "/spec/scope").is_empty() {
        faults.push(Fault::required("spec.scope", ""));
    } else {
        one_of("spec.scope", value.pointer("/spec/scope"), &["Cluster", "Namespaced"], faults);
    }
    versions(value, faults);
    names(value, faults);
    if value.pointer("/spec/preserveUnknownFields") == Some(&json!(true)) {
        let detail =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        faults.push(Fault::invalid("spec.preserveUnknownFields", &json!(true), detail));
    }
    if text(value, "/spec/conversion/strategy") == "Webhook" {
        if value.pointer("/spec/conversion/webhook/clientConfig").is_none_or(Value::is_null) {
            let detail = "required when strategy is set to Webhook";
            faults.push(Fault::required("spec.conversion.webhookClientConfig", detail));
        }
        if items(value, "/spec/conversion/webhook/conversionReviewVersions").next().is_none() {
            faults.push(Fault::required("spec.conversion.conversionReviewVersions", ""));
        }
    }
    stored(value, faults);
}

fn versions(value: &Value, faults: &mut Vec<Fault>) {
    let all: Vec<&Value> = items(value, "/spec/versions").map(|(_, version)| version).collect();
    let mut seen: Vec<&str> = Vec::new();
    for (i, version) in all.iter().enumerate() {
        let name = text(version, "/name");
        refuse(&format!("spec.versions[{i}].name"), name, not_old_label(name), faults);
        if seen.contains(&name) {
            let message = format!("Invalid value: {}: must contain unique version names", shown(&all));
            faults.push(Fault { reason: "FieldValueInvalid", field: "spec.versions".to_owned(), message });
        }
        seen.push(name);
        match version.pointer("/schema/openAPIV3Schema") {
            None | Some(Value::Null) => {
                faults.push(Fault::required(format!("spec.versions[{i}].schema.openAPIV3Schema"), ""));
            }
            Some(schema) if all.len() == 1 => structural("spec.validation.openAPIV3Schema", schema, faults),
            Some(schema) => structural(&format!("spec.versions[{i}].schema.openAPIV3Schema"), schema, faults),
        }
    }
    if all.iter().filter(|v| v.get("storage") == Some(&json!(true))).count() != 1 {
        let shown =
            if all.is_empty() && value.pointer("/spec/versions").is_some() { "[]".to_owned() } else { shown(&all) };
        let message = format!("Invalid value: {shown}: must have exactly one version marked as storage version");
        faults.push(Fault { reason: "FieldValueInvalid", field: "spec.versions".to_owned(), message });
    }
}

/// Versions as the server writes its own structs.
fn shown(versions: &[&Value]) -> String {
    if versions.is_empty() {
        return "null".to_owned();
    }
    let all = versions.iter().map(|version| {
        let part = |name: &str| version.get(name).cloned().unwrap_or(json!(false));
        format!(
            "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":null,\"Schema\":null,\
             \"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":null}}",
            part("name"),
            part("served"),
            part("storage"),
            part("deprecated")
        )
    });
    format!("[{}]", all.collect::<Vec<_>>().join(","))
}

fn names(value: &Value, faults: &mut Vec<Fault>) {
    for field in ["plural", "singular", "kind", "listKind"] {
        let place = format!("spec.names.{field}");
        let name = text(value, &format!("/spec/names/{field}"));
        if name.is_empty() {
            faults.push(Fault::required(place, ""));
        } else {
            let folded = if field.ends_with("ind") { name.to_lowercase() } else { name.to_owned() };
            refuse(
                &place,
                name,
                not_old_label(&folded).map(|why| {
                    if field.ends_with("ind") {
                        format!("may have mixed case, but should otherwise match: {why}")
                    } else {
                        why
                    }
                }),
                faults,
            );
        }
    }
}

/// Every field has a type, and the root is an object.
fn structural(path: &str, schema: &Value, faults: &mut Vec<Fault>) {
    below(path, schema, faults);
    let is_structural = faults.is_empty();
    match text(schema, "/type") {
        "object" if is_structural => crate::rules::check_definition(path, schema, faults),
        "object" => {}
        "" => faults.push(Fault::required(format!("{path}.type"), "must not be empty at the root")),
        other => faults.push(Fault::invalid(format!("{path}.type"), &other.into(), "must be object at the root")),
    }
}

fn below(path: &str, schema: &Value, faults: &mut Vec<Fault>) {
    let is_free = |schema: &Value| {
        ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"]
            .iter()
            .any(|flag| schema.get(*flag) == Some(&json!(true)))
    };
    if text(schema, "/type") == "array" && schema.get("items").is_none() {
        faults.push(Fault::required(format!("{path}.items"), "must be specified"));
    }
    let mut child = |place: String, inner: &Value, what: &str| {
        if text(inner, "/type").is_empty() && !is_free(inner) && inner.is_object() {
            faults.push(Fault::required(format!("{place}.type"), &format!("must not be empty for specified {what}")));
        }
        below(&place, inner, faults);
    };
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        child(format!("{path}.properties[{name}]"), inner, "object fields");
    }
    if let Some(inner) = schema.get("items").filter(|inner| inner.is_object()) {
        child(format!("{path}.items"), inner, "array items");
    }
    if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
        child(format!("{path}.additionalProperties"), inner, "object fields");
    }
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        let mut wrong = Vec::new();
        crate::kinds::validate_structural(schema, default, "", &mut wrong);
        faults.extend(wrong.into_iter().map(|fault| {
            let message = fault.message.replace("<nil> in body", " in body");
            Fault { field: format!("{path}.default"), message, ..fault }
        }));
    }
}

fn stored(value: &Value, faults: &mut Vec<Fault>) {
    let stored: Vec<&str> = items(value, "/status/storedVersions").filter_map(|(_, name)| name.as_str()).collect();
    if stored.is_empty() {
        let message = "Invalid value: null: must have at least one stored version";
        faults.push(Fault {
            reason: "FieldValueInvalid",
            field: "status.storedVersions".to_owned(),
            message: message.to_owned(),
        });
    }
    for (i, name) in stored.iter().enumerate() {
        if !items(value, "/spec/versions").any(|(_, version)| text(version, "/name") == *name) {
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until \
                 a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            faults.push(Fault::invalid(format!("status.storedVersions[{i}]"), &(*name).into(), &detail));
        }
    }
}
