//! `argosy admin placement`: who owns what, why, and what would move.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use argosy_fleet::{EntityId, EntityReport, Move, PlacementReport, Reason, ReplicaId};
use serde_json::{Value, json};

use crate::cli::{Output, Placement};
use crate::fleet;

/// How long etcd may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Prints placement as it is stored.
///
/// # Errors
/// When etcd cannot be read, or there is no such replica.
pub(super) fn run(options: &Placement) -> anyhow::Result<()> {
    if options.fleet.etcd_endpoints.is_empty() {
        bail!("say where the replicas agree, with --etcd-endpoints; without an etcd one replica owns everything");
    }
    crate::commands::on_actors(print(options))
}

async fn print(options: &Placement) -> anyhow::Result<()> {
    let onlooker = fleet::onlooker(&options.fleet)?;
    let report =
        tokio::time::timeout(PATIENCE, onlooker.report()).await.context("etcd does not answer; the log says why")?;
    let text = match (&options.without, options.output) {
        (None, Output::Wide) => table(&report),
        (None, Output::Json) => pretty(&value(&report)),
        (Some(name), output) => {
            let gone = ReplicaId::new(name);
            if !report.replicas.iter().any(|known| known.replica.id == gone) {
                bail!("there is no replica {name:?}; `argosy admin placement` lists them");
            }
            let moves = report.without(&gone);
            match output {
                Output::Wide => moved(&moves, name),
                Output::Json => pretty(&moves.iter().map(move_value).collect()),
            }
        }
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot print")
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn table(report: &PlacementReport) -> String {
    let mut out = String::new();
    let leader = report.leader.as_ref().map_or("nobody, until one is elected", ReplicaId::as_str);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "Leader: {leader}\nLargest load: {:.2} of the mean\n", report.imbalance());
    let head = ["REPLICA", "ADDRESS", "SHARD", "STATE", "ENTITIES", "LOAD", "IF IT LEFT"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    rows.extend(report.replicas.iter().map(|known| {
        let replica = &known.replica;
        vec![
            replica.id.to_string(),
            replica.address.to_string(),
            replica.shard.map_or_else(|| "-".to_owned(), |shard| shard.to_string()),
            if replica.weight == 0 { "draining" } else { "working" }.to_owned(),
            known.entities.to_string(),
            cores(known.load.0),
            destinations(&report.without(&replica.id)),
        ]
    }));
    out.push_str(&aligned(&rows));
    out.push('\n');
    let mut rows = vec![["CLUSTER", "OWNER", "EPOCH", "COST", "WHY"].map(str::to_owned).to_vec()];
    rows.extend(report.entities.iter().map(|known| {
        let owner = known.owner.as_ref();
        vec![
            name(&known.entity),
            owner.map_or_else(|| "-".to_owned(), |owner| owner.replica.to_string()),
            owner.map_or_else(|| "-".to_owned(), |owner| owner.epoch.0.to_string()),
            cores(known.cost.0),
            why(known),
        ]
    }));
    out.push_str(&aligned(&rows));
    out
}

fn moved(moves: &[Move], gone: &str) -> String {
    if moves.is_empty() {
        return format!("Nothing would move if {gone} left.\n");
    }
    let mut rows = vec![["CLUSTER", "FROM", "TO"].map(str::to_owned).to_vec()];
    let to = |to: &Option<ReplicaId>| to.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
    rows.extend(moves.iter().map(|m| vec![name(&m.entity), m.from.to_string(), to(&m.to)]));
    aligned(&rows)
}

/// How many go where, in a few words.
fn destinations(moves: &[Move]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for one in moves {
        let to = one.to.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
        *counts.entry(to).or_default() += 1;
    }
    let words: Vec<String> = counts.iter().map(|(to, count)| format!("{count} to {to}")).collect();
    if words.is_empty() { "nothing moves".to_owned() } else { words.join(", ") }
}

fn why(known: &EntityReport) -> String {
    let next = known.next.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
    match &known.reason {
        Reason::Pinned(shard) => format!("pinned to shard {shard}"),
        Reason::PinnedToNobody(shard) => format!("pinned to shard {shard}, which no replica stands for"),
        Reason::Preferred => "preferred by its hash".to_owned(),
        Reason::Even => "keeps loads even".to_owned(),
        Reason::Preparing => format!("{next} prepares to take over"),
        Reason::Leaving => format!("is let go of, for {next}"),
        Reason::Unplaced => "not placed yet".to_owned(),
    }
}

fn name(entity: &EntityId) -> String {
    match entity {
        EntityId::ClusterSlice { server, slice } if slice.of == 1 => server.to_string(),
        EntityId::ClusterSlice { server, slice } => format!("{server} ({slice})"),
        EntityId::Repository { url } => url.to_string(),
    }
}

/// Microseconds of work in a second, as parts of a core.
fn cores(cost: u64) -> String {
    format!("{:.3}", cost as f64 / 1_000_000.0)
}

/// Columns as wide as their longest word.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn value(report: &PlacementReport) -> Value {
    let replica = |known: &argosy_fleet::ReplicaReport| {
        json!({
            "name": known.replica.id.as_str(), "address": &*known.replica.address, "shard": known.replica.shard,
            "draining": known.replica.weight == 0, "entities": known.entities, "load": known.load.0,
            "wouldMove": report.without(&known.replica.id).iter().map(move_value).collect::<Value>(),
        })
    };
    let entity = |known: &EntityReport| {
        json!({
            "name": name(&known.entity), "cost": known.cost.0, "why": why(known),
            "owner": known.owner.as_ref().map(|owner| owner.replica.as_str()),
            "epoch": known.owner.as_ref().map(|owner| owner.epoch.0),
            "next": known.next.as_ref().map(ReplicaId::as_str),
        })
    };
    json!({
        "leader": report.leader.as_ref().map(ReplicaId::as_str),
        "imbalance": report.imbalance(),
        "replicas": report.replicas.iter().map(replica).collect::<Value>(),
        "entities": report.entities.iter().map(entity).collect::<Value>(),
    })
}

fn move_value(one: &Move) -> Value {
    json!({"name": name(&one.entity), "from": one.from.as_str(), "to": one.to.as_ref().map(ReplicaId::as_str)})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_moves_are_counted() {
        let rows = [vec!["A".to_owned(), "LONG".to_owned()], vec!["abc".to_owned(), "x".to_owned()]];
        assert_eq!(aligned(&rows), "A    LONG\nabc  x\n");
        let one = |to: Option<&str>| Move {
            entity: EntityId::cluster("https://c"),
            from: ReplicaId::new("a"),
            to: to.map(ReplicaId::new),
        };
        assert_eq!(destinations(&[one(Some("b")), one(Some("b")), one(None)]), "2 to b, 1 to nobody");
        assert_eq!(destinations(&[]), "nothing moves");
    }
}
