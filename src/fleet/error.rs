//! What can go wrong between replicas.

use crate::id::{EntityId, Epoch, Term};

/// An error of whatever keeps the fleet's state.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An operation on the fleet that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This replica has left, or its lease has run out: it must join anew.
    #[error("this replica is not a member of the fleet")]
    NotAMember,
    /// Another leader has been elected since.
    #[error("the leader's {given} is over, the current one is {current}")]
    StaleTerm {
        /// The term the write was made in.
        given: Term,
        /// The term that is current.
        current: Term,
    },
    /// An assignment would hand out an epoch again, or an older one.
    #[error("the assignment takes {entity} to {next}, after {previous}")]
    EpochWentBack {
        /// The entity concerned.
        entity: EntityId,
        /// Its epoch, or the first free one, before.
        previous: Epoch,
        /// Its epoch after.
        next: Epoch,
    },
    /// What keeps the fleet's state could not be reached or refused.
    #[error("the fleet's state could not be {operation}")]
    Backend {
        /// What was tried, as a past participle: `read`, `written`.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: BoxError,
    },
}
