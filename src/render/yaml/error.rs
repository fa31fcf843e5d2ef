//! What can be wrong with a YAML document, and where. Values are never quoted:
//! they may be secrets.

use super::{MAX_ALIAS_BYTES, MAX_DEPTH};

/// A problem at a place of the text. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct Error {
    /// Line of the whole text, not of the document.
    pub line: usize,
    /// Column in characters.
    pub column: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not YAML; the parser's words.
    #[error("{0}")]
    Syntax(String),
    /// Begins like JSON and is neither JSON nor YAML; the parser's words.
    #[error("{0}")]
    Json(String),
    /// A `---` line carries content.
    #[error("invalid YAML document separator: only a comment may follow `---` on its line")]
    Separator,
    /// A character no YAML text may hold.
    #[error("control characters are not allowed")]
    ControlCharacter,
    /// Collections in collections beyond the limit.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Aliases that would multiply the document beyond reason.
    #[error(
        "document contains excessive aliasing (more than 99% of it, or {MAX_ALIAS_BYTES} bytes, comes from aliases)"
    )]
    Aliasing,
    /// An anchor's value holds an alias of that anchor.
    #[error("anchor value contains itself")]
    SelfReference,
    /// `<<` with something else than maps.
    #[error("map merge requires map or sequence of maps as the value")]
    MergeValue,
    /// A key that is a collection, null, or an integer beyond 63 bits.
    #[error("unsupported map key: a {0} cannot be a key in JSON")]
    Key(&'static str),
    /// A value that is not what its tag says.
    #[error("cannot decode this value as {0}")]
    Tag(&'static str),
    /// `!!binary` with something else than base64.
    #[error("!!binary value contains invalid base64 data")]
    Base64,
    /// Infinity, or not a number.
    #[error("infinity and not-a-number have no JSON form; quote the value if a string is meant")]
    NotFinite,
}
