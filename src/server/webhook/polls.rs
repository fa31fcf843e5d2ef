//! Asking the owners of repositories to poll them, once for however many
//! deliveries.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argosy_proto::peer::PollRequest;
use futures::future::join_all;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::peers::Peers;

/// Addresses that wait; those beyond are left to the poll that comes anyway.
const MOST: usize = 10_000;
/// Addresses that an owner takes at once; it refuses more.
const AT_ONCE: usize = 1000;
/// From the first delivery until the owners are asked: a push often comes as
/// several deliveries.
const GATHERED: Duration = Duration::from_millis(20);
/// How long an owner gets to take the request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gathers addresses and hands them on.
pub(super) struct Polls {
    waiting: Arc<Waiting>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Waiting {
    urls: Mutex<BTreeSet<String>>,
    rung: Notify,
}

// === impl Polls ===

impl Polls {
    /// Must be called on a tokio runtime.
    pub(super) fn start(peers: Peers) -> Self {
        let waiting = Arc::<Waiting>::default();
        let task = tokio::spawn(hand_on(waiting.clone(), peers));
        Self { waiting, _task: AbortOnDropHandle::new(task) }
    }

    /// Asks for a poll of the repository at an address.
    pub(super) fn ask(&self, url: String) {
        let mut urls = self.waiting.urls.lock().unwrap_or_else(PoisonError::into_inner);
        if urls.len() < MOST {
            urls.insert(url);
        }
        self.waiting.rung.notify_one();
    }
}

async fn hand_on(waiting: Arc<Waiting>, peers: Peers) {
    loop {
        waiting.rung.notified().await;
        tokio::time::sleep(GATHERED).await;
        let urls = std::mem::take(&mut *waiting.urls.lock().unwrap_or_else(PoisonError::into_inner));
        let urls: Vec<String> = urls.into_iter().collect();
        for part in urls.chunks(AT_ONCE) {
            tell(&peers, part).await;
        }
    }
}

/// A repository belongs to one replica; which one, each of them knows.
async fn tell(peers: &Peers, urls: &[String]) {
    let asked = peers.all().into_iter().map(|mut peer| {
        let request = PollRequest { urls: urls.to_vec() };
        async move { tokio::time::timeout(PATIENCE, peer.poll_repositories(request)).await }
    });
    for answer in join_all(asked).await {
        match answer {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(error = error.message(), "a replica could not be told of a push"),
            Err(_) => tracing::warn!("a replica did not take the news of a push in time"),
        }
    }
}
