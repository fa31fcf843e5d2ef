//! What the containers of an application write, of several Pods merged by time.
//!
//! A log that cannot be read is told as one line in its place, so that the reader
//! of the others learns why it is missing. Every buffer has a bound: a caller
//! that reads slowly slows the reading of the logs, and one that goes away ends
//! it.

mod merge;

use std::collections::HashSet;
use std::sync::Arc;

use argosy_cluster::{LogLines, LogOptions, LogReader};
use argosy_model::ResourceKey;
use argosy_proto::application::LogEntry;
use argosy_proto::meta::Time;
use argosy_proto::peer::PodLogsRequest;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::refusal;
use super::subject::Subject;
use super::tree::Tree;
use crate::context::Shared;
use merge::{Feed, Line, Merge};

/// Lines that wait for a slow caller.
const AHEAD: usize = 64;
/// Pods of one request; the caller has a lower bound from the settings.
const MOST_PODS: usize = 100;

/// Entries as they are sent.
pub(super) type Entries = ReceiverStream<Result<LogEntry, Status>>;

/// Opens the logs.
pub(super) async fn open(
    shared: &Arc<Shared>,
    request: PodLogsRequest,
    ending: CancellationToken,
) -> Result<Entries, Status> {
    if request.pods.len() > MOST_PODS {
        return Err(Status::invalid_argument("max pods to view logs are reached. Please provide more granular query"));
    }
    let subject = Subject::find_owned(shared, request.application.as_ref()).await?;
    let tree = Tree::prepare(shared, &subject).await?;
    let pods: HashSet<ResourceKey> =
        request.pods.iter().map(|pod| ResourceKey::new("", "Pod", &pod.namespace, &pod.name)).collect();
    let known = tree.contains(&pods);
    if let Some(stranger) = pods.iter().find(|pod| !known.contains(pod)) {
        let (name, app) = (&stranger.name, &subject.key.name);
        return Err(Status::invalid_argument(format!("Pod {name} not found as part of application {app}")));
    }
    let applier = subject.applier(shared, tree.grounds(), tree.target())?;
    let reader = applier.log_reader().await;
    let reader = reader.map_err(|error| refusal::of_cluster("error creating kube client", &error, None))?;
    let options = LogOptions {
        container: request.container,
        follow: request.follow,
        previous: request.previous,
        since_seconds: request.since_seconds.filter(|n| *n > 0),
        since_time: request.since_time.map(|time| time.timestamp()),
        tail_lines: request.tail_lines.filter(|n| *n > 0),
    };
    let (tx, rx) = mpsc::channel(AHEAD);
    let shared = shared.clone();
    tokio::spawn(async move {
        let work = async {
            let mut merge = Merge::new(request.pods.len(), options.follow);
            for pod in request.pods {
                merge.add(|feed| read(reader.clone(), pod.namespace, pod.name, options.clone(), feed));
            }
            while let Some(line) = merge.next().await {
                if tx.send(Ok(entry(line))).await.is_err() {
                    return;
                }
            }
            // The caller may be gone; then nobody waits for the end.
            let _ = tx.send(Ok(end_mark((shared.clock)()))).await;
        };
        tokio::select! {
            () = tx.closed() => {}
            // Nobody is there to hear it when this fails.
            () = ending.cancelled() => drop(tx.send(Err(refusal::ends())).await),
            () = work => {}
        }
    });
    Ok(ReceiverStream::new(rx))
}

/// Reads one Pod's log into its feed, to the end.
async fn read(reader: LogReader, namespace: String, pod: String, options: LogOptions, feed: Feed) {
    let mut log: LogLines = match reader.open(&namespace, &pod, &options).await {
        Ok(log) => log,
        Err(error) => {
            // Nobody is there to hear it when this fails.
            let _ = feed.send(Line { pod, at: None, text: argosy_model::report(&error) }).await;
            return;
        }
    };
    let mut last: Option<Timestamp> = None;
    loop {
        let line = match log.next().await {
            Ok(Some(line)) => line,
            Ok(None) => return,
            Err(error) => {
                let text = argosy_model::report(&error);
                let _ = feed.send(Line { pod, at: last, text }).await;
                return;
            }
        };
        let (at, text) = take_time(&line);
        last = at.or(last);
        // A carriage return begins a line anew, as a terminal shows it.
        for part in text.trim_end().split('\r') {
            if feed.send(Line { pod: pod.clone(), at: last, text: part.to_owned() }).await.is_err() {
                return;
            }
        }
    }
}

/// A line's time and the rest of it; a line without one is all text.
fn take_time(line: &str) -> (Option<Timestamp>, &str) {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    match first.parse() {
        Ok(at) => (Some(at), rest),
        Err(_) => (None, line),
    }
}

fn entry(line: Line) -> LogEntry {
    LogEntry {
        content: line.text,
        time_stamp: line.at.map(Time::from).unwrap_or_default(),
        // As Go writes a time that is not set.
        time_stamp_str: line.at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_string()),
        last: false,
        pod_name: line.pod,
    }
}

fn end_mark(now: Timestamp) -> LogEntry {
    LogEntry {
        content: String::new(),
        time_stamp: now.into(),
        last: true,
        time_stamp_str: now.to_string(),
        pod_name: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_its_time_and_keeps_its_text() {
        let (at, text) = take_time("2026-01-02T03:04:05.000000006Z hello  world");
        assert_eq!(at.expect("a time").to_string(), "2026-01-02T03:04:05.000000006Z");
        assert_eq!(text, "hello  world");
        assert_eq!(take_time("no time"), (None, "no time"));
        assert_eq!(take_time("2026-01-02T03:04:05Z").1, "");
    }
}
