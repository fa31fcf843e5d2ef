//! A stream of documents, cut the way `kubectl` cuts it: at lines that begin with
//! `---`, before YAML is looked at; or, where the text begins with `{`, as JSON
//! values one after another for as long as that goes well.

use std::borrow::Cow;

use serde_json::Value;

use super::compose::{compose, error_at_offset};
use super::{Error, Problem, normalise_numbers};

const SEPARATOR: &str = "---";

/// One document of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its value; never null.
    pub value: Value,
    /// The line it begins at, from 1.
    pub line: usize,
}

/// The documents of a text that are not empty, in order. The first error is the last item.
pub struct Documents<'a> {
    text: Cow<'a, str>,
    /// What is not read yet.
    offset: usize,
    /// Lines before `offset`.
    line: usize,
    mode: Mode,
}

#[derive(Clone, Copy)]
enum Mode {
    /// JSON values, this many so far.
    Json(usize),
    Yaml,
    Ended,
}

// === impl Documents ===

impl<'a> Documents<'a> {
    /// Reads `text`, which has no byte-order mark any more (see [`super::decode_text`]).
    pub fn new(text: &'a str) -> Self {
        let json = text.trim_start().starts_with('{');
        Self { text: Cow::Borrowed(text), offset: 0, line: 0, mode: if json { Mode::Json(0) } else { Mode::Yaml } }
            .with_unix_lines()
    }

    /// Carriage returns before line feeds go, and the last line gets its end. JSON
    /// does not mind either.
    fn with_unix_lines(mut self) -> Self {
        if self.text.contains("\r\n") {
            self.text = Cow::Owned(self.text.replace("\r\n", "\n"));
        }
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.to_mut().push('\n');
        }
        self
    }

    fn advance(&mut self, bytes: usize) {
        self.line += count_lines(&self.text[self.offset..self.offset + bytes]);
        self.offset += bytes;
    }

    fn next_json(&mut self, count: usize) -> Option<Result<Document, Error>> {
        let rest = &self.text[self.offset..];
        let leading = rest.len() - rest.trim_start().len();
        let line = self.line + 1 + count_lines(&rest[..leading]);
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match values.next()? {
            Ok(mut value) => {
                let consumed = values.byte_offset();
                self.advance(consumed);
                self.mode = Mode::Json(count + 1);
                normalise_numbers(&mut value);
                Some(Ok(Document { value, line }))
            }
            Err(error) => {
                let problem = Problem::Json(json_message(&error));
                let error = Error { line: self.line + error.line(), column: error.column(), problem };
                // After two values the text is JSON for good; before that it may be
                // YAML in flow style, or go on in YAML.
                if count > 1 {
                    return Some(Err(error));
                }
                self.skip_blank_line();
                self.mode = Mode::Yaml;
                match self.next_yaml()? {
                    Err(_) => Some(Err(error)),
                    document => Some(document),
                }
            }
        }
    }

    /// Skips white space up to and with the first line feed.
    fn skip_blank_line(&mut self) {
        let rest = &self.text[self.offset..];
        let blank = rest.find(|c: char| c == '\n' || !c.is_whitespace()).unwrap_or(rest.len());
        let line_feed = usize::from(rest[blank..].starts_with('\n'));
        self.advance(blank + line_feed);
    }

    fn next_yaml(&mut self) -> Option<Result<Document, Error>> {
        loop {
            let (start, line) = (self.offset, self.line);
            let end = match self.find_document_end() {
                Ok(end) => end,
                Err(error) => return Some(Err(error)),
            };
            if start == end && self.offset == end {
                return None;
            }
            match compose(&self.text[start..end], line) {
                Ok(Value::Null) => {}
                Ok(value) => return Some(Ok(Document { value, line: line + 1 })),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Moves past one document and the separator after it, and gives the document's
    /// end. A separator with nothing before it belongs to the document.
    fn find_document_end(&mut self) -> Result<usize, Error> {
        let start = self.offset;
        loop {
            let rest = &self.text[self.offset..];
            let Some(length) = rest.find('\n').map(|at| at + 1) else { return Ok(self.offset) };
            let (line, at) = (&rest[..length], self.offset);
            if let Some(after) = line.strip_prefix(SEPARATOR) {
                let after = after.trim();
                if !after.is_empty() && !after.starts_with('#') {
                    return Err(error_at_offset(
                        &rest[..SEPARATOR.len()],
                        SEPARATOR.len(),
                        self.line,
                        Problem::Separator,
                    ));
                }
            }
            let is_end = line.starts_with(SEPARATOR) && at > start;
            self.offset += length;
            self.line += 1;
            if is_end {
                return Ok(at);
            }
        }
    }
}

impl Iterator for Documents<'_> {
    type Item = Result<Document, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let item = match self.mode {
                Mode::Json(count) => self.next_json(count),
                Mode::Yaml => self.next_yaml(),
                Mode::Ended => None,
            };
            match &item {
                Some(Ok(document)) if document.value.is_null() => continue,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => self.mode = Mode::Ended,
            }
            return item;
        }
    }
}

fn count_lines(text: &str) -> usize {
    text.bytes().filter(|b| *b == b'\n').count()
}

/// The message without its position, which is that of a part of the text.
pub(crate) fn json_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text[..end].to_owned()
}
