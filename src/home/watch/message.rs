//! One line of a watch, read only as far as needed: the envelope first, then the
//! object's name, and the object itself only when it is kept.

use std::borrow::Cow;
use std::collections::BTreeMap;

use argosy_model::AppKey;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Event, Watched};
use crate::error::{Error, Result, Status};

/// One line.
pub(super) struct Message<'a> {
    /// `resourceVersion` of the object; empty where it has none.
    pub(super) version: Cow<'a, str>,
    pub(super) kind: Kind<'a>,
}

pub(super) enum Kind<'a> {
    Applied { key: AppKey, object: &'a RawValue },
    Deleted { key: AppKey },
    Bookmark { initial_end: bool },
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Header<'a> {
    #[serde(borrow)]
    metadata: HeaderMeta<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct HeaderMeta<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    resource_version: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bookmark {
    metadata: BookmarkMeta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BookmarkMeta {
    annotations: BTreeMap<String, String>,
}

/// Marks the bookmark after the last initial object.
const INITIAL_END: &str = "k8s.io/initial-events-end";

// === impl Message ===

impl<'a> Message<'a> {
    /// Reads a line.
    ///
    /// # Errors
    /// What the server reported in place of an object, or a line that is no event.
    pub(super) fn read(line: &'a [u8]) -> Result<Self> {
        let decode = |source| Error::Decode { what: "a watch", source };
        let envelope: Envelope<'a> = serde_json::from_slice(line).map_err(decode)?;
        if envelope.r#type == "ERROR" {
            let status: Status = serde_json::from_str(envelope.object.get()).map_err(decode)?;
            return Err(Error::from_status(status, None));
        }
        let (key, version) = identify(envelope.object).map_err(decode)?;
        let kind = match &*envelope.r#type {
            "DELETED" => Kind::Deleted { key },
            "BOOKMARK" => {
                let bookmark: Bookmark = serde_json::from_str(envelope.object.get()).map_err(decode)?;
                let initial_end = bookmark.metadata.annotations.get(INITIAL_END).is_some_and(|v| v == "true");
                Kind::Bookmark { initial_end }
            }
            _ => Kind::Applied { key, object: envelope.object },
        };
        Ok(Self { version, kind })
    }
}

/// Key and version of an object of any shape.
pub(super) fn identify(object: &RawValue) -> Result<(AppKey, Cow<'_, str>), serde_json::Error> {
    let Header { metadata } = serde_json::from_str(object.get())?;
    Ok((AppKey::new(&metadata.namespace, &metadata.name), metadata.resource_version))
}

/// Reads an object into what is to be told about it.
pub(super) fn applied<T: Watched>(key: AppKey, object: &str, forced: bool) -> Event<T> {
    match serde_json::from_str::<T>(object) {
        Ok(mut object) => {
            object.slim();
            Event::Applied { key, object, forced }
        }
        Err(e) if T::SENSITIVE => {
            // serde repeats the value it did not expect.
            Event::Malformed { key, error: format!("does not have its kind's shape at column {}", e.column()) }
        }
        Err(e) => Event::Malformed { key, error: e.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::SecretObject;
    use argosy_proto::v1alpha1::Application;

    #[test]
    fn the_end_of_the_initial_objects_is_recognised() {
        let line = br#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
        let message = Message::read(line).expect("an event");
        assert_eq!(message.version, "7");
        assert!(matches!(message.kind, Kind::Bookmark { initial_end: true }));
    }

    #[test]
    fn a_forgotten_history_is_told_as_expired() {
        let line = br#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"}}"#;
        assert!(matches!(Message::read(line), Err(Error::Expired(_))));
    }

    #[test]
    fn an_object_of_the_wrong_shape_keeps_its_key() {
        let object = r#"{"metadata":{"namespace":"n","name":"a"},"spec":{"project":[]}}"#;
        let raw: &RawValue = serde_json::from_str(object).expect("JSON");
        let (key, _) = identify(raw).expect("a header");
        let event = applied::<Application>(key, object, false);
        assert!(matches!(event, Event::Malformed { key, .. } if key == AppKey::new("n", "a")));
    }

    #[test]
    fn the_complaint_about_a_secret_does_not_repeat_it() {
        let object = r#"{"metadata":{"name":"a"},"data":{"password":17,"x":"hunter2"}, "data":"hunter2"}"#;
        let Event::Malformed { error, .. } = applied::<SecretObject>(AppKey::new("n", "a"), object, false) else {
            panic!("it is malformed")
        };
        assert!(!error.contains("hunter2"), "{error}");
    }
}
