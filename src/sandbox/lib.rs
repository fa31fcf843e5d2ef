//! A Kubernetes API server inside the process: discovery, OpenAPI, reads, watches
//! and writes over TLS, with state in memory or in one file.
//!
//! [`store`] holds the objects and their history, [`kinds`] says what kinds there
//! are and how they behave, `rules` evaluates what the schemas of custom resources
//! demand of them, [`fields`] keeps who owns which field, [`serve`] speaks
//! HTTP and calls the [`hooks`]; a [`cluster`] puts it all together with the
//! [`controllers`] behind it. Time and randomness come from whoever starts it.

pub mod cluster;
pub mod controllers;
pub mod failure;
pub mod faults;
pub mod fields;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod hooks;
pub mod identity;
pub mod journal;
pub mod kinds;
pub mod lifecycle;
mod pod_logs;
mod private_file;
pub mod rbac;
pub mod reviews;
mod rules;
pub mod serve;
pub mod stamp;
pub mod store;
pub mod tables;
