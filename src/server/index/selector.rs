//! Kubernetes' label selectors: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`.
//!
//! The grammar and what a missing label means are Kubernetes' own. Texts come
//! from clients: they are bounded, and what is wrong with one is told in words.

use std::collections::{BTreeMap, BTreeSet};

/// Longest text that is read, in bytes.
const LONGEST: usize = 16 << 10;
/// Longest name part of a label's key, and longest value.
const LONGEST_PART: usize = 63;
/// Longest prefix of a label's key.
const LONGEST_PREFIX: usize = 253;

/// Every term must hold; without terms everything matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Term>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Absent,
    In(BTreeSet<String>),
    /// Holds for objects without the label too.
    NotIn(BTreeSet<String>),
    Above(i64),
    Below(i64),
}

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelector {
    /// Something else was expected where `found` stands.
    #[error("found '{found}', expected: {expected}")]
    Unexpected {
        /// What stands there; empty at the end.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// A key that no label can have.
    #[error("unable to parse requirement: invalid label key {0:?}")]
    Key(String),
    /// A value that no label can have.
    #[error("unable to parse requirement: invalid label value {0:?}")]
    Value(String),
    /// Only whole numbers can be compared.
    #[error("unable to parse requirement: for 'Gt', 'Lt' operators, the value must be an integer")]
    Number,
    /// The text is longer than any that is read.
    #[error("the selector is longer than {LONGEST} bytes")]
    TooLong,
}

// === impl Selector ===

impl Selector {
    /// Reads a selector; an empty text selects everything.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, InvalidSelector> {
        if text.len() > LONGEST {
            return Err(InvalidSelector::TooLong);
        }
        let tokens = tokens(text);
        let mut parser = Parser { tokens: &tokens };
        parser.selector().map(Self)
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|term| term.matches(labels.get(&term.key).map(String::as_str)))
    }

    /// Labels that every selected object has, with their values; there may be more.
    pub(super) fn required(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|term| match &term.test {
            Test::In(values) if values.len() == 1 => Some((term.key.as_str(), values.first()?.as_str())),
            _ => None,
        })
    }

    /// Whether everything is selected.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// === impl Term ===

impl Term {
    fn matches(&self, value: Option<&str>) -> bool {
        let number = |value: Option<&str>| value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::In(values) => value.is_some_and(|value| values.contains(value)),
            Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Test::Above(bound) => number(value).is_some_and(|value| value > *bound),
            Test::Below(bound) => number(value).is_some_and(|value| value < *bound),
        }
    }
}

// === tokens ===

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Symbol(&'a str),
}

impl<'a> Token<'a> {
    fn text(self) -> &'a str {
        match self {
            Self::Word(text) | Self::Symbol(text) => text,
        }
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let is_special = |c: char| matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<');
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_special(first) {
            if rest.starts_with("==") || rest.starts_with("!=") { 2 } else { first.len_utf8() }
        } else {
            rest.find(|c: char| is_special(c) || c.is_whitespace()).unwrap_or(rest.len())
        };
        let (token, after) = rest.split_at(length);
        tokens.push(if is_special(first) { Token::Symbol(token) } else { Token::Word(token) });
        rest = after.trim_start();
    }
    tokens
}

// === parser ===

struct Parser<'a> {
    tokens: &'a [Token<'a>],
}

impl<'a> Parser<'a> {
    fn selector(&mut self) -> Result<Vec<Term>, InvalidSelector> {
        let mut terms = Vec::new();
        if self.tokens.is_empty() {
            return Ok(terms);
        }
        loop {
            terms.push(self.term()?);
            match self.next() {
                None => return Ok(terms),
                Some(Token::Symbol(",")) if !self.tokens.is_empty() => {}
                Some(Token::Symbol(",")) => return Err(unexpected(None, "identifier after ','")),
                other => return Err(unexpected(other, "',' or 'end of string'")),
            }
        }
    }

    fn term(&mut self) -> Result<Term, InvalidSelector> {
        let absent = self.tokens.first() == Some(&Token::Symbol("!"));
        if absent {
            self.next();
        }
        let key = match self.next() {
            Some(Token::Word(word)) => checked_key(word)?,
            other => return Err(unexpected(other, "!, identifier, or 'end of string'")),
        };
        if absent {
            return Ok(Term { key, test: Test::Absent });
        }
        let test = match self.tokens.first().map(|token| token.text()) {
            None | Some(",") => Test::Exists,
            Some(operator) => {
                self.next();
                self.test(operator)?
            }
        };
        Ok(Term { key, test })
    }

    fn test(&mut self, operator: &str) -> Result<Test, InvalidSelector> {
        Ok(match operator {
            "in" => Test::In(self.values()?),
            "notin" => Test::NotIn(self.values()?),
            "=" | "==" => Test::In(BTreeSet::from([self.value()?])),
            "!=" => Test::NotIn(BTreeSet::from([self.value()?])),
            ">" => Test::Above(self.number()?),
            "<" => Test::Below(self.number()?),
            other => {
                let found = Some(Token::Word(other));
                return Err(unexpected(found, "in, notin, =, ==, !=, gt, lt"));
            }
        })
    }

    /// The value after an operator, which may be empty.
    fn value(&mut self) -> Result<String, InvalidSelector> {
        match self.tokens.first() {
            None | Some(Token::Symbol(",")) => Ok(String::new()),
            Some(Token::Word(word)) => {
                self.next();
                checked_value(word)
            }
            found => Err(unexpected(found.copied(), "identifier")),
        }
    }

    fn number(&mut self) -> Result<i64, InvalidSelector> {
        self.value()?.parse().map_err(|_| InvalidSelector::Number)
    }

    /// `(a, b)`; an element may be empty.
    fn values(&mut self) -> Result<BTreeSet<String>, InvalidSelector> {
        match self.next() {
            Some(Token::Symbol("(")) => {}
            other => return Err(unexpected(other, "'('")),
        }
        let mut values = BTreeSet::new();
        loop {
            let value = match self.tokens.first() {
                Some(Token::Word(word)) => {
                    self.next();
                    checked_value(word)?
                }
                _ => String::new(),
            };
            values.insert(value);
            match self.next() {
                Some(Token::Symbol(",")) => {}
                Some(Token::Symbol(")")) => return Ok(values),
                other => return Err(unexpected(other, "',' or ')'")),
            }
        }
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(*first)
    }
}

fn unexpected(found: Option<Token<'_>>, expected: &'static str) -> InvalidSelector {
    InvalidSelector::Unexpected { found: found.map(|token| token.text().to_owned()).unwrap_or_default(), expected }
}

fn checked_key(key: &str) -> Result<String, InvalidSelector> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_domain = |prefix: &str| {
        prefix.len() <= LONGEST_PREFIX
            && prefix.split('.').all(|label| {
                label.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                    && label.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                    && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            })
    };
    if !name.is_empty() && is_label_text(name) && prefix.is_none_or(is_domain) {
        return Ok(key.to_owned());
    }
    Err(InvalidSelector::Key(key.to_owned()))
}

fn checked_value(value: &str) -> Result<String, InvalidSelector> {
    if is_label_text(value) { Ok(value.to_owned()) } else { Err(InvalidSelector::Value(value.to_owned())) }
}

fn is_label_text(text: &str) -> bool {
    let is_end = |c: char| c.is_ascii_alphanumeric();
    text.len() <= LONGEST_PART
        && (text.is_empty() || text.starts_with(is_end) && text.ends_with(is_end))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Selector::parse(selector).expect(selector).matches(&labels)
    }

    #[test]
    fn every_operator_of_kubernetes_is_understood() {
        let labels = [("team", "a"), ("tier", "web"), ("n", "7")];
        for selector in [
            "",
            " ",
            "team",
            "team=a",
            "team==a",
            "team = a , tier=web",
            "team!=b",
            "team in (a,b)",
            "tier notin (db)",
            "!gone",
            "gone!=x",
            "gone notin (x)",
            "n>6",
            "n<8",
            "team in (a),!gone",
            "tier in(web)",
        ] {
            assert!(selects(selector, &labels), "{selector}");
        }
        for selector in
            ["gone", "team=b", "team!=a", "!team", "team notin (a)", "gone=x", "gone in (x)", "n>7", "gone>1"]
        {
            assert!(!selects(selector, &labels), "{selector}");
        }
    }

    #[test]
    fn an_empty_value_is_a_value() {
        assert!(selects("a=", &[("a", "")]));
        assert!(selects("a in (,b)", &[("a", "")]));
        assert!(selects("a in ()", &[("a", "")]));
        assert!(!selects("a=", &[("a", "x")]));
    }

    #[test]
    fn words_of_the_language_can_be_keys_and_values() {
        assert!(selects("in in (notin)", &[("in", "notin")]));
        assert!(selects("example.com/in=in", &[("example.com/in", "in")]));
    }

    #[test]
    fn what_is_no_selector_is_told_in_words_and_never_a_panic() {
        for text in [
            "a=b=c",
            "a in b",
            "a in (b",
            "a b",
            ",a",
            "a,",
            "!",
            "!a=b",
            "=a",
            "a>x",
            "()",
            "a!b",
            "ä=b",
            "a=ä",
            "/a",
            "a/",
            "-a",
            "a in (b)c",
            "a=(",
            "A_/b",
        ] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
        assert_eq!(Selector::parse(&"a".repeat(LONGEST + 1)), Err(InvalidSelector::TooLong));
        let error = Selector::parse("a in b").expect_err("no list");
        assert_eq!(error.to_string(), "found 'b', expected: '('");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,80}") {
            let _ = Selector::parse(&text);
        }
    }
}
