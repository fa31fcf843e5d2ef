//! Who may do what to which object: the policy of `argocd-rbac-cm`, the roles of
//! projects, and the two roles that every installation has.
//!
//! A [`Policy`] is read once and does not change. [`Policy::for_subject`] finds out
//! which roles somebody holds; a decision then looks only at the rules whose resource,
//! action and beginning of the object fit, so it costs about the same in a policy of
//! ten rules and of thousands. A list over objects of many projects asks
//! [`Permissions::within`] once per project.
//!
//! No text makes it panic, hang or grow without bounds: matching is linear in the
//! text, policies, names and patterns have limits, and what is beyond them is an
//! error of the policy or, in a question, a no.

mod draft;
mod explain;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod glob;
mod go_regex;
mod line;
pub mod object;
mod pattern;
mod permissions;
mod policy;
mod project_policy;
mod roles;
mod rules;
mod subject;
mod vocabulary;

pub use explain::{Explanation, RuleReason};
pub use line::LineFault;
pub use permissions::{Permissions, ProjectPermissions};
pub use policy::{Policy, PolicyError, Sources, policy_text, validate_policy};
pub use project_policy::ProjectPolicy;
pub use rules::Origin;
pub use subject::{Subject, groups_from_claims};
pub use vocabulary::{ACTIONS, RESOURCES, RequestError, check_request, resource_named};

/// Longest pattern and longest text that is held against one, in bytes. Names end at
/// 253 and addresses in use well below.
const MAX_TEXT: usize = 4096;

/// How patterns are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MatchMode {
    /// As globs that match all of a text.
    #[default]
    Glob,
    /// As regular expressions that match if they are found anywhere in it.
    Regex,
}

// === impl MatchMode ===

impl MatchMode {
    /// The mode of that name; every name but `regex` is `glob`.
    pub fn of(name: &str) -> Self {
        if name == "regex" { Self::Regex } else { Self::Glob }
    }
}
