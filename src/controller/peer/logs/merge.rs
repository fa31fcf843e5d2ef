//! Several logs as one, in the order of their times.
//!
//! The next line is the oldest of those that come next in each log, so one line
//! of each must be at hand. A log that is followed may be silent for long: then
//! the others wait for it a moment only.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How long a line waits for logs that are silent.
const PATIENCE: Duration = Duration::from_millis(100);

/// Lines read ahead of each log.
const AHEAD: usize = 32;

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) pod: String,
    /// When it was written, where that is known.
    pub(super) at: Option<Timestamp>,
    pub(super) text: String,
}

/// Where a log's lines are put.
pub(super) type Feed = mpsc::Sender<Line>;

/// The logs. Dropping it ends their reading.
pub(super) struct Merge {
    logs: Vec<Log>,
    readers: JoinSet<()>,
    follow: bool,
}

struct Log {
    /// The next line, once it is known.
    next: Option<Line>,
    rest: mpsc::Receiver<Line>,
    ended: bool,
}

// === impl Merge ===

impl Merge {
    /// Of so many logs.
    pub(super) fn new(logs: usize, follow: bool) -> Self {
        Self { logs: Vec::with_capacity(logs), readers: JoinSet::new(), follow }
    }

    /// Adds a log, read by a task that ends with this.
    pub(super) fn add<F: Future<Output = ()> + Send + 'static>(&mut self, read: impl FnOnce(Feed) -> F) {
        let (feed, rest) = mpsc::channel(AHEAD);
        self.readers.spawn(read(feed));
        self.logs.push(Log { next: None, rest, ended: false });
    }

    /// The next line; `None` when all logs have ended.
    pub(super) async fn next(&mut self) -> Option<Line> {
        if self.logs.iter().all(|log| log.next.is_none()) {
            // Nothing is at hand, so there is nothing to be late with.
            fill_one(&mut self.logs).await;
        }
        if self.follow {
            // Whoever is silent for longer is taken for having nothing older to say.
            let _ = tokio::time::timeout(PATIENCE, fill_all(&mut self.logs)).await;
        } else {
            fill_all(&mut self.logs).await;
        }
        let oldest = self
            .logs
            .iter_mut()
            .filter(|log| log.next.is_some())
            .min_by_key(|log| log.next.as_ref().map(|line| line.at))?;
        oldest.next.take()
    }
}

// === impl Log ===

impl Log {
    fn is_open(&self) -> bool {
        self.next.is_none() && !self.ended
    }

    /// Can be left at any time without losing a line.
    async fn fill(&mut self) {
        match self.rest.recv().await {
            Some(line) => self.next = Some(line),
            None => self.ended = true,
        }
    }
}

/// Waits until one line is at hand or all logs have ended.
async fn fill_one(logs: &mut [Log]) {
    while logs.iter().all(|log| log.next.is_none()) && logs.iter().any(Log::is_open) {
        let mut filling: FuturesUnordered<_> = logs.iter_mut().filter(|log| log.is_open()).map(Log::fill).collect();
        filling.next().await;
    }
}

/// Waits until every log has a line at hand or has ended.
async fn fill_all(logs: &mut [Log]) {
    let mut filling: FuturesUnordered<_> = logs.iter_mut().filter(|log| log.is_open()).map(Log::fill).collect();
    while filling.next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(pod: &str, second: i64) -> Line {
        let at = Timestamp::from_second(second).expect("a time");
        Line { pod: pod.to_owned(), at: Some(at), text: format!("{pod}{second}") }
    }

    fn merge(follow: bool, logs: &[&[i64]]) -> Merge {
        let mut merge = Merge::new(logs.len(), follow);
        for (pod, seconds) in ["a", "b", "c"].iter().zip(logs) {
            let lines: Vec<Line> = seconds.iter().map(|second| line(pod, *second)).collect();
            merge.add(|feed| async move {
                for line in lines {
                    feed.send(line).await.expect("somebody reads");
                }
            });
        }
        merge
    }

    #[tokio::test]
    async fn lines_of_several_logs_come_in_the_order_of_their_times() {
        let mut merge = merge(false, &[&[1, 4, 5], &[2, 3, 9], &[]]);
        let mut texts = Vec::new();
        while let Some(line) = merge.next().await {
            texts.push(line.text);
        }
        assert_eq!(texts, ["a1", "b2", "b3", "a4", "a5", "b9"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_log_holds_up_the_others_for_a_moment_only() {
        let mut merge = merge(true, &[&[1, 2]]);
        let (silent, rest) = mpsc::channel(1);
        merge.logs.push(Log { next: None, rest, ended: false });
        for text in ["a1", "a2"] {
            assert_eq!(merge.next().await.expect("a line").text, text);
        }
        silent.send(line("b", 0)).await.expect("somebody reads");
        assert_eq!(merge.next().await.expect("a line").text, "b0");
        drop(silent);
        assert_eq!(merge.next().await, None);
    }

    #[tokio::test]
    async fn reading_ends_with_the_reader() {
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        let mut merge = Merge::new(1, true);
        merge.add(|feed| async move {
            let _ended = ended;
            feed.closed().await;
        });
        drop(merge);
        assert!(end.await.is_err(), "the task and all it holds are gone");
    }
}
