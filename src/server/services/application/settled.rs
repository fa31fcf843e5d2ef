//! Whoever has written an application finds it so in the lists that follow.
//!
//! The store has what was written before a write returns; the index hears of it a
//! moment later. This waits for that moment.

use std::time::Duration;

use argosy_model::AppKey;
use argosy_proto::v1alpha1::Application;

use super::Service;
use crate::index::{EventKind, Filter, Replay, version};

/// A write is not held up for longer than this.
const LONGEST: Duration = Duration::from_secs(2);

// === impl Service ===

impl Service {
    /// Returns when the index has the application in this version or a later one,
    /// or has heard that it is gone.
    pub(super) async fn settled(&self, key: &AppKey, app: &Application) {
        let filter = Filter { since: version(app), ..one(key) };
        self.heard(key, filter, |_| true).await;
    }

    /// Returns when the index has heard that the application is gone. One that is
    /// held by finalizers is still there and is not waited for.
    pub(super) async fn gone(&self, key: &AppKey) {
        if self.shared.home.apps().get(key).is_none() {
            self.heard(key, one(key), |kind| kind == EventKind::Deleted).await;
        }
    }

    async fn heard(&self, key: &AppKey, filter: Filter, enough: impl Fn(EventKind) -> bool) {
        let mut watcher = self.shared.index.watch(filter, Replay::Everything);
        let told = async { while watcher.next().await.is_ok_and(|event| !enough(event.kind)) {} };
        if tokio::time::timeout(LONGEST, told).await.is_err() {
            tracing::debug!(application = %key, "written, and not in the index yet");
        }
    }
}

fn one(key: &AppKey) -> Filter {
    Filter { name: Some(key.name.to_string()), namespace: Some(key.namespace.to_string()), ..Filter::default() }
}
