//! Whose objects are kept whole.
//!
//! Where several replicas share a cluster, each knows all of its objects and keeps
//! whole only those of the applications it works for. What that means can change
//! at any time: what is not wanted any more is let go of at once, and the kinds of
//! which wanted objects are missing are listed once more, in place.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use argosy_model::GroupKind;

use super::index::Index;
use super::wire::Reading;
use super::{LiveState, Shared};

/// Chooses applications by their instance names; all of them unless said otherwise.
#[derive(Clone, Default)]
pub struct Wanted(Option<Arc<Choice>>);

type Choice = dyn Fn(&str) -> bool + Send + Sync;

/// Names, as `namespace/name`, by kind.
type Pins = HashMap<GroupKind, Arc<HashSet<String>>>;

// === impl Wanted ===

impl Wanted {
    /// Those that `choose` says yes to. It is asked for every object that names an
    /// application, and always says the same of the same name.
    pub fn only(choose: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(choose)))
    }

    /// Whether an application is one of them.
    pub fn has(&self, app: &str) -> bool {
        self.0.as_ref().is_none_or(|choose| choose(app))
    }
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "some" } else { "all" })
    }
}

// === impl LiveState ===

impl LiveState {
    /// Changes whose objects are kept whole. Those of others are let go of before
    /// this returns; what is missing is read from now on, see [`Self::complete`].
    pub fn want(&self, wanted: Wanted) {
        let shared = &self.shared;
        let wanted = Arc::new(wanted);
        let lacking = {
            let mut index = shared.write();
            shared.wanted.store(wanted.clone());
            index.let_go(&wanted, &shared.pins.load());
            index.lacking(&wanted)
        };
        // Read after the choice was stored: a kind that is managed later is listed under it.
        shared.read_again(lacking.into_iter().filter(|kind| shared.is_whole(kind)).collect());
    }

    /// Waits until everything that is wanted whole is, but for kinds that cannot be
    /// followed.
    pub async fn complete(&self) {
        self.shared.scopes.caught_up(|_| true).await;
    }

    /// The same for the objects of one application.
    pub async fn complete_for(&self, app: &str) {
        let lacking = self.shared.read().lacking_of(app);
        if lacking.iter().any(|kind| self.shared.is_whole(kind)) {
            self.shared.scopes.caught_up(|kind| lacking.contains(kind)).await;
        }
    }

    /// The kinds of what some applications own here.
    pub fn kinds_of(&self, choose: impl Fn(&str) -> bool) -> HashSet<GroupKind> {
        let index = self.shared.read();
        let chosen = index.apps().filter(|app| choose(app));
        let kinds = chosen.flat_map(|app| index.roots_of(app)).filter_map(|id| Some(index.entry(id)?.kind));
        index.group_kinds(&kinds.collect())
    }
}

// === impl Shared ===

impl Shared {
    /// Whether whole objects of a kind arrive.
    pub(super) fn is_whole(&self, kind: &GroupKind) -> bool {
        self.managed.load().contains(kind) || self.options.load().tree_kinds.contains(kind)
    }

    /// Has some kinds listed once more, in place.
    fn read_again(&self, kinds: HashSet<GroupKind>) {
        if kinds.is_empty() {
            return;
        }
        tracing::debug!(
            server = self.connection.server(),
            kinds = kinds.len(),
            "objects that are wanted whole are read"
        );
        self.again.rcu(|known| {
            let mut again = HashMap::clone(known);
            kinds.iter().for_each(|kind| *again.entry(kind.clone()).or_default() += 1);
            again
        });
        self.replan();
    }

    /// Reads objects of a kind and takes them in. What was read for others than are
    /// wanted by now is read again: else it could miss what [`LiveState::want`] has
    /// just looked for.
    pub(super) fn take_in<T, R, E>(
        &self,
        reading: impl Fn() -> Reading,
        read: impl Fn(&Reading) -> Result<T, E>,
        put: impl FnOnce(&mut Index, T) -> R,
    ) -> Result<R, E> {
        loop {
            let reading = reading();
            let seen = read(&reading)?;
            let mut index = self.write();
            if Arc::ptr_eq(&self.wanted.load(), &reading.wanted) {
                return Ok(put(&mut index, seen));
            }
        }
    }
}

// === impl Index ===

impl Index {
    /// Keeps of what others own what is kept of everything.
    pub(super) fn let_go(&mut self, wanted: &Wanted, pins: &Pins) {
        let Self { by_app, entries, kinds, namespaces, .. } = self;
        let unwanted = by_app.iter().filter(|(app, _)| !wanted.has(app)).flat_map(|(_, ids)| ids);
        for id in unwanted {
            let Some(Some(entry)) = entries.get_mut(*id as usize) else { continue };
            let pinned = pins.get(&kinds[entry.kind as usize].group_kind());
            let name = || format!("{}/{}", namespaces[entry.namespace as usize], entry.name);
            if !pinned.is_some_and(|pinned| pinned.contains(&name())) {
                entry.let_go();
            }
        }
    }

    /// The kinds of which something that is wanted whole is not.
    pub(super) fn lacking(&self, wanted: &Wanted) -> HashSet<GroupKind> {
        self.lacking_among(self.apps().filter(|app| wanted.has(app)).flat_map(|app| self.roots_of(app)))
    }

    /// The kinds of which something that one application owns is not whole.
    pub(super) fn lacking_of(&self, app: &str) -> HashSet<GroupKind> {
        self.lacking_among(self.roots_of(app))
    }

    fn lacking_among(&self, ids: impl Iterator<Item = u32>) -> HashSet<GroupKind> {
        let lacking = ids.filter_map(|id| self.entry(id)).filter(|entry| entry.full().is_none());
        self.group_kinds(&lacking.map(|entry| entry.kind).collect())
    }

    fn group_kinds(&self, ids: &HashSet<u32>) -> HashSet<GroupKind> {
        ids.iter().filter_map(|id| self.kinds.get(*id as usize)).map(argosy_model::Gvk::group_kind).collect()
    }
}
