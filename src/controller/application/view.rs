//! What of a comparison is kept for those who look on: its pairs, and how they
//! were compared. The states in between, which are large, are made again when
//! somebody asks for them.

use std::collections::HashMap;
use std::sync::Arc;

use argosy_engine::compare::Pair;
use argosy_engine::diff::{DiffInput, Mode, ServerSideDiff, diff};
use argosy_engine::health::Contribution;
use argosy_engine::mask::mask_secrets;
use argosy_engine::normalize::Normalizer;
use argosy_engine::schema::Schemas;
use argosy_model::{Gvk, ResourceKey, names};
use serde_json::Value;

use super::compare::Compared;
use super::dry_run;
use super::judge::applies_server_side;
use super::memory::{Manner, Memory};
use crate::cluster::Target;

/// See the module's page.
pub(crate) struct View {
    /// In the order of `status.resources`.
    pub(crate) items: Vec<Item>,
    normalizer: Arc<Normalizer>,
    manner: Manner,
}

/// One resource of a comparison.
#[derive(Clone)]
pub(crate) struct Item {
    /// Identity in the destination.
    pub(crate) key: ResourceKey,
    /// Version of the target, or of the live object where there is no target.
    pub(crate) version: Arc<str>,
    /// What the source wants.
    pub(crate) target: Option<Arc<Value>>,
    /// What the cluster had.
    pub(crate) live: Option<Arc<Value>>,
    /// It is a hook.
    pub(crate) hook: bool,
    /// The two sides differ.
    pub(crate) modified: bool,
    denied: bool,
}

/// All states of one resource, its Secret values masked. Absent ones are null.
pub(crate) struct States {
    /// What the source wants.
    pub(crate) target: Value,
    /// What the cluster had.
    pub(crate) live: Value,
    /// The same without what is ignored.
    pub(crate) normalized: Value,
    /// What it would become.
    pub(crate) predicted: Value,
}

// === impl View ===

impl View {
    /// Of a comparison that has just come through; `None` when nothing is
    /// remembered of how it was made.
    pub(super) fn of(memory: &Memory, compared: &Compared) -> Option<Self> {
        let normalizer = memory.normalizer.as_ref()?.normalizer.clone();
        let mut items: Vec<Item> = compared.pairing.pairs.iter().map(Item::of).collect();
        items.sort_by(|a, b| a.key.cmp(&b.key));
        Some(Self { items, normalizer, manner: memory.manner })
    }

    /// How the items are compared with one another.
    ///
    /// # Errors
    /// When the cluster does not say what is needed, in words for users.
    pub(crate) async fn states(&self, target: &Target, masked: &[String]) -> Result<Vec<States>, String> {
        let kinds: Vec<Gvk> = self.items.iter().filter(|i| i.is_compared()).map(Item::gvk).collect();
        let schemas = target
            .openapi
            .schemas(&kinds)
            .await
            .map_err(|e| format!("failed to read the cluster's schemas: {}", argosy_model::report(&e)))?;
        let predictions = self.predict(target).await?;
        let (items, normalizer, manner) = (self.items.clone(), self.normalizer.clone(), self.manner);
        let masked = masked.to_vec();
        let work = tokio::task::spawn_blocking(move || {
            let state = |(place, item): (usize, &Item)| {
                item.states(&normalizer, &schemas, manner, predictions.get(&place), &masked)
            };
            items.iter().enumerate().map(state).collect()
        });
        work.await.map_err(|error| format!("comparing failed: {error}"))
    }

    /// Where the API server is asked, its word on the items that differ; the
    /// others are what they are.
    async fn predict(&self, target: &Target) -> Result<HashMap<usize, Value>, String> {
        if self.manner.server_side_diff.is_none() {
            return Ok(HashMap::new());
        }
        let pairs: Vec<Pair> = self.items.iter().map(Item::pair).collect();
        let differing: Vec<usize> = (0..self.items.len()).filter(|place| self.items[*place].modified).collect();
        let answers = dry_run::predict(target, &pairs, &differing).await;
        answers.into_iter().map(|(place, answer)| Ok((place, answer.map_err(|r| r.finding.message)?))).collect()
    }
}

// === impl Item ===

impl Item {
    fn of(pair: &Pair) -> Self {
        Self {
            key: pair.key.clone(),
            version: pair.gvk.version.clone(),
            target: pair.target.clone(),
            live: pair.live.clone(),
            hook: pair.hook,
            modified: pair.modified,
            denied: pair.denied,
        }
    }

    fn gvk(&self) -> Gvk {
        Gvk { group: self.key.group.clone(), version: self.version.clone(), kind: self.key.kind.clone() }
    }

    fn is_compared(&self) -> bool {
        self.target.is_some() && self.live.is_some()
    }

    fn pair(&self) -> Pair {
        Pair {
            key: self.key.clone(),
            gvk: self.gvk(),
            target: self.target.clone(),
            live: self.live.clone(),
            hook: self.hook,
            self_referenced: true,
            denied: self.denied,
            modified: self.modified,
            contribution: Contribution::default(),
        }
    }

    fn states(
        &self,
        normalizer: &Normalizer,
        schemas: &Schemas,
        manner: Manner,
        predicted: Option<&Value>,
        masked: &[String],
    ) -> States {
        let (target, live) = (self.target.as_deref(), self.live.as_deref());
        let manager = names::FIELD_MANAGER;
        let mode = match (predicted, manner.server_side_diff) {
            (Some(predicted), Some(ServerSideDiff { include_mutation_webhook })) => {
                Mode::ServerSideDryRun { predicted, manager, include_mutation_webhook }
            }
            _ if target.is_some_and(|t| applies_server_side(t, manner.server_side_apply)) => {
                Mode::ServerSideApply { manager }
            }
            _ => Mode::ThreeWay,
        };
        let outcome = diff(DiffInput { target, live, normalizer, schemas, mode });
        let mut states = States {
            target: target.cloned().unwrap_or_default(),
            live: live.cloned().unwrap_or_default(),
            normalized: Value::clone(&outcome.normalized_live),
            // The API server was not asked about what it had nothing to say to before.
            predicted: match self.is_compared() && !self.modified && manner.server_side_diff.is_some() {
                true => Value::clone(&outcome.normalized_live),
                false => Value::clone(&outcome.predicted_live),
            },
        };
        let States { target, live, normalized, predicted } = &mut states;
        mask_secrets(&mut [target, live, normalized, predicted], masked);
        states
    }
}
