//! The words of Argosy: what every other crate means by a resource, an
//! application, a tracking id, a sync option, a duration.
//!
//! Floor 0. Everything here is plain data and total functions on it: no input
//! or output, no clock, no randomness. Custom resources are the wire types of
//! [`argosy_proto`]; Kubernetes objects of arbitrary kind are
//! [`serde_json::Value`]s read through [`object`].

pub mod cron;
pub mod duration;
pub mod fence;
pub mod git_url;
pub mod glob;
pub mod hash;
pub mod key;
pub mod names;
pub mod object;
pub mod options;
pub mod report;
pub mod secret;
pub mod tracking;

pub use fence::{FenceKind, FenceWish};
pub use key::{AppKey, GroupKind, Gvk, ResourceKey};
pub use report::{innermost, report};
pub use secret::Secret;
