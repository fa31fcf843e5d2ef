//! Holds what is assigned to this replica, and lets go of what is not.
//!
//! Letting go takes its time: the ownership is revoked at once, and that is
//! acknowledged in etcd when everybody who held it has dropped it, at the latest
//! a whole lease later, when every request that was made under it has passed its
//! deadline.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::etcd::connection::CallError;
use crate::etcd::document::{Document, Session};
use crate::etcd::keys::Key;
use crate::etcd::notes::{Note, Notes};
use crate::etcd::options::EtcdOptions;
use crate::etcd::owner::{Duty, Owner};
use crate::etcd::session::Stay;
use crate::etcd::trouble::Trouble;
use crate::etcd::view::View;
use crate::id::{EntityId, Epoch};
use crate::lease::Ownership;
use crate::placement::Owned;
use crate::succession::Fenced;

/// Acknowledgements written at once.
const BATCH: usize = 64;

pub(crate) struct Holder {
    pub(crate) notes: Notes,
    pub(crate) options: Arc<EtcdOptions>,
    pub(crate) view: watch::Receiver<View>,
    pub(crate) stay: watch::Receiver<Option<Stay>>,
    pub(crate) owned: watch::Sender<Arc<Owned>>,
    pub(crate) fenced: Arc<Fenced>,
    /// Counts whoever holds an ownership.
    pub(crate) work: TaskTracker,
}

/// What is held in one stay.
struct Hold {
    stay: Stay,
    holders: BTreeMap<Epoch, TaskTracker>,
    duties: mpsc::UnboundedSender<Duty>,
    /// Writes acknowledgements; it ends with the stay.
    _writer: AbortOnDropHandle<()>,
}

// === impl Holder ===

impl Holder {
    /// Works until the task is aborted or its sources are gone.
    pub(crate) async fn run(mut self) {
        // Bounded by what is assigned to this replica.
        let (drained, mut told) = mpsc::unbounded_channel();
        let mut owner = Owner::default();
        let mut hold: Option<Hold> = None;
        self.stay.mark_changed();
        loop {
            tokio::select! {
                biased;
                changed = self.stay.changed() => if changed.is_err() { break },
                Some((session, epoch)) = told.recv() => {
                    if let Some(hold) = hold.as_mut().filter(|hold| hold.stay.session == session) {
                        let duty = owner.on_drained(epoch);
                        duty.into_iter().for_each(|duty| hold.write(duty));
                    }
                    continue;
                }
                changed = self.view.changed() => if changed.is_err() { break },
            }
            let stay = self.stay.borrow_and_update().clone();
            if hold.as_ref().map(|hold| hold.stay.session) != stay.as_ref().map(|stay| stay.session) {
                self.end(owner.on_lapsed());
                hold = stay.map(|stay| {
                    owner.on_joined(stay.session);
                    self.begin(stay)
                });
            }
            let document = self.view.borrow_and_update().document.clone();
            if let (Some(hold), Some(document)) = (&mut hold, document) {
                let duties = owner.on_document(&self.options.me.id, &document);
                self.act(hold, duties, &document, &drained);
                self.tell_alone(&document);
            }
        }
        self.end(owner.on_lapsed());
    }

    fn begin(&self, stay: Stay) -> Hold {
        let (duties, received) = mpsc::unbounded_channel();
        let writer = Writer { notes: self.notes.clone(), stay: stay.clone() };
        let writer = AbortOnDropHandle::new(tokio::spawn(writer.run(received)));
        Hold { stay, holders: BTreeMap::new(), duties, _writer: writer }
    }

    /// A stay is over, and everything that was held in it.
    fn end(&self, duties: Vec<Duty>) {
        let stopped = duties.iter().filter_map(|duty| match duty {
            Duty::Stop(entity, epoch) => Some((entity, *epoch)),
            _ => None,
        });
        let mut owned = Owned::clone(&self.owned.borrow());
        for (entity, epoch) in stopped {
            revoke(&mut owned, entity, epoch);
        }
        self.publish(owned);
    }

    fn publish(&self, owned: Owned) {
        let clusters = owned.keys().filter(|entity| matches!(entity, EntityId::ClusterSlice { .. })).count();
        metrics::gauge!("argosy_fleet_owned_entities", "kind" => "cluster").set(clusters as f64);
        metrics::gauge!("argosy_fleet_owned_entities", "kind" => "repository").set((owned.len() - clusters) as f64);
        self.owned.send_if_modified(|now| replace_changed(now, owned));
    }

    /// Lets owners know that nobody before them can be at work any more.
    fn tell_alone(&self, document: &Document) {
        let owned = self.owned.borrow();
        let waiting = owned.iter().filter(|(_, ownership)| !ownership.succession().is_alone());
        for (_, ownership) in waiting.filter(|(entity, o)| !document.is_doubted(entity, o.epoch())) {
            ownership.succession().on_alone();
        }
    }

    fn act(
        &self,
        hold: &mut Hold,
        duties: Vec<Duty>,
        document: &Document,
        drained: &mpsc::UnboundedSender<(Session, Epoch)>,
    ) {
        if duties.is_empty() {
            return;
        }
        let mut owned = Owned::clone(&self.owned.borrow());
        for duty in duties {
            match duty {
                Duty::Gain(entity, epoch) => {
                    let holders = TaskTracker::new();
                    holders.close();
                    let (lease, counted) = (hold.stay.lease.clone(), [&holders, &self.work]);
                    let owns = (entity.clone(), epoch);
                    let ownership = Ownership::counted(owns, self.fenced.clone(), lease, counted);
                    if !document.is_doubted(&entity, epoch) {
                        ownership.succession().on_alone();
                    }
                    owned.insert(entity, ownership);
                    hold.holders.insert(epoch, holders);
                }
                Duty::Stop(entity, epoch) => {
                    revoke(&mut owned, &entity, epoch);
                    let holders = hold.holders.remove(&epoch).unwrap_or_default();
                    let (session, lease, drained) = (hold.stay.session, self.options.lease, drained.clone());
                    tokio::spawn(async move {
                        holders.close();
                        if timeout(lease, holders.wait()).await.is_err() {
                            tracing::warn!(%entity, %epoch, "an ownership is still held long after it was revoked");
                        }
                        // Nobody listens when the replica has stopped.
                        let _unheard = drained.send((session, epoch));
                    });
                }
                duty @ (Duty::Acknowledge(_) | Duty::Forget(_)) => hold.write(duty),
            }
        }
        self.publish(owned);
    }
}

fn replace_changed(now: &mut Arc<Owned>, next: Owned) -> bool {
    let epochs = |owned: &Owned| owned.iter().map(|(entity, o)| (entity.clone(), o.epoch())).collect::<Vec<_>>();
    let is_changed = epochs(now) != epochs(&next);
    // Whoever is gone from it must not be counted as a holder.
    *now = Arc::new(next);
    is_changed
}

fn revoke(owned: &mut Owned, entity: &EntityId, epoch: Epoch) {
    if owned.get(entity).is_some_and(|ownership| ownership.epoch() == epoch)
        && let Some(ownership) = owned.remove(entity)
    {
        ownership.revoke();
    }
}

// === impl Hold ===

impl Hold {
    fn write(&self, duty: Duty) {
        // The writer is gone when the stay is; then there is nothing to write.
        let _unheard = self.duties.send(duty);
    }
}

/// Writes what was let go of, under the lease.
struct Writer {
    notes: Notes,
    stay: Stay,
}

// === impl Writer ===

impl Writer {
    async fn run(self, mut duties: mpsc::UnboundedReceiver<Duty>) {
        let mut trouble = Trouble::new("it can be written that entities were let go of");
        let mut batch = Vec::new();
        while duties.recv_many(&mut batch, BATCH).await > 0 {
            let notes: Vec<Note> = batch.drain(..).filter_map(note).collect();
            while self.stay.lease.is_held(Instant::now()) {
                match self.notes.write(&self.stay, &notes).await {
                    Ok(()) => {
                        trouble.on_success();
                        break;
                    }
                    // The end of the session says it all.
                    Err(CallError::LeaseGone) => return,
                    Err(error) => {
                        trouble.on_failure(&error.to_string());
                        sleep(self.notes.connection.attempt()).await;
                    }
                }
            }
        }
    }
}

fn note(duty: Duty) -> Option<Note> {
    match duty {
        Duty::Acknowledge(epoch) => Some(Note::Put(Key::Released(epoch), Vec::new())),
        Duty::Forget(epoch) => Some(Note::Delete(Key::Released(epoch))),
        Duty::Gain(..) | Duty::Stop(..) => None,
    }
}
