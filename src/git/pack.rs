//! A pack on its way in: indexed while it arrives, in the quarantine of the
//! `incoming` folder, and adopted only when it is complete: its checksum is
//! right and every delta has its base.
//!
//! libgit2 could also check that every object refers to objects that are there,
//! but it takes the commits of submodules for missing ones. A server that leaves
//! something out harms its own repository alone; reading it finds the damage.

use std::io::Write as _;
use std::time::Instant;

use git2::{Indexer, Odb};
use tokio_util::sync::CancellationToken;

use crate::store::Store;
use crate::{Error, Limits};

/// Tells synchronous work inside libgit2 when to stop.
#[derive(Clone)]
pub(crate) struct Stop {
    cancel: CancellationToken,
    deadline: Instant,
}

pub(crate) struct IncomingPack<'odb> {
    store: &'odb Store,
    indexer: Indexer<'odb>,
    bytes: u64,
}

// === impl Stop ===

impl Stop {
    /// The clock of `limits` starts now.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { cancel: limits.cancel.clone(), deadline: Instant::now() + limits.timeout }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.cancel.is_cancelled() || Instant::now() >= self.deadline
    }

    /// The error of an operation that libgit2 broke off because this said so.
    pub(crate) fn explain(&self, operation: &'static str, limits: &Limits, error: Error) -> Error {
        if self.cancel.is_cancelled() {
            Error::Cancelled { operation }
        } else if self.is_due() {
            Error::TimedOut { operation, limit: limits.timeout }
        } else {
            error
        }
    }
}

// === impl IncomingPack ===

impl<'odb> IncomingPack<'odb> {
    /// Objects the pack builds upon are looked for in `odb`.
    pub(crate) fn new(store: &'odb Store, odb: &'odb Odb<'odb>, stop: Stop) -> Result<Self, Error> {
        let indexer = Indexer::new(Some(odb), &store.incoming_dir(), 0o444, false);
        let mut indexer = indexer.map_err(Error::store("receive a pack"))?;
        indexer.progress(move |_| !stop.is_due());
        Ok(Self { store, indexer, bytes: 0 })
    }

    pub(crate) fn write(&mut self, data: &[u8]) -> Result<(), Error> {
        self.bytes += data.len() as u64;
        self.indexer.write_all(data).map_err(Error::io("index a pack in", self.store.incoming_dir()))
    }

    /// Makes the pack's objects visible; returns its size in bytes.
    pub(crate) fn adopt(self) -> Result<u64, Error> {
        let name = self.indexer.commit().map_err(Error::store("complete a pack"))?;
        self.store.adopt_pack(&name)?;
        Ok(self.bytes)
    }
}
