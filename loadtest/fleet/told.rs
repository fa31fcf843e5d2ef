//! What controllers tell of clusters: who owned which slice, from when on the owner could
//! write, and who began to read one.
//!
//! The gap of a handover begins when the old owner says that the slice is not its own
//! any more; in that moment its connection is closed. It ends when the new owner says
//! that its fence stands, which it does when it has the connection it writes through.
//! All controllers of a run have the same clock.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

/// Something that a controller told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Told {
    at: Timestamp,
    /// Number of the controller.
    by: usize,
    server: String,
    fact: Fact,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Fact {
    /// The slice is the controller's.
    Owned(String),
    /// It is no longer.
    Lost(String),
    /// It can write to the cluster.
    Ready,
}

/// Handovers, as told.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Handovers {
    /// Time without an owner that could write, for each slice that was given on.
    pub(crate) gaps: Vec<Duration>,
    /// The first part of each: until the new owner knows that the slice is its own.
    pub(crate) agreed: Vec<Duration>,
    /// Slices that were let go of and that nobody was told to have got.
    pub(crate) open: usize,
}

#[derive(Deserialize)]
struct Line {
    timestamp: Timestamp,
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    message: String,
    #[serde(default)]
    server: String,
    #[serde(default)]
    slice: String,
}

/// Reads a controller's log, or a part of it, with lines of JSON.
pub(crate) fn read(by: usize, log: &str) -> Vec<Told> {
    // Most lines are about applications.
    let lines = log.lines().filter(|line| line.contains("\"cluster ") || line.contains("fence"));
    let told = lines.filter_map(|line| serde_json::from_str::<Line>(line).ok());
    told.filter_map(|Line { timestamp: at, fields: Fields { message, server, slice } }| {
        let fact = match message.as_str() {
            "cluster owned" => Fact::Owned(slice),
            "cluster no longer owned" => Fact::Lost(slice),
            "the cluster's fence stands" | "the cluster has a weaker fence than was asked for" => Fact::Ready,
            _ => return None,
        };
        Some(Told { at, by, server, fact })
    })
    .collect()
}

/// How often controllers read each cluster for the first time, or once more after they
/// had let go of it: by its address.
pub(crate) fn readings(logs: &[String]) -> BTreeMap<String, usize> {
    let lines = logs.iter().flat_map(|log| log.lines()).filter(|line| line.contains("\"cluster connected\""));
    let mut counts = BTreeMap::new();
    for line in lines.filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
        *counts.entry(line.fields.server).or_default() += 1;
    }
    counts
}

/// Pairs who let go with who could write next.
pub(crate) fn handovers(mut told: Vec<Told>) -> Handovers {
    told.sort_by_key(|told| told.at);
    let mut lost: BTreeMap<(String, String), Timestamp> = BTreeMap::new();
    // Slices that an owner cannot write to yet; it tells of the clusters alone.
    let mut coming: BTreeMap<(usize, String), VecDeque<(String, Timestamp)>> = BTreeMap::new();
    let (mut gaps, mut agreed) = (Vec::new(), Vec::new());
    for Told { at, by, server, fact } in told {
        match fact {
            Fact::Lost(slice) => drop(lost.insert((server, slice), at)),
            Fact::Owned(slice) => coming.entry((by, server)).or_default().push_back((slice, at)),
            Fact::Ready => {
                let owned = coming.get_mut(&(by, server.clone())).and_then(VecDeque::pop_front);
                let Some((slice, owned)) = owned else { continue };
                if let Some(since) = lost.remove(&(server, slice)) {
                    agreed.push(between(since, owned));
                    gaps.push(between(since, at));
                }
            }
        }
    }
    Handovers { gaps, agreed, open: lost.len() }
}

/// Nothing where the logs have them in another order.
fn between(since: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(millis: i64, message: &str, server: &str, slice: &str) -> String {
        let at = Timestamp::from_millisecond(millis).expect("a time");
        let fields = serde_json::json!({"message": message, "server": server, "slice": slice});
        serde_json::json!({"timestamp": at.to_string(), "level": "INFO", "fields": fields}).to_string() + "\n"
    }

    #[test]
    fn a_gap_is_from_the_old_owners_loss_until_the_new_one_can_write() {
        let old = line(1000, "cluster no longer owned", "a", "slice 1 of 1")
            + &line(1001, "cluster no longer owned", "b", "slice 1 of 1")
            + "not of ours\n";
        let new = line(1020, "cluster owned", "a", "slice 1 of 1")
            + &line(1090, "the cluster's fence stands", "a", "")
            // Another fence than before is no handover.
            + &line(1200, "the cluster has a weaker fence than was asked for", "a", "");
        let told = [read(0, &old), read(1, &new)].concat();
        let (gaps, agreed) = (vec![Duration::from_millis(90)], vec![Duration::from_millis(20)]);
        assert_eq!(handovers(told), Handovers { gaps, agreed, open: 1 });
    }

    #[test]
    fn clusters_that_are_read_anew_are_counted() {
        let connected = line(1000, "cluster connected", "a", "");
        let logs = [connected.clone() + &line(1001, "cluster owned", "b", "slice 1 of 1"), connected];
        assert_eq!(readings(&logs), BTreeMap::from([("a".to_owned(), 2)]));
    }

    #[test]
    fn slices_of_one_cluster_are_told_apart() {
        let old = line(1000, "cluster no longer owned", "a", "slice 1 of 2")
            + &line(1050, "cluster no longer owned", "a", "slice 2 of 2");
        let one = line(1010, "cluster owned", "a", "slice 1 of 2") + &line(1030, "the cluster's fence stands", "a", "");
        let two = line(1060, "cluster owned", "a", "slice 2 of 2") + &line(1070, "the cluster's fence stands", "a", "");
        let told = [read(0, &old), read(1, &one), read(2, &two)].concat();
        let gaps = vec![Duration::from_millis(30), Duration::from_millis(20)];
        let agreed = vec![Duration::from_millis(10), Duration::from_millis(10)];
        assert_eq!(handovers(told), Handovers { gaps, agreed, open: 0 });
    }
}
