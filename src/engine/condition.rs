//! Conditions of an application: what is wrong, in words for its owner.

use argosy_proto::meta::Time;
use argosy_proto::v1alpha1::ApplicationCondition;
use jiff::Timestamp;

/// The kinds of condition, by the names users know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Resources or the application itself could not be deleted.
    DeletionError,
    /// The specification asks for something that cannot be.
    InvalidSpecError,
    /// Target and live state could not be compared.
    ComparisonError,
    /// Automated sync was refused or failed.
    SyncError,
    /// Something else went wrong.
    UnknownError,
    /// A resource belongs to another application too.
    SharedResourceWarning,
    /// The source has a resource more than once.
    RepeatedResourceWarning,
    /// The settings exclude a resource of the source.
    ExcludedResourceWarning,
    /// The project watches for resources nobody owns, and there are some.
    OrphanedResourceWarning,
}

/// One thing found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub kind: Kind,
    /// What and what to do, in words.
    pub message: String,
}

/// The kinds a refresh looks for before comparing.
pub const OF_SPEC: &[Kind] = &[Kind::InvalidSpecError];
/// The kinds a comparison looks for.
pub const OF_COMPARISON: &[Kind] = &[
    Kind::ComparisonError,
    Kind::SharedResourceWarning,
    Kind::RepeatedResourceWarning,
    Kind::ExcludedResourceWarning,
    Kind::OrphanedResourceWarning,
    Kind::UnknownError,
];

// === impl Kind ===

impl Kind {
    /// The condition's `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeletionError => "DeletionError",
            Self::InvalidSpecError => "InvalidSpecError",
            Self::ComparisonError => "ComparisonError",
            Self::SyncError => "SyncError",
            Self::UnknownError => "UnknownError",
            Self::SharedResourceWarning => "SharedResourceWarning",
            Self::RepeatedResourceWarning => "RepeatedResourceWarning",
            Self::ExcludedResourceWarning => "ExcludedResourceWarning",
            Self::OrphanedResourceWarning => "OrphanedResourceWarning",
        }
    }

    /// Whether the condition stands in the way of a sync.
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Self::DeletionError | Self::InvalidSpecError | Self::ComparisonError | Self::SyncError | Self::UnknownError
        )
    }
}

// === impl Finding ===

impl Finding {
    /// A finding of a kind, in words.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// Replaces the conditions of the evaluated kinds by what was found. One that
/// says the same as before keeps its time; the result is sorted, so that equal
/// findings give equal lists.
pub fn merge_conditions(
    existing: &[ApplicationCondition],
    evaluated: &[Kind],
    found: &[Finding],
    now: Timestamp,
) -> Vec<ApplicationCondition> {
    let is_evaluated = |c: &ApplicationCondition| evaluated.iter().any(|kind| kind.as_str() == c.r#type);
    let mut out: Vec<ApplicationCondition> = existing.iter().filter(|c| !is_evaluated(c)).cloned().collect();
    for finding in found {
        let kind = finding.kind.as_str();
        let known = existing.iter().find(|c| c.r#type == kind && c.message == finding.message);
        let condition = known.cloned().unwrap_or_else(|| ApplicationCondition {
            r#type: kind.to_owned(),
            message: finding.message.clone(),
            last_transition_time: Some(Time::from(now)),
        });
        if !out.contains(&condition) {
            out.push(condition);
        }
    }
    out.sort_by(|a, b| (&a.r#type, &a.message).cmp(&(&b.r#type, &b.message)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_says_the_same_keeps_its_time_and_others_are_replaced() {
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(100).expect("in range"));
        let first = merge_conditions(&[], OF_COMPARISON, &[Finding::new(Kind::ComparisonError, "a")], early);
        let same = merge_conditions(&first, OF_COMPARISON, &[Finding::new(Kind::ComparisonError, "a")], late);
        assert_eq!(first, same);
        let other = merge_conditions(&first, OF_COMPARISON, &[Finding::new(Kind::ComparisonError, "b")], late);
        assert_eq!(other[0].message, "b");
        assert_eq!(merge_conditions(&first, OF_SPEC, &[], late), first, "kinds not evaluated stay");
        assert!(merge_conditions(&first, OF_COMPARISON, &[], late).is_empty());
    }
}
