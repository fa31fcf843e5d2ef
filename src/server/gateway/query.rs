//! Query strings, and percent-encoding.

/// The parameters of a request's query, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

/// Text that is not percent-encoded UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid URL escape {0:?}")]
pub(super) struct Malformed(String);

// === impl Query ===

impl Query {
    pub(super) fn parse(query: &str) -> Result<Self, Malformed> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(name, true)?, decode(value, true)?))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The first value of a parameter; empty when there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Each name once with all of its values, in the order of first appearance.
    pub(super) fn grouped(&self) -> Vec<(&str, Vec<&str>)> {
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for (name, value) in &self.0 {
            let place = *places.entry(name.as_str()).or_insert_with(|| {
                groups.push((name, Vec::new()));
                groups.len() - 1
            });
            groups[place].1.push(value);
        }
        groups
    }
}

/// Decodes `%XX`, and `+` as a space in queries.
pub(super) fn decode(text: &str, plus: bool) -> Result<String, Malformed> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let (Some(high), Some(low)) = (digit(high), digit(low)) else { return Err(malformed(text)) };
                bytes.push((high * 16 + low) as u8);
                rest = after;
            }
            (b'%', _) => return Err(malformed(text)),
            (b'+', _) if plus => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed(text))
}

fn malformed(text: &str) -> Malformed {
    Malformed(text.chars().take(64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_grouped_by_name() {
        let query = Query::parse("a=1+2&b&&a=%C3%A9&c=d=e").unwrap();
        assert_eq!(query.grouped(), [("a", vec!["1 2", "é"]), ("b", vec![""]), ("c", vec!["d=e"])]);
        assert_eq!(query.get("c"), "d=e");
        assert_eq!(query.get("z"), "");
        assert!(Query::parse("a=%zz").is_err());
        assert!(Query::parse("a=%f").is_err());
        assert!(Query::parse("a=%ff").is_err());
    }
}
