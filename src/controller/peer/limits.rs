//! How much may be asked for at once. What waits for its turn holds nothing but
//! its request.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::refusal;
use crate::context::Shared;
use crate::repository::Lent;

/// Requests that look into repositories at once. Each may hold a thread while a
/// remote answers.
const LOOKING: usize = 16;
/// Archives unpacked at once: each may take as much memory as the settings allow.
const UNPACKING: usize = 2;
/// Archives that arrive or wait to be unpacked at once.
const RECEIVING: usize = 8;
/// Clusters and repositories tried out at once.
const TRYING: usize = 8;
/// Longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module's page.
pub(super) struct Limits {
    looking: Arc<Semaphore>,
    unpacking: Arc<Semaphore>,
    receiving: Arc<Semaphore>,
    trying: Arc<Semaphore>,
}

/// A mirror that is looked into within a turn.
pub(super) struct Turn {
    pub(super) mirror: Lent,
    _permit: OwnedSemaphorePermit,
}

// === impl Limits ===

impl Limits {
    /// A turn to look into a project's repository.
    pub(super) async fn lend(&self, shared: &Shared, project: &str, url: &str) -> Result<Turn, Status> {
        let permit = turn(&self.looking).await?;
        let mirror = shared.directory.lend(shared, project, url).await.map_err(|e| refusal::of_repository(&e))?;
        Ok(Turn { mirror, _permit: permit })
    }

    /// A turn to send an archive; until then nothing of it is taken in.
    pub(super) async fn receive(&self) -> Result<OwnedSemaphorePermit, Status> {
        turn(&self.receiving).await
    }

    /// A turn to unpack an archive.
    pub(super) async fn unpack(&self) -> Result<OwnedSemaphorePermit, Status> {
        turn(&self.unpacking).await
    }

    /// A turn to try out a connection.
    pub(super) async fn try_out(&self) -> Result<OwnedSemaphorePermit, Status> {
        turn(&self.trying).await
    }
}

impl Default for Limits {
    fn default() -> Self {
        let semaphore = |turns| Arc::new(Semaphore::new(turns));
        Self {
            looking: semaphore(LOOKING),
            unpacking: semaphore(UNPACKING),
            receiving: semaphore(RECEIVING),
            trying: semaphore(TRYING),
        }
    }
}

async fn turn(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Status> {
    let busy = || Status::unavailable("too much is asked for at once; try again later");
    let turn = tokio::time::timeout(PATIENCE, turns.clone().acquire_owned()).await.map_err(|_| busy())?;
    turn.map_err(|_| busy())
}
