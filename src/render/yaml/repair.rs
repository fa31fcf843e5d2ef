//! Where the parser is stricter than Go's. Manifests that render today may hold
//! such text, so it is rewritten into what the parser takes, and read again.

use granit_parser::{ErrorKind, ScanError};

/// Rewrites tried on one document: keeps a hostile one at a constant times linear.
pub(super) const MAX_REPAIRS: usize = 16;

/// What to rewrite.
#[derive(Debug, Clone, Copy)]
pub(super) enum Repair {
    /// A lone `-` in a flow collection (`[cat, -]`), by its byte offset.
    LoneDash(usize),
    /// Tabs that indent a line within a flow collection, by the line, from 0.
    TabIndent(usize),
}

// === impl Repair ===

impl Repair {
    pub(super) fn of(error: &ScanError) -> Option<Self> {
        match error.kind() {
            ErrorKind::PlainScalarStartsWithDashFlowIndicator => error.marker().byte_offset().map(Self::LoneDash),
            ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
                error.marker().line().checked_sub(1).map(Self::TabIndent)
            }
            _ => None,
        }
    }

    /// The text rewritten; `None` where that changes nothing.
    pub(super) fn apply(self, text: &str) -> Option<String> {
        match self {
            Self::LoneDash(at) => {
                let rest = text.get(at..)?.strip_prefix('-')?;
                Some(format!("{}'-'{rest}", &text[..at]))
            }
            Self::TabIndent(line) if continues_flow(text, line) => expand_tabs(text, line),
            Self::TabIndent(_) => None,
        }
    }
}

/// Whether the line before `line` leaves a flow collection open, as far as its end
/// tells. (The parser tells late: a collection that may be a key it holds back.)
fn continues_flow(text: &str, line: usize) -> bool {
    let before = text.lines().take(line).map(str::trim_end).filter(|l| !l.is_empty()).last();
    before.is_some_and(|l| l.ends_with(['{', '[', ',']))
}

/// Spaces for the tabs that begin a line, in every line that begins with a tab (no
/// block scalar's can) and in line `target` wherever its indentation has them.
fn expand_tabs(text: &str, target: usize) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let content = line.trim_start_matches([' ', '\t']);
        let indent = &line[..line.len() - content.len()];
        if number == target || indent.starts_with('\t') {
            out.extend(std::iter::repeat_n(' ', indent.len()));
        } else {
            out.push_str(indent);
        }
        out.push_str(content);
    }
    (out != text).then_some(out)
}
