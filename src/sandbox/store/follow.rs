//! Reading what happens to one resource, each reader at its own pace: a reader is
//! a position in the history, and costs nothing while nothing happens.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::watch;

use super::{Change, Store, StoreError, TooOld, WatchEvent};

/// A position in the history of one resource.
pub struct Follower {
    store: Store,
    group: Arc<str>,
    resource: Arc<str>,
    namespace: Option<Arc<str>>,
    /// Everything up to here was read.
    version: u64,
    news: watch::Receiver<u64>,
}

/// The events of one resource as a stream.
pub struct Watch {
    events: BoxStream<'static, WatchEvent>,
}

// === impl Follower ===

impl Follower {
    pub(super) fn new(
        store: Store,
        group: &str,
        resource: &str,
        namespace: Option<&str>,
        version: u64,
        news: watch::Receiver<u64>,
    ) -> Self {
        let namespace = namespace.map(Into::into);
        Self { store, group: group.into(), resource: resource.into(), namespace, version, news }
    }

    /// Everything up to this version was read.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What happened since the last call, oldest first; does not wait. Afterwards
    /// [`Follower::version`] is the version of the store.
    ///
    /// # Errors
    /// [`TooOld`] when the reader is further behind than the history reaches.
    pub fn catch_up(&mut self) -> Result<Vec<Change>, TooOld> {
        self.news.mark_unchanged();
        let state = self.store.read();
        let changes = state.since(&self.group, &self.resource, self.namespace.as_deref(), self.version)?;
        self.version = self.version.max(state.version());
        Ok(changes)
    }

    /// Waits until the writes up to a version would survive the end of the process.
    ///
    /// # Errors
    /// [`StoreError::Disk`] when they never will.
    pub async fn committed(&self, version: u64) -> Result<(), StoreError> {
        self.store.committed(version).await
    }

    /// Waits until there may be something to catch up on.
    pub async fn news(&mut self) {
        // The sender lives in the store, which this reader keeps alive.
        let _ = self.news.changed().await;
    }
}

// === impl Watch ===

impl Watch {
    pub(super) fn new(follower: Follower) -> Self {
        let batches = stream::unfold(follower, |mut follower| async move {
            loop {
                match follower.catch_up() {
                    Ok(changes) if changes.is_empty() => follower.news().await,
                    Ok(changes) => return Some((changes, follower)),
                    Err(TooOld { .. }) => return None,
                }
            }
        });
        let events = batches.flat_map(|changes| stream::iter(changes).map(|change| change.event));
        Self { events: events.boxed() }
    }
}

impl Stream for Watch {
    type Item = WatchEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<WatchEvent>> {
        self.events.poll_next_unpin(context)
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("resource", &self.resource).field("version", &self.version).finish()
    }
}
