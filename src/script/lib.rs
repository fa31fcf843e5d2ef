//! What users write in Lua and what Argo CD ships as Lua: health rules and
//! resource actions.
//!
//! Owns the sandbox that scripts run in ([`Scripts`]), the reading of their
//! results ([`health`](Scripts::health), [`discover`](Scripts::discover) and
//! [`run`](Scripts::run)), and the actions every installation has, which are not
//! scripts but Rust ([`builtin`]).
//!
//! Promises. A script sees the object it is about, a few libraries and the time
//! it is told; no file, no process, no environment, no network. It ends: after a
//! number of instructions, of bytes and, as a last resort, after a second. What
//! it does to its world is gone when it ends, so no script sees another. A
//! script that fails fails its own caller and nothing else.
//!
//! The crate does no input or output. It knows no wall clock; the second above
//! is measured by the monotonic one.

mod actions;
pub mod builtin;
mod error;
mod health;
mod machine;
mod scripts;

pub use actions::{CustomActions, Definition, Impacted, Operation, Parameters};
pub use argosy_proto::v1alpha1::{ResourceAction, ResourceActionParam};
pub use error::ScriptError;
pub use health::{HealthStatus, INVALID_STATUS};
pub use scripts::Scripts;
