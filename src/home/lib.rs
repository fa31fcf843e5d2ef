//! The control plane's side of Argosy: everything that is read from and written
//! to the Kubernetes API of the home cluster.
//!
//! [`Home`] owns the watches of Applications, AppProjects, credential Secrets
//! and the settings objects of one namespace, and keeps from them
//! - a [`Store`] of Applications and one of AppProjects, with changes that a slow
//!   reader sees coalesced, never queued without bound;
//! - immutable snapshots that follow the edits: [`Settings`], [`Repositories`]
//!   and [`Clusters`]. A [`Moment`] of them says whom a change concerns.
//!
//! The controller writes through [`Home::patch_application`]; what to write is
//! [`status_patch`]'s word, and it says nothing when nothing is new. The API
//! creates, changes and deletes Applications, AppProjects, ApplicationSets,
//! settings, credentials and clusters in the form Argo CD gives them, and shares
//! documents with its other replicas. Either way the answer is in the stores and
//! snapshots before the call returns, so a writer never reads something older
//! than it wrote, and nothing that these types do not know is lost. [`EventWriter`] tells the story in Kubernetes Events, beside
//! the work and never in its way.
//!
//! Promises. One object that cannot be read is reported under its own key and
//! stops nothing else; so does one setting, one repository, one cluster. An idle
//! home costs a few open connections and no timer of its own per object. Nothing
//! here survives a crash and nothing needs to: all of it is read again.

mod backoff;
mod call;
pub mod clusters;
mod concern;
mod documents;
pub mod error;
pub mod events;
mod home;
mod namespaces;
mod object;
pub mod repositories;
mod rules;
pub mod settings;
mod snapshots;
mod status;
pub mod store;
pub mod watch;

pub use clusters::{ClusterChange, ClusterSecret, Clusters, DestinationError};
pub use concern::{Difference, Moment};
pub use documents::KeyPair;
pub use error::{Error, Result};
pub use events::{EventSubject, EventWriter};
pub use home::{Access, Cascade, Deletion, Home, HomeOptions, Peer, Prepared};
pub use namespaces::NamespacePatterns;
pub use repositories::{RepoCredentials, Repositories};
pub use settings::Settings;
pub use status::status_patch;
pub use store::{AppEvent, Change, Changes, ProjectEvent, Store};

/// Tells the time. The binary passes the system's, tests their own.
pub type Clock = std::sync::Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;
