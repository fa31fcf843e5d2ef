//! YAML text to JSON values, the way the Kubernetes tools written in Go read it.
//!
//! Kubernetes manifests mean what `sigs.k8s.io/yaml` makes of them: YAML 1.1
//! booleans (`yes`, `on`), octal `0644`, merge keys, the last of two equal keys,
//! whole floats as integers, and a stream cut at lines that begin with `---`. No
//! parser of Rust's does that, so the events of `granit-parser` are composed here
//! with scalar rules of our own, and a table made by the Go library judges the
//! result (`tests/data/go-yaml.json`).
//!
//! Every input gives values or an [`Error`]; none makes this panic, and the time
//! is linear in the input: nesting ([`MAX_DEPTH`]) and what aliases may multiply
//! ([`MAX_ALIAS_BYTES`]) are bounded.

use std::borrow::Cow;

use serde_json::Value;

mod compose;
mod error;
mod number;
mod repair;
mod scalar;
mod stream;

pub use compose::{MAX_ALIAS_BYTES, MAX_DEPTH};
pub use error::{Error, Problem};
pub use number::normalise_numbers;
pub(crate) use stream::json_message;
pub use stream::{Document, Documents};

/// Reads one document, as `sigs.k8s.io/yaml` does: what follows a document's end
/// is not looked at, and nothing at all is `null`. JSON is YAML.
///
/// # Errors
/// Where the text is not YAML, or says what JSON cannot.
pub fn to_value(text: &str) -> Result<Value, Error> {
    compose::compose(text.strip_prefix('\u{feff}').unwrap_or(text), 0)
}

/// Reads a stream of documents, as `kubectl` does; empty ones are left out.
///
/// # Errors
/// The first document's that is not valid.
pub fn to_values(text: &str) -> Result<Vec<Value>, Error> {
    Documents::new(text).map(|document| document.map(|d| d.value)).collect()
}

/// The text of a file: UTF-8, or UTF-16 where a byte-order mark says so. The mark
/// is dropped, and bytes that are no text become U+FFFD.
pub fn decode_text(bytes: &[u8]) -> Cow<'_, str> {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        [0xff, 0xfe, rest @ ..] => Cow::Owned(decode_utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(decode_utf16(rest, u16::from_be_bytes)),
        _ => String::from_utf8_lossy(bytes),
    }
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks(2).map(|pair| match pair {
        [a, b] => unit([*a, *b]),
        _ => 0xfffd,
    });
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}
