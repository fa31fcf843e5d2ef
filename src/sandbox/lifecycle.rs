//! How objects come and go: deletion with finalizers and grace, what a namespace
//! needs and takes with it, and what owners take with them.
//!
//! Pure decisions are used by the serving code, which deletes at a request, and by
//! the simulated controllers, which clean up behind it.

mod bootstrap;
mod deletion;
mod garbage;
mod namespace;
mod owners;

pub use bootstrap::{Bootstrap, bootstrap};
pub(crate) use deletion::is_kept_by_owner;
pub use deletion::{Deletion, Propagation, plan_deletion};
pub(crate) use garbage::{collect, remove_finalizer, settle_owner};
pub use namespace::{NamespaceRefusal, admit_to_namespace, may_delete_namespace};
pub(crate) use namespace::{furnish, terminate};
pub(crate) use owners::Owners;
