//! How a stream is written where it differs from the common form.

use super::query::Query;

/// See the module's page. The default is the common form.
pub struct StreamForm<Rep> {
    /// What a message is about. A message that reads as the last one about the same
    /// is left out.
    pub subject: Option<fn(&Rep) -> String>,
    /// The stream as a file, for requests with `download=true`.
    pub download: Option<Download<Rep>>,
}

/// A stream as a file of lines.
pub struct Download<Rep> {
    /// The file's name.
    pub file_name: fn(&Query) -> String,
    /// A message's line without its end; `None` ends the file.
    pub line: fn(&Rep) -> Option<String>,
}

// === impl StreamForm ===

impl<Rep> Default for StreamForm<Rep> {
    fn default() -> Self {
        Self { subject: None, download: None }
    }
}

impl<Rep> Clone for StreamForm<Rep> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Rep> Copy for StreamForm<Rep> {}

// === impl Download ===

impl<Rep> Clone for Download<Rep> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Rep> Copy for Download<Rep> {}
