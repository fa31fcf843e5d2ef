//! Leaves out of a comparison what shall not count: rules of the application and
//! of the installation, applied to both sides, and spellings of one meaning.
//!
//! Rules are compiled once. An object that no rule touches is not copied: it
//! comes back borrowed. A rule that cannot be compiled, or fails on an object, is
//! reported and skipped; it never stops the others, nor the comparison.

mod builtin;
mod hash;
mod jq;
mod known;
mod managers;
mod paths;
mod respect;
mod rule;

use std::borrow::Cow;

use argosy_model::Gvk;
use serde_json::Value;

use crate::merge::ownership;
use crate::schema::Schemas;

pub use hash::content_hash;
pub use jq::JqError;
pub use known::KnownTypeField;
pub use rule::IgnoreRule;

use known::KnownType;
use rule::CompiledRule;

/// Of which kinds `/status` is ignored (`ignoreResourceStatusField`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IgnoreStatus {
    /// Of all.
    #[default]
    All,
    /// Of CustomResourceDefinitions.
    Crd,
    /// Of none.
    None,
}

/// Everything that decides what is ignored.
#[derive(Clone, Debug, Default)]
pub struct NormalizerConfig {
    /// The application's rules and the installation's; order does not matter.
    /// A rule for all kinds has `*` as group and kind.
    pub rules: Vec<IgnoreRule>,
    /// Rules of aggregated ClusterRoles are the aggregator's.
    pub ignore_aggregated_roles: bool,
    /// Whose status is ignored.
    pub ignore_status: IgnoreStatus,
    /// Fields of custom resources that hold types of the API server.
    pub known_type_fields: Vec<KnownTypeField>,
    /// The tracking label of older installations, where ownership is now written
    /// in the annotation; `None` where the label is in use.
    pub legacy_tracking_label: Option<String>,
}

/// Why a rule, or a part of it, is not in force.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RuleError {
    /// Not a JSON pointer.
    #[error("ignore rule {rule}: {pointer:?} is not a JSON pointer, which begins with a slash")]
    Pointer {
        /// Place among the configured rules.
        rule: usize,
        /// The text.
        pointer: String,
    },
    /// A jq expression was not compiled, or not evaluated on one object.
    #[error("ignore rule {rule}: jq expression {expression:?} is not applied")]
    Jq {
        /// Place among the configured rules.
        rule: usize,
        /// The text.
        expression: String,
        /// What is wrong.
        #[source]
        source: JqError,
    },
}

/// Compiled rules. Share it behind an `Arc`.
#[derive(Debug, Default)]
pub struct Normalizer {
    rules: Vec<CompiledRule>,
    known_types: Vec<KnownType>,
    ignore_aggregated_roles: bool,
    ignore_status: IgnoreStatus,
    legacy_label: Option<String>,
}

/// Both sides of a comparison without what is ignored.
#[derive(Debug)]
pub struct Normalized<'a> {
    /// The desired state.
    pub target: Option<Cow<'a, Value>>,
    /// The live state.
    pub live: Option<Cow<'a, Value>>,
    /// Expressions that failed on this object and were skipped.
    pub skipped: Vec<RuleError>,
    /// `status` is to be ignored. [`Normalizer::prepare`] leaves it in place,
    /// because removing it would copy every object.
    pub(crate) ignore_status: bool,
}

/// The sides while they are worked on.
struct Sides<'a> {
    target: Option<Cow<'a, Value>>,
    live: Option<Cow<'a, Value>>,
}

// === impl IgnoreStatus ===

impl IgnoreStatus {
    /// Reads `ignoreResourceStatusField`; empty and unknown words mean all.
    pub fn parse(text: &str) -> Self {
        match text {
            "crd" => Self::Crd,
            "none" | "off" | "false" => Self::None,
            _ => Self::All,
        }
    }
}

// === impl Normalizer ===

impl Normalizer {
    /// Compiles the rules. What cannot be compiled is returned beside the rest.
    pub fn compile(config: &NormalizerConfig) -> (Self, Vec<RuleError>) {
        let mut errors = Vec::new();
        let rules = config.rules.iter().enumerate().map(|(i, r)| CompiledRule::compile(i, r, &mut errors)).collect();
        // Rollouts are so common beside Applications that nobody should have to
        // declare theirs.
        let rollout = KnownTypeField {
            group: "argoproj.io".to_owned(),
            kind: "Rollout".to_owned(),
            field: "spec.template.spec".to_owned(),
            type_name: "core/v1/PodSpec".to_owned(),
        };
        let normalizer = Self {
            rules,
            known_types: config.known_type_fields.iter().chain([&rollout]).map(KnownType::new).collect(),
            ignore_aggregated_roles: config.ignore_aggregated_roles,
            ignore_status: config.ignore_status,
            legacy_label: config.legacy_tracking_label.clone(),
        };
        (normalizer, errors)
    }

    /// Whether a rule for this object is about who owns its fields, which only the
    /// `managedFields` of the live object tell.
    pub fn reads_owners(&self, object: &Value) -> bool {
        let gvk = Gvk::of(object);
        self.rules.iter().any(|r| !r.managers.is_empty() && r.selector.matches(&gvk, object))
    }

    /// Both sides without what is ignored, nor `status` where that is, nor the
    /// API server's own metadata.
    pub fn normalize<'a>(
        &self,
        target: Option<&'a Value>,
        live: Option<&'a Value>,
        schemas: &Schemas,
    ) -> Normalized<'a> {
        let mut normalized = self.prepare(target, live, schemas);
        for side in [&mut normalized.target, &mut normalized.live].into_iter().flatten() {
            remove_untracked(side, normalized.ignore_status);
        }
        normalized
    }

    /// As [`Self::normalize`], with status and the API server's metadata still in
    /// place, to be skipped by the reader.
    pub(crate) fn prepare<'a>(
        &self,
        target: Option<&'a Value>,
        live: Option<&'a Value>,
        schemas: &Schemas,
    ) -> Normalized<'a> {
        let mut sides = Sides { target: target.map(Cow::Borrowed), live: live.map(Cow::Borrowed) };
        let mut skipped = Vec::new();
        let Some(subject) = target.or(live) else {
            return Normalized { target: None, live: None, skipped, ignore_status: false };
        };
        let gvk = Gvk::of(subject);
        let mut ignore_status = self.ignores_status_of(&gvk);
        builtin::apply(&mut sides, &gvk, self.ignore_aggregated_roles, self.legacy_label.as_deref());
        for rule in self.rules.iter().filter(|r| r.selector.matches(&gvk, subject)) {
            ignore_status |= rule.status;
            apply_rule(rule, &mut sides, &mut skipped);
        }
        for known in self.known_types.iter().filter(|k| k.selector.matches(&gvk, subject)) {
            sides.each(|side| known.rewrite(side, schemas));
        }
        Normalized { target: sides.target, live: sides.live, skipped, ignore_status }
    }

    fn ignores_status_of(&self, gvk: &Gvk) -> bool {
        match self.ignore_status {
            IgnoreStatus::All => true,
            IgnoreStatus::Crd => &*gvk.kind == "CustomResourceDefinition" && &*gvk.group == "apiextensions.k8s.io",
            IgnoreStatus::None => false,
        }
    }
}

// === impl Sides ===

impl<'a> Sides<'a> {
    fn each(&mut self, mut f: impl FnMut(&mut Cow<'a, Value>)) {
        [&mut self.target, &mut self.live].into_iter().flatten().for_each(&mut f);
    }
}

fn apply_rule(rule: &CompiledRule, sides: &mut Sides<'_>, skipped: &mut Vec<RuleError>) {
    // Before anything is removed: live tells who owns what.
    if !rule.managers.is_empty() {
        remove_managed(rule, sides);
    }
    sides.each(|side| {
        for pointer in &rule.pointers {
            if paths::has_pointer(side, pointer) {
                paths::remove_pointer(side.to_mut(), pointer);
            }
        }
        for (expression, program) in &rule.programs {
            match program.paths(side) {
                Ok(found) if found.is_empty() => {}
                Ok(found) => {
                    paths::remove_paths(side.to_mut(), &found);
                }
                Err(source) => {
                    skipped.push(RuleError::Jq { rule: rule.index, expression: expression.clone(), source });
                }
            }
        }
    });
}

fn remove_managed(rule: &CompiledRule, sides: &mut Sides<'_>) {
    let (Some(target), Some(live)) = (&mut sides.target, &mut sides.live) else { return };
    let owned = ownership::owned_by(live, |e| rule.managers.iter().any(|m| m == e.manager));
    if !owned.is_empty() {
        managers::remove_owned(Some(target.to_mut()), Some(live.to_mut()), &owned);
    }
}

fn remove_untracked(side: &mut Cow<'_, Value>, status: bool) {
    if status
        && side.get("status").is_some()
        && let Some(map) = side.to_mut().as_object_mut()
    {
        map.remove("status");
    }
    let Some(metadata) = side.get("metadata").and_then(Value::as_object) else { return };
    if metadata.keys().any(|key| crate::merge::is_volatile(key))
        && let Some(Value::Object(metadata)) = side.to_mut().get_mut("metadata")
    {
        metadata.retain(|key, _| !crate::merge::is_volatile(key));
    }
}
