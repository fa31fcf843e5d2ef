//! Saying of each pair of target and live object whether they differ and how the
//! object is doing. A pair that was judged before keeps its verdict for as long as
//! both sides, the rules and the manner of comparing are the same.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use argosy_engine::compare::{Pair, Pairing};
use argosy_engine::condition::{Finding, Kind};
use argosy_engine::diff::{DiffInput, Mode, ServerSideDiff, diff};
use argosy_engine::health::{Contribution, Overrides, contribution};
use argosy_engine::normalize::Normalizer;
use argosy_engine::schema::Schemas;
use argosy_model::{Gvk, names, object};
use argosy_proto::v1alpha1::{Application, ApplicationSpec};
use serde_json::Value;

use super::compare::{Failure, live_failure, sync_options};
use super::dry_run::{self, Refusal};
use super::memory::{Manner, Memory, PairVerdict, RememberedNormalizer, RememberedTargets};
use crate::cluster::Target;
use crate::context::Shared;
use crate::normalizers;

/// First waits before a dry run is asked for again that came to nothing: because
/// the cluster had no time, or because it refused.
const REFUSED: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(180));

/// Pairs with their verdicts.
pub(super) struct Judged {
    pub(super) pairing: Pairing,
    pub(super) findings: Vec<Finding>,
    /// Something could not be said; try again after this long.
    pub(super) again: Option<Duration>,
}

/// Says of each pair whether it differs and how it is doing.
pub(super) async fn judge(
    shared: &Shared,
    memory: &mut Memory,
    spec: &ApplicationSpec,
    app: &Application,
    target: &Target,
    mut pairing: Pairing,
) -> Result<Judged, Failure> {
    let (mut findings, mut again) = (Vec::new(), None);
    let normalizer = remember_normalizer(shared, memory, spec, &mut findings);
    let manner = manner(shared, app, spec);
    memory.compare_by(manner);
    let mut fresh = HashMap::with_capacity(pairing.pairs.len());
    let mut open = Vec::new();
    for (place, pair) in pairing.pairs.iter_mut().enumerate() {
        match memory.verdicts.remove(&pair.key).filter(|v| v.is_about(pair.target.as_ref(), pair.live.as_ref())) {
            Some(known) => {
                pair.modified = known.modified;
                pair.contribution = known.contribution.clone();
                fresh.insert(pair.key.clone(), known);
            }
            None => open.push(place),
        }
    }
    for place in &open {
        read_owners(shared, target, &normalizer, &mut pairing.pairs[*place]).await?;
    }
    let both_sides = |place: &usize| pairing.pairs[*place].target.is_some() && pairing.pairs[*place].live.is_some();
    let schemas = match open.iter().any(both_sides) {
        true => shared.turns.aside(load_schemas(target, &memory.targets)).await?,
        false => Arc::default(),
    };
    let mut predictions = match manner.server_side_diff {
        Some(_) => shared.turns.aside(dry_run::predict(target, &pairing.pairs, &open)).await,
        None => dry_run::Predictions::new(),
    };
    let health = shared.health.of(&shared.home.settings());
    for place in open {
        let pair = &mut pairing.pairs[place];
        pair.contribution = assess(app, pair, &*health);
        match differs(pair, &normalizer, &schemas, manner, predictions.remove(&place)) {
            Ok(modified) => {
                pair.modified = modified;
                fresh.insert(pair.key.clone(), PairVerdict::of(pair));
            }
            // Nothing is remembered of it, so the next pass asks again.
            Err(refusal) => {
                findings.push(refusal.finding);
                let wait = if refusal.transient { REFUSED.0 } else { REFUSED.1 };
                again = Some(again.unwrap_or(wait).min(wait));
            }
        }
    }
    memory.verdicts = fresh;
    Ok(Judged { pairing, findings, again: again.map(|wait| shared.jitter(wait, wait / 2)) })
}

/// Reads the live object once more where a rule wants to know the owners of its
/// fields: they are not kept for every object, for they are half of its size.
async fn read_owners(
    shared: &Shared,
    target: &Target,
    normalizer: &Normalizer,
    pair: &mut Pair,
) -> Result<(), Failure> {
    let (Some(wanted), Some(live)) = (&pair.target, &pair.live) else { return Ok(()) };
    if !normalizer.reads_owners(wanted) || object::get(live, &["metadata", "managedFields"]).is_some() {
        return Ok(());
    }
    let read = shared.turns.aside(target.live.fetch(&pair.key)).await;
    // One that is gone by now shows in the watch.
    if let Some(live) = read.map_err(|e| live_failure(&argosy_model::report(&e)))? {
        pair.live = Some(Arc::new(live));
    }
    Ok(())
}

fn manner(shared: &Shared, app: &Application, spec: &ApplicationSpec) -> Manner {
    let default = shared.home.settings().controller.diff_server_side;
    let annotations = app.metadata.as_ref().map(|m| &m.annotations);
    let options = annotations.and_then(|a| a.get(names::ANNOTATION_COMPARE_OPTIONS)).map_or("", String::as_str);
    Manner {
        server_side_diff: ServerSideDiff::decide(default, options),
        server_side_apply: sync_options(spec).has("ServerSideApply=true"),
    }
}

/// Whether the two sides of a pair differ; of one that has only one side, what
/// pairing said.
fn differs(
    pair: &Pair,
    normalizer: &Normalizer,
    schemas: &Schemas,
    manner: Manner,
    prediction: Option<Result<Value, Refusal>>,
) -> Result<bool, Refusal> {
    let (Some(target), Some(live)) = (pair.target.as_deref(), pair.live.as_deref()) else { return Ok(pair.modified) };
    let prediction = prediction.transpose()?;
    let manager = names::FIELD_MANAGER;
    let mode = match (&prediction, manner.server_side_diff) {
        (Some(predicted), Some(ServerSideDiff { include_mutation_webhook })) => {
            Mode::ServerSideDryRun { predicted, manager, include_mutation_webhook }
        }
        _ if applies_server_side(target, manner.server_side_apply) => Mode::ServerSideApply { manager },
        _ => Mode::ThreeWay,
    };
    let outcome = diff(DiffInput { target: Some(target), live: Some(live), normalizer, schemas, mode });
    for skipped in outcome.skipped {
        tracing::debug!(error = %skipped, "an ignore rule failed on an object and was skipped there");
    }
    Ok(outcome.modified)
}

fn assess(app: &Application, pair: &Pair, rules: &dyn Overrides) -> Contribution {
    let is_self = &*pair.key.kind == "Application"
        && &*pair.key.group == names::GROUP
        && app.metadata.as_ref().is_some_and(|m| m.name == *pair.key.name && m.namespace == *pair.key.namespace);
    contribution(pair.target.as_deref(), pair.live.as_deref(), is_self, rules)
}

async fn load_schemas(target: &Target, targets: &Option<RememberedTargets>) -> Result<Arc<Schemas>, Failure> {
    let kinds: HashSet<Gvk> = targets.iter().flat_map(|t| t.targets.objects.iter()).map(|o| Gvk::of(o)).collect();
    target
        .openapi
        .schemas(&kinds)
        .await
        .map_err(|e| live_failure(&format!("failed to read the cluster's schemas: {}", argosy_model::report(&e))))
}

pub(super) fn applies_server_side(target: &Value, default: bool) -> bool {
    match argosy_model::options::resource_option(target, names::ANNOTATION_SYNC_OPTIONS, "ServerSideApply") {
        Some(own) => own == "true",
        None => default,
    }
}

fn remember_normalizer(
    shared: &Shared,
    memory: &mut Memory,
    spec: &ApplicationSpec,
    findings: &mut Vec<Finding>,
) -> Arc<Normalizer> {
    let settings = shared.home.settings();
    if let Some(known) = &memory.normalizer
        && known.rules == spec.ignore_differences
        && Arc::ptr_eq(&known.settings, &settings)
    {
        return known.normalizer.clone();
    }
    let (normalizer, errors) = normalizers::compile(&settings, &spec.ignore_differences);
    for error in errors {
        findings
            .push(Finding::new(Kind::ComparisonError, format!("an ignoreDifferences rule cannot be used: {error}")));
    }
    let normalizer = Arc::new(normalizer);
    // A verdict holds for the rules it was found under.
    memory.verdicts.clear();
    let rules = spec.ignore_differences.clone();
    memory.normalizer = Some(RememberedNormalizer { settings, rules, normalizer: normalizer.clone() });
    normalizer
}
