//! Which kinds are looked at, and what in them counts as a difference.

use argosy_model::glob;
use serde::Deserialize;

use super::lookup::{Lookup, parse_yaml};

/// `resource.exclusions` and `resource.inclusions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceFilter {
    /// Kinds that are left out, besides those that always are.
    pub exclusions: Vec<FilteredResource>,
    /// Where any apply to a cluster, only these are looked at in it.
    pub inclusions: Vec<FilteredResource>,
}

/// One rule; an empty list means any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FilteredResource {
    /// Globs of API groups.
    pub api_groups: Vec<String>,
    /// Kinds, or `*`.
    pub kinds: Vec<String>,
    /// Globs of cluster addresses.
    pub clusters: Vec<String>,
}

/// `resource.compareoptions`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CompareOptions {
    /// Rules that an aggregated ClusterRole got from others are no difference.
    pub ignore_aggregated_roles: bool,
    /// Where the `/status` field is no difference.
    pub ignore_resource_status_field: StatusField,
    /// The rules about differences also keep updates of a resource from causing
    /// a comparison.
    pub ignore_differences_on_resource_updates: bool,
}

/// Where the `/status` field is ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "serde_json::Value")]
pub enum StatusField {
    /// Everywhere.
    #[default]
    All,
    /// In CustomResourceDefinitions.
    Crd,
    /// Nowhere.
    None,
}

/// Never watched: high volume, and part of nobody's application.
const ALWAYS_EXCLUDED: &[(&[&str], &[&str])] =
    &[(&["events.k8s.io", "metrics.k8s.io"], &[]), (&[""], &["Event"]), (&["coordination.k8s.io"], &["Lease"])];

/// What an `argocd-cm` as shipped excludes; in force where the key is absent.
const SHIPPED: &[(&[&str], &[&str])] = &[
    (&["", "discovery.k8s.io"], &["Endpoints", "EndpointSlice"]),
    (&["coordination.k8s.io"], &["Lease"]),
    (
        &["authentication.k8s.io", "authorization.k8s.io"],
        &[
            "SelfSubjectReview",
            "TokenReview",
            "LocalSubjectAccessReview",
            "SelfSubjectAccessReview",
            "SelfSubjectRulesReview",
            "SubjectAccessReview",
        ],
    ),
    (&["certificates.k8s.io"], &["CertificateSigningRequest"]),
    (&["cert-manager.io"], &["CertificateRequest"]),
    (&["cilium.io"], &["CiliumIdentity", "CiliumEndpoint", "CiliumEndpointSlice"]),
    (
        &["kyverno.io", "reports.kyverno.io", "wgpolicyk8s.io"],
        &[
            "PolicyReport",
            "ClusterPolicyReport",
            "EphemeralReport",
            "ClusterEphemeralReport",
            "AdmissionReport",
            "ClusterAdmissionReport",
            "BackgroundScanReport",
            "ClusterBackgroundScanReport",
            "UpdateRequest",
        ],
    ),
];

// === impl ResourceFilter ===

impl Default for ResourceFilter {
    fn default() -> Self {
        Self { exclusions: rules(SHIPPED), inclusions: Vec::new() }
    }
}

impl ResourceFilter {
    /// Whether a kind is left out in a cluster, going by its address.
    pub fn excludes(&self, group: &str, kind: &str, cluster: &str) -> bool {
        let always = ALWAYS_EXCLUDED
            .iter()
            .any(|(groups, kinds)| groups.contains(&group) && (kinds.is_empty() || kinds.contains(&kind)));
        if always || self.exclusions.iter().any(|rule| rule.matches(group, kind, cluster)) {
            return true;
        }
        let mut included = self.inclusions.iter().filter(|rule| rule.matches_cluster(cluster)).peekable();
        included.peek().is_some() && !included.any(|rule| rule.matches(group, kind, cluster))
    }
}

fn rules(table: &[(&[&str], &[&str])]) -> Vec<FilteredResource> {
    let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
    table
        .iter()
        .map(|(groups, kinds)| FilteredResource {
            api_groups: owned(groups),
            kinds: owned(kinds),
            clusters: Vec::new(),
        })
        .collect()
}

// === impl FilteredResource ===

impl FilteredResource {
    /// Whether the rule is about this kind in this cluster.
    pub fn matches(&self, group: &str, kind: &str, cluster: &str) -> bool {
        let kind_matches = self.kinds.is_empty() || self.kinds.iter().any(|k| k == "*" || k == kind);
        kind_matches && any_glob(&self.api_groups, group) && self.matches_cluster(cluster)
    }

    fn matches_cluster(&self, cluster: &str) -> bool {
        any_glob(&self.clusters, cluster)
    }
}

fn any_glob(patterns: &[String], text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| glob::matches(pattern, text, &[]))
}

// === impl CompareOptions ===

impl Default for CompareOptions {
    fn default() -> Self {
        Self {
            ignore_aggregated_roles: false,
            ignore_resource_status_field: StatusField::All,
            ignore_differences_on_resource_updates: true,
        }
    }
}

// === impl StatusField ===

impl From<serde_json::Value> for StatusField {
    /// YAML's bare `off` and `false` mean none; what is unknown means all.
    fn from(value: serde_json::Value) -> Self {
        match value.as_str() {
            Some("crd") => Self::Crd,
            Some("none" | "off" | "false") => Self::None,
            _ if value == false => Self::None,
            _ => Self::All,
        }
    }
}

pub(super) fn read_filter(lookup: &mut Lookup<'_>, previous: &ResourceFilter) -> ResourceFilter {
    let default = ResourceFilter::default();
    ResourceFilter {
        exclusions: lookup.yaml("resource.exclusions", &previous.exclusions).unwrap_or(default.exclusions),
        inclusions: lookup.yaml("resource.inclusions", &previous.inclusions).unwrap_or(default.inclusions),
    }
}

pub(super) fn read_compare_options(lookup: &mut Lookup<'_>, previous: &CompareOptions) -> CompareOptions {
    lookup.value("resource.compareoptions", "", &CompareOptions::default(), previous, parse_yaml)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(groups: &[&str], kinds: &[&str], clusters: &[&str]) -> FilteredResource {
        let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        FilteredResource { api_groups: owned(groups), kinds: owned(kinds), clusters: owned(clusters) }
    }

    #[test]
    fn an_inclusion_excludes_the_rest_only_in_its_clusters() {
        let filter = ResourceFilter { exclusions: vec![], inclusions: vec![rule(&["apps"], &["*"], &["https://a*"])] };
        assert!(!filter.excludes("apps", "Deployment", "https://a1"));
        assert!(filter.excludes("", "Pod", "https://a1"));
        assert!(!filter.excludes("", "Pod", "https://b"));
    }

    #[test]
    fn an_exclusion_wins_over_an_inclusion() {
        let filter = ResourceFilter {
            exclusions: vec![rule(&["apps"], &["ReplicaSet"], &[])],
            inclusions: vec![rule(&["*"], &["*"], &[])],
        };
        assert!(filter.excludes("apps", "ReplicaSet", "x"));
        assert!(!filter.excludes("apps", "Deployment", "x"));
    }

    #[test]
    fn events_and_metrics_are_never_looked_at() {
        let filter = ResourceFilter { exclusions: vec![], inclusions: vec![] };
        assert!(filter.excludes("metrics.k8s.io", "PodMetrics", "x"));
        assert!(filter.excludes("", "Event", "x"));
        assert!(!filter.excludes("", "Endpoints", "x"));
        assert!(ResourceFilter::default().excludes("", "Endpoints", "x"));
    }
}
