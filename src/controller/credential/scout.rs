//! Looking at a cluster before it is owned, as far as that changes nothing there: so
//! long a handover is shorter.

use std::sync::Arc;
use std::time::Duration;

use argosy_cluster::Budget;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::declaration;
use super::establish::{Found, look};
use crate::context::Shared;

/// Age of a look from which another is taken: rights may have changed since.
const FRESH: Duration = Duration::from_secs(30);
/// Age from which the next owner had better look again.
const AGING: Duration = Duration::from_secs(10);
/// Longest wait of an owner for a look that is still under way.
const PATIENCE: Duration = Duration::from_secs(1);

/// A look at a cluster, done or under way; it ends with this.
pub(crate) struct Scout {
    /// The budget of the requests it makes, and of those that the owner makes after it.
    pub(super) budget: Arc<Budget>,
    began: Instant,
    /// With the version of the declaration that it is from.
    looking: AbortOnDropHandle<Option<(String, Found)>>,
}

// === impl Scout ===

impl Scout {
    /// Begins to look.
    pub(crate) fn start(shared: Arc<Shared>, server: Arc<str>) -> Self {
        let budget = Budget::new(super::budget());
        let looking = tokio::spawn({
            let budget = budget.clone();
            async move {
                // Whatever it is, the owner will find the same and say so.
                let unseen = |reason: String| tracing::debug!(server = &*server, reason, "no look ahead");
                look_ahead(&shared, &server, budget).await.map_err(unseen).ok().flatten()
            }
        });
        Self { budget, began: Instant::now(), looking: AbortOnDropHandle::new(looking) }
    }

    /// Whether it will soon be too old to be of use.
    pub(crate) fn is_aging(&self) -> bool {
        self.began.elapsed() > AGING
    }

    /// What was seen, if that is of this declaration and not long ago.
    pub(super) async fn found(self, version: &str) -> Option<Found> {
        let (of, found) = timeout(PATIENCE, self.looking).await.ok()?.ok().flatten()?;
        (of == version && self.began.elapsed() < FRESH).then_some(found)
    }
}

async fn look_ahead(shared: &Shared, server: &str, budget: Arc<Budget>) -> Result<Option<(String, Found)>, String> {
    let Some(declared) = declaration::load(shared, server)? else { return Ok(None) };
    let found = look(&declared.wanted, budget, shared.random()).await;
    found.map(|found| Some((declared.version, found))).map_err(|error| argosy_model::report(&error))
}
