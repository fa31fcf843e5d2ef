//! Texts of paths and queries as values of a message's fields, by its descriptor.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value};

/// Kubernetes' time, the one message that has a text.
const TIME: &str = "k8s.io.apimachinery.pkg.apis.meta.v1.Time";

/// A field by its name on the wire or in JSON.
pub(super) fn field(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_name(name).or_else(|| message.get_field_by_json_name(name))
}

/// The names on the wire along a dotted path, as far as there are fields.
pub(super) fn resolve(message: &MessageDescriptor, path: &[&str]) -> Option<Vec<String>> {
    let mut message = Some(message.clone());
    let mut names = Vec::with_capacity(path.len());
    for name in path {
        let field = field(message.as_ref()?, name)?;
        names.push(field.name().to_owned());
        message = field.kind().as_message().filter(|_| !field.is_map()).cloned();
    }
    Some(names)
}

/// Sets the field at a path from its texts. A path that leads nowhere is ignored, as
/// the reference does, so that a client may send more than a server knows.
pub(super) fn set(message: &mut DynamicMessage, path: &[&str], texts: &[&str]) -> Result<(), String> {
    let [name, rest @ ..] = path else { return Ok(()) };
    let Some(field) = field(&message.descriptor(), name) else { return Ok(()) };
    if !rest.is_empty() {
        if field.is_list() || field.is_map() {
            return Err(format!("unexpected repeated field in {}", path.join(".")));
        }
        return match message.get_field_mut(&field) {
            Value::Message(inner) => set(inner, rest, texts),
            _ => Err(format!("unexpected nested field {} in {name}", rest.join("."))),
        };
    }
    if field.is_map() {
        return set_entry(message, &field, texts);
    }
    let value = if field.is_list() {
        Value::List(texts.iter().map(|text| parse(&field.kind(), text)).collect::<Result<_, _>>()?)
    } else {
        let text = texts.first().ok_or_else(|| format!("no value of field: {name}"))?;
        parse(&field.kind(), text)?
    };
    message.try_set_field(&field, value).map_err(|_| format!("{name} cannot have this value"))
}

/// `name[key]=value`; the key comes as the first text.
fn set_entry(message: &mut DynamicMessage, field: &FieldDescriptor, texts: &[&str]) -> Result<(), String> {
    let kind = field.kind();
    let Some(entry) = kind.as_message() else { return Ok(()) };
    let [key, value] = texts else {
        return Err(format!("one key and one value are expected of {}", field.name()));
    };
    let Value::String(key) = parse(&entry.map_entry_key_field().kind(), key)? else {
        return Err(format!("unsupported key type in {}", field.name()));
    };
    let value = parse(&entry.map_entry_value_field().kind(), value)?;
    if let Value::Map(map) = message.get_field_mut(field) {
        map.insert(MapKey::String(key), value);
    }
    Ok(())
}

fn parse(kind: &Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Bool => boolean(text).map(Value::Bool),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => integer(text, "Int").map(Value::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => integer(text, "Int").map(Value::I64),
        Kind::Uint32 | Kind::Fixed32 => integer(text, "Uint").map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => integer(text, "Uint").map(Value::U64),
        Kind::Float => text.parse().map(Value::F32).map_err(|_| syntax("Float", text)),
        Kind::Double => text.parse().map(Value::F64).map_err(|_| syntax("Float", text)),
        Kind::Bytes => bytes(text),
        Kind::Enum(kind) => {
            let by_name = kind.get_value_by_name(text);
            let value = by_name.or_else(|| text.parse().ok().and_then(|number| kind.get_value(number)));
            let value = value.ok_or_else(|| format!("{text} is not a valid {}", kind.name()))?;
            Ok(Value::EnumNumber(value.number()))
        }
        Kind::Message(kind) if kind.full_name() == TIME => time(kind, text),
        Kind::Message(kind) => Err(format!("field type {} is not supported in query parameters", kind.name())),
    }
}

/// What Go's `strconv.ParseBool` takes.
fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(syntax("Bool", text)),
    }
}

/// What Go's `strconv.ParseInt` takes with base 0, but for underscores.
fn integer<T: TryFrom<i128>>(text: &str, go: &str) -> Result<T, String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match (lower.get(..2), lower.get(2..)) {
        (Some("0x"), Some(digits)) => (16, digits),
        (Some("0o"), Some(digits)) => (8, digits),
        (Some("0b"), Some(digits)) => (2, digits),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, &*lower),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(syntax(go, text));
    }
    let range = || format!("strconv.Parse{go}: parsing {text:?}: value out of range");
    let number = i128::from_str_radix(digits, radix).map_err(|_| range())?;
    T::try_from(if negative { -number } else { number }).map_err(|_| range())
}

fn bytes(text: &str) -> Result<Value, String> {
    let decoded = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
    decoded.map(|bytes| Value::Bytes(bytes.into())).map_err(|_| "illegal base64 data".to_owned())
}

fn time(kind: &MessageDescriptor, text: &str) -> Result<Value, String> {
    let time: jiff::Timestamp = text.parse().map_err(|_| format!("cannot parse {text:?} as a time"))?;
    let mut message = DynamicMessage::new(kind.clone());
    message.set_field_by_name("seconds", Value::I64(time.as_second()));
    message.set_field_by_name("nanos", Value::I32(time.subsec_nanosecond()));
    Ok(Value::Message(message))
}

fn syntax(go: &str, text: &str) -> String {
    format!("strconv.Parse{go}: parsing {text:?}: invalid syntax")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        assert_eq!(integer::<i32>("-42", "Int"), Ok(-42));
        assert_eq!(integer::<i64>("0x1F", "Int"), Ok(31));
        assert_eq!(integer::<i64>("010", "Int"), Ok(8));
        assert_eq!(integer::<i64>("0", "Int"), Ok(0));
        assert!(integer::<i32>("2147483648", "Int").unwrap_err().ends_with("value out of range"));
        for text in ["", "-", "1.5", "1e3", "0x", "--1", "٣", "0é"] {
            assert!(integer::<i64>(text, "Int").unwrap_err().ends_with("invalid syntax"), "{text}");
        }
        assert_eq!(boolean("yes").unwrap_err(), r#"strconv.ParseBool: parsing "yes": invalid syntax"#);
    }
}
