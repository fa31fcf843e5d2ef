//! Which kinds of objects a project's applications may have.
//!
//! Cluster-scoped kinds must be listed, and an entry may be for some names
//! only. Namespaced kinds are all permitted unless there is a list of those
//! that are. A list of denied kinds wins in both cases.

use argosy_model::GroupKind;
use argosy_model::glob::Pattern;
use argosy_proto::meta;
use argosy_proto::v1alpha1::{AppProjectSpec, ClusterResourceRestrictionItem};

use super::pattern::{MAX_LENGTH, read_without_braces};
use crate::decision::{Decision, Reason};

#[derive(Clone, Debug)]
pub(super) struct KindRules {
    cluster_permitted: Vec<KindRule>,
    cluster_denied: Vec<KindRule>,
    /// `None` permits every namespaced kind.
    namespaced_permitted: Option<Vec<KindRule>>,
    namespaced_denied: Vec<KindRule>,
}

#[derive(Clone, Debug)]
struct KindRule {
    text: String,
    /// `None` when a part of the entry is too long to be read.
    patterns: Option<Patterns>,
}

#[derive(Clone, Debug)]
struct Patterns {
    group: Pattern,
    kind: Pattern,
    /// `None` is for every name.
    name: Option<Pattern>,
}

// === impl KindRules ===

impl KindRules {
    pub(super) fn new(spec: &AppProjectSpec) -> Self {
        let cluster = |list: &[ClusterResourceRestrictionItem]| {
            list.iter().map(|item| KindRule::new(&item.group, &item.kind, &item.name)).collect()
        };
        let namespaced = |list: &[meta::GroupKind]| -> Vec<KindRule> {
            list.iter().map(|item| KindRule::new(&item.group, &item.kind, "")).collect()
        };
        // A list that was written empty has one entry, which names no kind.
        let listed = !spec.namespace_resource_whitelist.is_empty();
        Self {
            cluster_permitted: cluster(&spec.cluster_resource_whitelist),
            cluster_denied: cluster(&spec.cluster_resource_blacklist),
            namespaced_permitted: listed.then(|| namespaced(&spec.namespace_resource_whitelist)),
            namespaced_denied: namespaced(&spec.namespace_resource_blacklist),
        }
    }

    pub(super) fn permits(&self, kind: &GroupKind, namespaced: bool, name: &str) -> Decision {
        if [&kind.group, &kind.kind, name].iter().any(|text| text.len() > MAX_LENGTH) {
            return Decision::deny(Reason::TooLong);
        }
        let (permitted, denied) = if namespaced {
            (self.namespaced_permitted.as_ref(), &self.namespaced_denied)
        } else {
            (Some(&self.cluster_permitted), &self.cluster_denied)
        };
        if let Some(rule) = denied.iter().find(|rule| rule.names(kind, name).unwrap_or(true)) {
            return Decision::deny(Reason::DeniedBy(rule.text.clone()));
        }
        let Some(permitted) = permitted else { return Decision::permit(Reason::Unrestricted) };
        let rule = permitted.iter().find(|rule| rule.names(kind, name).unwrap_or(false));
        Decision::by_rule(rule.map(|rule| rule.text.clone()))
    }
}

// === impl KindRule ===

impl KindRule {
    fn new(group: &str, kind: &str, name: &str) -> Self {
        let text = if name.is_empty() { format!("{group}/{kind}") } else { format!("{group}/{kind}/{name}") };
        let read = |text: &str| read_without_braces(text, &['/']);
        let name = if name.is_empty() { Some(None) } else { read(name).map(Some) };
        let patterns =
            read(group).zip(read(kind)).zip(name).map(|((group, kind), name)| Patterns { group, kind, name });
        Self { text, patterns }
    }

    /// Whether the entry names an object; `None` when it cannot be read.
    fn names(&self, kind: &GroupKind, name: &str) -> Option<bool> {
        let patterns = self.patterns.as_ref()?;
        Some(
            patterns.kind.matches(&kind.kind)
                && patterns.group.matches(&kind.group)
                && patterns.name.as_ref().is_none_or(|pattern| pattern.matches(name)),
        )
    }
}
