//! `x-kubernetes-validations`: expressions in the schemas of custom resources.
//!
//! They are read by the `cel` crate and [checked](check) here against the types that
//! a schema gives, since the API server refuses a definition whose rules do not fit
//! it; they are [evaluated](eval) here, since a rule may only cost so much. A rule
//! with a function that only a real API server has is refused, never passed over.
//! What a rule may cost at most is not estimated beforehand, so definitions that the
//! API server refuses for that are accepted here.

mod check;
mod compile;
mod definition;
mod eval;
mod functions;
mod operate;
mod signatures;
#[cfg(test)]
mod tests;
mod times;
mod types;
mod value;
mod walk;

use std::collections::BTreeMap;

use serde_json::Value;

use self::compile::{Compiled, Refusal, compile};
pub(crate) use self::definition::check as check_definition;
use self::types::Type;

/// The rules of a schema, compiled.
#[derive(Default)]
pub(crate) struct Rules {
    own: Vec<Rule>,
    items: Option<Box<Rules>>,
    additional: Option<Box<Rules>>,
    properties: BTreeMap<String, Rules>,
}

/// One rule.
struct Rule {
    /// What does not compile was refused with its definition, unless that was kept by
    /// an older version: nothing passes such a rule.
    compiled: Result<Compiled, Refusal>,
    message: Option<Compiled>,
    told: Told,
}

/// What a rule says about itself.
#[derive(Clone, Debug, Default)]
struct Told {
    rule: String,
    message: String,
    message_expression: String,
    reason: Option<String>,
    field_path: String,
    optional_old: Option<bool>,
}

// === impl Rules ===

impl Rules {
    /// The rules of the schema of a resource.
    pub(crate) fn of(schema: &Value) -> Self {
        Type::of(schema, true).and_then(|own| Self::below(schema, &own)).unwrap_or_default()
    }

    fn below(schema: &Value, own: &Type) -> Option<Self> {
        let inner = |name: &str| Self::below(schema.get(name)?, own.below("")?).map(Box::new);
        let rules = told(schema).into_iter().map(|told| {
            let optional = told.optional_old == Some(true);
            let compiled = compile(&told.rule, own, optional);
            let message = Some(&told.message_expression).filter(|text| !text.is_empty());
            let message = message.and_then(|text| compile(text, own, optional).ok());
            Rule { compiled, message, told }
        });
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let properties = properties.filter_map(|(name, inner)| {
            let embedded = inner.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true));
            let seen = Type::of(inner, embedded)?;
            Some((name.clone(), Self::below(inner, &seen)?))
        });
        let made = Self {
            own: rules.collect(),
            items: inner("items"),
            additional: inner("additionalProperties"),
            properties: properties.collect(),
        };
        (!made.is_empty()).then_some(made)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.items.is_none() && self.additional.is_none() && self.properties.is_empty()
    }
}

/// What the rules at one place of a schema say.
fn told(schema: &Value) -> Vec<Told> {
    let all = schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten();
    let text = |rule: &Value, name: &str| rule.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    let told = all.map(|rule| Told {
        rule: text(rule, "rule"),
        message: text(rule, "message"),
        message_expression: text(rule, "messageExpression"),
        reason: rule.get("reason").and_then(Value::as_str).map(str::to_owned),
        field_path: text(rule, "fieldPath"),
        optional_old: rule.get("optionalOldSelf").and_then(Value::as_bool),
    });
    told.collect()
}
