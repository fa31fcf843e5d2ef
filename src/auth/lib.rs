//! Who may do what: pure decisions about permission.
//!
//! Floor 1: no input or output, no clock. What a project permits its
//! applications is [`project::Rules`]; what is wrong with an application or a
//! project in that light is [`application`] and [`project::validate_project`].
//! Every question is answered by a [`Decision`], which carries its reason.
//! Everything here is total: no pattern, name or address makes it fail or hang,
//! and what cannot be read is decided on the side of denial.

pub mod application;
pub mod decision;
pub mod project;

pub use decision::{Decision, Reason};
