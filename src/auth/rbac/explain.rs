//! Why a question is answered as it is.
//!
//! Follows the words of the model, rule by rule, and so is also what the decisions
//! of [`Permissions`](super::Permissions) are tested against.

use std::fmt;

use super::MAX_TEXT;
use super::permissions::askings;
use super::policy::Policy;
use super::project_policy::ProjectPolicy;
use super::roles::{Graph, RoleId, Union};
use super::rules::{Effect, Origin, Request, Rule};
use super::subject::Subject;

/// An answer with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Whether it is permitted.
    pub permitted: bool,
    /// The rule that allows it, or the first that denied what another would have
    /// allowed or not; without one no rule says anything.
    pub reason: Option<RuleReason>,
}

/// A rule that decided, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleReason {
    /// The rule as it is written.
    pub rule: String,
    /// Where it is written.
    pub origin: Origin,
    /// From the default role, the subject or a group (or nobody, which is empty) by
    /// way of roles to the subject of the rule; at least one.
    pub path: Vec<String>,
}

pub(super) fn explain(
    policy: &Policy,
    subject: &Subject,
    request: Request<'_>,
    project: Option<&ProjectPolicy>,
) -> Explanation {
    if [request.resource, request.action, request.object].iter().any(|text| text.len() > MAX_TEXT) {
        return Explanation { permitted: false, reason: None };
    }
    let union = project.map(|project| (project, Union::new(&policy.roles, &project.roles)));
    let mut denial = None;
    for askings in askings(policy, subject, union.as_ref().map(|(project, graph)| (*project, graph))) {
        let own: Vec<(RoleId, &Rule)> = policy.rules.matching(request).map(|rule| (rule.role, rule)).collect();
        for name in askings.names {
            let (decided, reason) = match &union {
                Some((project, graph)) if askings.in_project => {
                    let more = project.rules.matching(request).map(|rule| (graph.numbers()[rule.role as usize], rule));
                    ask(graph, name, &own.iter().copied().chain(more).collect::<Vec<_>>())
                }
                _ => ask(&policy.roles, name, &own),
            };
            if decided {
                return Explanation { permitted: true, reason };
            }
            denial = denial.or(reason);
        }
    }
    Explanation { permitted: false, reason: denial }
}

/// One asking: whether it is allowed, and by what or else denied by what.
fn ask(graph: &dyn Graph, name: &str, rules: &[(RoleId, &Rule)]) -> (bool, Option<RuleReason>) {
    let reach = graph.find(name).map(|role| graph.reach(role)).unwrap_or_default();
    let first = |effect| {
        rules.iter().filter(|(_, rule)| rule.effect == effect).find_map(|(role, rule)| {
            let mut at = reach.iter().position(|(held, _)| held == role)?;
            let mut path = vec![graph.name(reach[at].0).to_owned()];
            while at != 0 {
                at = reach[at].1;
                path.push(graph.name(reach[at].0).to_owned());
            }
            path.reverse();
            Some(RuleReason { rule: rule.text.clone(), origin: rule.origin.clone(), path })
        })
    };
    match first(Effect::Deny) {
        Some(denial) => (false, Some(denial)),
        None => {
            let reason = first(Effect::Allow);
            (reason.is_some(), reason)
        }
    }
}

// === impl Explanation ===

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(reason) = &self.reason else { return f.write_str("denied: no rule allows it") };
        let answer = if self.permitted { "allowed" } else { "denied" };
        write!(f, "{answer} by '{}' ({}) for {}", reason.rule, reason.origin, reason.path.join(" > "))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::Policy(line) => write!(f, "line {line} of the policy"),
            Self::Project(project) => write!(f, "project {project}"),
        }
    }
}
