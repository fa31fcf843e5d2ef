//! Reading what containers write.
//!
//! Logs have connections of their own: one that is read slowly holds back the
//! others on its connection, and no watch may be among them.

use std::time::Duration;

use bytes::BytesMut;
use jiff::Timestamp;

use super::Applier;
use crate::budget::{Permit, Priority};
use crate::call::{Call, Path};
use crate::connection::{Connection, cut_short, read};
use crate::error::{Error, Result, from_kube};
use crate::stream::Stream;

/// How long the API server may take until the first byte.
const BEGINS: Duration = Duration::from_secs(30);

/// Longest piece of a line given out, in bytes; what is longer comes in pieces.
/// Container runtimes themselves cut at 16 KiB.
const LONGEST_PIECE: usize = 256 << 10;

/// Which lines of a container's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// The container; empty where the Pod has one only.
    pub container: String,
    /// Goes on with what is written from now on.
    pub follow: bool,
    /// Of the container's life before this one.
    pub previous: bool,
    /// Only what is younger than this, in seconds.
    pub since_seconds: Option<i64>,
    /// Only what was written from then on.
    pub since_time: Option<Timestamp>,
    /// Only so many lines from the end.
    pub tail_lines: Option<i64>,
}

/// Opens logs of one cluster as one identity.
#[derive(Clone)]
pub struct LogReader {
    connection: Connection,
    client: kube::Client,
}

/// The lines of one log, each beginning with its time.
pub struct LogLines {
    body: Stream,
    pending: BytesMut,
    ended: bool,
}

// === impl Applier ===

impl Applier {
    /// A way to logs, acting as this handle acts.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub async fn log_reader(&self) -> Result<LogReader> {
        Ok(LogReader { connection: self.connection.clone(), client: self.connection.upgradable().await? })
    }
}

// === impl LogReader ===

impl LogReader {
    /// Opens a Pod's log, with a time before each line.
    ///
    /// # Errors
    /// What the API server says, for instance that the container is not started.
    pub async fn open(&self, namespace: &str, pod: &str, options: &LogOptions) -> Result<LogLines> {
        let path = Path::new("/api/v1/namespaces").segment(namespace).segment("pods").segment(pod).segment("log");
        let mut path = path
            .query("timestamps", "true")
            .query_if(options.follow, "follow", "true")
            .query_if(options.previous, "previous", "true")
            .query_if(!options.container.is_empty(), "container", &options.container);
        let numbers = [("sinceSeconds", options.since_seconds), ("tailLines", options.tail_lines)];
        for (name, number) in numbers.into_iter().filter_map(|(name, number)| Some((name, number?))) {
            path = path.query(name, &number.to_string());
        }
        if let Some(since) = options.since_time {
            // The API's times are whole seconds.
            path = path.query("sinceTime", &since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
        let call = Call::get(path.build(), Priority::Interactive);
        let permit: Permit = self.connection.budget().acquire(Priority::Interactive).await;
        let request = call.request(None)?;
        let begun = async {
            let response = self.client.send(request).await.map_err(|e| from_kube(&e))?;
            if response.status().is_success() {
                Ok(response)
            } else {
                Err(read(response).await.err().unwrap_or_else(cut_short))
            }
        };
        let begun = async { tokio::time::timeout(BEGINS, begun).await.unwrap_or(Err(Error::Timeout(BEGINS))) };
        let response = self.connection.unless_closed(begun).await?;
        drop(permit);
        Ok(LogLines { body: self.connection.guard(response.into_body()), pending: BytesMut::new(), ended: false })
    }
}

// === impl LogLines ===

impl LogLines {
    /// The next line without its end, waiting for one; `None` at the end of the
    /// log. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> Result<Option<String>> {
        loop {
            let end = memchr::memchr(b'\n', &self.pending);
            if let Some(end) = end.filter(|end| *end <= LONGEST_PIECE) {
                let line = self.pending.split_to(end + 1);
                return Ok(Some(text(&line[..end])));
            }
            if self.pending.len() > LONGEST_PIECE {
                return Ok(Some(text(&self.pending.split_to(LONGEST_PIECE))));
            }
            if self.ended {
                let rest = std::mem::take(&mut self.pending);
                return Ok((!rest.is_empty()).then(|| text(&rest)));
            }
            match self.body.next().await? {
                None => self.ended = true,
                Some(data) => self.pending.extend_from_slice(&data),
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::client::Body;
    use tokio_util::sync::CancellationToken;

    async fn lines_of(bytes: Vec<u8>) -> Vec<String> {
        let body = Stream { body: Body::from(bytes), closed: CancellationToken::new() };
        let mut log = LogLines { body, pending: BytesMut::new(), ended: false };
        let mut lines = Vec::new();
        while let Some(line) = log.next().await.expect("reads") {
            lines.push(line);
        }
        lines
    }

    #[tokio::test]
    async fn the_last_line_needs_no_end() {
        assert_eq!(lines_of(b"one\n\ntwo".to_vec()).await, ["one", "", "two"]);
        assert!(lines_of(Vec::new()).await.is_empty());
    }

    #[tokio::test]
    async fn a_line_without_end_comes_in_pieces() {
        let lines = lines_of(vec![b'x'; 2 * LONGEST_PIECE + 1]).await;
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [LONGEST_PIECE, LONGEST_PIECE, 1]);
    }
}
