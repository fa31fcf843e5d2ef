//! Where things are in etcd, below the installation's prefix.
//!
//! | key | value | under the lease |
//! | --- | --- | --- |
//! | `members/NAME` | address and weight of a replica | yes |
//! | `leader` | name of the leader; its creation revision is the term | yes |
//! | `entities/cluster/SLICE-OF/SERVER`, `entities/repository/URL` | latest cost | no |
//! | `assignment` | who owns what ([`super::document`]) | no |
//! | `released/EPOCH` | empty: its owner has let go | yes |
//! | `ready/EPOCH` | name of the replica that is prepared to take over from it | yes |
//! | `fenced/EPOCH` | `yes`: the cluster refuses its owner once it is taken over; `no`: not any more | yes |

use crate::id::{EntityId, Epoch, ReplicaId};
use crate::slices::Slice;

/// Value of `fenced/EPOCH` while others may rely on it.
pub(crate) const FENCED: &str = "yes";
/// Its value afterwards. It stays, so that a request that was late changes nothing.
pub(crate) const UNFENCED: &str = "no";

#[derive(Clone, Debug)]
pub(crate) struct Keys {
    root: String,
}

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Member(ReplicaId),
    Leader,
    Entity(EntityId),
    Assignment,
    Released(Epoch),
    Ready(Epoch),
    Fenced(Epoch),
}

// === impl Keys ===

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { root: format!("{}/fleet/", prefix.trim_end_matches('/')) }
    }

    /// What all keys of the fleet begin with.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    pub(crate) fn write(&self, key: &Key) -> String {
        let root = &self.root;
        match key {
            Key::Member(replica) => format!("{root}members/{replica}"),
            Key::Leader => format!("{root}leader"),
            Key::Entity(EntityId::ClusterSlice { server, slice: Slice { number, of } }) => {
                format!("{root}entities/cluster/{number}-{of}/{server}")
            }
            Key::Entity(EntityId::Repository { url }) => format!("{root}entities/repository/{url}"),
            Key::Assignment => format!("{root}assignment"),
            Key::Released(epoch) => format!("{root}released/{}", epoch.0),
            Key::Ready(epoch) => format!("{root}ready/{}", epoch.0),
            Key::Fenced(epoch) => format!("{root}fenced/{}", epoch.0),
        }
    }

    /// `None` for what this version does not know.
    pub(crate) fn read(&self, key: &[u8]) -> Option<Key> {
        let rest = std::str::from_utf8(key).ok()?.strip_prefix(&self.root)?;
        match rest.split_once('/') {
            None if rest == "leader" => Some(Key::Leader),
            None if rest == "assignment" => Some(Key::Assignment),
            Some(("members", name)) => Some(Key::Member(ReplicaId::new(name))),
            Some(("released", epoch)) => Some(Key::Released(Epoch(epoch.parse().ok()?))),
            Some(("ready", epoch)) => Some(Key::Ready(Epoch(epoch.parse().ok()?))),
            Some(("fenced", epoch)) => Some(Key::Fenced(Epoch(epoch.parse().ok()?))),
            Some(("entities", entity)) => {
                let (kind, name) = entity.split_once('/')?;
                match kind {
                    "repository" => Some(Key::Entity(EntityId::repository(name))),
                    "cluster" => {
                        let (slice, server) = name.split_once('/')?;
                        let (number, of) = slice.split_once('-')?;
                        let slice = Slice { number: number.parse().ok()?, of: of.parse().ok()? };
                        Some(Key::Entity(EntityId::cluster_slice(server, slice)))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_as_it_was_written_and_strange_ones_are_passed_over() {
        let keys = Keys::new("/some/where/");
        for key in [
            Key::Member(ReplicaId::new("host-1")),
            Key::Leader,
            Key::Assignment,
            Key::Released(Epoch(7)),
            Key::Ready(Epoch(8)),
            Key::Fenced(Epoch(9)),
            Key::Entity(EntityId::cluster_slice("https://host:1/path?x=2", Slice { number: 3, of: 5 })),
            Key::Entity(EntityId::repository("https://host/a/b.git")),
        ] {
            assert_eq!(keys.read(keys.write(&key).as_bytes()), Some(key));
        }
        for strange in ["/some/where/fleet/other", "/other", "/some/where/fleet/entities/x/y"] {
            assert_eq!(keys.read(strange.as_bytes()), None);
        }
        assert_eq!(keys.read(&[0xff, 0xfe]), None);
    }
}
