//! One target cluster: its connection, what it serves, what lives in it, and
//! how to change it.
//!
//! | part | owns |
//! | --- | --- |
//! | [`config`] | how a cluster is reached and as whom, read from a cluster Secret |
//! | [`connection`] | the clients; every request of this crate goes through it, and so through the [`budget`] |
//! | [`cloud`] | tokens of cloud providers, made in this process |
//! | [`doctor`] | what a cluster lets us do, and what it lacks |
//! | [`fence`] | credentials that exist for one epoch, and their removal |
//! | [`discovery`] | which kinds are served, followed as they come and go |
//! | [`openapi`] | schemas, fetched when asked for |
//! | [`live`] | the watched state: identities, owners, tree, full objects of what is managed |
//! | [`apply`] | create, patch, replace, delete and their dry runs |
//!
//! Promises. A request is never sent outside the budget. A kind that cannot be
//! watched is reported and tried again, and stops no other. A new credential
//! moves the watches over without listing anything again. No error and no log
//! line carries a credential or a value of a Secret.
//!
//! Lost in a crash: everything here. All of it is read again from the cluster.

pub mod apply;
pub mod backoff;
pub mod budget;
pub mod cloud;
pub mod config;
pub mod connection;
pub mod discovery;
pub mod doctor;
pub mod error;
pub mod fence;
pub mod live;
pub mod openapi;

mod access;
mod call;
mod meter;
mod redact;
mod stream;
mod transport;

pub use apply::{
    Applier, ApplyTask, Known, LogLines, LogOptions, LogReader, Mode, Outcome, PatchFormat, Propagation, Removal,
};
pub use budget::{Budget, BudgetConfig, Priority};
pub use config::ClusterConfig;
pub use connection::{Connection, ServerVersion};
pub use discovery::{ApiResource, Catalog, Discovery, FilterRule, ResourceFilter};
pub use error::{ApiStatus, Error, Result};
pub use fence::{Account, Choice, Claim, Fence, FenceError, Grant, Issued, Prover};
pub use live::{Change, ChangeKind, KindState, LiveObject, LiveOptions, LiveState, LiveStats, TreeNode};
pub use meter::measured;
pub use openapi::OpenApi;
