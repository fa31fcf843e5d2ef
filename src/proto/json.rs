//! Kubernetes' JSON for the types that are not an object of their fields, and
//! the small rules serde is told about in the build script.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::apiextensions::Json;
use crate::intstr::IntOrString;
use crate::meta::{FieldsV1, MicroTime, Time};
use crate::runtime::RawExtension;

/// Go's `omitempty`: whether the value is its type's zero.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Go reads `null` into any field as that field's zero.
///
/// # Errors
/// What is wrong with the value.
pub fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A list that may be absent, which permits everything, or empty, which permits
/// nothing. A repeated field cannot tell the two apart, so the empty one is held as
/// a list of one entry that names nothing.
pub mod empty_or_absent {
    use super::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes the list; the entry that names nothing alone is the empty list.
    ///
    /// # Errors
    /// The serializer's own.
    pub fn serialize<T, S>(value: &[T], serializer: S) -> Result<S::Ok, S::Error>
    where
        T: Serialize + Default + PartialEq,
        S: Serializer,
    {
        match value {
            [only] if *only == T::default() => Vec::<T>::new().serialize(serializer),
            list => list.serialize(serializer),
        }
    }

    /// Reads the list; `null` is absent.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub fn deserialize<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
    where
        D: Deserializer<'de>,
        T: Default + Deserialize<'de>,
    {
        Ok(match Option::<Vec<T>>::deserialize(deserializer)? {
            None => Vec::new(),
            Some(list) if list.is_empty() => vec![T::default()],
            Some(list) => list,
        })
    }
}

/// Bytes as standard base64 text.
pub mod bytes {
    use super::{Deserialize, Deserializer, Engine, STANDARD, Serialize, Serializer};
    use serde::de::Error;

    /// Writes base64.
    ///
    /// # Errors
    /// The serializer's own.
    pub fn serialize<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        STANDARD.encode(value).serialize(serializer)
    }

    /// Reads base64; `null` is empty.
    ///
    /// # Errors
    /// When the text is not base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}

/// Optional bytes as standard base64 text.
pub mod bytes_option {
    use super::{Deserialize, Deserializer, Engine, STANDARD, Serialize, Serializer};
    use serde::de::Error;

    /// Writes base64 or `null`.
    ///
    /// # Errors
    /// The serializer's own.
    pub fn serialize<S: Serializer>(value: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(|v| STANDARD.encode(v)).serialize(serializer)
    }

    /// Reads base64 or `null`.
    ///
    /// # Errors
    /// When the text is not base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|t| STANDARD.decode(t).map_err(D::Error::custom)).transpose()
    }
}

/// A map whose values are bytes as standard base64 text.
pub mod bytes_map {
    use super::{Deserialize, Deserializer, Engine, STANDARD, Serialize, Serializer};
    use serde::de::Error;
    use std::collections::BTreeMap;

    /// Writes base64 values.
    ///
    /// # Errors
    /// The serializer's own.
    pub fn serialize<S: Serializer>(value: &BTreeMap<String, Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        let map: BTreeMap<_, _> = value.iter().map(|(k, v)| (k, STANDARD.encode(v))).collect();
        map.serialize(serializer)
    }

    /// Reads base64 values; `null` is empty.
    ///
    /// # Errors
    /// When a value is not base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, Vec<u8>>, D::Error> {
        let map = Option::<BTreeMap<String, String>>::deserialize(d)?.unwrap_or_default();
        map.into_iter().map(|(k, v)| Ok((k, STANDARD.decode(v).map_err(D::Error::custom)?))).collect()
    }
}

/// An embedded pointer in Go: its one field appears in the parent, or nothing does.
pub mod inline_optional {
    use super::{Deserialize, Deserializer, Serialize, Serializer, is_default};

    /// Writes the field into the parent.
    ///
    /// # Errors
    /// The serializer's own.
    pub fn serialize<T: Serialize, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        match value {
            Some(value) => value.serialize(serializer),
            None => serializer.serialize_map(Some(0))?.end(),
        }
    }

    /// Reads the field from the parent; absent or empty is `None`.
    ///
    /// # Errors
    /// When the field has another shape.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: Deserialize<'de> + Default + PartialEq,
        D: Deserializer<'de>,
    {
        let value = T::deserialize(deserializer)?;
        Ok((!is_default(&value)).then_some(value))
    }
}

// === impl Time ===

/// Whole seconds, as Kubernetes prints times.
const SECONDS: &str = "%Y-%m-%dT%H:%M:%SZ";

impl Time {
    /// The time as a timestamp; times outside the calendar become its limits.
    pub fn timestamp(&self) -> jiff::Timestamp {
        jiff::Timestamp::new(self.seconds, self.nanos).unwrap_or(if self.seconds < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }
}

impl From<jiff::Timestamp> for Time {
    /// Kubernetes keeps whole seconds; the rest is cut off.
    fn from(timestamp: jiff::Timestamp) -> Self {
        Self { seconds: timestamp.as_second(), nanos: 0 }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.timestamp().strftime(SECONDS))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(timestamp(deserializer)?.map(Self::from).unwrap_or_default())
    }
}

// === impl MicroTime ===

impl Serialize for MicroTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = jiff::Timestamp::new(self.seconds, self.nanos).map_err(S::Error::custom)?;
        serializer.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ"))
    }
}

impl<'de> Deserialize<'de> for MicroTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = timestamp(deserializer)?.unwrap_or_default();
        Ok(Self { seconds: time.as_second(), nanos: time.subsec_nanosecond() })
    }
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<jiff::Timestamp>, D::Error> {
    let text = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    text.map(|t| t.parse().map_err(D::Error::custom)).transpose()
}

// === raw JSON ===

macro_rules! raw_json {
    ($type:ty, $field:ident) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                raw_serialize(&self.$field, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self { $field: raw_deserialize(deserializer)? })
            }
        }

        impl $type {
            /// The raw bytes read as JSON; `None` when they are empty or not JSON.
            pub fn value<T: DeserializeOwned>(&self) -> Option<T> {
                serde_json::from_slice(&self.$field).ok()
            }

            /// Raw JSON of a value.
            pub fn of(value: &Value) -> Self {
                Self { $field: value.to_string().into_bytes() }
            }
        }
    };
}

raw_json!(RawExtension, raw);
raw_json!(Json, raw);
raw_json!(FieldsV1, raw);

fn raw_serialize<S: Serializer>(raw: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if raw.is_empty() {
        return serializer.serialize_none();
    }
    serde_json::from_slice::<Value>(raw).map_err(S::Error::custom)?.serialize(serializer)
}

fn raw_deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    // Through a value, not a RawValue: flattened parents buffer their fields.
    let value = Value::deserialize(deserializer)?;
    if value.is_null() {
        return Ok(Vec::new());
    }
    let raw: Box<RawValue> = serde_json::value::to_raw_value(&value).map_err(D::Error::custom)?;
    Ok(raw.get().as_bytes().to_vec())
}

// === impl IntOrString ===

/// `IntOrString.type` of a text.
const TYPE_STRING: i64 = 1;

impl Serialize for IntOrString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.r#type == TYPE_STRING { self.str_val.serialize(serializer) } else { self.int_val.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for IntOrString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self { r#type: TYPE_STRING, int_val: 0, str_val: text }),
            Value::Number(n) => match n.as_i64().and_then(|n| i32::try_from(n).ok()) {
                Some(int_val) => Ok(Self { r#type: 0, int_val, str_val: String::new() }),
                None => Err(D::Error::custom(format!("{n} does not fit in 32 bits"))),
            },
            Value::Null => Ok(Self::default()),
            other => Err(D::Error::custom(format!("expected a number or a text, found {other}"))),
        }
    }
}
