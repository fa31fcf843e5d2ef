//! One pattern of a rule, ready to be matched.

use std::collections::HashMap;

use memchr::memmem::Finder;
use regex::{Regex, RegexBuilder};

use super::glob::{self, Glob};
use super::go_regex;
use super::{MAX_TEXT, MatchMode};

/// Most regular expressions in one policy; more than that are no policy, and their
/// number bounds the memory of all of them.
const MAX_EXPRESSIONS: usize = 4096;
/// Largest compiled expression, in bytes.
const MAX_EXPRESSION_SIZE: usize = 1 << 20;
/// Largest cache that matching one expression fills, in bytes.
const MAX_EXPRESSION_CACHE: usize = 1 << 16;

/// A pattern that can be matched in time linear in the text.
#[derive(Debug)]
pub(super) enum Pattern {
    /// Everything.
    Any,
    /// This text.
    Literal(String),
    /// These texts with anything between them, the first at the start and the last at
    /// the end.
    Texts { first: String, middle: Vec<Finder<'static>>, last: String },
    /// What the expression is found in; the text begins with `prefix`.
    Regex { regex: Regex, prefix: String },
}

/// What came of reading a pattern.
pub(super) enum Reading {
    Pattern(usize),
    /// It cannot be read in its mode.
    Unreadable,
    /// It is larger than anything that is looked at, or one too many.
    TooLarge,
}

/// Every pattern of a policy once.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    all: Vec<Pattern>,
    seen: HashMap<(MatchMode, String), usize>,
    expressions: usize,
}

// === impl Pattern ===

impl Pattern {
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => literal == text,
            Self::Texts { first, middle, last } => are_in_order(first, middle, last, text),
            Self::Regex { regex, .. } => regex.is_match(text),
        }
    }

    /// What every text that it matches begins with.
    pub(super) fn prefix(&self) -> &str {
        match self {
            Self::Any => "",
            Self::Literal(literal) => literal,
            Self::Texts { first: prefix, .. } | Self::Regex { prefix, .. } => prefix,
        }
    }
}

fn are_in_order(first: &str, middle: &[Finder<'static>], last: &str, text: &str) -> bool {
    let Some(rest) = text.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
    let mut rest = rest.as_bytes();
    for part in middle {
        match part.find(rest) {
            Some(at) => rest = &rest[at + part.needle().len()..],
            None => return false,
        }
    }
    true
}

// === impl Patterns ===

impl Patterns {
    /// The pattern that matches everything.
    pub(super) fn any(&mut self) -> usize {
        self.keep(Pattern::Any)
    }

    pub(super) fn read(&mut self, mode: MatchMode, text: &str) -> Reading {
        if text.len() > MAX_TEXT {
            return Reading::TooLarge;
        }
        if let Some(known) = self.seen.get(&(mode, text.to_owned())) {
            return Reading::Pattern(*known);
        }
        let pattern = match mode {
            MatchMode::Glob => match glob::read(text) {
                Ok(Glob::Texts(texts)) => of_texts(texts),
                Ok(Glob::Regex { source, prefix }) => match self.compile(&source) {
                    Ok(regex) => Pattern::Regex { regex, prefix },
                    Err(reading) => return reading,
                },
                Err(glob::Fault::Unreadable) => return Reading::Unreadable,
                Err(glob::Fault::TooLarge) => return Reading::TooLarge,
            },
            MatchMode::Regex => match go_regex::translate(text).map(|source| self.compile(&source)) {
                Some(Ok(regex)) => Pattern::Regex { regex, prefix: go_regex::literal_prefix(text).to_owned() },
                Some(Err(reading)) => return reading,
                None => return Reading::Unreadable,
            },
        };
        let id = self.keep(pattern);
        self.seen.insert((mode, text.to_owned()), id);
        Reading::Pattern(id)
    }

    /// The patterns, by their numbers.
    pub(super) fn into_all(self) -> Vec<Pattern> {
        self.all
    }

    pub(super) fn get(&self, id: usize) -> &Pattern {
        &self.all[id]
    }

    fn keep(&mut self, pattern: Pattern) -> usize {
        self.all.push(pattern);
        self.all.len() - 1
    }

    fn compile(&mut self, source: &str) -> Result<Regex, Reading> {
        if self.expressions == MAX_EXPRESSIONS {
            return Err(Reading::TooLarge);
        }
        self.expressions += 1;
        RegexBuilder::new(source).size_limit(MAX_EXPRESSION_SIZE).dfa_size_limit(MAX_EXPRESSION_CACHE).build().map_err(
            |error| match error {
                regex::Error::CompiledTooBig(_) => Reading::TooLarge,
                _ => Reading::Unreadable,
            },
        )
    }
}

fn of_texts(mut texts: Vec<String>) -> Pattern {
    if texts.len() > 1 && texts.iter().all(String::is_empty) {
        return Pattern::Any;
    }
    // There is always one text.
    let last = texts.pop().unwrap_or_default();
    let mut texts = texts.into_iter();
    let Some(first) = texts.next() else { return Pattern::Literal(last) };
    Pattern::Texts { first, middle: texts.map(|text| Finder::new(&text).into_owned()).collect(), last }
}
