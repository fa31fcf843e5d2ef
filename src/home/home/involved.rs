//! The Kubernetes Events about one object of the home cluster.

use argosy_proto::events::{Event, EventList};

use super::Home;
use crate::call::{Call, PATIENCE, Path};
use crate::error::{Error, Result};

/// Events a page.
const PAGE: &str = "500";

// === impl Home ===

impl Home {
    /// The Events in a namespace about the object of this name and uid, in no
    /// order; an empty one of the two does not matter.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn list_events(&self, namespace: &str, name: &str, uid: &str) -> Result<Vec<Event>> {
        let selector = selector(&[("involvedObject.name", name), ("involvedObject.uid", uid)]);
        let mut events = Vec::new();
        let mut resume = String::new();
        loop {
            let path = Path::new("/api/v1/namespaces").segment(namespace).segment("events");
            let mut path = path.query("fieldSelector", &selector).query("limit", PAGE);
            if !resume.is_empty() {
                path = path.query("continue", &resume);
            }
            let answer = Call::get(path).send_with_retries(&self.shared.client, PATIENCE, self.seed()).await?;
            let page: EventList =
                serde_json::from_slice(&answer).map_err(|source| Error::Decode { what: "a list of events", source })?;
            events.extend(page.items);
            resume = page.metadata.map(|metadata| metadata.r#continue).unwrap_or_default();
            if resume.is_empty() {
                return Ok(events);
            }
        }
    }
}

fn selector(fields: &[(&str, &str)]) -> String {
    let set = fields.iter().filter(|(_, value)| !value.is_empty());
    set.map(|(field, value)| format!("{field}={}", escape(value))).collect::<Vec<_>>().join(",")
}

/// What separates the terms of a selector is escaped in their values.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_add_terms_to_the_selector() {
        assert_eq!(selector(&[("name", "a,uid=x"), ("uid", ""), ("kind", "Pod")]), "name=a\\,uid\\=x,kind=Pod");
    }
}
