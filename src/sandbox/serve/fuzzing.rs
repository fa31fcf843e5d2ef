//! Whole requests against an API server without a network, and selectors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argosy_fuzz_harness::{request, wait_for};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use super::api::Api;
use super::body::parse_yaml;
use super::handle;
use super::select::Selection;
use crate::hooks::Hooks;
use crate::kinds::Kinds;
use crate::stamp::Stamps;
use crate::store::{Json, Store};

/// Between the requests of one input.
const BETWEEN: &[u8] = b"\n---\n";
/// Most requests of one input.
const MOST: usize = 8;
/// Stands in Secrets of the corpus where a secret may stand.
const CANARY: &str = "canary";

/// Of a body that is no object at all the real server repeats the beginning.
const QUOTED: &str = "the object provided is unrecognized";

/// What is refused with 500 where the real server refuses it so.
const KNOWN: [&str; 3] = ["failed to create typed patch object", "resourceVersion should not be set", "map: map["];

/// One request after the other, of which each may be followed by [`again`].
pub(crate) fn api(input: &[u8]) {
    let api = server();
    let mut rest = input;
    for _ in 0..MOST {
        let end = rest.windows(BETWEEN.len()).position(|part| part == BETWEEN);
        let (part, after) = end.map_or((rest, None), |end| (&rest[..end], Some(&rest[end + BETWEEN.len()..])));
        if let Some(request) = request(part) {
            let answer = send(&api, &request);
            again(&api, &request, &answer);
        }
        match after {
            Some(after) => rest = after,
            None => break,
        }
    }
}

/// In memory, with a clock that stands still and bytes that are only different.
fn server() -> Arc<Api> {
    let clock = Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
    let count = AtomicU64::new(0);
    let random = Arc::new(move |buffer: &mut [u8]| {
        for chunk in buffer.chunks_mut(8) {
            let next = count.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            chunk.copy_from_slice(&next.to_le_bytes()[..chunk.len()]);
        }
    });
    let stamps = Stamps::new(clock, random);
    Arc::new(Api::new(Store::with_history(64), Kinds::new(), stamps, Hooks::default(), "127.0.0.1:443".to_owned()))
}

/// An answer: its code, and its JSON where it is such.
struct Answer {
    code: StatusCode,
    value: Value,
}

/// No answer says that the server is at fault, refusals say why, and none repeats what
/// is in a Secret.
fn send(api: &Arc<Api>, request: &Request<Vec<u8>>) -> Answer {
    let target = request.uri().to_string();
    let streams = target.contains("watch");
    let (code, is_json, text) = wait_for(async {
        let answer = handle::handle(api.clone(), None, request.clone().map(|body| Full::new(Bytes::from(body)))).await;
        let is_json = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
        let (parts, body) = answer.into_parts();
        // A watch does not end by itself.
        let text =
            if streams { Bytes::new() } else { body.collect().await.map(|all| all.to_bytes()).unwrap_or_default() };
        (parts.status, is_json, text)
    });
    let what = || format!("{} {target}: {code} {}", request.method(), String::from_utf8_lossy(&text));
    if streams || !is_json {
        assert!(!code.is_server_error(), "{}", what());
        return Answer { code, value: Value::Null };
    }
    let value: Value = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{error}: {}", what()));
    if !code.is_success() {
        let message = value["message"].as_str().unwrap_or_default();
        assert!(value["kind"] == "Status" && !message.is_empty(), "{}", what());
        assert!(!code.is_server_error() || KNOWN.iter().any(|known| message.starts_with(known)), "{}", what());
        if target.contains("/secrets")
            && !target.contains('%')
            && !target.contains(CANARY)
            && !has_canary_elsewhere(request.body())
            && !message.starts_with(QUOTED)
        {
            assert!(!message.contains(CANARY), "a secret is repeated: {}", what());
        }
    }
    Answer { code, value }
}

/// Whether the canary may stand where no secret does; not in what cannot be read at all.
fn has_canary_elsewhere(body: &[u8]) -> bool {
    let mut fields = match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return true,
        Err(_) => return parse_yaml(body).is_ok(),
    };
    for secret in ["data", "stringData"] {
        if fields
            .get(secret)
            .is_some_and(|map| map.as_object().is_some_and(|map| !map.keys().any(|key| key.contains(CANARY))))
        {
            fields.remove(secret);
        }
    }
    Value::Object(fields).to_string().contains(CANARY)
}

/// What was applied is applied; what was read and is written back changes nothing.
fn again(api: &Arc<Api>, request: &Request<Vec<u8>>, answer: &Answer) {
    let is_object =
        answer.value["metadata"]["resourceVersion"].is_string() && answer.value["metadata"]["name"].is_string();
    if !answer.code.is_success() || !is_object || request.uri().query().unwrap_or_default().contains("dryRun") {
        return;
    }
    let kind = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    match *request.method() {
        Method::PATCH if kind == b"application/apply-patch+yaml" => {
            let second = send(api, request);
            // One that names a version, or nothing to own, is another request.
            if second.code.is_success() {
                assert_eq!(second.value, answer.value, "applied twice is not applied once: {}", request.uri());
            }
        }
        Method::GET if answer.value["kind"] != "Table" && answer.value["kind"] != "PartialObjectMetadata" => {
            let written = Request::put(request.uri().path()).body(answer.value.to_string().into_bytes());
            let second = send(api, &written.expect("it is a request"));
            if second.code.is_success() {
                let version = |value: &Value| value["metadata"]["resourceVersion"].clone();
                assert_eq!(version(&second.value), version(&answer.value), "written back: {}", request.uri());
            }
        }
        _ => {}
    }
}

/// The first line is a label selector, the second a field selector, the third a name;
/// the others are labels as `name=value`.
pub(crate) fn selection(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.split('\n');
    let (labels, fields, name) =
        (lines.next().unwrap_or_default(), lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let given: serde_json::Map<String, Value> =
        lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.into())).collect();
    let pod = Json::from(json!({"metadata": {"name": name, "namespace": "web", "labels": given}}));
    let kind = Kinds::new().find("", "v1", "pods").expect("pods are built in");
    let Ok(read) = Selection::parse(&kind, labels, fields) else { return };
    let matches = read.matches(&pod);
    assert!(matches || !read.is_everything());
    let ask = |labels: &str, fields: &str| Selection::parse(&kind, labels, fields).map(|read| read.matches(&pod));
    if !labels.trim().is_empty() {
        assert_eq!(ask(&format!("!no.such.label,{labels}"), fields).ok(), Some(matches), "{labels:?}");
        assert_eq!(ask(&format!("no.such.label,{labels}"), fields).ok(), Some(false), "{labels:?}");
    }
    if !name.contains([',', '=', '\\']) {
        assert_eq!(ask("", &format!("metadata.name={name}")).ok(), Some(true), "{name:?}");
        assert_eq!(ask("", &format!("metadata.name!={name}")).ok(), Some(false), "{name:?}");
    }
}
