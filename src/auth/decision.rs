//! The answer to a question of permission.

use std::fmt;

/// Whether something is permitted, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// Whether it is.
    pub permitted: bool,
    /// What decided.
    pub reason: Reason,
}

/// What decided. Rules are told as their author wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// This rule permits it.
    PermittedBy(String),
    /// This rule denies it.
    DeniedBy(String),
    /// No rule permits it, and without one it is denied.
    NoRule,
    /// There are no rules for it, and without them it is permitted.
    Unrestricted,
    /// The project permits only its own clusters, and this is none of them.
    NotProjectScoped,
    /// The text is longer than anything that is looked at.
    TooLong,
}

// === impl Decision ===

impl Decision {
    pub(crate) fn permit(reason: Reason) -> Self {
        Self { permitted: true, reason }
    }

    pub(crate) fn deny(reason: Reason) -> Self {
        Self { permitted: false, reason }
    }

    /// Permitted by the rule that was found, or denied because none was.
    pub(crate) fn by_rule(rule: Option<String>) -> Self {
        rule.map_or_else(|| Self::deny(Reason::NoRule), |rule| Self::permit(Reason::PermittedBy(rule)))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PermittedBy(rule) => write!(f, "permitted by '{rule}'"),
            Self::DeniedBy(rule) => write!(f, "denied by '{rule}'"),
            Self::NoRule => f.write_str("no rule permits it"),
            Self::Unrestricted => f.write_str("nothing restricts it"),
            Self::NotProjectScoped => f.write_str("the cluster does not belong to the project"),
            Self::TooLong => f.write_str("the text is too long"),
        }
    }
}
