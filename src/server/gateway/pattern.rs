//! Path templates: literals, `{field}` for one segment, `{field=**}` for the rest.
//!
//! Segments are told apart before they are decoded, and decoded once, so that an
//! encoded slash is part of a value (`https%3A%2F%2Fgit.example%2Frepo`).

use super::query::{Malformed, decode};

/// Field path and value of each variable.
pub(super) type Variables = Vec<(String, String)>;

/// See the module's page.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    template: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug)]
enum Segment {
    Literal(String),
    One(String),
    /// Only at the end.
    Rest(String),
}

// === impl Pattern ===

impl Pattern {
    pub(super) fn parse(template: &str) -> Result<Self, String> {
        let path = template.strip_prefix('/').ok_or_else(|| format!("path {template:?} is not absolute"))?;
        let segments: Vec<Segment> = path.split('/').map(segment).collect::<Result<_, _>>()?;
        let rests = segments.iter().rev().skip(1).filter(|segment| matches!(segment, Segment::Rest(_))).count();
        if rests > 0 {
            return Err(format!("path {template:?} goes on after its rest"));
        }
        Ok(Self { template: template.to_owned(), segments })
    }

    /// As written in the table.
    pub(super) fn template(&self) -> &str {
        &self.template
    }

    /// Field paths of the variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::One(field) | Segment::Rest(field) => Some(field.as_str()),
        })
    }

    /// The variables of a raw path, `None` when it is another one.
    ///
    /// # Errors
    /// When the path would match and a value is not decodable.
    pub(super) fn matches(&self, path: &str) -> Result<Option<Variables>, Malformed> {
        let mut parts = path.strip_prefix('/').unwrap_or(path).split('/');
        let mut raw = Vec::new();
        for segment in &self.segments {
            match segment {
                Segment::Literal(literal) if parts.next() == Some(literal) => {}
                Segment::Literal(_) => return Ok(None),
                Segment::One(field) => match parts.next() {
                    Some(part) => raw.push((field, part.to_owned())),
                    None => return Ok(None),
                },
                Segment::Rest(field) => raw.push((field, parts.by_ref().collect::<Vec<_>>().join("/"))),
            }
        }
        if parts.next().is_some() {
            return Ok(None);
        }
        raw.into_iter()
            .map(|(field, part)| Ok((field.clone(), decode(&part, false)?)))
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

fn segment(text: &str) -> Result<Segment, String> {
    let Some(inner) = text.strip_prefix('{') else {
        return if text.contains(['{', '}', '*', '=']) {
            Err(format!("segment {text:?}"))
        } else {
            Ok(Segment::Literal(text.to_owned()))
        };
    };
    let inner = inner.strip_suffix('}').ok_or_else(|| format!("segment {text:?} does not end"))?;
    match inner.split_once('=') {
        None => Ok(Segment::One(inner.to_owned())),
        Some((field, "**")) => Ok(Segment::Rest(field.to_owned())),
        Some(_) => Err(format!("segment {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(template: &str, path: &str) -> Option<Vec<String>> {
        let variables = Pattern::parse(template).unwrap().matches(path).unwrap()?;
        Some(variables.into_iter().map(|(_, value)| value).collect())
    }

    #[test]
    fn an_encoded_address_is_one_segment_and_decoded_once() {
        let template = "/api/v1/repositories/{repo}/refs";
        let path = "/api/v1/repositories/https%3A%2F%2Fgit.example%2Fa%2520b+c.git/refs";
        assert_eq!(matched(template, path), Some(vec!["https://git.example/a%20b+c.git".to_owned()]));
        assert_eq!(matched(template, "/api/v1/repositories/https://git.example/refs"), None);
    }

    #[test]
    fn a_rest_takes_any_number_of_segments() {
        let template = "/can-i/{resource}/{action}/{subresource=**}";
        assert_eq!(matched(template, "/can-i/a/b/c/d%2Fe").unwrap(), ["a", "b", "c/d/e"]);
        assert_eq!(matched(template, "/can-i/a/b/").unwrap(), ["a", "b", ""]);
        assert_eq!(matched(template, "/can-i/a/b").unwrap(), ["a", "b", ""]);
        assert_eq!(matched(template, "/can-i/a"), None);
    }

    #[test]
    fn what_is_not_utf_8_is_malformed() {
        let pattern = Pattern::parse("/a/{name}").unwrap();
        assert!(pattern.matches("/a/%ff").is_err());
        assert!(pattern.matches("/a/%2").is_err());
        assert!(pattern.matches("/b/%2").unwrap().is_none());
    }
}
