//! What is wrong with the rules of a definition.

use serde_json::{Value, json};

use super::compile::compile;
use super::types::Type;
use super::{Told, told};
use crate::failure::Fault;

/// Says what is wrong with all rules of a schema; `path` is where that schema is.
pub(crate) fn check(path: &str, schema: &Value, faults: &mut Vec<Fault>) {
    if let Some(own) = Type::of(schema, true) {
        below(path, schema, &own, None, faults);
    }
}

/// `lost` is the list inside which nothing is found again after a change.
fn below(path: &str, schema: &Value, own: &Type, lost: Option<&str>, faults: &mut Vec<Fault>) {
    let rules = told(schema);
    let before = faults.len();
    for (i, rule) in rules.iter().enumerate() {
        form(&format!("{path}.x-kubernetes-validations[{i}]"), rule, schema, faults);
    }
    let embedded = |inner: &Value| inner.get("x-kubernetes-embedded-resource") == Some(&json!(true));
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if let Some(seen) = Type::of(inner, embedded(inner)) {
            below(&format!("{path}.properties[{name}]"), inner, &seen, lost, faults);
        }
    }
    if let Some(inner) = schema.get("items").filter(|inner| inner.is_object()) {
        let is_map = schema.get("x-kubernetes-list-type") == Some(&json!("map"));
        let lost = lost.or_else(|| (!is_map).then_some(path));
        if let Some(seen) = own.below("") {
            below(&format!("{path}.items"), inner, seen, lost, faults);
        }
    }
    if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object())
        && let Some(seen) = own.below("")
    {
        below(&format!("{path}.additionalProperties"), inner, seen, lost, faults);
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        for (i, part) in schema.get(name).and_then(Value::as_array).into_iter().flatten().enumerate() {
            none(&format!("{path}.{name}[{i}]"), part, faults);
        }
    }
    if let Some(part) = schema.get("not") {
        none(&format!("{path}.not"), part, faults);
    }
    if faults.len() > before {
        return;
    }
    for (i, rule) in rules.iter().enumerate() {
        expressions(&format!("{path}.x-kubernetes-validations[{i}]"), rule, own, lost, faults);
    }
}

/// Branches have no rules.
fn none(path: &str, part: &Value, faults: &mut Vec<Fault>) {
    if !told(part).is_empty() {
        faults.push(Fault::forbidden(format!("{path}.x-kubernetes-validations"), "must be empty to be structural"));
    }
    for (name, inner) in part.get("properties").and_then(Value::as_object).into_iter().flatten() {
        none(&format!("{path}.properties[{name}]"), inner, faults);
    }
    if let Some(inner) = part.get("items") {
        none(&format!("{path}.items"), inner, faults);
    }
}

fn form(place: &str, told: &Told, schema: &Value, faults: &mut Vec<Fault>) {
    let (rule, message) = (told.rule.trim(), told.message.trim());
    let given = |text: &str| Value::from(text);
    if rule.is_empty() {
        faults.push(Fault::required(format!("{place}.rule"), "rule is not specified"));
    } else if !told.message.is_empty() && message.is_empty() {
        faults.push(Fault::invalid(
            format!("{place}.message"),
            &given(&told.message),
            "must be non-empty if specified",
        ));
    } else if message.contains('\n') {
        faults.push(Fault::invalid(format!("{place}.message"), &given(&told.message), "must not contain line breaks"));
    } else if rule.contains('\n') && message.is_empty() {
        let detail = "message must be specified if rule contains line breaks";
        faults.push(Fault::required(format!("{place}.message"), detail));
    }
    if !told.message_expression.is_empty() && told.message_expression.trim().is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        faults.push(Fault::required(format!("{place}.messageExpression"), detail));
    }
    if let Some(reason) = &told.reason {
        let known = ["FieldValueRequired", "FieldValueForbidden", "FieldValueInvalid", "FieldValueDuplicate"];
        if !known.contains(&&**reason) {
            faults.push(Fault::unsupported(format!("{place}.reason"), &given(reason), &known));
        }
    }
    let path = &told.field_path;
    let mut refuse = |detail: &str| faults.push(Fault::invalid(format!("{place}.fieldPath"), &given(path), detail));
    if path.is_empty() {
        return;
    }
    if path.trim().is_empty() {
        refuse("must be non-empty if specified");
    }
    if path.contains('\n') {
        refuse("must not contain line breaks");
    }
    if !leads_somewhere(path, schema) {
        refuse("must be a valid path");
    }
}

/// Whether `.spec.name` or `['a.b'].c` is in a schema.
fn leads_somewhere(path: &str, schema: &Value) -> bool {
    let mut schema = schema;
    let mut rest = path;
    while !rest.is_empty() {
        let (name, after) = if let Some(inner) = rest.strip_prefix("['") {
            let Some((name, after)) = inner.split_once("']") else { return false };
            (name, after)
        } else if let Some(inner) = rest.strip_prefix('.') {
            let end = inner.find(['.', '[']).unwrap_or(inner.len());
            inner.split_at(end)
        } else {
            return false;
        };
        let next = match schema.get("properties") {
            Some(properties) => properties.get(name),
            None => schema.get("additionalProperties").filter(|inner| inner.is_object()),
        };
        let Some(next) = next else { return false };
        (schema, rest) = (next, after);
    }
    true
}

fn expressions(place: &str, told: &Told, own: &Type, lost: Option<&str>, faults: &mut Vec<Fault>) {
    let shown = shown(told);
    let refused = |place: String, detail: &str| Fault {
        reason: "FieldValueInvalid",
        field: place,
        message: format!("Invalid value: {shown}: {detail}"),
    };
    let optional = told.optional_old == Some(true);
    match compile(&told.rule, own, optional) {
        Err(refusal) => faults.push(refused(format!("{place}.rule"), &refusal.told(""))),
        Ok(compiled) if compiled.gives != Type::Bool => {
            let detail = "cel expression must evaluate to a bool";
            faults.push(refused(format!("{place}.rule"), detail));
        }
        Ok(compiled) => {
            if let Some(lost) = lost.filter(|_| compiled.uses_old) {
                let detail =
                    format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {lost}");
                faults.push(Fault::invalid(format!("{place}.rule"), &told.rule.as_str().into(), &detail));
            }
            if let Some(flag) = told.optional_old.filter(|_| !compiled.uses_old) {
                let detail = "may not be set if oldSelf is not used in rule";
                faults.push(Fault::invalid(format!("{place}.optionalOldSelf"), &flag.into(), detail));
            }
        }
    }
    if told.message_expression.is_empty() {
        return;
    }
    let place = format!("{place}.messageExpression");
    match compile(&told.message_expression, own, optional) {
        Err(refusal) => faults.push(refused(place, &refusal.told("messageExpression "))),
        Ok(compiled) if compiled.gives != Type::Text => {
            faults.push(refused(place, "messageExpression must evaluate to a string"));
        }
        Ok(_) => {}
    }
}

/// A rule as the server writes its own structs.
fn shown(told: &Told) -> String {
    let fields = [
        ("Rule", json!(told.rule)),
        ("Message", json!(told.message)),
        ("MessageExpression", json!(told.message_expression)),
        ("Reason", json!(told.reason)),
        ("FieldPath", json!(told.field_path)),
        ("OptionalOldSelf", json!(told.optional_old)),
    ];
    let fields = fields.map(|(name, value)| format!("\"{name}\":{value}")).join(",");
    let fields = fields.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    format!("{{{fields}}}")
}
