//! Conversions from one type to another.

use jiff::Timestamp;

use crate::rules::eval::{Outcome, failed};
use crate::rules::times;
use crate::rules::value::Val;

/// Converts a value to the type that a function is named for.
pub(super) fn to(name: &str, value: &Val) -> Outcome {
    let made = match name {
        "bool" => to_bool(value),
        "int" => to_int(value),
        "uint" => {
            value.whole().and_then(|n| u64::try_from(n).ok()).or_else(|| text_of(value)?.parse().ok()).map(Val::Uint)
        }
        "double" => to_double(value),
        "string" => to_text(value).map(|text| Val::text(&text)),
        "bytes" => match value {
            Val::Bytes(_) => Some(value.clone()),
            Val::Text(text) => Some(Val::Bytes(text.as_bytes().into())),
            _ => None,
        },
        "duration" => match value {
            Val::Duration(_) => Some(value.clone()),
            Val::Text(text) => times::duration(text).map(Val::Duration),
            _ => None,
        },
        _ => match value {
            Val::Timestamp(_) => Some(value.clone()),
            Val::Int(seconds) => Timestamp::from_second(*seconds).ok().map(Val::Timestamp),
            Val::Text(text) => times::timestamp(text).map(Val::Timestamp),
            _ => None,
        },
    };
    match made {
        Some(made) => Ok(made),
        None => failed(format!("type conversion error from '{}' to '{name}'", value.type_name())),
    }
}

fn text_of(value: &Val) -> Option<&str> {
    match value {
        Val::Text(text) => Some(text),
        _ => None,
    }
}

fn to_bool(value: &Val) -> Option<Val> {
    let flag = match value {
        Val::Bool(flag) => *flag,
        Val::Text(text) => match &**text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => true,
            "0" | "f" | "F" | "FALSE" | "false" | "False" => false,
            _ => return None,
        },
        _ => return None,
    };
    Some(Val::Bool(flag))
}

fn to_int(value: &Val) -> Option<Val> {
    let whole = match value {
        Val::Int(n) => *n,
        Val::Uint(n) => i64::try_from(*n).ok()?,
        #[expect(clippy::cast_possible_truncation, reason = "it is in range")]
        Val::Double(n) if n.abs() < 9.2e18 => n.trunc() as i64,
        Val::Text(text) => text.parse().ok()?,
        Val::Timestamp(at) => at.as_second(),
        _ => return None,
    };
    Some(Val::Int(whole))
}

fn to_double(value: &Val) -> Option<Val> {
    let number = match value {
        Val::Double(n) => *n,
        Val::Text(text) => text.parse().ok()?,
        #[expect(clippy::cast_precision_loss, reason = "the conversion was asked for")]
        other => other.whole()? as f64,
    };
    Some(Val::Double(number))
}

fn to_text(value: &Val) -> Option<String> {
    Some(match value {
        Val::Text(text) => text.to_string(),
        Val::Bool(flag) => flag.to_string(),
        Val::Int(n) => n.to_string(),
        Val::Uint(n) => n.to_string(),
        Val::Double(n) => n.to_string(),
        Val::Bytes(bytes) => String::from_utf8(bytes.to_vec()).ok()?,
        Val::Duration(duration) => times::shown(*duration),
        Val::Timestamp(at) => at.to_string(),
        _ => return None,
    })
}

/// A key as an error shows it.
pub(in crate::rules) fn shown(value: &Val) -> String {
    to_text(value).unwrap_or_else(|| value.type_name().to_owned())
}
