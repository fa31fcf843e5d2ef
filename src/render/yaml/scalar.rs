//! What a scalar means: the resolution rules of Go's YAML 1.1 library, rule by
//! rule. They are facts of compatibility; reason does not enter.

use serde_json::Value;

use super::{Problem, number};

/// A resolved scalar.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond 63 bits.
    Uint(u64),
    Float(f64),
    Text(String),
}

/// The tags that matter to resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// None.
    Implicit,
    Str,
    Bool,
    Int,
    Float,
    Null,
    Timestamp,
    Binary,
    Merge,
    /// Any other, `!` too: the scalar is a string.
    Foreign,
}

const CORE_PREFIX: &str = "tag:yaml.org,2002:";

// === impl Tag ===

impl Tag {
    pub(super) fn new(handle: &str, suffix: &str) -> Self {
        let name = match handle.strip_prefix(CORE_PREFIX) {
            Some("") => suffix,
            _ if handle.is_empty() => suffix.strip_prefix(CORE_PREFIX).unwrap_or(""),
            _ => "",
        };
        match name {
            "str" => Self::Str,
            "bool" => Self::Bool,
            "int" => Self::Int,
            "float" => Self::Float,
            "null" => Self::Null,
            "timestamp" => Self::Timestamp,
            "binary" => Self::Binary,
            "merge" => Self::Merge,
            _ => Self::Foreign,
        }
    }
}

// === impl Scalar ===

impl Scalar {
    /// Resolves the text of a scalar that is plain or has a tag.
    pub(super) fn resolve(tag: Tag, text: &str) -> Result<Self, Problem> {
        match tag {
            Tag::Str | Tag::Foreign | Tag::Merge => return Ok(Self::Text(text.to_owned())),
            Tag::Binary => return decode_base64(text).map(Self::Text).ok_or(Problem::Base64),
            Tag::Timestamp => {
                let ok = is_timestamp(text);
                return if ok { Ok(Self::Text(text.to_owned())) } else { Err(Problem::Tag("!!timestamp")) };
            }
            _ => {}
        }
        let scalar = resolve_implicit(text);
        match (tag, scalar) {
            (Tag::Implicit, scalar) => Ok(scalar),
            (Tag::Bool, scalar @ Self::Bool(_)) => Ok(scalar),
            (Tag::Int, scalar @ (Self::Int(_) | Self::Uint(_))) => Ok(scalar),
            (Tag::Null, Self::Null) => Ok(Self::Null),
            (Tag::Float, scalar @ Self::Float(_)) => Ok(scalar),
            #[expect(clippy::cast_precision_loss, reason = "the tag asks for a float")]
            (Tag::Float, Self::Int(n)) => Ok(Self::Float(n as f64)),
            (Tag::Bool, _) => Err(Problem::Tag("!!bool")),
            (Tag::Int, _) => Err(Problem::Tag("!!int")),
            (Tag::Null, _) => Err(Problem::Tag("!!null")),
            (_, _) => Err(Problem::Tag("!!float")),
        }
    }

    pub(super) fn into_value(self) -> Result<Value, Problem> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(b),
            Self::Int(n) => Value::from(n),
            Self::Uint(n) => Value::from(n),
            Self::Float(f) => Value::Number(number::from_float(f).ok_or(Problem::NotFinite)?),
            Self::Text(s) => Value::String(s),
        })
    }

    pub(super) fn into_key(self) -> Result<String, Problem> {
        Ok(match self {
            Self::Null => return Err(Problem::Key("null")),
            Self::Uint(_) => return Err(Problem::Key("number above 9223372036854775807")),
            Self::Bool(b) => b.to_string(),
            Self::Int(n) => n.to_string(),
            Self::Float(f) => number::float_key(f),
            Self::Text(s) => s,
        })
    }

    /// Bytes of text held.
    pub(super) fn text_len(&self) -> usize {
        if let Self::Text(s) = self { s.len() } else { 0 }
    }
}

fn resolve_implicit(text: &str) -> Scalar {
    let first = text.as_bytes().first().copied();
    let resolved = match first {
        None => return Scalar::Null,
        Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~') => named(text),
        Some(b'.') => named(text).or_else(|| dotted_float(text)),
        Some(b'+' | b'-') => named(text).or_else(|| number(text)),
        Some(b'0'..=b'9') => number(text),
        Some(_) => None,
    };
    resolved.unwrap_or_else(|| Scalar::Text(text.to_owned()))
}

fn named(text: &str) -> Option<Scalar> {
    Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Scalar::Bool(false),
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

/// `.5`, `.5e3`; underscores are not taken here.
fn dotted_float(text: &str) -> Option<Scalar> {
    if is_float(text) { finite(text) } else { None }
}

/// Text that begins with a digit or a sign.
fn number(text: &str) -> Option<Scalar> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    if let Some(int) = integer(&plain) {
        return Some(int);
    }
    if is_float(&plain) {
        return finite(&plain);
    }
    // Kept from the library: `0b` before a sign.
    let (negative, digits) = match plain.strip_prefix("0b")? {
        rest if rest.starts_with('-') => (true, &rest[1..]),
        rest => (false, rest.strip_prefix('+').unwrap_or(rest)),
    };
    signed(magnitude(digits, 2)?, negative)
}

/// A float that does not overflow; one that does stays a string.
fn finite(text: &str) -> Option<Scalar> {
    text.parse::<f64>().ok().filter(|f| f.is_finite()).map(Scalar::Float)
}

/// An integer with Go's prefixes: `0x`, `0o`, `0b` and a bare `0` for octal.
fn integer(plain: &str) -> Option<Scalar> {
    let (sign, rest) = match plain.as_bytes().first()? {
        sign @ (b'+' | b'-') => (Some(*sign), &plain[1..]),
        _ => (None, plain),
    };
    let bytes = rest.as_bytes();
    let (radix, digits) = match (bytes.first()?, bytes.get(1), bytes.len()) {
        (b'0', Some(b'x' | b'X'), 3..) => (16, &rest[2..]),
        (b'0', Some(b'o' | b'O'), 3..) => (8, &rest[2..]),
        (b'0', Some(b'b' | b'B'), 3..) => (2, &rest[2..]),
        (b'0', Some(_), _) => (8, &rest[1..]),
        _ => (10, rest),
    };
    let magnitude = magnitude(digits, radix)?;
    match signed(magnitude, sign == Some(b'-')) {
        // Only an unsigned literal may use the 64th bit.
        Some(Scalar::Uint(_)) if sign.is_some() => None,
        other => other,
    }
}

fn signed(magnitude: u64, negative: bool) -> Option<Scalar> {
    if negative {
        return 0i64.checked_sub_unsigned(magnitude).map(Scalar::Int);
    }
    Some(i64::try_from(magnitude).map_or(Scalar::Uint(magnitude), Scalar::Int))
}

fn magnitude(digits: &str, radix: u32) -> Option<u64> {
    // `from_str_radix` takes a sign, which has no place here.
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, the whole text.
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let is_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let mantissa_ok = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && is_digits(fraction),
        Some((whole, fraction)) => is_digits(whole) && is_digits(fraction),
        None => !mantissa.is_empty() && is_digits(mantissa),
    };
    mantissa_ok
        && exponent.is_none_or(|e| {
            let digits = e.strip_prefix(['+', '-']).unwrap_or(e);
            !digits.is_empty() && is_digits(digits)
        })
}

/// Whether the text is one of the four forms of time the library accepts under an
/// explicit `!!timestamp`. The text itself is the value, so only validity matters.
fn is_timestamp(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((text.as_bytes()[at], &text[at + 1..]))),
        None => (text, None),
    };
    let mut parts = date.splitn(3, '-');
    let (Some(year), Some(month), Some(day)) = (parts.next(), parts.next(), parts.next()) else { return false };
    if year.len() != 4 || !is_civil(year, month, day) {
        return false;
    }
    match time {
        None => true,
        Some((b' ', clock)) => is_clock(clock),
        Some((_, rest)) => match rest.strip_suffix('Z') {
            Some(clock) => is_clock(clock),
            None => rest.rfind(['+', '-']).is_some_and(|at| is_clock(&rest[..at]) && is_zone(&rest[at + 1..])),
        },
    }
}

fn number_of(text: &str, lengths: std::ops::RangeInclusive<usize>, max: i8) -> Option<i8> {
    let ok = lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| ok && *n <= max)
}

fn is_civil(year: &str, month: &str, day: &str) -> bool {
    let year = if year.bytes().all(|b| b.is_ascii_digit()) { year.parse().ok() } else { None };
    match (year, number_of(month, 1..=2, 12), number_of(day, 1..=2, 31)) {
        (Some(y), Some(m), Some(d)) => jiff::civil::Date::new(y, m, d).is_ok(),
        _ => false,
    }
}

fn is_clock(text: &str) -> bool {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let fields: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = fields[..] else { return false };
    number_of(hour, 1..=2, 23).is_some()
        && number_of(minute, 1..=2, 59).is_some()
        && number_of(second, 1..=2, 59).is_some()
        && !fraction.is_empty()
        && fraction.bytes().all(|b| b.is_ascii_digit())
}

fn is_zone(text: &str) -> bool {
    text.split_once(':').is_some_and(|(h, m)| number_of(h, 2..=2, 24).is_some() && number_of(m, 2..=2, 60).is_some())
}

/// Standard base64 with padding; line breaks inside are skipped. Bytes that are no
/// UTF-8 become U+FFFD, as Go's JSON writer makes them.
fn decode_base64(text: &str) -> Option<String> {
    use base64::Engine as _;
    let compact: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(compact).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
