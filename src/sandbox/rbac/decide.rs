//! The decision, and the walk over the rules of somebody.

use super::rule::Rule;
use super::source::{Binding, RoleSource};
use super::{Access, MASTERS, Subject, Target};
use crate::hooks::Caller;

/// What was decided, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// Kubernetes' words for it; empty where it has none.
    pub reason: String,
}

/// Decides whether `access` is permitted.
#[must_use]
pub fn decide(access: &Access<'_>, source: &impl RoleSource) -> Decision {
    if access.user.groups.iter().any(|group| group == MASTERS) {
        return Decision { allowed: true, reason: String::new() };
    }
    let namespace = match &access.target {
        Target::Resource(target) => target.namespace,
        Target::Path(_) => "",
    };
    let mut problems = Vec::new();
    for (binding, subject) in bindings_of(access.user, namespace, source) {
        match binding.rules(source) {
            Ok(rules) if rules.iter().any(|rule| rule.permits(access)) => {
                let reason = format!("RBAC: allowed by {}", binding.describe(&subject));
                return Decision { allowed: true, reason };
            }
            Ok(_) => {}
            Err(problem) => problems.push(problem),
        }
    }
    Decision { allowed: false, reason: tell(problems) }
}

/// All rules that `user` has in `namespace` (empty: at the cluster scope), and
/// the roles that could not be found.
pub(super) fn rules_for(user: &Caller, namespace: &str, source: &impl RoleSource) -> (Vec<Rule>, Vec<String>) {
    let mut rules = Vec::new();
    let mut problems = Vec::new();
    for (binding, _) in bindings_of(user, namespace, source) {
        match binding.rules(source) {
            Ok(more) => rules.extend(more),
            Err(problem) => problems.push(problem),
        }
    }
    (rules, problems)
}

/// The bindings that mean `user`, each with the subject that does.
fn bindings_of(user: &Caller, namespace: &str, source: &impl RoleSource) -> Vec<(Binding, Subject)> {
    let local = if namespace.is_empty() { Vec::new() } else { source.role_bindings(namespace) };
    let all = source.cluster_role_bindings().into_iter().chain(local);
    all.filter_map(|binding| {
        let subject = binding.subjects.iter().find(|subject| subject.is(user, &binding.namespace))?.clone();
        Some((binding, subject))
    })
    .collect()
}

/// Several problems as Kubernetes joins them, each once.
pub(super) fn tell(mut problems: Vec<String>) -> String {
    let mut seen = std::collections::BTreeSet::new();
    problems.retain(|problem| seen.insert(problem.clone()));
    match problems.as_slice() {
        [] => String::new(),
        [one] => format!("RBAC: {one}"),
        many => format!("RBAC: [{}]", many.join(", ")),
    }
}
