//! What a cluster serves, followed as it changes.
//!
//! One [`Catalog`] at a time stands behind an [`ArcSwap`]; readers take it whole.
//! A refresh is one or two conditional requests that usually answer "unchanged".
//! It happens when a CustomResourceDefinition or an APIService changes (the
//! server publishes new kinds a moment later, so it is asked again a few times)
//! and once a minute for whatever cannot be watched. A group whose backend is
//! down keeps its last known kinds: an outage of an aggregated API must not look
//! like the deletion of everything in it.

mod catalog;
mod document;
mod filter;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

pub use catalog::{ApiResource, Catalog};
pub use filter::{FilterRule, ResourceFilter};

use crate::budget::Priority;
use crate::call::Call;
use crate::connection::Connection;
use crate::error::{Error, Result};
use document::Document;

/// Aggregated discovery where there is some, the plain documents elsewhere.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                          application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// Without a poke, discovery is asked this often.
const PERIOD: Duration = Duration::from_secs(60);

/// After a poke: a little later for the burst to end, then again while the
/// server's own controllers publish the change (about a second, measured).
const FOLLOW: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(1500),
    Duration::from_secs(4),
];

/// What one cluster serves.
pub struct Discovery {
    connection: Connection,
    catalog: ArcSwap<Catalog>,
    changed: watch::Sender<u64>,
    poked: Notify,
    /// The last answers of `/api` and `/apis`.
    cache: tokio::sync::Mutex<[Option<Cached>; 2]>,
}

/// An answer and its tag.
type Cached = (String, Arc<Document>);

// === impl Discovery ===

impl Discovery {
    /// An empty catalog; call [`Self::refresh`] or [`Self::follow`].
    pub fn new(connection: Connection) -> Arc<Self> {
        Arc::new(Self {
            connection,
            catalog: ArcSwap::from_pointee(Catalog::default()),
            changed: watch::Sender::new(0),
            poked: Notify::new(),
            cache: tokio::sync::Mutex::default(),
        })
    }

    /// The current catalog.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Counts changes of the catalog.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Says that a definition has changed, so that it is worth asking now.
    pub fn poke(&self) {
        self.poked.notify_one();
    }

    /// Asks the cluster; true when the catalog has changed.
    ///
    /// # Errors
    /// Only when nothing could be learned. A single failing group is in
    /// [`Catalog::failing`].
    pub async fn refresh(&self) -> Result<bool> {
        let mut cache = self.cache.lock().await;
        let core = self.fetch("/api", &mut cache[0]).await?;
        let groups = self.fetch("/apis", &mut cache[1]).await?;
        let previous = self.catalog();
        if let (Fetched::Unchanged, Fetched::Unchanged) = (&core, &groups)
            && !previous.is_empty()
            && previous.failing.is_empty()
        {
            return Ok(false);
        }
        let mut documents = Vec::new();
        for (fetched, cached) in [(core, &cache[0]), (groups, &cache[1])] {
            match fetched {
                Fetched::Plain => {
                    documents.extend(document::fetch_plain(&self.connection).await?);
                    break;
                }
                Fetched::Fresh(document) => documents.push(document),
                Fetched::Unchanged => documents.extend(cached.as_ref().map(|(_, document)| document.clone())),
            }
        }
        let next = Catalog::build(&documents, &previous);
        if next.same_as(&previous) {
            return Ok(false);
        }
        self.catalog.store(Arc::new(next));
        self.changed.send_modify(|n| *n += 1);
        Ok(true)
    }

    /// Keeps the catalog current until dropped.
    pub async fn follow(&self) {
        // Where in FOLLOW the current burst of questions is.
        let mut step = FOLLOW.len();
        loop {
            let wait = FOLLOW.get(step).copied().unwrap_or(PERIOD);
            if tokio::time::timeout(wait, self.poked.notified()).await.is_ok() {
                // Under a steady stream of pokes the questions must still be asked.
                let is_first = step >= FOLLOW.len();
                step = if is_first { 0 } else { step.min(1) };
                if is_first {
                    continue;
                }
            } else {
                step += 1;
            }
            if let Err(error) = self.refresh().await {
                tracing::warn!(server = self.connection.server(), %error, "discovery failed; keeping what is known");
            }
        }
    }

    async fn fetch(&self, path: &str, cached: &mut Option<Cached>) -> Result<Fetched> {
        let mut call = Call::get(path, Priority::Watch).accept(AGGREGATED);
        call.unless = cached.as_ref().map(|(tag, _)| tag.clone());
        let reply = self.connection.send(&call).await?;
        if reply.status == http::StatusCode::NOT_MODIFIED {
            return Ok(Fetched::Unchanged);
        }
        let document =
            Document::aggregated(&reply.body).map_err(|source| Error::Decode { what: "discovery", source })?;
        let Some(document) = document else { return Ok(Fetched::Plain) };
        let document = Arc::new(document);
        *cached = reply.etag.map(|tag| (tag, document.clone()));
        Ok(Fetched::Fresh(document))
    }
}

enum Fetched {
    Fresh(Arc<Document>),
    Unchanged,
    /// The server does not know aggregated discovery.
    Plain,
}
