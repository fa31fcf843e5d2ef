//! Who owns which field: the sets in `metadata.managedFields`, how a write moves
//! ownership, and what stands in the way of a server-side apply.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod managed;
mod set;
#[cfg(test)]
mod tests;

pub use managed::{Applied, Conflict, Managed, ManagedEntry, Writer, apply_conflict};
pub use set::{Comparison, FieldSet, compare};
