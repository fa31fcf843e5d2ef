//! Which replicas there are, and which of them leads.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::error::Error;
use crate::id::{Replica, ReplicaId, Term};
use crate::lease::LeaseView;

/// The replicas that hold a lease, by name.
pub type Members = Arc<BTreeMap<ReplicaId, Replica>>;

/// Being one of the replicas.
pub trait Membership: Send + Sync {
    /// This replica.
    fn me(&self) -> &Replica;

    /// Joins the fleet and keeps the lease until [`Membership::leave`] or until
    /// it cannot be kept. Joining while a member gives the same lease again.
    ///
    /// # Errors
    /// When no lease can be had.
    fn join(&self) -> BoxFuture<'_, Result<LeaseView, Error>>;

    /// Gives the lease back: everything owned is lost at once.
    ///
    /// # Errors
    /// When the lease could not be given back; it is ended here all the same.
    fn leave(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// The members, now and as they change.
    fn members(&self) -> watch::Receiver<Members>;
}

/// Being the one replica that decides placement.
pub trait Leadership: Send + Sync {
    /// Waits to be elected. Dropping the future withdraws the candidacy.
    ///
    /// # Errors
    /// When this replica cannot stand.
    fn campaign(&self) -> BoxFuture<'_, Result<Term, Error>>;

    /// Gives leadership up, if this replica has it.
    ///
    /// # Errors
    /// When it could not be given up; it ends with the lease then.
    fn resign(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// The term in which this replica leads, now and as it changes; `None`
    /// while it does not.
    fn leading(&self) -> watch::Receiver<Option<Term>>;
}
