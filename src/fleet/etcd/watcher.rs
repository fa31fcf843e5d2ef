//! Keeps the view of the fleet up to date.
//!
//! Reads everything below the prefix once, then follows it from that revision
//! on. A watch that breaks, or whose endpoint is given up, goes on from where it
//! was with another endpoint. When the revisions in between were compacted,
//! everything is read anew.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{EventType, GetOptions, GetResponse, KeyValue, WatchOptions, WatchResponse, WatchStream};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::assignment::Assignment;
use crate::etcd::connection::{CallError, Connection};
use crate::etcd::keys::Keys;
use crate::etcd::trouble::Trouble;
use crate::etcd::view::View;
use crate::membership::Members;
use crate::placement::Costs;

/// Keys read at once, so that an answer stays below etcd's and gRPC's limits.
const PAGE: i64 = 5_000;

/// How long changes of entities are gathered: each is told with a copy of all.
const GATHERED: Duration = Duration::from_millis(100);

/// Between two tries to follow.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) struct Watcher {
    pub(crate) connection: Arc<Connection>,
    pub(crate) keys: Keys,
    pub(crate) published: Arc<Published>,
    /// Rung when what is followed may be another etcd than before, or an earlier one.
    pub(crate) reread: Arc<Notify>,
}

/// What the watcher tells the others.
pub(crate) struct Published {
    pub(crate) view: watch::Sender<View>,
    pub(crate) members: watch::Sender<Members>,
    pub(crate) assignment: watch::Sender<Arc<Assignment>>,
    pub(crate) costs: watch::Sender<Costs>,
}

enum Ended {
    /// From where it was.
    Broken(String),
    Compacted(i64),
    Reread,
    Turned,
}

// === impl Published ===

impl Published {
    pub(crate) fn new() -> Self {
        Self {
            view: watch::Sender::new(View::new()),
            members: watch::Sender::default(),
            assignment: watch::Sender::default(),
            costs: watch::Sender::default(),
        }
    }

    fn publish(&self, view: &View, with_costs: bool) {
        let before = self.view.borrow().clone();
        let mut next = view.clone();
        if with_costs {
            self.costs.send_replace(next.costs.clone());
        } else {
            next.costs = before.costs;
        }
        let same_document = match (&before.document, &next.document) {
            (Some(before), Some(next)) => Arc::ptr_eq(before, next),
            (before, next) => before.is_none() && next.is_none(),
        };
        if let Some(document) = next.document.as_ref().filter(|_| !same_document) {
            self.assignment.send_replace(Arc::new(document.assignment()));
        }
        if before.sessions != next.sessions {
            let members = next.sessions.iter().map(|(name, (_, replica))| (name.clone(), replica.clone()));
            self.members.send_replace(Arc::new(members.collect()));
        }
        self.view.send_replace(next);
    }
}

// === impl Watcher ===

impl Watcher {
    /// Follows until the task is aborted.
    pub(crate) async fn run(self) {
        let mut trouble = Trouble::new("the fleet's state in etcd can be followed");
        let mut view = self.read_until_done(&mut trouble, None).await;
        loop {
            let ended = self.follow(&mut view, &mut trouble).await;
            match ended {
                Ended::Turned => {}
                Ended::Broken(reason) => {
                    trouble.on_failure(&reason);
                    sleep(PAUSE).await;
                }
                Ended::Compacted(at) => {
                    tracing::warn!(
                        revision = view.revision,
                        compacted = at,
                        "etcd was compacted past what has been seen of the fleet; everything is read anew"
                    );
                    view = self.read_until_done(&mut trouble, Some(view)).await;
                }
                Ended::Reread => {
                    tracing::info!("etcd may be another one than before: what it says of the fleet is read anew");
                    view = self.read_until_done(&mut trouble, Some(view)).await;
                }
            }
        }
    }

    async fn read_until_done(&self, trouble: &mut Trouble, before: Option<View>) -> View {
        loop {
            match self.read().await {
                Ok(mut view) => {
                    if let Some(before) = before {
                        view.follow(before);
                    }
                    self.published.publish(&view, true);
                    return view;
                }
                Err(error) => trouble.on_failure(&error.to_string()),
            }
            sleep(PAUSE).await;
        }
    }

    async fn read(&self) -> Result<View, CallError> {
        let mut view = View::new();
        let mut from = self.keys.root().as_bytes().to_vec();
        let end = end_of(&from);
        loop {
            let mut options = GetOptions::new().with_range(end.clone()).with_limit(PAGE);
            if view.revision > 0 {
                options = options.with_revision(view.revision);
            }
            let until = Instant::now() + self.connection.attempt();
            let request = |client: etcd_client::Client| {
                let (from, options) = (from.clone(), options.clone());
                async move { client.kv_client().get(from, Some(options)).await }
            };
            let answer: GetResponse = self.connection.call(until, request).await?;
            if view.revision == 0 {
                view.revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
            }
            for pair in answer.kvs() {
                view.on_put(&self.keys, pair);
            }
            match answer.kvs().last().filter(|_| answer.more()) {
                Some(last) => from = after(last),
                None => return Ok(view),
            }
        }
    }

    async fn follow(&self, view: &mut View, trouble: &mut Trouble) -> Ended {
        let mut current = self.connection.current();
        let index = *current.borrow_and_update();
        let mut stream = match self.open(index, view.revision + 1).await {
            Ok(stream) => stream,
            Err(reason) => {
                self.connection.turn_from(index, &reason);
                return Ended::Broken(reason);
            }
        };
        let mut late: Option<Instant> = None;
        loop {
            let due = late.unwrap_or_else(Instant::now);
            let message = tokio::select! {
                message = stream.message() => message,
                // A watch is never told of a change of endpoint by a failed sender.
                _ = current.changed() => return self.leave(view, late, Ended::Turned),
                () = self.reread.notified() => return Ended::Reread,
                () = sleep_until(due), if late.is_some() => {
                    late = None;
                    self.published.publish(view, true);
                    continue;
                }
            };
            let reason = match message {
                Ok(Some(message)) if message.compact_revision() > 0 => {
                    return Ended::Compacted(message.compact_revision());
                }
                Ok(Some(message)) if message.canceled() => message.cancel_reason().to_owned(),
                Ok(Some(message)) => {
                    trouble.on_success();
                    self.take(view, &message, &mut late);
                    continue;
                }
                Ok(None) => "the watch has ended".to_owned(),
                Err(error) => error.to_string(),
            };
            if reason.contains("auth") || reason.contains("permission") {
                self.connection.forget(index).await;
            }
            self.connection.turn_from(index, &reason);
            return self.leave(view, late, Ended::Broken(reason));
        }
    }

    /// Tells what was being gathered before a watch is left.
    fn leave(&self, view: &View, late: Option<Instant>, ended: Ended) -> Ended {
        if late.is_some() {
            self.published.publish(view, true);
        }
        ended
    }

    async fn open(&self, index: usize, revision: i64) -> Result<WatchStream, String> {
        let options = WatchOptions::new().with_prefix().with_start_revision(revision);
        let opening = async {
            let client = self.connection.client(index).await?;
            client.watch_client().watch(self.keys.root(), Some(options)).await
        };
        match timeout(self.connection.attempt(), opening).await {
            Ok(opened) => opened.map_err(|error| error.to_string()),
            Err(_) => Err("a watch could not be opened in time".to_owned()),
        }
    }

    fn take(&self, view: &mut View, message: &WatchResponse, late: &mut Option<Instant>) {
        if message.events().is_empty() {
            return;
        }
        let mut is_costly = false;
        let (stored, leader) = (view.stored, view.leader);
        for event in message.events() {
            let Some(pair) = event.kv() else { continue };
            is_costly |= match event.event_type() {
                EventType::Put => view.on_put(&self.keys, pair),
                EventType::Delete => view.on_delete(&self.keys, pair.key()),
            };
            view.revision = view.revision.max(pair.mod_revision());
        }
        // Whoever reads an assignment, or has just been elected, must know every
        // entity that it was made of.
        let at_once = view.stored != stored || view.leader != leader;
        if at_once {
            *late = None;
        } else if is_costly && late.is_none() {
            *late = Some(Instant::now() + GATHERED);
        }
        self.published.publish(view, at_once);
    }
}

/// The first key after all that begin with this one.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    // The prefix ends with a slash.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

fn after(pair: &KeyValue) -> Vec<u8> {
    let mut key = pair.key().to_vec();
    key.push(0);
    key
}
