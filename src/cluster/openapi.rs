//! The cluster's own schemas, fetched per group and version when asked for.
//!
//! The index of documents carries a hash per document: one small conditional
//! request tells whether anything has changed, and only what has is fetched and
//! read again. Documents themselves are not kept, only what [`Schemas`] makes of
//! them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use argosy_engine::schema::Schemas;
use argosy_model::Gvk;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::budget::Priority;
use crate::call::Call;
use crate::connection::Connection;
use crate::error::{Error, Result};

/// How long the index is believed without asking, where nobody says otherwise.
const BELIEVED: Duration = Duration::from_secs(60);

/// The schemas of one cluster.
pub struct OpenApi {
    connection: Connection,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    read: Option<Instant>,
    etag: Option<String>,
    /// `apis/apps/v1` to the hashed URL of its document.
    index: BTreeMap<String, String>,
    /// The URL each path's inserted document came from.
    inserted: HashMap<String, String>,
    schemas: Arc<Schemas>,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    paths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "serverRelativeURL")]
    url: String,
}

// === impl OpenApi ===

impl OpenApi {
    /// Nothing fetched yet.
    pub fn new(connection: Connection) -> Arc<Self> {
        Arc::new(Self { connection, state: Mutex::default() })
    }

    /// Schemas that cover `kinds`, as far as the cluster publishes them. The same
    /// [`Arc`] is returned as long as nothing was added or has changed.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn schemas<'a>(&self, kinds: impl IntoIterator<Item = &'a Gvk>) -> Result<Arc<Schemas>> {
        let mut paths: Vec<(String, String)> = kinds.into_iter().map(|gvk| (path_of(gvk), gvk.api_version())).collect();
        paths.sort();
        paths.dedup();
        let mut state = self.state.lock().await;
        if state.read.is_none_or(|at| at.elapsed() > BELIEVED) {
            self.read_index(&mut state).await?;
        }
        for (path, group_version) in paths {
            let Some(url) = state.index.get(&path).filter(|url| state.inserted.get(&path) != Some(url)).cloned() else {
                continue;
            };
            let call = Call::get(url.clone(), Priority::Interactive).within(Duration::from_secs(60));
            let document: Value = self.connection.json("OpenAPI", call).await?;
            let inserted = Arc::make_mut(&mut state.schemas).insert_document(&group_version, &document);
            if let Err(error) = inserted {
                // As good as no document: the kind is treated as plain JSON.
                tracing::warn!(server = self.connection.server(), %error, "unreadable OpenAPI document");
            }
            state.inserted.insert(path, url);
        }
        Ok(state.schemas.clone())
    }

    /// Forgets that the index was read: a definition has changed.
    pub async fn expire(&self) {
        self.state.lock().await.read = None;
    }

    async fn read_index(&self, state: &mut State) -> Result<()> {
        let mut call = Call::get("/openapi/v3", Priority::Interactive);
        call.unless = state.etag.clone().filter(|_| !state.index.is_empty());
        let reply = match self.connection.send(&call).await {
            // A server without OpenAPI v3 publishes nothing that could be read here.
            Err(error) if error.is_not_found() => {
                state.read = Some(Instant::now());
                return Ok(());
            }
            other => other?,
        };
        if reply.status != http::StatusCode::NOT_MODIFIED {
            let index: Index = serde_json::from_slice(&reply.body)
                .map_err(|source| Error::Decode { what: "the OpenAPI index", source })?;
            state.index = index.paths.into_iter().map(|(path, entry)| (path, entry.url)).collect();
            state.etag = reply.etag;
            let gone: Vec<String> = state.inserted.keys().filter(|p| !state.index.contains_key(*p)).cloned().collect();
            for path in gone {
                state.inserted.remove(&path);
                Arc::make_mut(&mut state.schemas).remove_document(&path);
            }
        }
        state.read = Some(Instant::now());
        Ok(())
    }
}

fn path_of(gvk: &Gvk) -> String {
    if gvk.group.is_empty() { format!("api/{}", gvk.version) } else { format!("apis/{}/{}", gvk.group, gvk.version) }
}
