//! From a line of a watch to what the index keeps.
//!
//! An object is first read for its metadata alone, borrowing from the line;
//! everything else is skipped over. Only what is to be kept in full, or needs a
//! summary, is parsed into a tree.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use argosy_model::{Gvk, names};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::LiveOptions as Settings;
use super::entry::{Extra, Uid};
use super::owners::{self, RawOwner};
use super::summary::NodeSummary;
use super::wanted::Wanted;
use crate::error::ApiStatus;

/// How objects of one kind are read.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) gvk: Gvk,
    /// Whether whole objects arrive, or metadata alone.
    pub(crate) full: bool,
    /// Whether every object of the kind needs a summary.
    pub(crate) tree: bool,
    /// `namespace/name` of objects wanted in full although nobody tracks them.
    pub(crate) pinned: Option<Arc<HashSet<String>>>,
    /// Whose objects are wanted in full.
    pub(crate) wanted: Arc<Wanted>,
    pub(crate) settings: Arc<Settings>,
}

/// One object, read.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: Uid,
    pub(crate) version: u64,
    pub(crate) created: i64,
    pub(crate) deleting: bool,
    pub(crate) owners: Vec<RawOwner>,
    pub(crate) claimed: Option<Arc<str>>,
    pub(crate) self_referenced: bool,
    pub(crate) extra: Option<Box<Extra>>,
}

/// One line of a watch, read.
#[derive(Debug)]
pub(crate) enum Event {
    Put(Observed),
    Gone(Observed),
    /// Nothing changed up to this version; true when it ends the initial state.
    Bookmark(String, bool),
    Failed(ApiStatus),
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Partial<'a> {
    #[serde(borrow, default)]
    metadata: Metadata<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    resource_version: Cow<'a, str>,
    creation_timestamp: Option<Text<'a>>,
    deletion_timestamp: Option<IgnoredAny>,
    #[serde(borrow)]
    labels: Option<Pairs<'a, AnyKey>>,
    #[serde(borrow)]
    annotations: Option<Pairs<'a, KnownKey>>,
    #[serde(borrow)]
    owner_references: Option<Vec<Reference<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference<'a> {
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
}

/// A string borrowed where it has no escapes; serde borrows only in fields of this form.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// String pairs of a map, of which only some keys are kept.
struct Pairs<'a, K> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    _keys: std::marker::PhantomData<K>,
}

trait Keys {
    fn keep(key: &str) -> bool;
}

struct AnyKey;
struct KnownKey;

impl Keys for AnyKey {
    fn keep(_: &str) -> bool {
        true
    }
}

/// Ends the initial state of a streamed list.
const INITIAL_END: &str = "k8s.io/initial-events-end";

impl Keys for KnownKey {
    fn keep(key: &str) -> bool {
        key == names::ANNOTATION_TRACKING_ID
            || key == names::ANNOTATION_INSTALLATION_ID
            || key == owners::SERVICE_ACCOUNT_NAME
            || key == INITIAL_END
            || key.starts_with(names::ANNOTATION_LINK_PREFIX)
    }
}

impl<K> Pairs<'_, K> {
    fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_ref())
    }
}

impl<'de: 'a, 'a, K: Keys> Deserialize<'de> for Pairs<'a, K> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<K>(std::marker::PhantomData<K>);
        impl<'de, K: Keys> Visitor<'de> for V<K> {
            type Value = Pairs<'de, K>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut pairs = Vec::new();
                while let Some(Text(key)) = map.next_key()? {
                    if K::keep(&key) {
                        let Text(value) = map.next_value()?;
                        pairs.push((key, value));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Pairs { pairs, _keys: std::marker::PhantomData })
            }
        }
        deserializer.deserialize_map(V(std::marker::PhantomData))
    }
}

// === impl Event ===

impl Event {
    /// Reads one line of a watch.
    pub(crate) fn read(line: &[u8], reading: &Reading) -> serde_json::Result<Self> {
        let line: Line<'_> = serde_json::from_slice(line)?;
        let object = line.object.get();
        Ok(match &*line.kind {
            "ERROR" => {
                let status: ApiStatus = serde_json::from_str(object)?;
                Self::Failed(status)
            }
            "BOOKMARK" => {
                let partial: Partial<'_> = serde_json::from_str(object)?;
                let ends = partial.metadata.annotations.as_ref().and_then(|a| a.get(INITIAL_END)) == Some("true");
                Self::Bookmark(partial.metadata.resource_version.into_owned(), ends)
            }
            "DELETED" => Self::Gone(Observed::read(object, &Reading { full: false, ..reading.clone() })?),
            _ => Self::Put(Observed::read(object, reading)?),
        })
    }
}

// === impl Observed ===

impl Observed {
    /// Reads one object, whole or metadata alone.
    pub(crate) fn read(object: &str, reading: &Reading) -> serde_json::Result<Self> {
        let partial: Partial<'_> = serde_json::from_str(object)?;
        let metadata = &partial.metadata;
        let (claimed, self_referenced) = claim(metadata, reading);
        let mut owners: Vec<RawOwner> = metadata.owner_references.iter().flatten().map(Reference::owner).collect();
        if owners.is_empty() {
            let account = metadata.annotations.as_ref().and_then(|a| a.get(owners::SERVICE_ACCOUNT_NAME));
            owners = owners::infer(&reading.gvk, &metadata.name, account);
        }
        let pinned = || {
            reading.pinned.as_ref().is_some_and(|p| p.contains(&format!("{}/{}", metadata.namespace, metadata.name)))
        };
        let root_of = claimed.as_deref().filter(|_| owners.is_empty());
        let keep = reading.full && (root_of.is_some_and(|app| reading.wanted.has(app)) || pinned());
        // What another application tracks may be in the tree of a wanted one as well.
        let shown = reading.tree || root_of.is_some() || !owners.is_empty();
        let extra = if keep || (reading.full && shown) {
            Some(whole(object, reading, keep)?).filter(|extra| extra.summary.is_some() || keep)
        } else {
            links(metadata).map(|summary| Extra { summary: Some(Arc::new(summary)), ..Extra::default() })
        };
        Ok(Self {
            namespace: metadata.namespace.to_string(),
            name: metadata.name.to_string(),
            uid: Uid::parse(&metadata.uid),
            version: metadata.resource_version.parse().unwrap_or(0),
            created: metadata
                .creation_timestamp
                .as_ref()
                .and_then(|t| t.0.parse::<jiff::Timestamp>().ok())
                .map_or(i64::MIN, jiff::Timestamp::as_second),
            deleting: metadata.deletion_timestamp.is_some(),
            owners,
            claimed,
            self_referenced,
            extra: extra.map(Box::new),
        })
    }
}

impl Reference<'_> {
    fn owner(&self) -> RawOwner {
        match Uid::parse(&self.uid) {
            Uid::None => {
                let kind = Gvk::from_api_version(&self.api_version, &self.kind).group_kind();
                RawOwner::Named(kind, self.name.as_ref().into())
            }
            uid => RawOwner::Uid(uid),
        }
    }
}

/// The application an object names, and whether it means this very object.
fn claim(metadata: &Metadata<'_>, reading: &Reading) -> (Option<Arc<str>>, bool) {
    let tracking = &reading.settings.tracking;
    let id = metadata.annotations.as_ref().and_then(|a| a.get(names::ANNOTATION_TRACKING_ID));
    let label = metadata.labels.as_ref().and_then(|l| l.get(&tracking.label_key));
    if id.is_none() && label.is_none() {
        return (None, true);
    }
    let installation = metadata.annotations.as_ref().and_then(|a| a.get(names::ANNOTATION_INSTALLATION_ID));
    let pair = |key: &str, value: Option<&str>| {
        value.map(|v| (key.to_owned(), Value::String(v.to_owned()))).into_iter().collect::<Map<_, _>>()
    };
    let mut annotations = pair(names::ANNOTATION_TRACKING_ID, id);
    annotations.extend(pair(names::ANNOTATION_INSTALLATION_ID, installation));
    let marks = json!({
        "apiVersion": reading.gvk.api_version(), "kind": reading.gvk.kind,
        "metadata": {"name": metadata.name, "namespace": metadata.namespace,
                     "annotations": annotations, "labels": pair(&tracking.label_key, label)},
    });
    (tracking.owner(&marks).map(Into::into), tracking.is_self_referenced(&marks))
}

/// The links a person put on an object shown by its metadata alone.
fn links(metadata: &Metadata<'_>) -> Option<NodeSummary> {
    let annotations = metadata.annotations.as_ref()?;
    let links = annotations.pairs.iter().filter(|(k, _)| k.starts_with(names::ANNOTATION_LINK_PREFIX));
    NodeSummary::of_links(links.map(|(_, v)| v.as_ref()))
}

fn whole(object: &str, reading: &Reading, keep: bool) -> serde_json::Result<Extra> {
    let settings = &reading.settings;
    let mut value: Value = serde_json::from_str(object)?;
    if let Some(map) = value.as_object_mut() {
        // Items of a list go without.
        map.entry("apiVersion").or_insert_with(|| reading.gvk.api_version().into());
        map.entry("kind").or_insert_with(|| Value::from(&*reading.gvk.kind));
    }
    let summary = NodeSummary::of(&value, &*settings.health).map(Arc::new);
    if !keep {
        return Ok(Extra { summary, full: None, hash: 0 });
    }
    if !settings.keep_managed_fields && !is_applied_server_side(&value) {
        remove_metadata(&mut value, &["managedFields"]);
    }
    let full = serde_json::to_vec(&value)?;
    remove_metadata(&mut value, &["managedFields", "resourceVersion", "generation"]);
    (settings.ignore_updates)(&mut value);
    let mut hasher = DefaultHasher::new();
    hasher.write(&serde_json::to_vec(&value)?);
    Ok(Extra { summary, full: Some(full.into()), hash: hasher.finish() })
}

/// Whether our manager has applied the object server-side: only then do the
/// owners of its fields decide what an apply removes.
fn is_applied_server_side(value: &Value) -> bool {
    let entries = value.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.is_some_and(|entries| {
        entries.iter().any(|e| e["manager"] == names::FIELD_MANAGER && e["operation"] == "Apply")
    })
}

fn remove_metadata(value: &mut Value, fields: &[&str]) {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in fields {
            metadata.remove(*field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(full: bool) -> Reading {
        Reading {
            gvk: Gvk::new("", "v1", "ConfigMap"),
            full,
            tree: false,
            pinned: None,
            wanted: Arc::default(),
            settings: Arc::new(Settings::default()),
        }
    }

    const TRACKED: &str = r#"{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"n",
        "uid":"u","resourceVersion":"7","labels":{"x":"y\n"},"managedFields":[{"manager":"m"}],
        "annotations":{"big\"one":"{\"a\":1}","argocd.argoproj.io/tracking-id":"app:/ConfigMap:n/a"}},"data":{"k":"v"}}}"#;

    #[test]
    fn a_tracked_object_is_kept_whole_where_whole_objects_arrive() {
        let Ok(Event::Put(seen)) = Event::read(TRACKED.as_bytes(), &reading(true)) else { panic!("is an object") };
        assert_eq!((seen.claimed.as_deref(), seen.version, seen.self_referenced), (Some("app"), 7, true));
        let full = seen.extra.expect("extra").full.expect("full");
        assert!(std::str::from_utf8(&full).expect("text").contains(r#""k":"v""#));
        let Ok(Event::Put(seen)) = Event::read(TRACKED.as_bytes(), &reading(false)) else { panic!("is an object") };
        assert!(seen.extra.is_none());
    }

    #[test]
    fn owners_of_fields_are_kept_where_they_decide_what_an_apply_removes() {
        let kept = |line: &str| match Event::read(line.as_bytes(), &reading(true)) {
            Ok(Event::Put(seen)) => {
                let full = seen.extra.expect("extra").full.expect("full");
                std::str::from_utf8(&full).expect("text").contains("managedFields")
            }
            other => panic!("{other:?}"),
        };
        assert!(!kept(TRACKED));
        let entry = |operation: &str| {
            TRACKED.replace(
                r#"{"manager":"m"}"#,
                &json!({"manager": names::FIELD_MANAGER, "operation": operation}).to_string(),
            )
        };
        assert!(kept(&entry("Apply")) && !kept(&entry("Update")));
    }

    #[test]
    fn only_what_counts_changes_the_hash() {
        let hash = |line: &str| match Event::read(line.as_bytes(), &reading(true)) {
            Ok(Event::Put(seen)) => seen.extra.expect("extra").hash,
            other => panic!("{other:?}"),
        };
        let newer = TRACKED.replace(r#""resourceVersion":"7""#, r#""resourceVersion":"8","generation":3"#);
        assert_eq!(hash(TRACKED), hash(&newer));
        assert_ne!(hash(TRACKED), hash(&TRACKED.replace(r#""k":"v""#, r#""k":"w""#)));
    }

    #[test]
    fn the_end_of_the_initial_state_is_seen() {
        let line = br#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"9",
            "annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
        assert!(matches!(Event::read(line, &reading(false)), Ok(Event::Bookmark(v, true)) if v == "9"));
    }
}
