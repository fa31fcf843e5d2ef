//! Where the controller replicas are reached: one Lease each, with the address
//! as an annotation. A replica that does not renew its Lease is not counted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use argosy_model::AppKey;
use argosy_proto::meta::MicroTime;
use jiff::Timestamp;
use kube::client::Client;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Home, Shared, spawn};
use crate::Clock;
use crate::call::{Call, PATIENCE, Path};
use crate::error::{Error, Result};
use crate::object::LeaseObject;
use crate::snapshots::fill;
use crate::store::Store;
use crate::watch::Target;

const LEASES: &str = "/apis/coordination.k8s.io/v1";
const LABEL: &str = "argosy.dev/peer";
const LABEL_VALUE: &str = "controller";
const ADDRESS: &str = "argosy.dev/address";
const SHARD: &str = "argosy.dev/shard";
/// Between looks at the clock while nothing changes.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// A replica that did not renew for so long will not come back under its name;
/// whoever watches clears its Lease away.
const STALE: Duration = Duration::from_secs(3600);

/// How far the clocks of two replicas may be apart when one first hears of the other.
const APART: Duration = Duration::from_secs(60);

/// When each Lease was renewed, by this replica's own clock: those of others may be apart
/// from it, and a Lease counts from when it was seen to be renewed.
#[derive(Default)]
struct Renewals(HashMap<AppKey, (Option<Timestamp>, Timestamp)>);

/// A controller replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Its name, which is its Lease's too.
    pub name: String,
    /// Host and port of its peer service.
    pub address: String,
    /// The shard it stands for, where clusters are shared out by hand.
    pub shard: Option<u32>,
}

// === impl Home ===

impl Home {
    /// Publishes a replica's address, or renews it, for `ttl` (whole seconds, at
    /// least one) from `now` on. To be called again well before that is over.
    ///
    /// # Errors
    /// When the Lease cannot be written.
    pub async fn publish_peer(&self, peer: &Peer, ttl: Duration, now: Timestamp) -> Result<()> {
        let time = MicroTime { seconds: now.as_second(), nanos: now.subsec_nanosecond() };
        let mut lease = json!({
            "metadata": {
                "labels": {LABEL: LABEL_VALUE},
                "annotations": {ADDRESS: peer.address, SHARD: peer.shard.map(|shard| shard.to_string())},
            },
            "spec": {
                "holderIdentity": peer.name,
                "leaseDurationSeconds": ttl.as_secs().max(1),
                "renewTime": time,
            },
        });
        let renew = Call::merge_patch(self.leases().segment(&peer.name), &lease);
        match self.ask(&renew).await {
            Err(Error::NotFound(_)) => {}
            other => return other.map(drop),
        }
        lease["apiVersion"] = json!("coordination.k8s.io/v1");
        lease["kind"] = json!("Lease");
        lease["metadata"]["name"] = json!(peer.name);
        // What takes an annotation away in a patch is none in a new object.
        if let Some(annotations) = lease["metadata"]["annotations"].as_object_mut() {
            annotations.retain(|_, value| !value.is_null());
        }
        match self.ask(&Call::create(self.leases(), &lease)).await {
            // Made by an earlier try whose answer was lost.
            Err(Error::AlreadyExists(_)) => self.ask(&renew).await.map(drop),
            other => other.map(drop),
        }
    }

    /// Takes a replica's address back, when it ends.
    ///
    /// # Errors
    /// When the Lease cannot be deleted; that it is gone already is no error.
    pub async fn withdraw_peer(&self, name: &str) -> Result<()> {
        match self.ask(&Call::delete(self.leases().segment(name), &json!({}))).await {
            Err(Error::NotFound(_)) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Watches the addresses of controller replicas from now on; further calls
    /// change nothing. Must be called on a tokio runtime.
    pub fn watch_peers(&self, clock: Clock) {
        let Shared { client, peers, peer_watch, .. } = &*self.shared;
        let (path, seed) = (self.leases(), self.seed());
        peer_watch.get_or_init(|| {
            let store = Store::new(1);
            let selector = format!("{LABEL}={LABEL_VALUE}");
            let target = Target::new(LEASES, Some(self.namespace()), "leases").labelled(&selector);
            let watch = fill(client.clone(), target, self.seed(), store.clone(), |_| true);
            let client = client.clone();
            let clear = move |lease: Arc<LeaseObject>| {
                let (client, path) = (client.clone(), path.clone());
                async move { clear_away(&client, path, &lease, seed).await }
            };
            let follow = follow(store, peers.clone(), clock, clear);
            [spawn(watch), spawn(follow)]
        });
    }

    /// The controller replicas that are there now, by name. None before
    /// [`Self::watch_peers`] was called and has come through.
    pub fn peers(&self) -> Arc<Vec<Peer>> {
        self.shared.peers.borrow().clone()
    }

    /// Wakes when they have changed.
    pub fn peers_changes(&self) -> watch::Receiver<Arc<Vec<Peer>>> {
        self.shared.peers.subscribe()
    }

    fn leases(&self) -> Path {
        Path::new(LEASES).segment("namespaces").segment(self.namespace()).segment("leases")
    }
}

/// Publishes who is there, at each change and when a Lease runs out.
async fn follow<F: Future<Output = ()>>(
    leases: Arc<Store<LeaseObject>>,
    peers: watch::Sender<Arc<Vec<Peer>>>,
    clock: Clock,
    clear_away: impl Fn(Arc<LeaseObject>) -> F,
) {
    leases.synced().await;
    let (mut changes, mut renewals) = (leases.version(), Renewals::default());
    loop {
        changes.mark_unchanged();
        let now = clock();
        let all = leases.list();
        renewals.see(&all, now);
        let (present, next) = renewals.present(&all, now);
        peers.send_if_modified(|current| {
            let differs = **current != present;
            if differs {
                *current = Arc::new(present);
            }
            differs
        });
        let ended = all.into_iter().filter(|(key, lease)| renewals.end(key, lease).is_none_or(|end| end <= now));
        for (_, lease) in ended.filter(|(_, lease)| is_stale(lease, now)) {
            clear_away(lease).await;
        }
        let wait = next.map_or(LONGEST_SLEEP, |end| until(now, end));
        tokio::select! {
            // The sender is in `leases` and cannot be gone.
            _ = changes.changed() => {}
            () = sleep(wait) => {}
        }
    }
}

/// Deletes a Lease, unless it was renewed since it was looked at.
async fn clear_away(client: &Client, leases: Path, lease: &LeaseObject, seed: u64) {
    let LeaseObject { metadata, .. } = lease;
    let same = json!({"preconditions": {"uid": metadata.uid, "resourceVersion": metadata.resource_version}});
    let call = Call::delete(leases.segment(&metadata.name), &same);
    match call.send_with_retries(client, PATIENCE, seed).await {
        Ok(_) | Err(Error::NotFound(_) | Error::Conflict(_)) => {}
        // Whoever watches next tries again.
        Err(error) => tracing::debug!(%error, lease = %metadata.name, "cannot clear a replica's Lease away"),
    }
}

fn is_stale(lease: &LeaseObject, now: Timestamp) -> bool {
    end(lease).and_then(|end| end.checked_add(STALE).ok()).is_some_and(|end| end <= now)
}

// === impl Renewals ===

impl Renewals {
    /// These are the Leases now.
    fn see(&mut self, leases: &[(AppKey, Arc<LeaseObject>)], now: Timestamp) {
        let mut before = std::mem::take(&mut self.0);
        for (key, lease) in leases {
            let renewed = lease.spec.renew_time;
            let seen = match before.remove(key) {
                Some(known) if known.0 == renewed => known,
                Some(_) => (renewed, now),
                // It may have been over for long.
                None => {
                    (renewed, renewed.filter(|at| at.saturating_add(APART).is_ok_and(|at| at < now)).unwrap_or(now))
                }
            };
            self.0.insert(key.clone(), seen);
        }
    }

    /// When a Lease runs out, by this replica's clock; `None` where it says nothing of it.
    fn end(&self, key: &AppKey, lease: &LeaseObject) -> Option<Timestamp> {
        let (renewed, seen) = self.0.get(key)?;
        renewed.and_then(|_| seen.checked_add(lasts(lease)?).ok())
    }

    /// Those whose Lease holds, by name, and when the first of these runs out.
    fn present(&self, leases: &[(AppKey, Arc<LeaseObject>)], now: Timestamp) -> (Vec<Peer>, Option<Timestamp>) {
        let mut peers = Vec::new();
        let mut first: Option<Timestamp> = None;
        for (key, lease) in leases {
            let Some(address) = lease.metadata.annotations.get(ADDRESS).filter(|address| !address.is_empty()) else {
                continue;
            };
            let Some(end) = self.end(key, lease).filter(|end| *end > now) else { continue };
            first = Some(first.map_or(end, |first| first.min(end)));
            let shard = lease.metadata.annotations.get(SHARD).and_then(|shard| shard.parse().ok());
            peers.push(Peer { name: key.name.to_string(), address: address.clone(), shard });
        }
        peers.sort();
        (peers, first)
    }
}

/// How long a Lease counts after it was renewed.
fn lasts(lease: &LeaseObject) -> Option<Duration> {
    u64::try_from(lease.spec.lease_duration_seconds?).ok().map(Duration::from_secs)
}

/// When a Lease runs out, by the clock of whoever renews it.
fn end(lease: &LeaseObject) -> Option<Timestamp> {
    lease.spec.renew_time?.checked_add(lasts(lease)?).ok()
}

/// Never nothing: a clock that stands still must not spin.
fn until(now: Timestamp, end: Timestamp) -> Duration {
    let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
    left.clamp(Duration::from_millis(10), LONGEST_SLEEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(name: &str, renewed: &str, seconds: i64, address: &str) -> (AppKey, Arc<LeaseObject>) {
        let object = json!({
            "metadata": {"name": name, "annotations": {ADDRESS: address}},
            "spec": {"renewTime": renewed, "leaseDurationSeconds": seconds},
        });
        (AppKey::new("n", name), Arc::new(serde_json::from_value(object).expect("a lease")))
    }

    #[test]
    fn a_lease_that_has_run_out_or_says_nothing_does_not_count() {
        let leases = [
            lease("b", "2026-01-01T00:10:00.000000Z", 15, "b:1"),
            lease("a", "2026-01-01T00:10:05.000000Z", 10, "a:1"),
            lease("old", "2026-01-01T00:08:00.000000Z", 9, "old:1"),
            lease("mute", "2026-01-01T00:10:05.000000Z", 10, ""),
            lease("odd", "2026-01-01T00:10:05.000000Z", -1, "odd:1"),
        ];
        let (peers, first) = look(&mut Renewals::default(), &leases, "2026-01-01T00:10:10Z");
        assert_eq!(peers, ["a", "b"]);
        assert_eq!(first, Some(at("2026-01-01T00:10:20Z")));
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn look(
        renewals: &mut Renewals,
        leases: &[(AppKey, Arc<LeaseObject>)],
        now: &str,
    ) -> (Vec<String>, Option<Timestamp>) {
        renewals.see(leases, at(now));
        let (peers, first) = renewals.present(leases, at(now));
        (peers.into_iter().map(|peer| peer.name).collect(), first)
    }

    #[test]
    fn a_replica_whose_clock_is_behind_counts_for_as_long_as_it_renews() {
        let mut renewals = Renewals::default();
        // Its clock is 40 s behind, and it renews every 10 s for 30.
        let first = [lease("a", "2026-01-01T00:00:00.000000Z", 30, "a:1")];
        assert_eq!(look(&mut renewals, &first, "2026-01-01T00:00:40Z").0, ["a"]);
        let renewed = [lease("a", "2026-01-01T00:00:10.000000Z", 30, "a:1")];
        assert_eq!(look(&mut renewals, &renewed, "2026-01-01T00:00:50Z").0, ["a"]);
        assert_eq!(look(&mut renewals, &renewed, "2026-01-01T00:01:19Z").0, ["a"]);
        assert!(look(&mut renewals, &renewed, "2026-01-01T00:01:20Z").0.is_empty(), "it renews no more");
    }

    #[test]
    fn a_lease_is_stale_an_hour_after_its_end() {
        let (_, lease) = lease("a", "2026-01-01T00:00:00.000000Z", 15, "a:1");
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        assert!(!is_stale(&lease, at("2026-01-01T01:00:14Z")));
        assert!(is_stale(&lease, at("2026-01-01T01:00:15Z")));
    }

    #[test]
    fn the_wait_for_the_end_of_a_lease_is_bounded_both_ways() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        assert_eq!(until(now, now), Duration::from_millis(10));
        assert_eq!(until(now, Timestamp::MAX), LONGEST_SLEEP);
    }
}
