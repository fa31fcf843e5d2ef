//! The request message out of path, query and body.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::request::Parts;
use http_body_util::Full;
use prost::Message;
use prost_reflect::DynamicMessage;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstDecoder;

use super::pattern::Variables;
use super::query::Query;
use super::table::{Binding, BodyRule};
use super::{metadata, values};

/// A request that found its route, with its body read.
pub(super) struct Incoming {
    pub(super) parts: Parts,
    pub(super) body: Bytes,
    pub(super) variables: Variables,
    pub(super) query: Query,
}

// === impl Incoming ===

impl Incoming {
    /// The request as a service sees it.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        Request::from_parts(metadata::of(&self.parts), self.parts.extensions.clone(), message)
    }
}

/// Builds the message: first the body, then the query, then the path, which wins.
///
/// # Errors
/// `InvalidArgument` with what is wrong.
pub(super) fn message<Req>(incoming: &Incoming, binding: &Binding) -> Result<Req, Status>
where
    Req: Message + Default + DeserializeOwned,
{
    let mut message: Req = match &binding.body {
        BodyRule::None => Req::default(),
        BodyRule::Whole => whole(&incoming.body)?,
        BodyRule::Field(name) => {
            let field_of_input = binding.input.get_field_by_name(name);
            if field_of_input.is_some_and(|field| !field.is_list() && field.kind().as_message().is_some()) {
                check_object(&incoming.body)?;
            }
            field(name, &incoming.body)?
        }
    };
    let mut rest = DynamicMessage::new(binding.input.clone());
    if binding.body != BodyRule::Whole {
        add_query(&mut rest, incoming, binding)?;
    }
    for (path, value) in &incoming.variables {
        let names: Vec<&str> = path.split('.').collect();
        values::set(&mut rest, &names, &[value])
            .map_err(|error| Status::invalid_argument(format!("type mismatch, parameter: {path}, error: {error}")))?;
    }
    message.merge(&*rest.encode_to_vec()).map_err(|_| Status::invalid_argument("invalid parameters"))?;
    Ok(message)
}

/// Sets fields from the query, but for those of the body and the path.
fn add_query(message: &mut DynamicMessage, incoming: &Incoming, binding: &Binding) -> Result<(), Status> {
    let mut taken: Vec<Vec<&str>> = binding.pattern.variables().map(|path| path.split('.').collect()).collect();
    if let BodyRule::Field(name) = &binding.body {
        taken.push(vec![name]);
    }
    for (name, mut texts) in incoming.query.grouped() {
        let (name, key) = match name.strip_suffix(']').and_then(|name| name.rsplit_once('[')) {
            Some((name, key)) => (name, Some(key)),
            None => (name, None),
        };
        if let Some(key) = key {
            texts.insert(0, key);
        }
        let path: Vec<&str> = name.split('.').collect();
        let Some(names) = values::resolve(&binding.input, &path) else { continue };
        if taken.iter().any(|taken| names.iter().zip(taken).filter(|(a, b)| a == b).count() == taken.len()) {
            continue;
        }
        values::set(message, &path, &texts).map_err(Status::invalid_argument)?;
    }
    Ok(())
}

/// serde would read a list as the fields in their order.
fn check_object(body: &[u8]) -> Result<(), Status> {
    match body.trim_ascii_start().first() {
        None | Some(b'{' | b'n') => Ok(()),
        Some(_) => Err(Status::invalid_argument("invalid request body: expected an object")),
    }
}

fn whole<Req: Default + DeserializeOwned>(body: &[u8]) -> Result<Req, Status> {
    if body.trim_ascii().is_empty() {
        return Ok(Req::default());
    }
    check_object(body)?;
    Ok(serde_json::from_slice::<Option<Req>>(body).map_err(|error| not_json(&error))?.unwrap_or_default())
}

/// The body as one field of the message. The request messages of the contract have
/// the same names in JSON and on the wire.
fn field<Req: Default + DeserializeOwned>(name: &str, body: &[u8]) -> Result<Req, Status> {
    if body.trim_ascii().is_empty() {
        return Ok(Req::default());
    }
    let value: &RawValue = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    serde_json::from_str(&format!("{{{name:?}:{}}}", value.get())).map_err(|error| not_json(&error))
}

/// The body as a stream of messages.
///
/// # Errors
/// `InvalidArgument` when a document is not one of the messages.
pub(super) fn messages<Document, Req>(incoming: &Incoming, limit: usize) -> Result<Streaming<Req>, Status>
where
    Document: DeserializeOwned + Into<Req>,
    Req: Message + Default + 'static,
{
    let mut frames = BytesMut::new();
    for message in serde_json::Deserializer::from_slice(&incoming.body).into_iter::<Document>() {
        let message: Req = message.map_err(|error| not_json(&error))?.into();
        let length = u32::try_from(message.encoded_len()).map_err(|_| Status::out_of_range("a message is too long"))?;
        frames.put_u8(0);
        frames.put_u32(length);
        message.encode(&mut frames).map_err(|_| Status::internal("a message cannot be encoded"))?;
    }
    // Base64 and JSON only ever make a message longer; the double is for what they leave out.
    Ok(Streaming::new_request(ProstDecoder::default(), Full::new(frames.freeze()), None, Some(limit.saturating_mul(2))))
}

/// What is wrong with a body and where, but not what stands there: it may be a password.
fn not_json(error: &serde_json::Error) -> Status {
    let text = error.to_string();
    if !error.is_data() || text.starts_with("missing field") {
        return Status::invalid_argument(format!("invalid request body: {text}"));
    }
    // What was expected is the end of the text, and our own words.
    let what = match text.rsplit_once(", expected ") {
        Some((_, expected)) if text.starts_with("invalid type") => format!("invalid type, expected {expected}"),
        _ => format!("invalid value at line {} column {}", error.line(), error.column()),
    };
    Status::invalid_argument(format!("invalid request body: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_body_is_told_without_what_stands_there() {
        #[derive(serde::Deserialize, Debug)]
        struct Given {
            #[expect(dead_code, reason = "it is only read")]
            flag: bool,
        }
        let said = |body: &str| not_json(&serde_json::from_str::<Given>(body).unwrap_err()).message().to_owned();
        let mistyped = said(r#"{"flag": "canary, expected x"}"#);
        assert!(mistyped.starts_with("invalid request body: invalid type, expected a boolean at line 1"), "{mistyped}");
        assert!(!mistyped.contains("canary"));
        assert!(!said(r#"{"flag": 271828}"#).contains("271828"));
        assert_eq!(said("{}"), "invalid request body: missing field `flag` at line 1 column 2");
        assert!(said("{").contains("EOF while parsing"));
        let custom = <serde_json::Error as serde::de::Error>::custom("no time: canary");
        assert!(!not_json(&custom).message().contains("canary"));
    }
}
