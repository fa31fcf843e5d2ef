//! Nobody grants what they do not have: what Kubernetes checks when roles and
//! bindings are written.

use std::collections::BTreeMap;

use serde_json::Value;

use super::decide::rules_for;
use super::rule::{path_covers, quoted_list, rules_of};
use super::source::{Binding, RoleSource};
use super::{Access, GROUP, MASTERS, ResourceTarget, Rule, Target, decide};
use crate::hooks::Caller;

/// Why a role or binding may not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Escalation {
    /// The role of this name, which a binding gives, is not there.
    #[error("the role {0:?} is not there")]
    RoleNotFound(String),
    /// The caller would give away more than it has; the text is the server's.
    #[error("{0}")]
    Forbidden(String),
}

/// Whether `user` may write this Role or ClusterRole over `old` (`None` for a new one).
///
/// # Errors
/// [`Escalation::Forbidden`] with the reason that goes after `... is forbidden:`.
pub fn check_role(
    user: &Caller,
    role: &Value,
    old: Option<&Value>,
    source: &impl RoleSource,
) -> Result<(), Escalation> {
    let resource = if role["kind"] == "ClusterRole" { "clusterroles" } else { "roles" };
    let metadata = &role["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    let name = metadata["name"].as_str().unwrap_or_default();
    if is_master(user)
        || old.is_some_and(|old| only_collection_fields_differ(old, role))
        || may(user, "escalate", resource, namespace, name, source)
    {
        return Ok(());
    }
    confirm_no_escalation(user, namespace, &rules_of(role), source)?;
    if has_aggregation_rule(role) || old.is_some_and(has_aggregation_rule) {
        confirm_no_escalation(user, namespace, &full_authority(), source).map_err(|_| {
            Escalation::Forbidden("must have cluster-admin privileges to use the aggregationRule".to_owned())
        })?;
    }
    Ok(())
}

/// Whether `user` may write this RoleBinding or ClusterRoleBinding over `old`.
///
/// # Errors
/// [`Escalation`]; a forbidden one with the reason that goes after `... is forbidden:`.
pub fn check_binding(
    user: &Caller,
    binding: &Value,
    old: Option<&Value>,
    source: &impl RoleSource,
) -> Result<(), Escalation> {
    if is_master(user) || old.is_some_and(|old| only_collection_fields_differ(old, binding)) {
        return Ok(());
    }
    let binding = Binding::read(binding);
    let resource = if binding.role.kind == "ClusterRole" { "clusterroles" } else { "roles" };
    if may(user, "bind", resource, &binding.namespace, &binding.role.name, source) {
        return Ok(());
    }
    let rules = binding.rules(source).map_err(|_| Escalation::RoleNotFound(binding.role.name.clone()))?;
    confirm_no_escalation(user, &binding.namespace, &rules, source)
}

fn is_master(user: &Caller) -> bool {
    user.groups.iter().any(|group| group == MASTERS)
}

fn may(user: &Caller, verb: &str, resource: &str, namespace: &str, name: &str, source: &impl RoleSource) -> bool {
    let target = ResourceTarget { group: GROUP, resource, subresource: "", namespace, name };
    decide(&Access { user, verb, target: Target::Resource(target) }, source).allowed
}

fn has_aggregation_rule(role: &Value) -> bool {
    role["aggregationRule"]["clusterRoleSelectors"].as_array().is_some_and(|selectors| !selectors.is_empty())
}

/// What the garbage collector changes, anyone who may write the object may.
fn only_collection_fields_differ(old: &Value, new: &Value) -> bool {
    let without = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = argosy_model::object::metadata(&mut object) {
            for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
                metadata.remove(field);
            }
        }
        object
    };
    without(old) == without(new)
}

fn full_authority() -> [Rule; 2] {
    let all = || vec!["*".to_owned()];
    [
        Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() },
        Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() },
    ]
}

fn confirm_no_escalation(
    user: &Caller,
    namespace: &str,
    wanted: &[Rule],
    source: &impl RoleSource,
) -> Result<(), Escalation> {
    let (held, problems) = rules_for(user, namespace, source);
    let missing: Vec<Rule> = wanted.iter().flat_map(break_down).filter(|rule| !covered(rule, &held)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut shown: Vec<String> = compact(missing).iter().map(Rule::compact).collect();
    shown.sort();
    shown.dedup();
    let mut message = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted_list(&user.groups),
        shown.join("\n"),
    );
    if !problems.is_empty() {
        let problems = match problems.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        message = format!("{message}; resolution errors: [{problems}]");
    }
    Err(Escalation::Forbidden(message))
}

/// The single permissions that a rule is made of.
fn break_down(rule: &Rule) -> Vec<Rule> {
    let mut parts = Vec::new();
    let one = |text: &String| vec![text.clone()];
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                let part =
                    Rule { verbs: one(verb), api_groups: one(group), resources: one(resource), ..Rule::default() };
                if rule.resource_names.is_empty() {
                    parts.push(part);
                } else {
                    let named =
                        rule.resource_names.iter().map(|name| Rule { resource_names: one(name), ..part.clone() });
                    parts.extend(named);
                }
            }
        }
    }
    for url in &rule.non_resource_urls {
        parts.extend(rule.verbs.iter().map(|verb| Rule {
            verbs: one(verb),
            non_resource_urls: one(url),
            ..Rule::default()
        }));
    }
    parts
}

fn covered(part: &Rule, held: &[Rule]) -> bool {
    held.iter().any(|rule| {
        covers(&rule.verbs, &part.verbs)
            && covers(&rule.api_groups, &part.api_groups)
            && part.resources.iter().all(|resource| covers_resource(&rule.resources, resource))
            && (rule.resource_names.is_empty()
                || (!part.resource_names.is_empty()
                    && part.resource_names.iter().all(|name| rule.resource_names.contains(name))))
            && part.non_resource_urls.iter().all(|url| rule.non_resource_urls.iter().any(|held| path_covers(held, url)))
    })
}

fn covers(held: &[String], wanted: &[String]) -> bool {
    held.iter().any(|value| value == "*") || wanted.iter().all(|value| held.contains(value))
}

fn covers_resource(held: &[String], wanted: &str) -> bool {
    held.iter().any(|value| value == "*" || value == wanted)
        || wanted.split_once('/').is_some_and(|(_, sub)| held.iter().any(|value| *value == format!("*/{sub}")))
}

/// Joins the verbs of permissions on one resource, so that messages are short.
fn compact(parts: Vec<Rule>) -> Vec<Rule> {
    let mut simple: BTreeMap<(String, String, Option<String>), Rule> = BTreeMap::new();
    let mut compacted = Vec::new();
    for part in parts {
        let [group] = part.api_groups.as_slice() else {
            compacted.push(part);
            continue;
        };
        let resource = part.resources.first().cloned().unwrap_or_default();
        let key = (group.clone(), resource, part.resource_names.first().cloned());
        match simple.get_mut(&key) {
            Some(rule) => rule.verbs.extend(part.verbs),
            None => {
                simple.insert(key, part);
            }
        }
    }
    compacted.extend(simple.into_values());
    compacted
}
