//! Globs of policies.
//!
//! `*` and `**` stand for any text and cross every character, `?` for one
//! character, `[abc]` and `[!abc]` for one of some or none of some, `[a-z]` and
//! `[!a-z]` for one range, `{a,b}` for alternatives that may be nested, and `\x`
//! for the character itself. A class takes either characters or one range and is
//! not empty; a class that is not such makes the glob unreadable, and it matches
//! nothing. Alternatives that are not closed end with the pattern, which must not be
//! where one begins.
//!
//! Text and stars, which nearly all globs are, are compared directly. The others
//! become regular expressions, so matching is linear in the text in every case.

use std::fmt::Write as _;
use std::str::Chars;

/// Braces nested deeper than this are too large.
const MAX_DEPTH: usize = 32;

/// A glob that was understood.
#[derive(Debug)]
pub(super) enum Glob {
    /// Literal texts with any text between them; one alone is the text itself.
    Texts(Vec<String>),
    /// A regular expression of the same meaning, anchored at both ends.
    Regex { source: String, prefix: String },
}

/// Why a glob was not understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Unreadable,
    TooLarge,
}

/// Reads a glob.
pub(super) fn read(pattern: &str) -> Result<Glob, Fault> {
    // Characters that globs have never been able to hold.
    if pattern.contains(['\0', char::REPLACEMENT_CHARACTER]) {
        return Err(Fault::Unreadable);
    }
    let mut reader = Reader::default();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => reader.star(),
            '?' => reader.special("."),
            '[' => {
                let class = read_class(&mut chars)?;
                reader.special(&class);
            }
            '{' if reader.depth == MAX_DEPTH => return Err(Fault::TooLarge),
            '{' => {
                reader.special("(?:");
                reader.depth += 1;
            }
            ',' if reader.depth > 0 => reader.special("|"),
            '}' if reader.depth > 0 => {
                reader.special(")");
                reader.depth -= 1;
            }
            '\\' => chars.next().into_iter().for_each(|c| reader.text(c)),
            c => reader.text(c),
        }
    }
    if reader.depth > 0 && reader.is_at_alternative {
        return Err(Fault::Unreadable);
    }
    Ok(reader.finish())
}

/// Reads a class whose bracket has been read, as a class of regular expressions.
fn read_class(chars: &mut Chars<'_>) -> Result<String, Fault> {
    let rest = chars.as_str();
    let (opening, rest) = rest.strip_prefix('!').map_or(("[", rest), |rest| ("[^", rest));
    *chars = rest.chars();
    let mut class = String::from(opening);
    let mut ahead = rest.chars();
    if let (Some(first), Some('-')) = (ahead.next(), ahead.next()) {
        let last = ahead.next().ok_or(Fault::Unreadable)?;
        if last < first || ahead.next() != Some(']') {
            return Err(Fault::Unreadable);
        }
        push_char(&mut class, first);
        class.push('-');
        push_char(&mut class, last);
        *chars = ahead;
    } else {
        let mut is_empty = true;
        loop {
            let c = match chars.next().ok_or(Fault::Unreadable)? {
                ']' => break,
                '\\' => chars.next().ok_or(Fault::Unreadable)?,
                c => c,
            };
            push_char(&mut class, c);
            is_empty = false;
        }
        if is_empty {
            return Err(Fault::Unreadable);
        }
    }
    class.push(']');
    Ok(class)
}

/// One character by its number, which means the same everywhere in a class.
fn push_char(class: &mut String, c: char) {
    // Writing to a string does not fail.
    let _ = write!(class, "\\x{{{:x}}}", u32::from(c));
}

/// Collects both forms at once; which is kept is known at the end.
struct Reader {
    texts: Vec<String>,
    regex: String,
    /// How much literal text the pattern begins with; `None` while that goes on.
    prefix: Option<String>,
    has_specials: bool,
    depth: usize,
    /// Whether an alternative has just begun.
    is_at_alternative: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            texts: vec![String::new()],
            regex: String::from("(?s)\\A(?:"),
            prefix: None,
            has_specials: false,
            depth: 0,
            is_at_alternative: false,
        }
    }
}

// === impl Reader ===

impl Reader {
    fn text(&mut self, c: char) {
        self.is_at_alternative = false;
        if let Some(last) = self.texts.last_mut() {
            last.push(c);
        }
        self.regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    fn star(&mut self) {
        self.is_at_alternative = false;
        self.end_prefix();
        // Stars beside each other are one.
        if self.texts.len() == 1 || self.texts.last().is_some_and(|last| !last.is_empty()) {
            self.texts.push(String::new());
        }
        if !self.regex.ends_with(".*") {
            self.regex.push_str(".*");
        }
    }

    fn special(&mut self, regex: &str) {
        self.end_prefix();
        self.has_specials = true;
        self.is_at_alternative = matches!(regex, "(?:" | "|");
        self.regex.push_str(regex);
    }

    fn end_prefix(&mut self) {
        if self.prefix.is_none() {
            self.prefix = self.texts.first().cloned();
        }
    }

    fn finish(mut self) -> Glob {
        self.end_prefix();
        if !self.has_specials {
            return Glob::Texts(self.texts);
        }
        self.regex.extend(std::iter::repeat_n(')', self.depth + 1));
        self.regex.push_str("\\z");
        Glob::Regex { source: self.regex, prefix: self.prefix.unwrap_or_default() }
    }
}
