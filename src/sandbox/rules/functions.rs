//! What functions do.

mod convert;
mod lists;
mod texts;

use std::cmp::Ordering;
use std::rc::Rc;

use argosy_engine::schema::quantity::Quantity;

pub(super) use self::convert::shown;
use super::eval::{Outcome, failed};
use super::times;
use super::value::Val;

/// Calls a function; the receiver is the first argument.
pub(super) fn call(name: &str, arguments: &[Val]) -> Outcome {
    match (name, arguments) {
        ("size", [value]) => size(value),
        ("type", [value]) => Ok(Val::Type(value.type_name())),
        ("dyn", [value]) => Ok(value.clone()),
        ("bool" | "int" | "uint" | "double" | "string" | "bytes" | "duration" | "timestamp", [value]) => {
            convert::to(name, value)
        }
        ("optional.none", []) => Ok(Val::Optional(None)),
        ("optional.of", [value]) => Ok(Val::Optional(Some(Rc::new(value.clone())))),
        ("optional.ofNonZeroValue", [value]) => {
            Ok(Val::Optional(Some(value.clone()).filter(|value| !is_zero(value)).map(Rc::new)))
        }
        ("hasValue", [Val::Optional(inner)]) => Ok(Val::Bool(inner.is_some())),
        ("value", [Val::Optional(inner)]) => match inner {
            Some(inner) => Ok((**inner).clone()),
            None => failed("optional.none() dereference"),
        },
        ("isQuantity", [Val::Text(text)]) => Ok(Val::Bool(quantity(text).is_some())),
        ("quantity", [Val::Text(text)]) => match quantity(text) {
            Some(quantity) => Ok(Val::Quantity(quantity)),
            None => {
                failed("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
            }
        },
        ("compareTo", [Val::Quantity(a), Val::Quantity(b)]) => Ok(Val::Int(match a.cmp(b) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        })),
        ("isGreaterThan", [Val::Quantity(a), Val::Quantity(b)]) => Ok(Val::Bool(a > b)),
        ("isLessThan", [Val::Quantity(a), Val::Quantity(b)]) => Ok(Val::Bool(a < b)),
        ("isURL", [Val::Text(text)]) => Ok(Val::Bool(address(text).is_some())),
        ("url", [Val::Text(text)]) => match address(text) {
            Some(address) => Ok(Val::Url(Rc::new(address))),
            None => failed(format!(
                "URL parse error during conversion from string: parse \"{text}\": invalid URI for request"
            )),
        },
        (_, [Val::Url(address)]) => part(name, address),
        (_, [at @ (Val::Duration(_) | Val::Timestamp(_))]) => times::part(name, at),
        (_, [Val::Text(text), rest @ ..]) => texts::call(name, text, rest),
        (_, [list, rest @ ..]) if list.items().is_some() => lists::call(name, arguments, rest),
        _ => failed("no such overload"),
    }
}

fn size(value: &Val) -> Outcome {
    let length = match value {
        Val::Text(text) => text.chars().count(),
        Val::Bytes(bytes) => bytes.len(),
        Val::List(items) | Val::Unordered(items) => items.len(),
        Val::Map(entries) => entries.len(),
        _ => return failed("no such overload"),
    };
    Ok(count(length))
}

/// A length as a value.
fn count(length: usize) -> Val {
    Val::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

fn is_zero(value: &Val) -> bool {
    match value {
        Val::Null | Val::Optional(None) => true,
        Val::Bool(flag) => !flag,
        Val::Int(n) => *n == 0,
        Val::Uint(n) => *n == 0,
        Val::Double(n) => *n == 0.0,
        Val::Text(text) => text.is_empty(),
        Val::Bytes(bytes) => bytes.is_empty(),
        Val::List(items) | Val::Unordered(items) => items.is_empty(),
        Val::Map(entries) => entries.is_empty(),
        Val::Duration(duration) => duration.is_zero(),
        _ => false,
    }
}

fn quantity(text: &str) -> Option<Quantity> {
    Quantity::parse(&text.into())
}

/// An absolute URL, or a path from the root, as Go's `ParseRequestURI` takes them.
fn address(text: &str) -> Option<url::Url> {
    if text.starts_with('/') || !text.contains(':') || text.contains(|c: char| c.is_ascii_control() || c == ' ') {
        return None;
    }
    url::Url::parse(text).ok()
}

fn part(name: &str, address: &url::Url) -> Outcome {
    let host = address.host_str().unwrap_or("");
    let port = address.port().map(|port| port.to_string()).unwrap_or_default();
    Ok(Val::text(&match name {
        "getScheme" => address.scheme().to_owned(),
        "getHost" if port.is_empty() => host.to_owned(),
        "getHost" => format!("{host}:{port}"),
        "getHostname" => host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        "getPort" => port,
        "getEscapedPath" => address.path().to_owned(),
        _ => return failed("no such overload"),
    }))
}
