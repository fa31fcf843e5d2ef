//! Who may do what: pure decisions about permission.
//!
//! Floor 1: no input or output, no clock. What a project permits its
//! applications is [`project::Rules`]; what is wrong with an application or a
//! project in that light is [`application`] and [`project::validate_project`].
//! Every question is answered by a [`Decision`], which carries its reason.
//! What a person may do is [`rbac::Policy`], which is asked so often that it answers
//! yes or no and gives its reason on request.
//! Everything here is total: no pattern, name or address makes it fail or hang,
//! and what cannot be read is decided on the side of denial.

pub mod account;
pub mod application;
pub mod decision;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod identity;
pub mod oidc;
pub mod password;
pub mod project;
pub mod project_token;
pub mod rbac;
pub mod seal;
pub mod sign_in;
pub mod token;

pub use decision::{Decision, Reason};
pub use identity::{Identity, Kind};
