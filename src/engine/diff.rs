//! Whether one live object is what its target asks for, and what it would become.
//!
//! Desired versus live is what the API server would make of it: values that it
//! would store alike are alike, defaults it fills in are nobody's drift, and what
//! the rules ignore is looked at on neither side. The common answer is "nothing
//! changed", so that is what is fast: the two states are walked side by side and
//! nothing is copied until something differs.
//!
//! Total: no schema, a schema that does not fit, or any JSON at all still gives
//! an answer.

use std::borrow::Cow;
use std::sync::Arc;

use argosy_model::Gvk;
use serde_json::{Map, Value};

use crate::merge::{self, Fidelity, Generator, LAST_APPLIED, Patch, PatchKind};
use crate::normalize::{Normalizer, RuleError};
use crate::schema::{Schemas, TypeRef};

/// How live and target are compared.
#[derive(Clone, Copy, Debug)]
pub enum Mode<'a> {
    /// Against what was applied last, as live remembers it; two ways where it
    /// does not.
    ThreeWay,
    /// As a server-side apply by `manager` would turn out, computed here.
    ServerSideApply {
        /// The field manager, see [`merge::MANAGER`].
        manager: &'a str,
    },
    /// As the API server itself said.
    ServerSideDryRun {
        /// Its answer to a dry run of the apply.
        predicted: &'a Value,
        /// The field manager of that apply.
        manager: &'a str,
        /// Whether changes of mutating webhooks count.
        include_mutation_webhook: bool,
    },
}

/// An application is compared by what its cluster's API server makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerSideDiff {
    /// Whether changes of mutating webhooks count.
    pub include_mutation_webhook: bool,
}

/// One comparison.
#[derive(Clone, Copy, Debug)]
pub struct DiffInput<'a> {
    /// The desired state, if any.
    pub target: Option<&'a Value>,
    /// The live state, if any.
    pub live: Option<&'a Value>,
    /// What is ignored.
    pub normalizer: &'a Normalizer,
    /// The cluster's types.
    pub schemas: &'a Schemas,
    /// How to compare.
    pub mode: Mode<'a>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct DiffOutcome {
    /// Live is not what the target asks for. An object without a target is
    /// never modified, one that is missing always.
    pub modified: bool,
    /// Live without what is ignored; null when there is none.
    pub normalized_live: Arc<Value>,
    /// What it would become, without what is ignored; the very same value when
    /// nothing changes, null when there is no target.
    pub predicted_live: Arc<Value>,
    /// Ignore rules that failed on this object and were skipped.
    pub skipped: Vec<RuleError>,
}

// === impl ServerSideDiff ===

impl ServerSideDiff {
    /// What the installation's default and an application's own
    /// `argocd.argoproj.io/compare-options` say together: the application has the
    /// last word, and its "no" weighs more than its "yes". `None` to compare here.
    pub fn decide(default: bool, compare_options: &str) -> Option<Self> {
        let says = |option: &str| compare_options.split(',').any(|word| word.trim() == option);
        let wanted = (default || says("ServerSideDiff=true")) && !says("ServerSideDiff=false");
        wanted.then(|| Self { include_mutation_webhook: says("IncludeMutationWebhook=true") })
    }
}

/// Compares.
pub fn diff(input: DiffInput<'_>) -> DiffOutcome {
    let normalized = input.normalizer.prepare(input.target, input.live, input.schemas);
    let ignore_status = normalized.ignore_status;
    let (target, live) = match (normalized.target, normalized.live) {
        (Some(target), Some(live)) => (target, live),
        (target, live) => {
            return DiffOutcome {
                modified: target.is_some(),
                normalized_live: Arc::new(live.map_or(Value::Null, |l| visible(l, ignore_status))),
                predicted_live: Arc::new(target.map_or(Value::Null, |t| visible(t, ignore_status))),
                skipped: normalized.skipped,
            };
        }
    };
    let schema = input.schemas.get(&Gvk::of(&target)).or_else(|| input.schemas.get(&Gvk::of(&live)));
    let predicted = match input.mode {
        Mode::ThreeWay => {
            let last = input.live.and_then(merge::last_applied);
            predict_three_way(last.as_ref(), &target, &live, schema, ignore_status)
        }
        Mode::ServerSideApply { manager } => {
            let predicted = merge::structured::predict_apply(&live, &target, manager, schema);
            changed(predicted, &live, schema, ignore_status)
        }
        Mode::ServerSideDryRun { predicted, manager, include_mutation_webhook } => {
            let predicted = dry_run_state(input, predicted, manager, include_mutation_webhook);
            changed(predicted, &live, schema, ignore_status)
        }
    };
    let normalized_live = Arc::new(visible(live, ignore_status));
    DiffOutcome {
        modified: predicted.is_some(),
        predicted_live: match predicted {
            Some(predicted) => Arc::new(visible(Cow::Owned(predicted), ignore_status)),
            None => normalized_live.clone(),
        },
        normalized_live,
        skipped: normalized.skipped,
    }
}

/// Live with the target merged in, or `None` when that is what it is.
fn predict_three_way(
    last: Option<&Value>,
    target: &Value,
    live: &Value,
    schema: Option<TypeRef<'_>>,
    ignore_status: bool,
) -> Option<Value> {
    let last = last.map(merge::fold_string_data);
    let generator = Generator::new(Fidelity::AsStored, schema).ignoring_status(ignore_status);
    let changes = generator.changes(last.as_deref(), target, live, schema);
    if changes.is_empty() {
        return None;
    }
    let patch = Patch { kind: PatchKind::of(schema), body: Value::Object(changes) };
    Some(patch.apply(live, schema))
}

/// The server's answer, without what others changed and what is ignored. The
/// changes of others are told by `managedFields`, so before anything is removed.
fn dry_run_state(input: DiffInput<'_>, predicted: &Value, manager: &str, include_mutation_webhook: bool) -> Value {
    let predicted = match input.live {
        Some(live) if !include_mutation_webhook => merge::structured::without_foreign_changes(predicted, live, manager),
        _ => predicted.clone(),
    };
    // In the place of the target, so that managers' rules see live's owners.
    let prepared = input.normalizer.prepare(Some(&predicted), input.live, input.schemas);
    prepared.target.map_or(Value::Null, Cow::into_owned)
}

/// The prediction, unless it is what is there already.
fn changed(predicted: Value, live: &Value, schema: Option<TypeRef<'_>>, ignore_status: bool) -> Option<Value> {
    let counts = |key: &str| !(matches!(key, "apiVersion" | "kind" | "metadata") || ignore_status && key == "status");
    let (Some(a), Some(b)) = (predicted.as_object(), live.as_object()) else {
        return (predicted != *live).then_some(predicted);
    };
    let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
    let same_field = |key: &str, a: &Map<String, Value>, b: &Map<String, Value>, ty: Option<TypeRef<'_>>| {
        let (field, undeclared) = merge::child(ty, key);
        let nothing = |v: Option<&Value>| v.is_none_or(|v| merge::stored_as_nothing(v, field, false));
        match (a.get(key), b.get(key)) {
            (Some(a), Some(b)) => undeclared || merge::same(a, b, field) || (nothing(Some(a)) && nothing(Some(b))),
            (a, b) => undeclared || (nothing(a) && nothing(b)),
        }
    };
    let same_body = keys.filter(|key| counts(key)).all(|key| same_field(key, a, b, schema));
    let (metadata_type, _) = merge::child(schema, "metadata");
    let empty = Map::new();
    let metadata = |o: &'_ Map<String, Value>| o.get("metadata").and_then(Value::as_object).map(without_bookkeeping);
    let (a, b) = (metadata(a), metadata(b));
    let (a, b) = (a.as_ref().unwrap_or(&empty), b.as_ref().unwrap_or(&empty));
    let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
    let same_metadata = keys.into_iter().all(|key| same_field(key, a, b, metadata_type));
    (!same_body || !same_metadata).then_some(predicted)
}

/// Metadata without what the API server and client-side apply keep there.
fn without_bookkeeping(metadata: &Map<String, Value>) -> Map<String, Value> {
    let mut kept = Map::new();
    for (key, value) in metadata.iter().filter(|(key, _)| !merge::is_volatile(key)) {
        match value {
            Value::Object(annotations) if key == "annotations" && annotations.contains_key(LAST_APPLIED) => {
                let rest: Map<String, Value> = annotations
                    .iter()
                    .filter(|(k, _)| *k != LAST_APPLIED)
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect();
                if !rest.is_empty() {
                    kept.insert(key.clone(), Value::Object(rest));
                }
            }
            value => {
                kept.insert(key.clone(), value.clone());
            }
        }
    }
    kept
}

/// The object as it is shown: without bookkeeping and ignored status.
fn visible(object: Cow<'_, Value>, ignore_status: bool) -> Value {
    match object.as_ref() {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .filter(|(key, _)| !(ignore_status && *key == "status"))
                .map(|(key, value)| match value {
                    Value::Object(metadata) if key == "metadata" => {
                        (key.clone(), Value::Object(without_bookkeeping(metadata)))
                    }
                    value => (key.clone(), value.clone()),
                })
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::ServerSideDiff;

    #[test]
    fn an_application_has_the_last_word_on_how_it_is_compared() {
        let plain = Some(ServerSideDiff { include_mutation_webhook: false });
        let webhooks = Some(ServerSideDiff { include_mutation_webhook: true });
        for (default, options, decided) in [
            (false, "", None),
            (true, "", plain),
            (false, "ServerSideDiff=true", plain),
            (true, "IgnoreExtraneous, ServerSideDiff=false", None),
            (true, "ServerSideDiff=true,ServerSideDiff=false", None),
            (false, "ServerSideDiff=true, IncludeMutationWebhook=true", webhooks),
            (true, "IncludeMutationWebhook=true", webhooks),
            (false, "IncludeMutationWebhook=true", None),
            (false, "ServerSideDiff", None),
        ] {
            assert_eq!(ServerSideDiff::decide(default, options), decided, "{default} {options:?}");
        }
    }
}
