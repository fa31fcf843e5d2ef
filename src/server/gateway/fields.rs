//! `?fields=items.metadata.name,items.spec`: only these of an answer; with a leading
//! `-`, all but these. Names go through lists. JSON is cut as text, without building
//! the values that stay or go.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A parsed `fields` parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    /// In their order.
    names: Vec<String>,
    exclude: bool,
}

/// An object's members in their order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

// === impl Fields ===

impl Fields {
    /// `None` when everything is wanted.
    pub(super) fn parse(parameter: &str) -> Option<Self> {
        if parameter.is_empty() {
            return None;
        }
        let (names, exclude) = match parameter.strip_prefix('-') {
            Some(names) => (names, true),
            None => (parameter, false),
        };
        // Sorted, so that many names cost no more to look up than few.
        let names: BTreeSet<&str> = names.split(',').collect();
        Some(Self { names: names.into_iter().map(str::to_owned).collect(), exclude })
    }

    /// Cuts a JSON document.
    ///
    /// # Errors
    /// When it is not one.
    pub(super) fn cut(&self, json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
        let mut out = Vec::new();
        self.value(serde_json::from_slice(json)?, &mut String::new(), &mut out)?;
        Ok(out)
    }

    fn value(&self, raw: &RawValue, path: &mut String, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        match raw.get().as_bytes().first() {
            Some(b'{') => self.object(raw, path, out),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(raw.get())?;
                out.push(b'[');
                for (place, item) in items.into_iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    self.value(item, path, out)?;
                }
                out.push(b']');
                Ok(())
            }
            _ => {
                out.extend_from_slice(raw.get().as_bytes());
                Ok(())
            }
        }
    }

    fn object(&self, raw: &RawValue, path: &mut String, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        let mut text = serde_json::Deserializer::from_str(raw.get());
        let members = text.deserialize_map(MembersVisitor)?;
        let length = path.len();
        let mut first = true;
        out.push(b'{');
        for (name, value) in members.0 {
            if length > 0 {
                path.push('.');
            }
            path.push_str(&name);
            let place = self.names.partition_point(|wanted| **wanted < **path);
            let named = self.names.get(place).is_some_and(|wanted| wanted == path);
            // As in the reference, the beginning of a name is enough for its parents.
            let begins = || self.names.get(place).is_some_and(|wanted| wanted.starts_with(&**path));
            let keep = if self.exclude { !named } else { begins() };
            if keep {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, &name)?;
                out.push(b':');
                if named {
                    out.extend_from_slice(value.get().as_bytes());
                } else {
                    self.value(value, path, out)?;
                }
            }
            path.truncate(length);
        }
        out.push(b'}');
        Ok(())
    }
}

struct MembersVisitor;

// === impl MembersVisitor ===

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<Name<'de>>()? {
            members.push((name.0, map.next_value()?));
        }
        Ok(Members(members))
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"metadata":{"resourceVersion":"7"},"items":[
        {"metadata":{"name":"a","labels":{"x":"y"}},"spec":{"project":"p"},"status":[1]},{"metadata":{"name":"b"}}]}"#;

    fn cut(fields: &str) -> String {
        String::from_utf8(Fields::parse(fields).unwrap().cut(LIST.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn only_named_fields_stay() {
        assert_eq!(
            cut("items.metadata.name,items.spec"),
            r#"{"items":[{"metadata":{"name":"a"},"spec":{"project":"p"}},{"metadata":{"name":"b"}}]}"#
        );
        assert_eq!(cut("metadata"), r#"{"metadata":{"resourceVersion":"7"}}"#);
    }

    #[test]
    fn a_leading_minus_takes_fields_away() {
        assert_eq!(cut("-items.metadata,items.status,metadata"), r#"{"items":[{"spec":{"project":"p"}},{}]}"#);
    }

    #[test]
    fn no_parameter_is_no_filter() {
        assert_eq!(Fields::parse(""), None);
    }
}
