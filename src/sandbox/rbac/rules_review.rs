//! What somebody may do in a namespace, as SelfSubjectRulesReview lists it.

use serde_json::{Value, json};

use super::decide::{rules_for, tell};
use super::source::RoleSource;
use crate::hooks::Caller;

/// The `status` of a SelfSubjectRulesReview.
#[must_use]
pub fn rules_for_review(user: &Caller, namespace: &str, source: &impl RoleSource) -> Value {
    let (rules, problems) = rules_for(user, namespace, source);
    let mut resources = Vec::new();
    let mut paths = Vec::new();
    for rule in rules {
        if !rule.resources.is_empty() {
            let mut shown = json!({"verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources});
            if !rule.resource_names.is_empty() {
                shown["resourceNames"] = json!(rule.resource_names);
            }
            resources.push(shown);
        }
        if !rule.non_resource_urls.is_empty() {
            paths.push(json!({"verbs": rule.verbs, "nonResourceURLs": rule.non_resource_urls}));
        }
    }
    let mut status = json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false});
    if !problems.is_empty() {
        status["evaluationError"] = tell(problems).trim_start_matches("RBAC: ").into();
    }
    status
}
