//! Says once that something does not work, again every minute, and when it does.

use std::time::Duration;

use tokio::time::Instant;

/// Between two complaints about the same.
const AGAIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Trouble {
    /// What should hold, as a sentence.
    what: &'static str,
    since: Option<Instant>,
    said: Option<(Instant, String)>,
}

// === impl Trouble ===

impl Trouble {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, since: None, said: None }
    }

    pub(crate) fn on_failure(&mut self, reason: &str) {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let is_news = self.said.as_ref().is_none_or(|(at, words)| words != reason && now - *at > AGAIN / 12);
        let is_due = self.said.as_ref().is_some_and(|(at, _)| now - *at >= AGAIN);
        if is_news || is_due {
            let seconds = (now - since).as_secs();
            tracing::warn!(reason, seconds, "not so at the moment: {}", self.what);
            self.said = Some((now, reason.to_owned()));
        }
    }

    pub(crate) fn on_success(&mut self) {
        self.said = None;
        if let Some(since) = self.since.take() {
            tracing::info!(seconds = since.elapsed().as_secs(), "again: {}", self.what);
        }
    }
}
