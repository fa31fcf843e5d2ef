//! One watch: lists a kind, follows it, and starts again wherever that ends.
//!
//! | what happens | what follows |
//! | --- | --- |
//! | the server ends the watch in time, or a new credential is in place | watch on from where it ended |
//! | the connection breaks | the same, after a backoff |
//! | that place is forgotten (410) | list again, correcting the index in place |
//! | the server refuses (403, 404, 500 of a webhook) | report it, try again after a backoff |
//! | the server cannot stream lists | list by pages, then watch |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::Shared;
use super::index::{Index, ScopeId, Via};
use super::scopes::Scope;
use super::wire::{Event, Observed, Reading};
use crate::backoff::Backoff;
use crate::budget::Priority;
use crate::call::{Call, JSON};
use crate::discovery::ApiResource;
use crate::error::{Error, Result};
use crate::stream::{Lines, split};

/// Metadata alone; whole objects from a server that knows no better, which read
/// the same.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// Objects per page of a list.
const PAGE: usize = 500;
/// Silence during a streamed list after which it is not believed to end.
const SILENCE: Duration = Duration::from_secs(45);
/// Watches end by themselves after a time between these two.
const SHORTEST_WATCH: Duration = Duration::from_secs(300);
const LONGEST_WATCH: Duration = Duration::from_secs(600);
/// Time over which watches move to a new credential.
const MOVING: Duration = Duration::from_millis(500);

/// Failures to connect in a row that are put up with silently: a connection
/// that breaks is mended within a second or two.
const PUT_UP_WITH: u32 = 2;

/// A watch's place among the others.
pub(super) struct Place {
    /// Number of the stream.
    pub(super) lane: usize,
    /// Leave to list.
    pub(super) starting: Arc<Semaphore>,
    /// Whether what is seen still counts.
    pub(super) alive: Arc<AtomicBool>,
    /// Number of this reading of the kind.
    pub(super) reading: u64,
}

pub(super) struct Watcher {
    shared: Arc<Shared>,
    scope: Scope,
    id: ScopeId,
    resource: Arc<ApiResource>,
    full: bool,
    place: Place,
    /// Failures in a row.
    failures: u32,
    backoff: Backoff,
    credential: watch::Receiver<u64>,
    /// Where to watch on; `None`: list first.
    resume: Option<String>,
    /// The listing that confirms objects.
    epoch: u32,
    /// Whether lists are streamed.
    streams: bool,
    /// The kind defines other kinds.
    defines: bool,
}

// === impl Watcher ===

impl Watcher {
    pub(super) fn new(shared: Arc<Shared>, scope: Scope, resource: Arc<ApiResource>, full: bool, place: Place) -> Self {
        let id = {
            let mut index = shared.write();
            let kind = index.kind_id(&resource.gvk);
            (kind, (!scope.namespace.is_empty()).then(|| index.namespace_id(&scope.namespace)))
        };
        let defines = matches!(
            (&*resource.gvk.group, &*resource.gvk.kind),
            ("apiextensions.k8s.io", "CustomResourceDefinition") | ("apiregistration.k8s.io", "APIService")
        );
        let seed = shared.connection.seed() ^ (u64::from(id.0) << 32 | u64::from(id.1.unwrap_or_default()));
        Self {
            credential: shared.connection.generation(),
            backoff: Backoff::new(Duration::from_millis(250), Duration::from_secs(30), seed),
            shared,
            scope,
            id,
            resource,
            full,
            place,
            failures: 0,
            resume: None,
            epoch: 0,
            streams: true,
            defines,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let started = Instant::now();
            let result = self.list_and_watch().await;
            if started.elapsed() > Duration::from_secs(10) {
                self.backoff.reset();
                self.failures = 0;
            }
            let Err(error) = result else {
                // A server that ends every watch at once is not asked without a pause.
                if started.elapsed() < MOVING {
                    tokio::time::sleep(self.backoff.wait(None)).await;
                }
                continue;
            };
            let unsupported = self.resume.is_none() && self.streams && matches!(error.code(), Some(400 | 422));
            if error.is_expired() {
                self.resume = None;
                tokio::time::sleep(self.backoff.spread(MOVING)).await;
                continue;
            }
            if unsupported {
                self.streams = false;
                continue;
            }
            self.failures += 1;
            if error.code().is_some() || self.failures > PUT_UP_WITH {
                self.shared.scopes.failed(&self.scope, &error);
            }
            tracing::debug!(server = self.shared.connection.server(), kind = %self.resource.gvk, %error, "watch failed");
            let asked = match &error {
                Error::Api(status) => status.retry_after,
                _ => None,
            };
            let wait = self.backoff.wait(asked);
            // A new credential may be just what was missing.
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = self.credential.changed() => {}
            }
        }
    }

    /// Lists where needed, then follows until the watch ends.
    async fn list_and_watch(&mut self) -> Result<()> {
        self.credential.mark_unchanged();
        let mut permit = None;
        if self.resume.is_none() {
            permit = self.place.starting.clone().acquire_owned().await.ok();
            self.epoch = self.shared.write().begin();
            if !self.streams {
                self.list().await?;
                permit = None;
            }
        }
        self.watch(permit).await
    }

    /// Follows; `starting` is held until the initial state is complete.
    async fn watch(&mut self, starting: Option<OwnedSemaphorePermit>) -> Result<()> {
        let mut starting = starting;
        let lasts = SHORTEST_WATCH + self.backoff.spread(LONGEST_WATCH - SHORTEST_WATCH);
        let call = self.watch_call(lasts);
        let response = self.shared.connection.open(&call, self.place.lane).await?;
        let mut lines = Lines::new(response.into_body());
        if self.resume.is_some() {
            // Resumed: as good as listed.
            self.synced();
        }
        // The server ends the watch; if it does not, the connection is not what it seems.
        let end = Instant::now() + lasts + Duration::from_secs(30);
        let mut credential = self.credential.clone();
        loop {
            let initial = self.resume.is_none();
            let limit = if initial { (Instant::now() + SILENCE).min(end) } else { end };
            let batch = tokio::select! {
                batch = tokio::time::timeout_at(limit, lines.next_batch()) => batch,
                _ = credential.changed() => {
                    tokio::time::sleep(self.backoff.spread(MOVING)).await;
                    return Ok(());
                }
            };
            match batch {
                Ok(batch) => match batch? {
                    Some(batch) => self.take_in(&batch)?,
                    None if initial => return Err(Error::Unreachable("the initial list was cut short".to_owned())),
                    None => return Ok(()),
                },
                Err(_) if initial => {
                    // Servers that do not know streamed lists may ignore the wish.
                    self.streams = false;
                    return Err(Error::Timeout(SILENCE));
                }
                Err(_) => return Ok(()),
            }
            if self.resume.is_some() {
                drop(starting.take());
            }
        }
    }

    fn watch_call(&self, lasts: Duration) -> Call {
        let path = self
            .resource
            .collection(&self.scope.namespace)
            .query("watch", "true")
            .query("allowWatchBookmarks", "true")
            .query("timeoutSeconds", &lasts.as_secs().to_string());
        let path = match &self.resume {
            Some(version) => path.query("resourceVersion", version),
            None => path.query("sendInitialEvents", "true").query("resourceVersionMatch", "NotOlderThan"),
        };
        Call::get(path.build(), Priority::Watch).accept(if self.full { JSON } else { METADATA })
    }

    fn synced(&self) {
        self.shared.scopes.synced(&self.scope, self.place.reading);
    }

    /// Takes a batch of events into the index: read first, then all at once
    /// under one lock.
    fn take_in(&mut self, batch: &Bytes) -> Result<()> {
        let (shared, resource, full) = (self.shared.clone(), self.resource.clone(), self.full);
        let live = self.resume.is_some();
        let (mut changes, mut failure, mut ended, mut objects, mut count) = (Vec::new(), None, false, false, 0);
        let read = |reading: &Reading| split(batch).map(|line| Event::read(line, reading)).collect();
        let put = |index: &mut Index, events: Vec<Event>| {
            if !self.place.alive.load(Ordering::Acquire) {
                return;
            }
            count = events.len();
            for event in events {
                match event {
                    Event::Put(seen) => {
                        objects = true;
                        self.reached(seen.version);
                        let (scope, epoch) = (self.id, self.epoch);
                        let via = if live || ended { Via::Watch { scope, epoch } } else { Via::Listing { epoch } };
                        changes.extend(index.put(scope.0, via, seen));
                    }
                    Event::Gone(seen) => {
                        objects = true;
                        self.reached(seen.version);
                        changes.extend(index.remove(self.id.0, self.id, &seen));
                    }
                    Event::Bookmark(version, initial_end) => {
                        let number = version.parse().unwrap_or(0);
                        if initial_end && self.resume.is_none() {
                            changes.extend(index.sweep(self.id, self.epoch, number));
                            ended = true;
                        }
                        index.advance(self.id, number);
                        if self.resume.is_some() || ended {
                            self.resume = Some(version);
                        }
                    }
                    Event::Failed(status) => {
                        failure = Some(Error::Api(status));
                        break;
                    }
                }
            }
        };
        let taken: serde_json::Result<()> = shared.take_in(|| shared.reading(&resource.gvk, full), read, put);
        taken.map_err(|source| Error::Decode { what: "a watch", source })?;
        self.count(count);
        self.shared.publisher.publish(changes);
        if ended {
            self.synced();
        }
        if self.defines && objects && live {
            self.definitions_changed();
        }
        failure.map_or(Ok(()), Err)
    }

    /// Notes how far the watch has come, to go on there.
    fn reached(&mut self, version: u64) {
        if version != 0 && self.resume.is_some() {
            self.resume = Some(version.to_string());
        }
    }

    fn definitions_changed(&self) {
        self.shared.discovery.poke();
        let openapi = self.shared.openapi.clone();
        tokio::spawn(async move { openapi.expire().await });
    }

    fn count(&self, events: usize) {
        self.shared.scopes.count(events);
        let server = self.shared.connection.server().to_owned();
        let (group, kind) = (self.scope.kind.group.to_string(), self.scope.kind.kind.to_string());
        metrics::counter!("argocd_cluster_events_total", "server" => server, "group" => group, "kind" => kind)
            .increment(events as u64);
    }

    /// Lists by pages. When the server forgets its place between two of them
    /// (410), everything is asked for in one go: slower, but it ends.
    async fn list(&mut self) -> Result<()> {
        match self.list_pages(Some(PAGE)).await {
            Err(error) if error.is_expired() => {
                self.epoch = self.shared.write().begin();
                self.list_pages(None).await
            }
            other => other,
        }
    }

    async fn list_pages(&mut self, limit: Option<usize>) -> Result<()> {
        let mut token = String::new();
        loop {
            let mut path = self.resource.collection(&self.scope.namespace);
            if let Some(limit) = limit {
                path = path.query("limit", &limit.to_string());
            }
            let path = path.query_if(!token.is_empty(), "continue", &token).build();
            let call = Call::get(path, Priority::Watch)
                .accept(if self.full { JSON } else { METADATA_LIST })
                .within(Duration::from_secs(120));
            let body = self.shared.connection.send(&call).await?.body;
            let (version, next) = self.take_in_page(&body)?;
            match next {
                Some(next) => token = next,
                None => {
                    let number = version.parse().unwrap_or(0);
                    let changes = {
                        let mut index = self.shared.write();
                        if !self.place.alive.load(Ordering::Acquire) {
                            return Ok(());
                        }
                        index.sweep(self.id, self.epoch, number)
                    };
                    self.shared.publisher.publish(changes);
                    self.resume = Some(version);
                    self.synced();
                    return Ok(());
                }
            }
        }
    }

    fn take_in_page(&self, body: &[u8]) -> Result<(String, Option<String>)> {
        let invalid = |source| Error::Decode { what: "a list", source };
        let page: Page<'_> = serde_json::from_slice(body).map_err(invalid)?;
        let items = page.items.unwrap_or_default();
        let read = |reading: &Reading| items.iter().map(|item| Observed::read(item.get(), reading)).collect();
        let put = |index: &mut Index, seen: Vec<Observed>| {
            let via = Via::Listing { epoch: self.epoch };
            let alive = self.place.alive.load(Ordering::Acquire);
            alive.then(|| seen.into_iter().filter_map(|seen| index.put(self.id.0, via, seen)).collect())
        };
        let reading = || self.shared.reading(&self.resource.gvk, self.full);
        let Some(changes) = self.shared.take_in(reading, read, put).map_err(invalid)? else {
            return Ok((String::new(), None));
        };
        self.shared.publisher.publish(changes);
        Ok((page.metadata.resource_version, Some(page.metadata.next).filter(|next| !next.is_empty())))
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PageMetadata {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}
