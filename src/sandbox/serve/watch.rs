//! watch: events as lines of JSON, with bookmarks. Nobody hears of a write before it
//! would survive the end of the process, no more than its writer does.

use std::sync::Arc;
use std::time::Duration;

use argosy_model::object;
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, sleep_until};

use super::api::{Api, Ask, present, present_text};
use super::handle::Reply;
use super::read::{too_large, version_option};
use super::respond::{self, Form};
use super::select::Selection;
use crate::failure::{Failure, Fault};
use crate::hooks::{Tables, Trouble};
use crate::kinds::Kind;
use crate::store::{Change, Follower, Json, Object, TooOld, WatchEvent};

#[cfg(test)]
mod tests;

/// How often a bookmark tells how far the watch is.
const BOOKMARK: Duration = Duration::from_secs(60);

/// How long a watch lasts that does not say; the real server picks 30 to 60 minutes.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(45 * 60);

/// Chunks that may wait for a slow reader.
const BACKLOG: usize = 16;

struct Watching {
    kind: Arc<Kind>,
    selection: Selection,
    form: Form,
    tables: Arc<dyn Tables>,
    include: String,
    /// The definitions of a table's columns are sent once.
    columns_sent: bool,
    bookmarks: bool,
    follower: Follower,
    chunks: mpsc::Sender<Bytes>,
    ends: Instant,
    expires: Option<Instant>,
}

pub(super) fn watch(api: &Arc<Api>, ask: &Ask<'_>, trouble: &Trouble) -> Result<Reply, Failure> {
    let mut fields = ask.query.get("fieldSelector").to_owned();
    if !ask.route.name.is_empty() {
        fields = format!("metadata.name={}", ask.route.name);
    }
    let selection = Selection::parse(&ask.kind, ask.query.get("labelSelector"), &fields)?;
    let bookmarks = ask.query.is_true("allowWatchBookmarks");
    let send_initial = ask.query.is_true("sendInitialEvents");
    check_options(ask)?;
    let asked = version_option(ask)?;
    let (group, plural) = (ask.storage_group(), &*ask.kind.plural);
    let namespace = Some(ask.namespace()).filter(|n| !n.is_empty());
    let current = api.store.version();
    if send_initial && let Some(asked) = asked.filter(|a| *a > current) {
        return Err(too_large(asked, current));
    }
    let with_initial =
        send_initial || (asked.is_none_or(|v| v == 0) && ask.query.flag("sendInitialEvents") != Some(false));
    let (initial, from) = if with_initial {
        let (objects, version) = api.store.list(group, plural, namespace);
        (objects, version)
    } else {
        (Vec::new(), asked.filter(|v| *v > 0).unwrap_or(current))
    };
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let chunks = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk: Bytes| (chunk, receiver))
    });
    let response = respond::stream("application/json", chunks.boxed());
    let follower = match api.store.follow(group, plural, namespace, from) {
        Ok(follower) => follower,
        Err(too_old) => {
            // As the real server does it: the watch begins, and its first event is an error.
            drop(sender.try_send(error_event(too_old)));
            return Ok(response.into());
        }
    };
    let seconds = ask.query.number("timeoutSeconds")?.filter(|s| *s > 0).and_then(|s| u64::try_from(s).ok());
    let now = Instant::now();
    let ends = now + seconds.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
    let watching = Watching {
        kind: ask.kind.clone(),
        selection,
        form: ask.form,
        tables: api.hooks.tables.clone(),
        include: Some(ask.query.get("includeObject")).filter(|i| !i.is_empty()).unwrap_or("Metadata").to_owned(),
        columns_sent: false,
        bookmarks,
        follower,
        chunks: sender,
        ends: trouble.watch_ends_after.map_or(ends, |after| ends.min(now + after)),
        expires: trouble.watch_expires_after.map(|after| now + after),
    };
    let done = (send_initial && bookmarks).then_some(from);
    tokio::spawn(watching.run(initial, done));
    Ok(response.into())
}

/// What is wrong with how a watch's beginning is asked for.
fn check_options(ask: &Ask<'_>) -> Result<(), Failure> {
    let matching = ask.query.get("resourceVersionMatch");
    let initial = ask.query.flag("sendInitialEvents");
    let mut faults = Vec::new();
    let mut refuse = |detail: &str| faults.push(Fault::forbidden("resourceVersionMatch", detail));
    if initial.is_some() && matching != "NotOlderThan" {
        refuse("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    if initial.is_none() && !matching.is_empty() {
        refuse("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    }
    if !matches!(matching, "" | "NotOlderThan") {
        let message = format!("Unsupported value: \"{matching}\": supported values: \"NotOlderThan\"");
        let field = "resourceVersionMatch".to_owned();
        faults.push(Fault { reason: "FieldValueNotSupported", field, message });
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::invalid_options("ListOptions", &faults)) }
}

fn error_event(too_old: TooOld) -> Bytes {
    let failure = Failure::expired(too_old.to_string());
    line(&json!({"type": "ERROR", "object": failure.status()}))
}

fn line(event: &Value) -> Bytes {
    let mut bytes = serde_json::to_vec(event).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}

// === impl Watching ===

impl Watching {
    async fn run(mut self, initial: Vec<Arc<Object>>, done: Option<u64>) {
        let newest = initial.iter().map(|object| object.version).max().unwrap_or(0);
        if self.follower.committed(newest).await.is_err() {
            return;
        }
        for object in initial {
            if !self.selection.matches(&object.value) {
                continue;
            }
            let event = self.event("ADDED", &object.value);
            if self.chunks.send(event).await.is_err() {
                return;
            }
        }
        if let Some(version) = done {
            let bookmark = self.bookmark(version, true);
            if self.chunks.send(bookmark).await.is_err() {
                return;
            }
        }
        let mut ticks = interval_at(Instant::now() + BOOKMARK, BOOKMARK);
        let never = self.ends + DEFAULT_TIMEOUT;
        loop {
            match self.follower.catch_up() {
                Err(too_old) => {
                    drop(self.chunks.send(error_event(too_old)).await);
                    return;
                }
                Ok(changes) => {
                    if self.send(changes).await.is_none() {
                        return;
                    }
                }
            }
            let expires = self.expires.unwrap_or(never);
            tokio::select! {
                () = self.follower.news() => {}
                _ = ticks.tick(), if self.bookmarks => {
                    let bookmark = self.bookmark(self.follower.version(), false);
                    if self.chunks.send(bookmark).await.is_err() {
                        return;
                    }
                }
                () = sleep_until(self.ends) => return,
                () = sleep_until(expires), if self.expires.is_some() => {
                    let version = self.follower.version();
                    drop(self.chunks.send(error_event(TooOld { asked: version, oldest: version })).await);
                    return;
                }
                () = self.chunks.closed() => return,
            }
        }
    }

    async fn send(&mut self, changes: Vec<Change>) -> Option<()> {
        let last = changes.last().map_or(0, |change| change.event.object().version);
        self.follower.committed(last).await.ok()?;
        for change in changes {
            if let Some((what, object)) = self.seen(&change) {
                let event = self.event(what, &object.value);
                self.chunks.send(event).await.ok()?;
            }
        }
        Some(())
    }

    /// What a change is to somebody who sees only what is selected.
    fn seen(&self, change: &Change) -> Option<(&'static str, Arc<Object>)> {
        let object = change.event.object();
        let was = change.previous.as_ref().is_some_and(|p| self.selection.matches(&p.value));
        let is = !matches!(change.event, WatchEvent::Deleted(_)) && self.selection.matches(&object.value);
        match (was, is) {
            (false, true) => Some(("ADDED", object.clone())),
            (true, true) => Some(("MODIFIED", object.clone())),
            (false, false) => None,
            (true, false) => {
                // The last state that was selected, at the version of the change.
                let mut value = change.previous.as_ref()?.value.clone();
                if let Some(metadata) = object::metadata(&mut value) {
                    metadata.insert("resourceVersion".to_owned(), object.version.to_string().into());
                }
                Some(("DELETED", Arc::new(Object::new(value, object.version))))
            }
        }
    }

    fn event(&mut self, what: &str, stored: &Json) -> Bytes {
        let shown = match self.form {
            Form::Plain => {
                return format!("{{\"object\":{},\"type\":\"{what}\"}}\n", present_text(&self.kind, stored)).into();
            }
            Form::Metadata => respond::metadata_of(&present(&self.kind, stored)),
            Form::Table => {
                let value = present(&self.kind, stored);
                let columns = self.kind.custom.as_ref().map(|c| c.columns.as_ref().unwrap_or(&Value::Null));
                let made = self.tables.table(&self.kind.group, &self.kind.kind, &[&*value], columns, &self.include);
                let mut table = made.unwrap_or_else(|| respond::plain_table(&[&*value], &self.include));
                table["metadata"] = json!({"resourceVersion": object::resource_version(&value)});
                if std::mem::replace(&mut self.columns_sent, true) {
                    table["columnDefinitions"] = Value::Null;
                }
                table
            }
        };
        line(&json!({"type": what, "object": shown}))
    }

    fn bookmark(&self, version: u64, is_initial_end: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if is_initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = match self.form {
            Form::Plain => json!({"kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": metadata}),
            Form::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Form::Table => {
                json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": null, "rows": []})
            }
        };
        line(&json!({"type": "BOOKMARK", "object": object}))
    }
}
