//! The paged list, for servers without streaming lists.

use std::collections::HashSet;

use argosy_model::AppKey;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Event, Watched, Watcher, message};
use crate::call::Call;
use crate::error::{Error, Result};

/// Objects a page. Bounds what is held in memory at once as JSON.
const PAGE: &str = "500";

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PageMeta {
    resource_version: String,
    r#continue: String,
}

// === impl Watcher ===

impl<F> Watcher<F> {
    /// Lists everything, and leaves the position to watch from. A list whose
    /// later pages are gone is begun again by the caller.
    pub(super) async fn list<T: Watched>(&mut self) -> Result<()>
    where
        F: FnMut(Event<T>) + Send,
    {
        let mut keys = HashSet::new();
        let mut resume = String::new();
        let version = loop {
            let mut path = self.target.request().query("limit", PAGE);
            if !resume.is_empty() {
                path = path.query("continue", &resume);
            }
            let body = Call::get(path).send(&self.client).await?;
            let page: Page<'_> =
                serde_json::from_slice(&body).map_err(|source| Error::Decode { what: "a list", source })?;
            self.on_page(page.items.unwrap_or_default(), &mut keys)?;
            if page.metadata.r#continue.is_empty() {
                break page.metadata.resource_version;
            }
            resume = page.metadata.r#continue;
        };
        self.backoff.reset();
        self.finish_start(&version, keys);
        Ok(())
    }

    fn on_page<T: Watched>(&mut self, items: Vec<&RawValue>, keys: &mut HashSet<AppKey>) -> Result<()>
    where
        F: FnMut(Event<T>) + Send,
    {
        for item in items {
            let (key, version) = message::identify(item).map_err(|source| Error::Decode { what: "a list", source })?;
            self.highest = self.highest.max(version.parse().unwrap_or(0));
            keys.insert(key.clone());
            (self.emit)(message::applied(key, item.get(), self.forced));
        }
        Ok(())
    }
}
