//! Reading objects that clients send as protobuf: kubectl's own `create` does.
//!
//! What the fields of a message are is in an embedded table, from the `.proto`
//! files that Kubernetes publishes: a line with the message's name, then one for
//! each field with number, name and type (`s` text, `y` bytes, `i` whole number,
//! `b` flag, `d` number, else a message; `*` repeated, `{` a map from text).
//! Answers are JSON all the same, which every client understands.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::builtin;

static EMBEDDED: &[u8] = include_bytes!("protobuf.txt.gz");

/// What a body in protobuf begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Deepest nesting read.
const MAX_DEPTH: usize = 64;

const META: &str = "apimachinery.pkg.apis.meta.v1.";

type Fields = HashMap<u64, (String, String)>;

/// Why a body is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a protobuf message of its kind")]
pub struct Unreadable;

/// A value on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed(u64),
}

static MESSAGES: LazyLock<HashMap<String, Fields>> = LazyLock::new(|| {
    let mut text = String::new();
    flate2::read::GzDecoder::new(EMBEDDED).read_to_string(&mut text).expect("the embedded table is complete");
    let mut messages: HashMap<String, Fields> = HashMap::new();
    let mut current = String::new();
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            [number, name, kind] => {
                let number = number.parse().expect("fields have numbers");
                messages.entry(current.clone()).or_default().insert(number, (name.to_owned(), kind.to_owned()));
            }
            _ => line.clone_into(&mut current),
        }
    }
    messages
});

/// Reads a body with its envelope: the object with its `apiVersion` and `kind`.
///
/// # Errors
/// [`Unreadable`].
pub fn read_protobuf(
    body: &[u8],
    definition: impl Fn(&str, &str) -> Option<&'static str>,
) -> Result<Value, Unreadable> {
    let envelope = body.strip_prefix(MAGIC).ok_or(Unreadable)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for (number, wire) in fields(envelope)? {
        match (number, wire) {
            (1, Wire::Bytes(meta)) => {
                for (number, wire) in fields(meta)? {
                    match (number, wire) {
                        (1, Wire::Bytes(text)) => api_version = text_of(text)?,
                        (2, Wire::Bytes(text)) => kind = text_of(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let name = definition(&api_version, &kind).ok_or(Unreadable)?;
    let mut value = message(name.strip_prefix("io.k8s.").unwrap_or(name), raw, 0)?;
    let object = value.as_object_mut().ok_or(Unreadable)?;
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(value)
}

fn text_of(bytes: &[u8]) -> Result<String, Unreadable> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Unreadable)
}

fn message(name: &str, bytes: &[u8], depth: usize) -> Result<Value, Unreadable> {
    if depth > MAX_DEPTH {
        return Err(Unreadable);
    }
    if let Some(value) = special(name, bytes)? {
        return Ok(value);
    }
    let known = MESSAGES.get(name).ok_or(Unreadable)?;
    let properties = builtin::load().definitions.get(&format!("io.k8s.{name}")).and_then(|d| d.get("properties"));
    let mut object = Map::new();
    for (number, wire) in fields(bytes)? {
        let Some((field, kind)) = known.get(&number) else { continue };
        if let Some(inner) = kind.strip_prefix('{') {
            let Wire::Bytes(entry) = wire else { return Err(Unreadable) };
            let (key, value) = map_entry(inner, entry, depth)?;
            let map = object.entry(field.clone()).or_insert_with(|| Value::Object(Map::new()));
            map.as_object_mut().ok_or(Unreadable)?.insert(key, value);
        } else if let Some(inner) = kind.strip_prefix('*') {
            let item = single(inner, &wire, depth)?;
            let list = object.entry(field.clone()).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut().ok_or(Unreadable)?.push(item);
        } else {
            let value = single(kind, &wire, depth)?;
            let is_inline = value.is_object() && properties.is_some_and(|p| p.get(field).is_none());
            match value {
                // Embedded in Go: its fields are this message's.
                Value::Object(inner) if is_inline => object.extend(inner),
                value => {
                    object.insert(field.clone(), value);
                }
            }
        }
    }
    Ok(Value::Object(object))
}

/// Messages that are something else in JSON.
fn special(name: &str, bytes: &[u8]) -> Result<Option<Value>, Unreadable> {
    let first = |wanted: u64| -> Result<Option<Wire<'_>>, Unreadable> {
        Ok(fields(bytes)?.into_iter().find(|(number, _)| *number == wanted).map(|(_, wire)| wire))
    };
    let number = |wanted: u64| -> Result<Option<u64>, Unreadable> {
        Ok(match first(wanted)? {
            Some(Wire::Number(number)) => Some(number),
            _ => None,
        })
    };
    let text = |wanted: u64| -> Result<String, Unreadable> {
        match first(wanted)? {
            Some(Wire::Bytes(bytes)) => text_of(bytes),
            _ => Ok(String::new()),
        }
    };
    let meta = name.strip_prefix(META).unwrap_or("");
    if matches!(meta, "Time" | "MicroTime") {
        let Some(seconds) = number(1)? else { return Ok(Some(Value::Null)) };
        let nanos = i32::try_from(number(2)?.unwrap_or(0)).map_err(|_| Unreadable)?;
        let time = jiff::Timestamp::new(seconds.cast_signed(), nanos).map_err(|_| Unreadable)?;
        return Ok(Some(time.to_string().into()));
    }
    if meta == "FieldsV1" || name.ends_with(".RawExtension") || name.ends_with("apiextensions.v1.JSON") {
        return match first(1)? {
            Some(Wire::Bytes(raw)) => serde_json::from_slice(raw).map(Some).map_err(|_| Unreadable),
            _ => Ok(Some(Value::Null)),
        };
    }
    if name.ends_with("api.resource.Quantity") {
        return Ok(Some(text(1)?.into()));
    }
    if name.ends_with("util.intstr.IntOrString") {
        let is_text = number(1)?.unwrap_or(0) == 1;
        return Ok(Some(if is_text { text(3)?.into() } else { signed(number(2)?.unwrap_or(0)) }));
    }
    if name.ends_with(".ExtraValue") || meta == "Verbs" {
        let items = fields(bytes)?.into_iter().filter_map(|(_, wire)| match wire {
            Wire::Bytes(text) => Some(text_of(text).map(Value::String)),
            _ => None,
        });
        return Ok(Some(Value::Array(items.collect::<Result<_, _>>()?)));
    }
    Ok(None)
}

fn map_entry(kind: &str, entry: &[u8], depth: usize) -> Result<(String, Value), Unreadable> {
    let (mut key, mut value) = (String::new(), None);
    for (number, wire) in fields(entry)? {
        match (number, &wire) {
            (1, Wire::Bytes(bytes)) => key = text_of(bytes)?,
            (2, _) => value = Some(single(kind, &wire, depth)?),
            _ => {}
        }
    }
    Ok((key, value.unwrap_or_else(|| Value::String(String::new()))))
}

fn single(kind: &str, wire: &Wire<'_>, depth: usize) -> Result<Value, Unreadable> {
    match (kind, wire) {
        ("s", Wire::Bytes(bytes)) => text_of(bytes).map(Value::String),
        ("y", Wire::Bytes(bytes)) => Ok(BASE64.encode(bytes).into()),
        ("i", Wire::Number(number)) => Ok(signed(*number)),
        ("b", Wire::Number(number)) => Ok((*number != 0).into()),
        ("d", Wire::Fixed(bits)) => Ok(f64::from_bits(*bits).into()),
        ("s" | "y" | "i" | "b" | "d", _) => Err(Unreadable),
        (name, Wire::Bytes(bytes)) => message(name, bytes, depth + 1),
        _ => Err(Unreadable),
    }
}

/// Negative numbers are written as if they had 64 bits.
fn signed(number: u64) -> Value {
    number.cast_signed().into()
}

fn fields(mut bytes: &[u8]) -> Result<Vec<(u64, Wire<'_>)>, Unreadable> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let wire = match tag & 7 {
            0 => Wire::Number(varint(&mut bytes)?),
            1 => {
                let (fixed, rest) = bytes.split_first_chunk::<8>().ok_or(Unreadable)?;
                bytes = rest;
                Wire::Fixed(u64::from_le_bytes(*fixed))
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).map_err(|_| Unreadable)?;
                let (inner, rest) = bytes.split_at_checked(length).ok_or(Unreadable)?;
                bytes = rest;
                Wire::Bytes(inner)
            }
            5 => {
                let (fixed, rest) = bytes.split_first_chunk::<4>().ok_or(Unreadable)?;
                bytes = rest;
                Wire::Fixed(u64::from(u32::from_le_bytes(*fixed)))
            }
            _ => return Err(Unreadable),
        };
        all.push((tag >> 3, wire));
    }
    Ok(all)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Unreadable> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(Unreadable)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn part(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).expect("is short");
        [&[number << 3 | 2, length], bytes].concat()
    }

    #[test]
    fn a_namespace_is_read_from_protobuf() {
        let meta = part(1, &[part(1, b"demo"), part(8, b"")].concat());
        let envelope = [part(1, &[part(1, b"v1"), part(2, b"Namespace")].concat()), part(2, &meta)].concat();
        let body = [MAGIC, &envelope].concat();
        let read = read_protobuf(&body, |_, _| Some("io.k8s.api.core.v1.Namespace")).expect("reads");
        assert_eq!(
            read,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo", "creationTimestamp": null}})
        );
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for body in [&b"x"[..], b"k8s\0\xff", b"k8s\0\x0a\x7f"] {
            assert_eq!(read_protobuf(body, |_, _| Some("io.k8s.api.core.v1.Namespace")), Err(Unreadable));
        }
    }
}
