//! Events of one document to one JSON value: collections, anchors, aliases, merge
//! keys, and the bounds on them.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use serde_json::{Map, Value};

use super::repair::{MAX_REPAIRS, Repair};
use super::scalar::{Scalar, Tag};
use super::{Error, Problem};

/// Collections within collections. One less than what `serde_json` reads, so that
/// whatever is rendered can be read back from a cluster.
pub const MAX_DEPTH: usize = 127;

/// Memory that the aliases of one document may add, in bytes.
pub const MAX_ALIAS_BYTES: usize = 64 << 20;

/// Memory of a node beside its text: a map entry or list slot. Measured roughly.
const NODE_BYTES: usize = 64;

/// Composes the first document of `text`; none is `null`. `line` is the number of
/// lines before it, for the positions in errors.
pub(super) fn compose(text: &str, line: usize) -> Result<Value, Error> {
    if let Some(at) = find_control_character(text) {
        return Err(error_at_offset(text, at, line, Problem::ControlCharacter));
    }
    let mut text = Cow::Borrowed(text);
    for _ in 0..MAX_REPAIRS {
        let mut composer = Composer::new(&text, line);
        let outcome = composer.document();
        match composer.repair.and_then(|repair| repair.apply(&text)) {
            Some(repaired) => text = Cow::Owned(repaired),
            None => return outcome,
        }
    }
    Composer::new(&text, line).document()
}

/// Position of a byte offset as an error.
pub(super) fn error_at_offset(text: &str, offset: usize, line: usize, problem: Problem) -> Error {
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    Error {
        line: line + 1 + before.bytes().filter(|b| *b == b'\n').count(),
        column: 1 + before[start..].chars().count(),
        problem,
    }
}

fn find_control_character(text: &str) -> Option<usize> {
    let plain = |b: &u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e);
    if text.as_bytes().iter().all(plain) {
        return None;
    }
    let allowed =
        |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..);
    text.char_indices().find(|(_, c)| !allowed(*c)).map(|(at, _)| at)
}

struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    line: usize,
    depth: usize,
    anchors: HashMap<usize, Node>,
    /// Whether the text can hold an alias at all: anchored values are only copied
    /// where one may be asked for.
    has_aliases: bool,
    /// Nodes decoded so far, those from aliases included.
    decoded: usize,
    /// Of those, how many came from aliases.
    aliased: usize,
    alias_bytes: usize,
    /// Set when the parser stopped at something Go's does not stop at.
    repair: Option<Repair>,
}

#[derive(Clone)]
struct Node {
    content: Content,
    /// Nodes in it, itself included.
    nodes: usize,
    /// Bytes of text in it.
    text: usize,
    /// Collections below it, itself included.
    depth: usize,
    is_alias: bool,
}

#[derive(Clone)]
enum Content {
    Scalar(Scalar),
    Collection(Value),
}

// === impl Node ===

impl Node {
    fn bytes(&self) -> usize {
        self.text + self.nodes * NODE_BYTES
    }

    fn collection() -> Self {
        Self { content: Content::Collection(Value::Null), nodes: 1, text: 0, depth: 1, is_alias: false }
    }

    /// Counts a child in.
    fn add(&mut self, child: &Self) {
        self.nodes += child.nodes;
        self.text += child.text;
        self.depth = self.depth.max(child.depth + 1);
    }
}

// === impl Composer ===

impl<'a> Composer<'a> {
    fn new(text: &'a str, line: usize) -> Self {
        let mut options = granit_parser::options! { bom_inside_document_as_content: true };
        options.set_emit_comments(false);
        Self {
            parser: Parser::new_from_str_with_options(text, options),
            line,
            depth: 0,
            anchors: HashMap::new(),
            has_aliases: text.contains('*'),
            decoded: 1,
            aliased: 0,
            alias_bytes: 0,
            repair: None,
        }
    }

    fn document(&mut self) -> Result<Value, Error> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(Value::Null),
                (event, span) => {
                    let node = self.node(event, span)?;
                    // What follows the node must still be the document's end.
                    self.next()?;
                    return self.value(node, span);
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Error> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            None => Ok((Event::StreamEnd, Span::default())),
            Some(Err(error)) => {
                let marker = error.marker();
                self.repair = Repair::of(&error);
                Err(Error {
                    line: self.line + marker.line().max(1),
                    column: marker.col() + 1,
                    problem: Problem::Syntax(error.info()),
                })
            }
        }
    }

    fn error(&self, span: Span, problem: Problem) -> Error {
        Error { line: self.line + span.start.line().max(1), column: span.start.col() + 1, problem }
    }

    fn value(&self, node: Node, span: Span) -> Result<Value, Error> {
        match node.content {
            Content::Collection(value) => Ok(value),
            Content::Scalar(scalar) => scalar.into_value().map_err(|p| self.error(span, p)),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, Error> {
        let (node, anchor) = match event {
            Event::Alias(id) => return self.alias(id, span),
            Event::Scalar(text, style, anchor, tag) => {
                self.decoded += 1;
                let tag = tag.as_ref().map(|t| Tag::new(t.handle(), t.suffix()));
                let scalar = match tag {
                    None if style != ScalarStyle::Plain => Scalar::Text(text.into_owned()),
                    tag => Scalar::resolve(tag.unwrap_or(Tag::Implicit), &text).map_err(|p| self.error(span, p))?,
                };
                let text = scalar.text_len();
                (Node { content: Content::Scalar(scalar), nodes: 1, text, depth: 0, is_alias: false }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.nested(span, Self::sequence)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.nested(span, Self::mapping)?, anchor),
            _ => return Err(self.error(span, Problem::Syntax("unexpected end of the document".to_owned()))),
        };
        if anchor != 0 && self.has_aliases {
            self.charge(node.bytes(), span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn nested(&mut self, span: Span, read: fn(&mut Self) -> Result<Node, Error>) -> Result<Node, Error> {
        self.decoded += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(span, Problem::TooDeep));
        }
        let node = read(self)?;
        self.depth -= 1;
        Ok(node)
    }

    fn sequence(&mut self) -> Result<Node, Error> {
        let (mut node, mut items) = (Node::collection(), Vec::new());
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                node.content = Content::Collection(Value::Array(items));
                return Ok(node);
            }
            let item = self.node(event, span)?;
            node.add(&item);
            items.push(self.value(item, span)?);
        }
    }

    fn mapping(&mut self) -> Result<Node, Error> {
        let (mut node, mut fields) = (Node::collection(), Map::new());
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                node.content = Content::Collection(Value::Object(fields));
                return Ok(node);
            }
            if is_merge_key(&event) {
                let (event, span) = self.next()?;
                let value = self.node(event, span)?;
                node.add(&value);
                merge(&mut fields, value).map_err(|p| self.error(span, p))?;
                continue;
            }
            let key = self.node(event, span)?;
            node.add(&key);
            let key = match key.content {
                Content::Scalar(scalar) => scalar.into_key(),
                Content::Collection(Value::Array(_)) => Err(Problem::Key("list")),
                Content::Collection(_) => Err(Problem::Key("map")),
            };
            let key = key.map_err(|p| self.error(span, p))?;
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            node.add(&value);
            fields.insert(key, self.value(value, span)?);
        }
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, Error> {
        // An anchor is known once its value is complete.
        let Some(target) = self.anchors.get(&id) else { return Err(self.error(span, Problem::SelfReference)) };
        let (nodes, bytes) = (target.nodes, target.bytes());
        if self.depth + target.depth > MAX_DEPTH {
            return Err(self.error(span, Problem::TooDeep));
        }
        self.decoded += 1 + nodes;
        self.aliased += nodes;
        if self.aliased > 100 && self.decoded > 1000 && self.aliased > allowed_aliased(self.decoded) {
            return Err(self.error(span, Problem::Aliasing));
        }
        self.charge(bytes, span)?;
        Ok(Node { is_alias: true, ..self.anchors[&id].clone() })
    }

    fn charge(&mut self, bytes: usize, span: Span) -> Result<(), Error> {
        self.alias_bytes += bytes;
        if self.alias_bytes > MAX_ALIAS_BYTES { Err(self.error(span, Problem::Aliasing)) } else { Ok(()) }
    }
}

/// How many of `decoded` nodes may come from aliases: 99% up to 400,000 nodes,
/// falling to 10% at 4,000,000. Go's figures, so that what renders there renders here.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts far below 2^52, ratio in 0..1"
)]
fn allowed_aliased(decoded: usize) -> usize {
    const LOW: f64 = 400_000.0;
    const HIGH: f64 = 4_000_000.0;
    let decoded = decoded as f64;
    let ratio = 0.99 - 0.89 * ((decoded - LOW) / (HIGH - LOW)).clamp(0.0, 1.0);
    (decoded * ratio) as usize
}

fn is_merge_key(event: &Event<'_>) -> bool {
    let Event::Scalar(text, style, _, tag) = event else { return false };
    let tag = tag.as_ref().map(|t| Tag::new(t.handle(), t.suffix()));
    let implicit = tag.is_none() && *style == ScalarStyle::Plain;
    text == "<<" && (implicit || tag == Some(Tag::Merge))
}

/// Merges maps into `fields`. They replace what stands before the merge key, and
/// what stands after it replaces them; of several maps the first wins.
fn merge(fields: &mut Map<String, Value>, value: Node) -> Result<(), Problem> {
    match value.content {
        Content::Collection(Value::Object(map)) => fields.extend(map),
        Content::Collection(Value::Array(maps)) if !value.is_alias => {
            for map in maps.into_iter().rev() {
                let Value::Object(map) = map else { return Err(Problem::MergeValue) };
                fields.extend(map);
            }
        }
        _ => return Err(Problem::MergeValue),
    }
    Ok(())
}
