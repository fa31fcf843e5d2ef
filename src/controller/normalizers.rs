//! Ignore rules of an application and of the installation, compiled into one
//! normaliser.

use argosy_engine::normalize::{IgnoreRule, IgnoreStatus, KnownTypeField, Normalizer, NormalizerConfig, RuleError};
use argosy_home::Settings;
use argosy_home::settings::StatusField;
use argosy_model::names;
use argosy_model::tracking::Method;
use argosy_proto::v1alpha1::{OverrideIgnoreDiff, ResourceIgnoreDifferences};

/// The rules that hold for one application. What cannot be compiled is returned
/// beside the rest.
pub(crate) fn compile(settings: &Settings, own: &[ResourceIgnoreDifferences]) -> (Normalizer, Vec<RuleError>) {
    let system = settings.overrides.iter().filter_map(|(key, o)| rule(key, o.ignore_differences.as_ref()?));
    let legacy = settings.tracking.method == Method::Annotation;
    Normalizer::compile(&NormalizerConfig {
        rules: own.iter().map(own_rule).chain(system).collect(),
        ignore_aggregated_roles: settings.compare.ignore_aggregated_roles,
        ignore_status: match settings.compare.ignore_resource_status_field {
            StatusField::All => IgnoreStatus::All,
            StatusField::Crd => IgnoreStatus::Crd,
            StatusField::None => IgnoreStatus::None,
        },
        known_type_fields: known_types(settings),
        legacy_tracking_label: legacy
            .then(|| settings.tracking.label_key.clone())
            .filter(|label| label != names::LABEL_INSTANCE),
    })
}

/// What does not count as a change of a live object.
pub(crate) fn compile_updates(settings: &Settings) -> Normalizer {
    let updates = settings.overrides.iter().filter_map(|(key, o)| rule(key, o.ignore_resource_updates.as_ref()?));
    let differences = settings
        .overrides
        .iter()
        .filter(|_| settings.compare.ignore_differences_on_resource_updates)
        .filter_map(|(key, o)| rule(key, o.ignore_differences.as_ref()?));
    let (normalizer, errors) = Normalizer::compile(&NormalizerConfig {
        rules: updates.chain(differences).collect(),
        ignore_status: IgnoreStatus::None,
        ..NormalizerConfig::default()
    });
    for error in errors {
        tracing::warn!(%error, "a rule of resource.customizations cannot be used and is left out");
    }
    normalizer
}

fn own_rule(rule: &ResourceIgnoreDifferences) -> IgnoreRule {
    IgnoreRule {
        group: rule.group.clone(),
        kind: rule.kind.clone(),
        name: rule.name.clone(),
        namespace: rule.namespace.clone(),
        json_pointers: rule.json_pointers.clone(),
        jq_path_expressions: rule.jq_path_expressions.clone(),
        managed_fields_managers: rule.managed_fields_managers.clone(),
    }
}

/// A rule of the settings, under `group/Kind`, `Kind` or `*/*`.
fn rule(key: &str, ignore: &OverrideIgnoreDiff) -> Option<IgnoreRule> {
    let (group, kind) = key.split_once('/').unwrap_or(("", key));
    let rule = IgnoreRule {
        group: group.to_owned(),
        kind: kind.to_owned(),
        json_pointers: ignore.j_son_pointers.clone(),
        jq_path_expressions: ignore.jq_path_expressions.clone(),
        managed_fields_managers: ignore.managed_fields_managers.clone(),
        ..IgnoreRule::default()
    };
    let says_something = !rule.json_pointers.is_empty()
        || !rule.jq_path_expressions.is_empty()
        || !rule.managed_fields_managers.is_empty();
    says_something.then_some(rule)
}

fn known_types(settings: &Settings) -> Vec<KnownTypeField> {
    let of = |key: &str, field: &argosy_proto::v1alpha1::KnownTypeField| {
        let (group, kind) = key.split_once('/').unwrap_or(("", key));
        KnownTypeField {
            group: group.to_owned(),
            kind: kind.to_owned(),
            field: field.field.clone(),
            type_name: field.r#type.clone(),
        }
    };
    settings.overrides.iter().flat_map(|(key, o)| o.known_type_fields.iter().map(move |f| of(key, f))).collect()
}
