//! What etcd says of the fleet, all of one revision.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use etcd_client::KeyValue;
use serde::{Deserialize, Serialize};

use crate::etcd::document::{Document, Session};
use crate::etcd::keys::{FENCED, Key, Keys};
use crate::etcd::plan::Sessions;
use crate::id::{Cost, EntityId, Epoch, Replica, ReplicaId, Term};

/// See the module's page. Clones share what is large.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// The last revision that is in it; 0 before the first reading.
    pub(crate) revision: i64,
    pub(crate) sessions: Sessions,
    pub(crate) leader: Option<(Session, Term)>,
    /// Costs of what is known. Changes of costs alone come late.
    pub(crate) costs: Arc<BTreeMap<EntityId, Cost>>,
    /// `None` while nothing was ever stored.
    pub(crate) document: Option<Arc<Document>>,
    /// The first epoch that was never given, as far as this replica has ever seen: an etcd
    /// that was restored from a backup says a lower one.
    pub(crate) next_epoch: Epoch,
    /// Revision in which the assignment was stored, for the writer's comparison;
    /// 0 when it never was.
    pub(crate) stored: i64,
    /// Whether what is stored can be read: nobody writes over what it cannot.
    pub(crate) is_readable: bool,
    pub(crate) released: Arc<BTreeSet<Epoch>>,
    /// Epochs that somebody is prepared to take over from.
    pub(crate) ready: Arc<BTreeMap<Epoch, ReplicaId>>,
    /// Epochs whose owners the cluster refuses once it is taken over.
    pub(crate) fenced: Arc<BTreeSet<Epoch>>,
}

/// A member as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredMember {
    address: Arc<str>,
    weight: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shard: Option<u32>,
}

// === impl View ===

impl View {
    pub(crate) fn new() -> Self {
        Self { is_readable: true, ..Self::default() }
    }

    /// It is what was read anew, after `before`.
    pub(crate) fn follow(&mut self, before: Self) {
        // What was in force stays so while nothing readable is stored.
        self.document = self.document.take().or(before.document);
        self.next_epoch = self.next_epoch.max(before.next_epoch);
    }

    /// A key has this value now. Says whether costs have changed.
    pub(crate) fn on_put(&mut self, keys: &Keys, pair: &KeyValue) -> bool {
        let value = pair.value();
        match keys.read(pair.key()) {
            Some(Key::Member(name)) => match StoredMember::read(&name, value) {
                Ok(replica) => {
                    self.sessions.insert(name, (Session(pair.lease()), replica));
                }
                Err(error) => {
                    tracing::warn!(replica = %name, %error, "a replica has registered in a way that cannot be read");
                }
            },
            Some(Key::Leader) => {
                self.leader = Some((Session(pair.lease()), term(pair.create_revision())));
            }
            Some(Key::Entity(entity)) => {
                let cost = std::str::from_utf8(value).ok().and_then(|cost| cost.parse().ok()).unwrap_or_default();
                Arc::make_mut(&mut self.costs).insert(entity, Cost(cost));
                return true;
            }
            Some(Key::Assignment) => {
                self.stored = pair.mod_revision();
                self.is_readable = true;
                match Document::decode(value) {
                    Ok(document) => {
                        self.next_epoch = self.next_epoch.max(document.next_epoch);
                        self.document = Some(Arc::new(document));
                    }
                    // What was in force stays in force here.
                    Err(error) => {
                        self.is_readable = false;
                        tracing::error!(
                            error = argosy_model::report(&error),
                            "the assignment cannot be read; what is owned stays"
                        );
                    }
                }
            }
            Some(Key::Released(epoch)) => {
                Arc::make_mut(&mut self.released).insert(epoch);
            }
            Some(Key::Ready(epoch)) => {
                if let Ok(name) = std::str::from_utf8(value) {
                    Arc::make_mut(&mut self.ready).insert(epoch, ReplicaId::new(name));
                }
            }
            Some(Key::Fenced(epoch)) if value == FENCED.as_bytes() => {
                Arc::make_mut(&mut self.fenced).insert(epoch);
            }
            Some(Key::Fenced(epoch)) => {
                Arc::make_mut(&mut self.fenced).remove(&epoch);
            }
            None => {}
        }
        false
    }

    /// A key is gone. Says whether costs have changed.
    pub(crate) fn on_delete(&mut self, keys: &Keys, key: &[u8]) -> bool {
        match keys.read(key) {
            Some(Key::Member(name)) => {
                self.sessions.remove(&name);
            }
            Some(Key::Leader) => self.leader = None,
            Some(Key::Entity(entity)) => {
                Arc::make_mut(&mut self.costs).remove(&entity);
                return true;
            }
            Some(Key::Released(epoch)) => {
                Arc::make_mut(&mut self.released).remove(&epoch);
            }
            Some(Key::Ready(epoch)) => {
                Arc::make_mut(&mut self.ready).remove(&epoch);
            }
            Some(Key::Fenced(epoch)) => {
                Arc::make_mut(&mut self.fenced).remove(&epoch);
            }
            Some(Key::Assignment) => {
                // Nobody of ours does that. Epochs go on from what is remembered.
                let follows = match self.is_readable {
                    true => "the leader stores it anew",
                    false => "it could not be read here: stop all controllers, and start them again",
                };
                tracing::error!("somebody has deleted the assignment from etcd; {follows}");
                self.stored = 0;
            }
            None => {}
        }
        false
    }
}

// === impl StoredMember ===

impl StoredMember {
    pub(crate) fn write(replica: &Replica) -> Vec<u8> {
        let stored = Self { address: replica.address.clone(), weight: replica.weight, shard: replica.shard };
        serde_json::to_vec(&stored).expect("text and a number are JSON")
    }

    fn read(name: &ReplicaId, value: &[u8]) -> Result<Replica, serde_json::Error> {
        let Self { address, weight, shard } = serde_json::from_slice(value)?;
        Ok(Replica { id: name.clone(), address, weight, shard })
    }
}

/// The leadership that began in a revision.
pub(crate) fn term(revision: i64) -> Term {
    Term(u64::try_from(revision).unwrap_or_default())
}
