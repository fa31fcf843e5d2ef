//! Sends queued events, several at once, no faster than allowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kube::client::Client;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval};

use super::object::{Record, event_object};
use crate::call::{Call, Path};

/// Time for one event and its retries: telling late is worth little.
const PATIENCE: Duration = Duration::from_secs(5);

/// The bounds of the queue.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Events that may wait. At some 2 KiB each the default holds 16 MiB.
    pub queue: usize,
    /// Events a second, on average. An API server takes about a thousand small
    /// writes a second from all its clients; half of that is left to them.
    pub per_second: u32,
    /// Requests under way at once.
    pub at_once: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { queue: 8192, per_second: 500, at_once: 8 }
    }
}

/// Sends until the queue is closed.
pub(super) async fn send_all(client: Client, mut waiting: mpsc::Receiver<Record>, pace: Pace, dropped: Arc<AtomicU64>) {
    let room = Arc::new(Semaphore::new(pace.at_once.max(1)));
    let mut tick = interval(Duration::from_secs(1) / pace.per_second.max(1));
    // An idle time does not save up for a burst.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(record) = waiting.recv().await {
        tick.tick().await;
        // The semaphore is never closed.
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let (client, dropped) = (client.clone(), dropped.clone());
        tokio::spawn(async move {
            send(&client, &record, &dropped).await;
            drop(permit);
        });
    }
}

async fn send(client: &Client, record: &Record, dropped: &AtomicU64) {
    let path = Path::new("/api/v1/namespaces").segment(&record.subject.event_namespace).segment("events");
    let call = Call::create(path, &event_object(record));
    if let Err(error) = call.send_with_retries(client, PATIENCE, record.id).await {
        // After a lost answer the event may be there already.
        if !matches!(error, crate::Error::AlreadyExists(_)) {
            dropped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, object = %record.subject.name, reason = record.reason.as_str(), "event not written");
        }
    }
}
