//! Global projects: what a project inherits from others.
//!
//! The setting `globalProjects` names projects, each with a label selector; a
//! project whose labels match inherits the lists of the one named.

use argosy_proto::meta::{LabelSelector, LabelSelectorRequirement};
use argosy_proto::resource::CustomResource;
use argosy_proto::v1alpha1::AppProject;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One entry of the setting `globalProjects`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GlobalProject {
    /// The project inherited from.
    pub project_name: String,
    /// Which projects inherit, by their labels. An empty selector means all.
    pub label_selector: LabelSelector,
}

/// The global projects that `project` inherits from, in the order of the
/// settings. `find` gives a project by name; one that does not exist is passed
/// over, as is an entry whose selector has an unknown operator.
pub fn select_globals<'a>(
    project: &AppProject,
    settings: &[GlobalProject],
    find: impl Fn(&str) -> Option<&'a AppProject>,
) -> Vec<&'a AppProject> {
    let meta = project.metadata();
    settings
        .iter()
        .filter(|global| global.project_name != meta.name && selects(&global.label_selector, &meta.labels))
        .filter_map(|global| find(&global.project_name))
        .collect()
}

/// The project with the lists of `globals` appended to its own: sources,
/// destinations and their service accounts, permitted and denied kinds, windows.
pub fn inherit(project: &AppProject, globals: &[&AppProject]) -> AppProject {
    let mut merged = project.clone();
    let spec = merged.spec.get_or_insert_default();
    for global in globals.iter().filter_map(|global| global.spec.as_ref()) {
        spec.cluster_resource_whitelist.extend_from_slice(&global.cluster_resource_whitelist);
        spec.cluster_resource_blacklist.extend_from_slice(&global.cluster_resource_blacklist);
        spec.namespace_resource_whitelist.extend_from_slice(&global.namespace_resource_whitelist);
        spec.namespace_resource_blacklist.extend_from_slice(&global.namespace_resource_blacklist);
        spec.sync_windows.extend_from_slice(&global.sync_windows);
        spec.source_repos.extend_from_slice(&global.source_repos);
        spec.destinations.extend_from_slice(&global.destinations);
        spec.destination_service_accounts.extend_from_slice(&global.destination_service_accounts);
    }
    merged
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(|requirement| meets(requirement, labels))
}

fn meets(requirement: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&requirement.key);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(|value| requirement.values.contains(value)),
        "NotIn" => value.is_none_or(|value| !requirement.values.contains(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}
