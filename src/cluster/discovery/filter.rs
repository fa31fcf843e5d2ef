//! Which kinds are left alone altogether: `resource.exclusions` and
//! `resource.inclusions`.

use argosy_model::{GroupKind, glob};
use serde::Deserialize;

/// One rule. An empty list matches everything; entries are glob patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FilterRule {
    /// Groups.
    pub api_groups: Vec<String>,
    /// Kinds.
    pub kinds: Vec<String>,
    /// Server URLs.
    pub clusters: Vec<String>,
}

/// The rules in force. Without inclusions everything not excluded is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceFilter {
    /// What is not seen.
    pub exclusions: Vec<FilterRule>,
    /// If any: what alone is seen.
    pub inclusions: Vec<FilterRule>,
}

// === impl FilterRule ===

impl FilterRule {
    fn matches(&self, kind: &GroupKind, server: &str) -> bool {
        let any = |patterns: &[String], text: &str| {
            patterns.is_empty() || patterns.iter().any(|p| glob::matches(p, text, &[]))
        };
        any(&self.api_groups, &kind.group) && any(&self.kinds, &kind.kind) && any(&self.clusters, server)
    }
}

// === impl ResourceFilter ===

impl ResourceFilter {
    /// Whether objects of this kind are not looked at on this cluster. Events
    /// and metrics never are: they change all the time and belong to nobody.
    pub fn excludes(&self, kind: &GroupKind, server: &str) -> bool {
        let always = match &*kind.group {
            "" => &*kind.kind == "Event",
            group => group == "events.k8s.io" || group == "metrics.k8s.io",
        };
        always
            || self.exclusions.iter().any(|rule| rule.matches(kind, server))
            || (!self.inclusions.is_empty() && !self.inclusions.iter().any(|rule| rule.matches(kind, server)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusion_wins_over_inclusion_and_events_are_never_seen() {
        let rule = |group: &str, kind: &str| FilterRule {
            api_groups: vec![group.to_owned()],
            kinds: vec![kind.to_owned()],
            clusters: Vec::new(),
        };
        let filter = ResourceFilter { exclusions: vec![rule("apps", "Replica*")], inclusions: vec![rule("apps", "*")] };
        let excludes = |group: &str, kind: &str| filter.excludes(&GroupKind::new(group, kind), "https://s");
        assert!(excludes("apps", "ReplicaSet"));
        assert!(!excludes("apps", "Deployment"));
        assert!(excludes("", "ConfigMap"));
        assert!(ResourceFilter::default().excludes(&GroupKind::new("", "Event"), "https://s"));
    }
}
