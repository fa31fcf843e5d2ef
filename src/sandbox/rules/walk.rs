//! An object against the rules of its schema.

use serde_json::{Map, Value};

use super::eval::{Evaluation, Halt};
use super::value::Val;
use super::{Rule, Rules, Told};
use crate::failure::Fault;

/// Steps that one expression may take.
const RULE_STEPS: u64 = 1_000_000;
/// Steps that all rules of a request may take.
const ALL_STEPS: u64 = 10_000_000;
/// Longest text of a message that is evaluated, in bytes.
const MAX_MESSAGE: usize = 5 * 1024;

/// A value with its schema, and what it was before.
#[derive(Clone, Copy)]
struct Place<'a> {
    schema: &'a Value,
    new: &'a Value,
    /// What was there, where it can be found again.
    old: Option<&'a Value>,
    is_root: bool,
    /// Whether it, or something around it, is as it was before.
    is_same: bool,
}

/// What was found.
struct Found<'a> {
    faults: &'a mut Vec<Fault>,
    warnings: &'a mut Vec<String>,
    left: u64,
}

// === impl Rules ===

impl Rules {
    /// What the rules say of an object and, where there is one, of its change. Rules
    /// that fail where nothing changed only warn.
    pub(crate) fn validate(
        &self,
        schema: &Value,
        new: &Value,
        old: Option<&Value>,
        faults: &mut Vec<Fault>,
        warnings: &mut Vec<String>,
    ) {
        let place = Place { schema, new, old, is_root: true, is_same: old == Some(new) };
        let mut found = Found { faults, warnings, left: ALL_STEPS };
        // Without steps that are left nothing more is said.
        let _ = self.at(&place, "", &mut found);
    }

    /// `None` once the budget is spent.
    fn at(&self, place: &Place<'_>, path: &str, found: &mut Found<'_>) -> Option<()> {
        if place.new.is_null() {
            return Some(());
        }
        self.own_at(place, path, found)?;
        match place.new {
            Value::Array(items) => self.items_at(place, items, path, found),
            Value::Object(fields) => self.fields_at(place, fields, path, found),
            _ => Some(()),
        }
    }

    fn own_at(&self, place: &Place<'_>, path: &str, found: &mut Found<'_>) -> Option<()> {
        let old = place.old.filter(|old| !old.is_null());
        if self.own.is_empty() {
            return Some(());
        }
        let own = Val::of(place.new, place.schema, place.is_root);
        let before = old.map(|old| Val::of(old, place.schema, place.is_root));
        for rule in &self.own {
            let is_optional = rule.told.optional_old == Some(true);
            if rule.uses_old() && before.is_none() && !is_optional {
                continue;
            }
            let mut variables = vec![("self".to_owned(), own.clone())];
            if is_optional {
                variables.push(("oldSelf".to_owned(), Val::Optional(before.clone().map(std::rc::Rc::new))));
            } else if let Some(before) = &before {
                variables.push(("oldSelf".to_owned(), before.clone()));
            }
            let place_name = path.strip_prefix('.').unwrap_or(path);
            rule.judge(place, variables, place_name, found)?;
        }
        Some(())
    }

    fn items_at(&self, place: &Place<'_>, items: &[Value], path: &str, found: &mut Found<'_>) -> Option<()> {
        let Some(inner) = &self.items else { return Some(()) };
        let schema = place.schema.get("items")?;
        let before = place.old.and_then(Value::as_array);
        let keys = keys_of(place.schema);
        for (i, item) in items.iter().enumerate() {
            let old = before.zip(keys.as_ref()).and_then(|(before, keys)| {
                before.iter().find(|old| keys.iter().all(|key| of_key(item, key, schema) == of_key(old, key, schema)))
            });
            let is_same = place.is_same || old == Some(item);
            let below = Place { schema, new: item, old, is_root: false, is_same };
            inner.at(&below, &format!("{path}[{i}]"), found)?;
        }
        Some(())
    }

    fn fields_at(
        &self,
        place: &Place<'_>,
        fields: &Map<String, Value>,
        path: &str,
        found: &mut Found<'_>,
    ) -> Option<()> {
        for (name, new) in fields {
            let old = place.old.and_then(|old| old.get(name));
            let is_same = place.is_same || old == Some(new);
            let mut look = |rules: &Self, schema: &Value, path: &str| {
                rules.at(&Place { schema, new, old, is_root: false, is_same }, path, found)
            };
            if let (Some(inner), Some(schema)) = (&self.additional, place.schema.get("additionalProperties")) {
                look(inner, schema, &format!("{path}[{name}]"))?;
            }
            let schema = place.schema.get("properties").and_then(|properties| properties.get(name));
            if let (Some(inner), Some(schema)) = (self.properties.get(name), schema) {
                look(inner, schema, &format!("{path}.{name}"))?;
            }
        }
        Some(())
    }
}

/// The keys of a list of type `map`, whose items are found again by them.
fn keys_of(schema: &Value) -> Option<Vec<&str>> {
    let is_map = schema.get("x-kubernetes-list-type").and_then(Value::as_str) == Some("map");
    let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).filter(|_| is_map)?;
    Some(keys.iter().filter_map(Value::as_str).collect())
}

fn of_key<'a>(item: &'a Value, key: &str, schema: &'a Value) -> Option<&'a Value> {
    item.get(key).or_else(|| schema.get("properties")?.get(key)?.get("default"))
}

// === impl Rule ===

impl Rule {
    fn uses_old(&self) -> bool {
        self.compiled.as_ref().is_ok_and(|compiled| compiled.uses_old)
    }

    fn judge(&self, place: &Place<'_>, variables: Vec<(String, Val)>, path: &str, found: &mut Found<'_>) -> Option<()> {
        let kind = place.schema.get("type").and_then(Value::as_str).unwrap_or("");
        let invalid = |detail: &str| Fault::invalid(if path.is_empty() { "<nil>" } else { path }, &kind.into(), detail);
        let compiled = match &self.compiled {
            Ok(compiled) => compiled,
            Err(refusal) => {
                found.faults.push(invalid(&format!("rule compile error: {}", refusal.told(""))));
                return Some(());
            }
        };
        let steps = RULE_STEPS.min(found.left);
        let mut evaluation = Evaluation::new(variables.clone(), steps);
        let outcome = evaluation.evaluate(&compiled.expression);
        found.left -= steps - evaluation.left();
        let shown = self.told.shown();
        match outcome {
            Ok(Val::Bool(true)) => return Some(()),
            Ok(_) => {}
            Err(Halt::Budget) => {
                found.faults.push(invalid(&if steps < RULE_STEPS {
                    "validation failed due to running out of cost budget, no further validation rules will be run"
                        .to_owned()
                } else {
                    format!(
                        "'operation cancelled: actual cost limit exceeded': no further validation rules will be run due \
                         to call cost exceeds limit for rule: {shown}"
                    )
                }));
                return None;
            }
            Err(Halt::Failed(why)) => {
                found.faults.push(invalid(&if why.starts_with("no such overload") {
                    format!(
                        "'{why}': call arguments did not match a supported operator, function or macro signature for \
                         rule: {shown}"
                    )
                } else {
                    format!("{why} evaluating rule: {shown}")
                }));
                return Some(());
            }
        }
        let mut detail = None;
        if let Some(message) = &self.message {
            let steps = RULE_STEPS.min(found.left);
            let mut evaluation = Evaluation::new(variables, steps);
            let outcome = evaluation.evaluate(&message.expression);
            found.left -= steps - evaluation.left();
            match outcome {
                Ok(Val::Text(text)) => detail = Some(text.trim().to_owned()).filter(|text| is_message(text)),
                Err(Halt::Budget) => {
                    found.faults.push(invalid(
                        "messageExpression evaluation failed due to running out of cost budget, no further validation \
                         rules will be run",
                    ));
                    return None;
                }
                _ => {}
            }
        }
        let detail = detail.unwrap_or_else(|| self.told.message());
        let fault = self.told.fault(path, place.new, kind, &detail);
        if !self.uses_old() && place.is_same {
            found.warnings.push(format!("{}: {}", fault.field, fault.message));
        } else {
            found.faults.push(fault);
        }
        Some(())
    }
}

fn is_message(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n')
}

// === impl Told ===

impl Told {
    fn shown(&self) -> &str {
        if self.message.is_empty() { self.rule.trim() } else { self.message.trim() }
    }

    fn message(&self) -> String {
        if self.message.is_empty() { format!("failed rule: {}", self.shown()) } else { self.shown().to_owned() }
    }

    fn fault(&self, path: &str, value: &Value, kind: &str, detail: &str) -> Fault {
        let field = match (path, self.field_path.trim()) {
            ("", "") => "<nil>".to_owned(),
            ("", below) => below.strip_prefix('.').unwrap_or(below).to_owned(),
            (path, below) => format!("{path}{below}"),
        };
        // What is said of an object does not show it.
        let is_shown = !matches!(kind, "object" | "array");
        let says = |what: &str| match (detail, is_shown) {
            (_, true) if what == "Duplicate value" => format!("{what}: {value}"),
            (_, false) if what == "Duplicate value" => what.to_owned(),
            (_, true) => format!("{what}: {value}: {detail}"),
            (_, false) => format!("{what}: {detail}"),
        };
        match self.reason.as_deref() {
            Some("FieldValueForbidden") => Fault::forbidden(field, detail),
            Some("FieldValueRequired") => Fault::required(field, detail),
            Some("FieldValueDuplicate") => {
                Fault { reason: "FieldValueDuplicate", field, message: says("Duplicate value") }
            }
            _ => Fault { reason: "FieldValueInvalid", field, message: says("Invalid value") },
        }
    }
}
