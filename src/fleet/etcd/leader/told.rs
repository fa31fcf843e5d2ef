//! What a leader says of its decisions: log and metrics.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use crate::etcd::document::{Document, Entry, Session};
use crate::etcd::plan::{Facts, demands};
use crate::id::{EntityId, Epoch, ReplicaId};

/// What one leader remembers to say how long things took.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Since when entities are on their way, by the epochs they leave.
    leaving: BTreeMap<Epoch, Instant>,
    /// Since when sessions are known to be over, or their replicas out of sight, that
    /// something was still given to.
    gone: BTreeMap<Session, Instant>,
}

// === impl Told ===

impl Told {
    /// A decision on what is known.
    pub(super) fn decided(&mut self, before: &Document, facts: Facts<'_>, now: Instant) {
        let is_there = |entry: &Entry| entry.lasts(facts.sessions) && !facts.lost.contains(&entry.replica);
        let gone: BTreeSet<Session> =
            before.entries.values().filter(|entry| !is_there(entry)).map(|entry| entry.session).collect();
        self.gone.retain(|session, _| gone.contains(session));
        for session in gone {
            self.gone.entry(session).or_insert(now);
        }
        metrics::gauge!("argosy_fleet_leader").set(1.0);
        metrics::gauge!("argosy_fleet_members").set(facts.sessions.len() as f64);
        metrics::gauge!("argosy_fleet_lost_members").set(facts.lost.len() as f64);
    }

    /// A decision was stored.
    pub(super) fn stored(&mut self, before: &Document, after: &Document, facts: Facts<'_>, now: Instant) {
        let had: BTreeSet<&ReplicaId> = before.entries.values().map(|entry| &entry.replica).collect();
        let mut given = 0_u64;
        for (entity, entry) in &after.entries {
            let known = before.entries.get(entity);
            if known.is_some_and(|known| known.epoch == entry.epoch) {
                if entry.leaving.is_some() {
                    self.leaving.entry(entry.epoch).or_insert(now);
                }
                continue;
            }
            given += 1;
            metrics::counter!("argosy_fleet_moves_total", "reason" => reason(known, entry, facts, &had)).increment(1);
            if let Some(known) = known {
                self.measure(known, now);
            }
        }
        let epochs: BTreeSet<Epoch> = after.entries.values().map(|entry| entry.epoch).collect();
        self.leaving.retain(|epoch, _| epochs.contains(epoch));
        describe(after, facts);
        let count = |which: fn(&Entry) -> bool| after.entries.values().filter(|entry| which(entry)).count();
        let (coming, leaving) = (count(|entry| entry.coming.is_some()), count(|entry| entry.leaving.is_some()));
        let (entities, split) = (after.entries.len(), after.slices.len());
        tracing::info!(entities, given, coming, leaving, split, "placement was stored");
    }

    fn measure(&self, known: &Entry, now: Instant) {
        if let Some(since) = self.gone.get(&known.session) {
            metrics::histogram!("argosy_fleet_failover_duration_seconds").record((now - *since).as_secs_f64());
        } else if let Some(since) = self.leaving.get(&known.epoch) {
            metrics::histogram!("argosy_fleet_handover_duration_seconds").record((now - *since).as_secs_f64());
        }
    }
}

/// Somebody else leads, or nobody.
pub(super) fn deposed() {
    metrics::gauge!("argosy_fleet_leader").set(0.0);
    metrics::gauge!("argosy_fleet_lost_members").set(0.0);
    metrics::gauge!("argosy_fleet_imbalance_ratio").set(0.0);
    metrics::gauge!("argosy_fleet_unplaced_entities").set(0.0);
}

/// Why an entity was given to somebody.
fn reason(known: Option<&Entry>, entry: &Entry, facts: Facts<'_>, had: &BTreeSet<&ReplicaId>) -> &'static str {
    let Some(known) = known else { return "new" };
    let owner = facts.sessions.get(&known.replica).filter(|(session, _)| *session == known.session);
    match owner {
        None => "leave",
        Some(_) if facts.lost.contains(&known.replica) => "lost",
        Some((_, replica)) if replica.weight == 0 => "leave",
        Some(_) if !had.contains(&entry.replica) => "join",
        Some(_) => "balance",
    }
}

fn describe(document: &Document, facts: Facts<'_>) {
    let demands = demands(document, facts);
    let mut loads: BTreeMap<&ReplicaId, u64> =
        facts.sessions.iter().filter(|(_, (_, replica))| replica.weight > 0).map(|(name, _)| (name, 0)).collect();
    let mut unplaced = 0_u32;
    for (entity, demand) in &demands {
        match document.entries.get(entity).and_then(|entry| loads.get_mut(&entry.replica)) {
            Some(load) => *load += demand.cost.0.max(1),
            None => unplaced += 1,
        }
    }
    let (largest, total) = (loads.values().max().copied().unwrap_or(0), loads.values().sum::<u64>());
    let mean = total as f64 / loads.len().max(1) as f64;
    metrics::gauge!("argosy_fleet_imbalance_ratio").set(if total == 0 { 1.0 } else { largest as f64 / mean });
    metrics::gauge!("argosy_fleet_unplaced_entities").set(f64::from(unplaced));
    metrics::gauge!("argosy_fleet_next_epoch").set(document.next_epoch.0 as f64);
    let is_met = |shard: &u32| facts.sessions.values().any(|(_, replica)| replica.shard == Some(*shard));
    let is_known = |server: &str| demands.contains_key(&EntityId::cluster(server));
    for (server, shard) in facts.pins.iter().filter(|(server, shard)| is_known(server) && !is_met(shard)) {
        tracing::warn!(%server, shard, "no replica stands for the shard that the cluster is pinned to; any may have it");
    }
}
