//! The authorizer that the serving code calls.

use super::{Access, decide, forbidden};
use crate::failure::Failure;
use crate::hooks::{Attributes, Authorizer, Caller};
use crate::store::Store;

/// Permits by the roles and bindings of a store.
#[derive(Clone, Debug)]
pub struct Rbac {
    store: Store,
}

// === impl Rbac ===

impl Rbac {
    /// Reads roles and bindings from here.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, caller: &Caller, attributes: &Attributes) -> Result<(), Failure> {
        let access = Access::of(caller, attributes);
        let decision = decide(&access, &self.store);
        if decision.allowed { Ok(()) } else { Err(forbidden(&access, &decision.reason)) }
    }
}
