//! The assignment as it is stored: one value that the leader alone writes.
//!
//! Format: one byte, the version, then JSON in deflate. Names are written once,
//! so 20,000 clusters with random names of 80 characters take about a third of
//! the 1.5 MB that etcd accepts in one request. A version that is not known is
//! an error: its reader leaves everything as it is.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

use crate::assignment::{Assignment, Placed};
use crate::id::{EntityId, Epoch, ReplicaId, slices_of};
use crate::slices::Slice;

/// The version that is written while nobody is doubted, and the one with those who are,
/// which a replica that does not know of them must not write over. Both are read.
const VERSION: u8 = 2;
const DOUBTING: u8 = 3;

/// Most that a document may unpack to, in bytes: fifty times what 20,000
/// entities need.
const LARGEST: u64 = 256 << 20;

/// One stay of a replica in the fleet: its lease, whose number etcd gives once.
/// One that is over never comes back, so whoever sees it gone knows all it needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Session(pub(crate) i64);

/// Who owns one entity, or did until it lets go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) replica: ReplicaId,
    /// The owner's stay; it owns nothing by this entry in a later one.
    pub(crate) session: Session,
    pub(crate) epoch: Epoch,
    /// Who prepares to take over. Its owner works on, and nothing has been decided.
    pub(crate) coming: Option<ReplicaId>,
    /// Present when the owner must let go: an entry never goes back from there.
    pub(crate) leaving: Option<Leaving>,
}

/// Where an entity goes once its owner has let go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaving {
    /// Its next owner as things stand, who may prepare; `None` when it has none.
    pub(crate) next: Option<ReplicaId>,
}

/// See the module's page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) entries: BTreeMap<EntityId, Entry>,
    /// Clusters that are split, or about to be, with the number of their slices.
    pub(crate) slices: BTreeMap<Arc<str>, u32>,
    /// Clusters that are pinned to a shard, as the leader knew them.
    pub(crate) pins: BTreeMap<Arc<str>, u32>,
    /// Owners that were replaced while they might still believe to own, by cluster:
    /// the epoch each had, and its stay. None stands here longer than its stay lasts
    /// or after it has let go.
    pub(crate) doubted: BTreeMap<Arc<str>, BTreeMap<Epoch, Session>>,
    /// The first epoch nobody ever had.
    pub(crate) next_epoch: Epoch,
}

/// Why a stored assignment cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("the stored assignment is empty")]
    Empty,
    #[error("the stored assignment has version {0}, and this replica knows versions {VERSION} and {DOUBTING}")]
    Version(u8),
    #[error("the stored assignment is damaged")]
    Unpack(#[source] std::io::Error),
    #[error("the stored assignment is damaged")]
    Decode(#[source] serde_json::Error),
    #[error("the stored assignment names a replica that it does not list")]
    Replica,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    next_epoch: u64,
    replicas: Vec<(Arc<str>, i64)>,
    slices: BTreeMap<Arc<str>, u32>,
    pins: BTreeMap<Arc<str>, u32>,
    /// Server, slice, of how many, place.
    clusters: Vec<(Arc<str>, u32, u32, Place)>,
    /// Address, place.
    repositories: Vec<(Arc<str>, Place)>,
    /// Epoch and session of each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    doubted: BTreeMap<Arc<str>, Vec<(u64, i64)>>,
}

/// Index of the replica, epoch, for what is leaving the index of the next replica,
/// or [`NOBODY`], and the index of who prepares to take over.
#[derive(Serialize, Deserialize)]
struct Place(usize, u64, Option<i64>, Option<usize>);

const NOBODY: i64 = -1;

// === impl Document ===

impl Document {
    /// Nothing assigned; the first epoch will be `first`.
    pub(crate) fn starting_at(first: Epoch) -> Self {
        Self { next_epoch: first, ..Self::default() }
    }

    /// What is in force: what is leaving stays its owner's until it lets go.
    pub(crate) fn assignment(&self) -> Assignment {
        let placed = self
            .entries
            .iter()
            .map(|(entity, entry)| (entity.clone(), Placed { replica: entry.replica.clone(), epoch: entry.epoch }));
        Assignment::of(placed.collect(), self.next_epoch)
    }

    /// The entries of one cluster.
    pub(crate) fn slices_of(&self, server: &Arc<str>) -> impl Iterator<Item = (&EntityId, &Entry)> {
        self.entries.range(slices_of(server))
    }

    /// Whether somebody who was replaced may still be at work on an entity's cluster, of
    /// those before an epoch.
    pub(crate) fn is_doubted(&self, entity: &EntityId, before: Epoch) -> bool {
        let EntityId::ClusterSlice { server, .. } = entity else { return false };
        self.doubted.get(server).is_some_and(|doubted| doubted.keys().any(|epoch| *epoch < before))
    }

    /// Whether the owner of an epoch is one of those.
    pub(crate) fn doubts(&self, epoch: Epoch) -> bool {
        self.doubted.values().any(|doubted| doubted.contains_key(&epoch))
    }

    /// Those it doubts that `before` did not.
    pub(crate) fn newly_doubted(&self, before: &Self) -> impl Iterator<Item = Epoch> {
        self.doubted.values().flat_map(BTreeMap::keys).copied().filter(|epoch| !before.doubts(*epoch))
    }

    /// As it is stored.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, DocumentError> {
        let mut replicas: Vec<(Arc<str>, i64)> = Vec::new();
        let mut known: BTreeMap<(ReplicaId, i64), usize> = BTreeMap::new();
        let mut index = |replica: &ReplicaId, session: i64| {
            *known.entry((replica.clone(), session)).or_insert_with(|| {
                replicas.push((replica.as_str().into(), session));
                replicas.len() - 1
            })
        };
        let (mut clusters, mut repositories) = (Vec::new(), Vec::new());
        for (entity, entry) in &self.entries {
            let leaving = entry.leaving.as_ref().map(|leaving| match &leaving.next {
                Some(next) => i64::try_from(index(next, 0)).unwrap_or(NOBODY),
                None => NOBODY,
            });
            let coming = entry.coming.as_ref().map(|replica| index(replica, 0));
            let place = Place(index(&entry.replica, entry.session.0), entry.epoch.0, leaving, coming);
            match entity {
                EntityId::ClusterSlice { server, slice } => {
                    clusters.push((server.clone(), slice.number, slice.of, place));
                }
                EntityId::Repository { url } => repositories.push((url.clone(), place)),
            }
        }
        let (next_epoch, slices, pins) = (self.next_epoch.0, self.slices.clone(), self.pins.clone());
        let stays = |stays: &BTreeMap<Epoch, Session>| stays.iter().map(|(epoch, stay)| (epoch.0, stay.0)).collect();
        let doubted = self.doubted.iter().map(|(server, doubted)| (server.clone(), stays(doubted))).collect();
        let stored = Stored { next_epoch, replicas, slices, pins, clusters, repositories, doubted };
        let json = serde_json::to_vec(&stored).map_err(DocumentError::Decode)?;
        let version = if self.doubted.is_empty() { VERSION } else { DOUBTING };
        let mut packed = DeflateEncoder::new(vec![version], Compression::default());
        packed.write_all(&json).and_then(|()| packed.finish()).map_err(DocumentError::Unpack)
    }

    /// From what is stored.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        let (version, packed) = bytes.split_first().ok_or(DocumentError::Empty)?;
        if ![VERSION, DOUBTING].contains(version) {
            return Err(DocumentError::Version(*version));
        }
        let mut json = Vec::new();
        DeflateDecoder::new(packed).take(LARGEST).read_to_end(&mut json).map_err(DocumentError::Unpack)?;
        let stored: Stored = serde_json::from_slice(&json).map_err(DocumentError::Decode)?;
        let replicas: Vec<(ReplicaId, Session)> =
            stored.replicas.iter().map(|(name, session)| (ReplicaId::new(name), Session(*session))).collect();
        let entry = |place: Place| {
            let (replica, session) = replicas.get(place.0).cloned().ok_or(DocumentError::Replica)?;
            let leaving = match place.2 {
                None => None,
                Some(NOBODY) => Some(Leaving::default()),
                Some(next) => {
                    let next = usize::try_from(next).ok().and_then(|next| replicas.get(next));
                    Some(Leaving { next: Some(next.ok_or(DocumentError::Replica)?.0.clone()) })
                }
            };
            let coming = match place.3 {
                None => None,
                Some(coming) => Some(replicas.get(coming).ok_or(DocumentError::Replica)?.0.clone()),
            };
            Ok(Entry { replica, session, epoch: Epoch(place.1), coming, leaving })
        };
        let mut entries = BTreeMap::new();
        for (server, number, of, place) in stored.clusters {
            entries.insert(EntityId::ClusterSlice { server, slice: Slice { number, of } }, entry(place)?);
        }
        for (url, place) in stored.repositories {
            entries.insert(EntityId::Repository { url }, entry(place)?);
        }
        let stays = |stays: Vec<(u64, i64)>| stays.into_iter().map(|(e, stay)| (Epoch(e), Session(stay))).collect();
        let doubted = stored.doubted.into_iter().map(|(server, doubted)| (server, stays(doubted))).collect();
        let (slices, pins, next_epoch) = (stored.slices, stored.pins, Epoch(stored.next_epoch));
        Ok(Self { entries, slices, pins, doubted, next_epoch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 32 hexadecimal digits that compress no better than random ones.
    fn digits(number: u64) -> String {
        let word = |salt: u64| {
            let mut hash = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt;
            hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            hash ^ (hash >> 31)
        };
        format!("{:016x}{:016x}", word(1), word(0xdead_beef))
    }

    fn large(count: u64) -> Document {
        let mut document = Document::starting_at(Epoch(1_800_000_000 + count));
        for number in 0..count {
            let server = format!("https://{}.gr7.eu-west-1.eks.amazonaws.com", digits(number).to_uppercase());
            let next = (number % 5 == 0).then(|| ReplicaId::new("argosy-controller-3-8443-abcdef"));
            let entry = Entry {
                replica: ReplicaId::new(&format!("argosy-controller-{}-8443-abcdef", number % 20)),
                session: Session(7_587_883_445_566_778_899 + (number % 20) as i64),
                epoch: Epoch(1_800_000_000 + number),
                coming: (number % 7 == 0).then(|| ReplicaId::new("argosy-controller-9-8443-abcdef")),
                leaving: (number % 3 == 0).then_some(Leaving { next }),
            };
            document.entries.insert(EntityId::cluster(&server), entry);
            if number % 100 == 0 {
                document.slices.insert(server.as_str().into(), 12);
                document.doubted.insert(server.as_str().into(), BTreeMap::from([(Epoch(number), Session(7))]));
                document.pins.insert(server.into(), 3);
            }
        }
        document
    }

    #[test]
    fn twenty_thousand_entities_fit_well_into_one_request_and_come_back_whole() {
        let mut document = large(20_000);
        let entry = document.entries.values().next().cloned().expect("there is one");
        document.entries.insert(EntityId::repository("https://host/repo.git"), entry);
        let stored = document.encode().expect("is encoded");
        assert!(stored.len() < 1_000_000, "{} bytes", stored.len());
        assert_eq!(Document::decode(&stored).expect("is read"), document);
    }

    #[test]
    fn a_damaged_or_newer_assignment_is_refused() {
        let stored = large(3).encode().expect("is encoded");
        assert!(matches!(Document::decode(&[]), Err(DocumentError::Empty)));
        assert!(matches!(Document::decode(&[9, 1, 2]), Err(DocumentError::Version(9))));
        assert!(Document::decode(&stored[..stored.len() / 2]).is_err());
    }
}
