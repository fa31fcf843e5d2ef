//! Git without a working copy: bare mirrors, revisions, objects.
//!
//! One [`Mirror`] per repository owns a bare repository on disk. It asks the
//! remote what its refs are ([`Mirror::list_remote`]), brings objects over
//! ([`Mirror::fetch`]) and hands out [`Objects`], a cheap, cloneable reading
//! handle from which a [`Snapshot`] of a commit lists and reads files straight
//! from the object database. Nothing is ever checked out, so any number of
//! readers work beside one fetch and no reader takes a lock on the repository.
//!
//! # Blocking
//!
//! Every function here blocks: on the disk, and in [`Mirror::list_remote`] and
//! [`Mirror::fetch`] on the network too. Asynchronous callers run them in
//! `tokio::task::spawn_blocking`; on an asynchronous worker thread the two
//! network calls panic, because they drive a small runtime of their own. All
//! handles are `Send`; [`Objects`] and [`Snapshot`] are `Sync` as well.
//!
//! # The network
//!
//! libgit2 opens no connection. The git protocol (version 2, and 0 for older
//! servers) is spoken by `wire` over an HTTP client or over the pipes of an
//! `ssh` or `git upload-pack` process, and what arrives is indexed by libgit2.
//! So every connection has its own certificates, proxy, deadline and
//! cancellation, a commit can be fetched by its exact id, and neither OpenSSL
//! nor libssh2 is linked.
//!
//! # What a crash leaves
//!
//! A pack is received in the mirror's `incoming` folder and becomes visible only
//! when it is complete and its checksum is right; then all refs change in one
//! rename. A process killed at any point leaves files in
//! `incoming` at most, and they are removed by the next [`Mirror::open`], or by
//! the same mirror before and after each fetch.

mod constraint;
mod credentials;
mod error;
mod fetch;
mod history;
mod limits;
mod local;
mod mirror;
mod negotiate;
mod objects;
mod observe;
mod pack;
mod path;
mod process;
mod refs;
mod relay;
mod repack;
mod revision;
mod session;
mod smart_http;
mod snapshot;
mod ssh;
mod store;
mod url;
mod wire;

pub use constraint::{Constraint, Version};
pub use credentials::{Auth, ClientCertificate, Credentials};
pub use error::Error;
pub use fetch::Fetched;
pub use git2::Oid;
pub use history::CommitMetadata;
pub use limits::Limits;
pub use mirror::Mirror;
pub use objects::Objects;
pub use observe::{Observer, Request, RequestKind};
pub use refs::{RemoteRef, RemoteRefs};
pub use revision::{Resolution, resolve};
pub use snapshot::{Entry, EntryKind, Snapshot};
pub use url::RepoUrl;
