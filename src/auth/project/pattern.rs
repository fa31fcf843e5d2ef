//! Patterns of projects, with bounds on what is looked at.

use argosy_model::glob::Pattern;

/// Longest pattern that is read and longest text it is held against, in bytes.
/// Kubernetes names end at 253 and addresses in use well below; the product of
/// the two bounds the work of one match.
pub(super) const MAX_LENGTH: usize = 4096;

/// One side of an entry: a pattern, or with a leading `!` its opposite.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) denies: bool,
    /// `None` when the text is too long to be read.
    pattern: Option<Pattern>,
    /// Whether the pattern is `*` alone, which crosses every separator.
    any: bool,
}

// === impl Signed ===

impl Signed {
    /// Reads an entry whose pattern has been through `normalize`.
    pub(super) fn new(text: &str, separators: &[char], normalize: impl Fn(&str) -> String) -> Self {
        let (denies, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let text = normalize(text);
        Self { denies, pattern: read(&text, separators), any: text == "*" }
    }

    /// Reads an entry as it is.
    pub(super) fn plain(text: &str) -> Self {
        Self::new(text, &[], str::to_owned)
    }

    /// Whether the entry names the text, be it to permit or to deny. A denial
    /// that cannot be read names everything.
    pub(super) fn names(&self, text: &str) -> bool {
        match &self.pattern {
            Some(pattern) => self.any || pattern.matches(text),
            None => self.denies,
        }
    }

    /// Whether the entry holds of the text: it is named, or not denied.
    pub(super) fn holds(&self, text: &str) -> bool {
        self.names(text) != self.denies
    }
}

/// A pattern, unless it is too long to be read.
pub(super) fn read(text: &str, separators: &[char]) -> Option<Pattern> {
    (text.len() <= MAX_LENGTH).then(|| Pattern::new(text, separators))
}

/// A pattern in which only `*`, `?` and classes are special, not braces.
pub(super) fn read_without_braces(text: &str, separators: &[char]) -> Option<Pattern> {
    read(&text.replace('{', "\\{").replace('}', "\\}"), separators)
}
