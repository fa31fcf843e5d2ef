//! The order in which a JSON body names its fields, and which it names twice. Values
//! are kept without either, but what is wrong is told as it comes.

use std::collections::HashSet;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What a strict reader says: unknown fields and duplicates, in the body's order.
/// A body that is no JSON gives the unknown ones as they are.
pub(super) fn strict_faults(body: &[u8], unknown: &[String]) -> Vec<String> {
    let plain = || unknown.iter().map(|field| format!("unknown field \"{field}\"")).collect();
    let mut found = Found { unknown: unknown.iter().map(String::as_str).collect(), told: Vec::new() };
    let mut reader = serde_json::Deserializer::from_slice(body);
    match (Place { path: "", found: &mut found }).deserialize(&mut reader) {
        Ok(()) => {
            // Whatever the body does not have, such as fields that were filled in.
            let missed = found.unknown.iter().map(|field| format!("unknown field \"{field}\"")).collect::<Vec<_>>();
            found.told.into_iter().chain(missed).collect()
        }
        Err(_) => plain(),
    }
}

struct Found<'a> {
    /// Those that have not come yet.
    unknown: HashSet<&'a str>,
    told: Vec<String>,
}

struct Place<'p, 'f, 'a> {
    path: &'p str,
    found: &'f mut Found<'a>,
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut i = 0;
        loop {
            let path = format!("{}[{i}]", self.path);
            if items.next_element_seed(Place { path: &path, found: self.found })?.is_none() {
                return Ok(());
            }
            i += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut seen: HashSet<String> = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            let path = if self.path.is_empty() { name.clone() } else { format!("{}.{name}", self.path) };
            if let Some(known) = self.found.unknown.take(path.as_str()) {
                self.found.told.push(format!("unknown field \"{known}\""));
                fields.next_value::<IgnoredAny>()?;
                continue;
            }
            if !seen.insert(name) {
                self.found.told.push(format!("duplicate field \"{path}\""));
            }
            fields.next_value_seed(Place { path: &path, found: self.found })?;
        }
        Ok(())
    }
}
