//! What an owner's credential is at the moment, for whoever wants to know.

use std::sync::{PoisonError, RwLock};

use argosy_model::FenceKind;
use jiff::Timestamp;

/// Which fence stands between this owner and its successors, and until when its
/// credential holds.
#[derive(Debug)]
pub(crate) struct Standing(RwLock<(FenceKind, Option<Timestamp>)>);

// === impl Standing ===

impl Standing {
    pub(super) fn new(kind: FenceKind, expires: Option<Timestamp>) -> Self {
        Self(RwLock::new((kind, expires)))
    }

    pub(super) fn change(&self, kind: FenceKind, expires: Option<Timestamp>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = (kind, expires);
    }

    /// Which fence stands.
    pub(crate) fn fence(&self) -> FenceKind {
        self.0.read().unwrap_or_else(PoisonError::into_inner).0
    }

    /// When the credential ends; `None` for one that does not say.
    pub(crate) fn expires(&self) -> Option<Timestamp> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).1
    }
}
