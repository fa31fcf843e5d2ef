//! A watch of one resource path that heals itself.
//!
//! [`run`] reports every object there is, then every change, for as long as it is
//! polled. It starts with a streaming list where the server has that and with a
//! paged list where not; a connection that breaks, hangs or is turned away is
//! made again with jittered backoff from where it was, or from the start when
//! the server has forgotten that place. Each start ends in [`Event::Synced`] with
//! the keys that exist, so that deletions nobody saw are noticed.
//!
//! An object that does not have the type's shape is reported as
//! [`Event::Malformed`] under its own key; the stream goes on.

mod lines;
mod list;
mod message;

use std::collections::HashSet;
use std::time::Duration;

use argosy_model::AppKey;
use argosy_proto::meta::ObjectMeta;
use kube::client::Client;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use crate::backoff::Backoff;
use crate::call::{Call, Path};
use crate::error::{Error, Result};
use lines::Lines;
use message::{Kind, Message};

/// How long a server keeps a watch open, at least; up to twice that, so that
/// watches do not all end at once. In seconds.
const WATCH_SECONDS: u64 = 300;
/// Silence after which a watch is taken for dead. Servers send a bookmark about
/// every minute.
const IDLE: Duration = Duration::from_secs(150);
/// The same while the initial objects are still coming.
const IDLE_INITIAL: Duration = Duration::from_secs(30);
/// A watch that ends sooner than this without a word counts as failed.
const SHORT: Duration = Duration::from_secs(1);

/// What can be watched.
pub trait Watched: DeserializeOwned + Send + Sync + 'static {
    /// Whether an error's text could repeat a secret out of the object.
    const SENSITIVE: bool;

    /// The object's metadata.
    fn metadata(&self) -> &ObjectMeta;

    /// Drops what nobody reads, before the object is kept.
    fn slim(&mut self);
}

/// Which objects to watch.
#[derive(Clone, Debug)]
pub struct Target {
    path: Path,
    label_selector: String,
    field_selector: String,
    shown: String,
}

/// What a watch reports. Keys are namespace and name, whatever the kind is.
#[derive(Debug)]
pub enum Event<T> {
    /// The object is there, in this state.
    Applied {
        /// Namespace and name.
        key: AppKey,
        /// The object.
        object: T,
        /// The server's history has been set back (a restored backup): this
        /// state counts although its version may be lower than a known one.
        forced: bool,
    },
    /// The object is there and cannot be read.
    Malformed {
        /// Namespace and name.
        key: AppKey,
        /// What is wrong with it.
        error: String,
    },
    /// The object is gone.
    Deleted {
        /// Namespace and name.
        key: AppKey,
        /// Version of the deletion.
        version: String,
    },
    /// All objects there are have been reported since the last start; these are their keys.
    Synced {
        /// Every key that exists.
        keys: HashSet<AppKey>,
    },
}

struct Watcher<F> {
    client: Client,
    target: Target,
    backoff: Backoff,
    emit: F,
    /// Where to go on; `None` means to start.
    position: Option<String>,
    /// Whether the server is thought to know streaming lists.
    streaming: bool,
    /// Highest version seen, to notice that history was set back.
    highest: u64,
    forced: bool,
}

// === impl Target ===

impl Target {
    /// Objects below an API's root (`/api/v1`, `/apis/group/version`) of one
    /// namespace, or of all.
    pub fn new(root: &str, namespace: Option<&str>, plural: &str) -> Self {
        let path = Path::new(root);
        let path = match namespace {
            Some(namespace) => path.segment("namespaces").segment(namespace),
            None => path,
        };
        let shown = format!("{plural} of {}", namespace.unwrap_or("all namespaces"));
        Self { path: path.segment(plural), label_selector: String::new(), field_selector: String::new(), shown }
    }

    /// Only those that the label selector selects.
    #[must_use]
    pub fn labelled(mut self, selector: &str) -> Self {
        self.label_selector = selector.to_owned();
        self.shown = format!("{} ({selector})", self.shown);
        self
    }

    /// Only the one of this name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.field_selector = format!("metadata.name={name}");
        self.shown = format!("{} ({name})", self.shown);
        self
    }

    fn request(&self) -> Path {
        let mut path = self.path.clone();
        if !self.label_selector.is_empty() {
            path = path.query("labelSelector", &self.label_selector);
        }
        if !self.field_selector.is_empty() {
            path = path.query("fieldSelector", &self.field_selector);
        }
        path
    }

    fn watch(&self, seconds: u64) -> Path {
        let path = self.request().query("watch", "1").query("allowWatchBookmarks", "true");
        path.query("timeoutSeconds", &seconds.to_string())
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Watches until it is dropped. `emit` is called in the order of events and must
/// not block. `seed` spreads the retries.
pub async fn run<T: Watched>(client: Client, target: Target, seed: u64, emit: impl FnMut(Event<T>) + Send) {
    let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(20), seed);
    let mut watcher =
        Watcher { client, target, backoff, emit, position: None, streaming: true, highest: 0, forced: false };
    loop {
        let started = Instant::now();
        let wait = match watcher.turn::<T>().await {
            Ok(true) => None,
            // A server that ends watches at once must not be asked again at once.
            Ok(false) => (started.elapsed() < SHORT).then(|| watcher.backoff.wait(None)),
            Err(Error::Expired(message)) => {
                tracing::debug!(target = %watcher.target, %message, "history is gone, listing again");
                watcher.position = None;
                Some(watcher.backoff.wait(None))
            }
            Err(error) => {
                let wait = watcher.backoff.wait(error.retry_after());
                tracing::warn!(target = %watcher.target, error = &error as &dyn std::error::Error, ?wait, "watch failed");
                Some(wait)
            }
        };
        if let Some(wait) = wait {
            sleep(wait).await;
        }
    }
}

// === impl Watcher ===

impl<F> Watcher<F> {
    /// One list or one watch, to its end. Says whether it made progress.
    async fn turn<T: Watched>(&mut self) -> Result<bool>
    where
        F: FnMut(Event<T>) + Send,
    {
        let seconds = self.backoff.spread_seconds(WATCH_SECONDS);
        if let Some(position) = &self.position {
            let path = self.target.watch(seconds).query("resourceVersion", position);
            return self.follow(path, None).await;
        }
        if !self.streaming {
            return self.list().await.map(|()| true);
        }
        let path = self.target.watch(seconds);
        let path = path.query("sendInitialEvents", "true").query("resourceVersionMatch", "NotOlderThan");
        match self.follow(path, Some(HashSet::new())).await {
            Err(error) if error.is_unsupported() => {
                tracing::debug!(target = %self.target, %error, "no streaming lists here");
                self.streaming = false;
                Ok(true)
            }
            other => other,
        }
    }

    /// Reads one watch to its end. `initial` collects the keys that exist, until
    /// the server says that these were all.
    async fn follow<T: Watched>(&mut self, path: Path, mut initial: Option<HashSet<AppKey>>) -> Result<bool>
    where
        F: FnMut(Event<T>) + Send,
    {
        let mut lines = Lines::new(Call::get(path).open(&self.client).await?);
        let mut progress = false;
        loop {
            let idle = if initial.is_some() { IDLE_INITIAL } else { IDLE };
            let Ok(batch) = timeout(idle, lines.next_batch()).await else {
                // An API server whose history was set back takes a position that it has not
                // reached yet, and is silent until it has.
                self.position = None;
                return Err(Error::Timeout(idle));
            };
            let batch = batch?;
            let Some(batch) = batch else { break };
            for line in lines::split(&batch) {
                let message = Message::read(line)?;
                if matches!(message.kind, Kind::Bookmark { initial_end: true })
                    && let Some(keys) = initial.take()
                {
                    self.backoff.reset();
                    if !self.finish_start(&message.version, keys) {
                        return Ok(true);
                    }
                    progress = true;
                    continue;
                }
                progress |= !matches!(message.kind, Kind::Bookmark { .. });
                self.on_message(message, initial.as_mut());
            }
            if initial.is_none() {
                self.backoff.reset();
            }
        }
        if initial.is_some() {
            return Err(Error::Stream("before the initial objects were complete"));
        }
        Ok(progress)
    }

    fn on_message<T: Watched>(&mut self, message: Message<'_>, initial: Option<&mut HashSet<AppKey>>)
    where
        F: FnMut(Event<T>) + Send,
    {
        if initial.is_none() && !message.version.is_empty() {
            self.position = Some(message.version.to_string());
        }
        self.highest = self.highest.max(message.version.parse().unwrap_or(0));
        match message.kind {
            Kind::Bookmark { .. } => {}
            Kind::Deleted { key } => {
                if let Some(keys) = initial {
                    keys.remove(&key);
                }
                (self.emit)(Event::Deleted { key, version: message.version.into_owned() });
            }
            Kind::Applied { key, object } => {
                if let Some(keys) = initial {
                    keys.insert(key.clone());
                }
                (self.emit)(message::applied(key, object.get(), self.forced));
            }
        }
    }

    /// Closes a start at `version`. Says whether the watch may go on from there;
    /// if not, history was set back and all is to be reported again, by force.
    fn finish_start<T: Watched>(&mut self, version: &str, keys: HashSet<AppKey>) -> bool
    where
        F: FnMut(Event<T>) + Send,
    {
        let at: u64 = version.parse().unwrap_or(u64::MAX);
        if at < self.highest && !self.forced {
            tracing::warn!(target = %self.target, at, seen = self.highest, "the server's history was set back");
            self.forced = true;
            self.highest = 0;
            return false;
        }
        self.forced = false;
        self.highest = if at == u64::MAX { 0 } else { at };
        self.position = Some(version.to_owned());
        (self.emit)(Event::Synced { keys });
        true
    }
}
