//! The objects of one cluster in memory, and what they are found by.
//!
//! Pure: no input or output, no clock. Objects stand in one arena; the tables by
//! key and by uid hold positions only, four bytes each. Relations to owners are
//! kept as hashes of the owner's uid or key, so that a child may come before its
//! owner, and are checked against the child when followed.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use argosy_model::{GroupKind, Gvk, ResourceKey};
use hashbrown::HashTable;

use super::changes::{Change, ChangeKind};
use super::entry::{Entry, Owner, Uid};
use super::owners::RawOwner;
use super::wire::Observed;

/// Where one watch's view ends: a kind, in one namespace or in all (`None`).
pub(crate) type ScopeId = (u32, Option<u32>);

/// All objects of one cluster.
#[derive(Default)]
pub(crate) struct Index {
    pub(super) kinds: Vec<Gvk>,
    kind_ids: HashMap<GroupKind, u32>,
    pub(super) namespaces: Vec<Arc<str>>,
    namespace_ids: HashMap<Arc<str>, u32>,
    pub(super) entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_key: HashTable<u32>,
    by_uid: HashTable<u32>,
    /// Hash of an owner to those that may be its children.
    children: HashMap<u64, Vec<u32>>,
    pub(super) by_app: HashMap<Arc<str>, HashSet<u32>>,
    /// Up to which version each scope has seen everything.
    progress: HashMap<ScopeId, u64>,
    epoch: u32,
    hasher: RandomState,
}

/// How an object came to be seen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Via {
    /// By a watch, which has now seen everything up to the object's version.
    Watch { scope: ScopeId, epoch: u32 },
    /// By a listing under way, in no order of versions.
    Listing { epoch: u32 },
    /// As the answer to a write. It counts only where the watch has not seen
    /// past it: the object may be deleted by now.
    Write,
}

/// Sizes of an [`Index`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) objects: usize,
    pub(crate) full: usize,
    pub(crate) bytes: usize,
    pub(crate) full_bytes: usize,
}

// === impl Index ===

impl Index {
    /// The number of a kind, given on first sight. The version last seen is the
    /// one shown.
    pub(crate) fn kind_id(&mut self, gvk: &Gvk) -> u32 {
        let known = self.kind_ids.get(&gvk.group_kind()).copied();
        let id = known.unwrap_or_else(|| {
            let id = u32::try_from(self.kinds.len()).expect("a cluster has fewer than 2^32 kinds");
            self.kinds.push(gvk.clone());
            self.kind_ids.insert(gvk.group_kind(), id);
            id
        });
        // An owner named by kind alone must not hide the version a watch gave.
        if !gvk.version.is_empty() {
            self.kinds[id as usize] = gvk.clone();
        }
        id
    }

    pub(crate) fn namespace_id(&mut self, namespace: &str) -> u32 {
        if let Some(id) = self.namespace_ids.get(namespace) {
            return *id;
        }
        let id = u32::try_from(self.namespaces.len()).expect("a cluster has fewer than 2^32 namespaces");
        let name: Arc<str> = namespace.into();
        self.namespaces.push(name.clone());
        self.namespace_ids.insert(name, id);
        id
    }

    pub(super) fn known_kind(&self, kind: &GroupKind) -> Option<u32> {
        self.kind_ids.get(kind).copied()
    }

    pub(super) fn known_namespace(&self, namespace: &str) -> Option<u32> {
        self.namespace_ids.get(namespace).copied()
    }

    /// Begins a listing: what it does not confirm by [`Self::sweep`] is gone.
    pub(crate) fn begin(&mut self) -> u32 {
        self.epoch += 1;
        self.epoch
    }

    /// Takes an object in, unless something newer is known.
    pub(crate) fn put(&mut self, kind: u32, via: Via, seen: Observed) -> Option<Change> {
        let namespace = self.namespace_id(&seen.namespace);
        let known = self.find(kind, namespace, &seen.name);
        let epoch = match via {
            Via::Watch { scope, epoch } => {
                self.advance(scope, seen.version);
                epoch
            }
            Via::Listing { epoch } => epoch,
            Via::Write => {
                let past = |scope: ScopeId| self.progress.get(&scope).is_some_and(|at| *at >= seen.version);
                if seen.version != 0 && (past((kind, None)) || past((kind, Some(namespace)))) {
                    return None;
                }
                // Confirmed by no listing under way: the sweep looks at the version instead.
                known.and_then(|id| self.entry(id)).map_or(0, |e| e.epoch)
            }
        };
        if let Some(id) = known
            && let Some(entry) = self.entries[id as usize].as_mut()
            && entry.version > seen.version
            && seen.version != 0
            && entry.uid == seen.uid
        {
            entry.epoch = epoch;
            return None;
        }
        let owners = seen.owners.iter().map(|owner| self.owner(owner)).collect();
        let claimed = seen.claimed.map(|app| self.by_app.get_key_value(&app).map_or(app, |(known, _)| known.clone()));
        let entry = Entry {
            name: known.and_then(|id| self.entry(id)).map_or_else(|| seen.name.as_str().into(), |e| e.name.clone()),
            uid: seen.uid,
            kind,
            namespace,
            version: seen.version,
            created: seen.created,
            owners,
            claimed,
            extra: seen.extra,
            epoch,
            deleting: seen.deleting,
            self_referenced: seen.self_referenced,
        };
        self.store(known, entry)
    }

    fn store(&mut self, known: Option<u32>, entry: Entry) -> Option<Change> {
        let Some(id) = known else {
            let id = self.insert(entry);
            return self.change(id, ChangeKind::Added, Vec::new());
        };
        let same = self.entry(id).is_some_and(|old| old.looks_like(&entry));
        if same {
            // Owners and claims are equal, and so is every table entry.
            self.entries[id as usize] = Some(entry);
            return None;
        }
        let before = self.apps_of(id);
        self.unlink(id);
        self.entries[id as usize] = Some(entry);
        self.link(id);
        self.change(id, ChangeKind::Updated, before)
    }

    /// Takes an object out, unless what is known is newer or another one of the
    /// same name.
    pub(crate) fn remove(&mut self, kind: u32, scope: ScopeId, seen: &Observed) -> Option<Change> {
        self.advance(scope, seen.version);
        let namespace = self.known_namespace(&seen.namespace)?;
        let id = self.find(kind, namespace, &seen.name)?;
        let entry = self.entry(id)?;
        let other = entry.uid != seen.uid && seen.uid != Uid::None;
        if other || (entry.version > seen.version && seen.version != 0) {
            return None;
        }
        self.take(id)
    }

    /// Ends a listing: takes out what it did not confirm. Objects newer than the
    /// listing's version came in by a write meanwhile and stay.
    pub(crate) fn sweep(&mut self, scope: ScopeId, epoch: u32, version: u64) -> Vec<Change> {
        self.advance(scope, version);
        let unconfirmed = |e: &Entry| e.epoch != epoch && (e.version <= version || version == 0);
        self.take_where(scope, unconfirmed)
    }

    /// Takes out a whole scope that is no longer watched.
    pub(crate) fn forget(&mut self, scope: ScopeId) -> Vec<Change> {
        self.progress.remove(&scope);
        self.take_where(scope, |_| true)
    }

    fn take_where(&mut self, (kind, namespace): ScopeId, wanted: impl Fn(&Entry) -> bool) -> Vec<Change> {
        let ids: Vec<u32> = self
            .ids()
            .filter(|id| {
                self.entry(*id)
                    .is_some_and(|e| e.kind == kind && namespace.is_none_or(|n| n == e.namespace) && wanted(e))
            })
            .collect();
        ids.into_iter().filter_map(|id| self.take(id)).collect()
    }

    /// Notes that a scope has seen everything up to a version.
    pub(crate) fn advance(&mut self, scope: ScopeId, version: u64) {
        let at = self.progress.entry(scope).or_default();
        *at = (*at).max(version);
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.entries.len()).expect("an index holds fewer than 2^32 objects")
    }

    pub(super) fn entry(&self, id: u32) -> Option<&Entry> {
        self.entries.get(id as usize)?.as_ref()
    }

    pub(super) fn key(&self, entry: &Entry) -> ResourceKey {
        let gvk = &self.kinds[entry.kind as usize];
        ResourceKey {
            group: gvk.group.clone(),
            kind: gvk.kind.clone(),
            namespace: self.namespaces[entry.namespace as usize].clone(),
            name: entry.name.clone(),
        }
    }

    pub(super) fn lookup(&self, key: &ResourceKey) -> Option<u32> {
        let kind = self.kind_ids.get(&key.group_kind())?;
        self.find(*kind, self.known_namespace(&key.namespace)?, &key.name)
    }

    pub(super) fn find(&self, kind: u32, namespace: u32, name: &str) -> Option<u32> {
        let matches =
            |id: &u32| self.entry(*id).is_some_and(|e| e.kind == kind && e.namespace == namespace && *e.name == *name);
        self.by_key.find(self.hash_key(kind, namespace, name), matches).copied()
    }

    pub(super) fn find_uid(&self, uid: &Uid) -> Option<u32> {
        self.by_uid.find(self.hasher.hash_one(uid), |id| self.entry(*id).is_some_and(|e| e.uid == *uid)).copied()
    }

    pub(super) fn roots_of(&self, app: &str) -> impl Iterator<Item = u32> {
        self.by_app.get(app).into_iter().flatten().copied()
    }

    pub(super) fn apps(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_app.keys()
    }

    pub(super) fn candidates(&self, handle: u64) -> &[u32] {
        self.children.get(&handle).map(Vec::as_slice).unwrap_or_default()
    }

    fn hash_key(&self, kind: u32, namespace: u32, name: &str) -> u64 {
        self.hasher.hash_one((kind, namespace, name))
    }

    /// What children of an owner are filed under. Named owners are in the
    /// child's namespace or in none; the name alone files them all together.
    pub(super) fn handle(&self, owner: &Owner) -> u64 {
        match owner {
            Owner::Uid(uid) => self.hasher.hash_one(uid),
            Owner::Named(kind, name) | Owner::Claim(kind, name) => self.hasher.hash_one((*kind, &**name)),
        }
    }

    fn owner(&mut self, raw: &RawOwner) -> Owner {
        match raw {
            RawOwner::Uid(uid) => Owner::Uid(uid.clone()),
            RawOwner::Named(kind, name) => {
                Owner::Named(self.kind_id(&Gvk::new(&kind.group, "", &kind.kind)), name.clone())
            }
            RawOwner::Claim(set) => Owner::Claim(self.kind_id(&Gvk::new("apps", "", "StatefulSet")), set.clone()),
        }
    }

    fn insert(&mut self, entry: Entry) -> u32 {
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.entries.push(None);
                u32::try_from(self.entries.len() - 1).expect("an index holds fewer than 2^32 objects")
            }
        };
        let hash = self.hash_key(entry.kind, entry.namespace, &entry.name);
        self.entries[id as usize] = Some(entry);
        let Self { by_key, entries, hasher, .. } = self;
        by_key.insert_unique(hash, id, |id| rehash_key(entries, hasher, *id));
        self.link(id);
        id
    }

    fn take(&mut self, id: u32) -> Option<Change> {
        let apps = self.apps_of(id);
        let change = self.change(id, ChangeKind::Removed, apps);
        self.unlink(id);
        let entry = self.entries.get_mut(id as usize)?.take()?;
        let hash = self.hash_key(entry.kind, entry.namespace, &entry.name);
        if let Ok(found) = self.by_key.find_entry(hash, |other| *other == id) {
            found.remove();
        }
        self.free.push(id);
        change
    }

    /// Files an entry under its uid, its owners and its application.
    fn link(&mut self, id: u32) {
        let Some(entry) = self.entry(id) else { return };
        let (uid, app) = (entry.uid.clone(), entry.root_of().cloned());
        let handles: Vec<u64> = entry.owners.iter().map(|owner| self.handle(owner)).collect();
        if uid != Uid::None {
            let hash = self.hasher.hash_one(&uid);
            let Self { by_uid, entries, hasher, .. } = self;
            by_uid.insert_unique(hash, id, |id| rehash_uid(entries, hasher, *id));
        }
        for handle in handles {
            self.children.entry(handle).or_default().push(id);
        }
        if let Some(app) = app {
            self.by_app.entry(app).or_default().insert(id);
        }
    }

    fn unlink(&mut self, id: u32) {
        let Some(entry) = self.entry(id) else { return };
        let (uid, app) = (entry.uid.clone(), entry.root_of().cloned());
        let handles: Vec<u64> = entry.owners.iter().map(|owner| self.handle(owner)).collect();
        if let Ok(found) = self.by_uid.find_entry(self.hasher.hash_one(&uid), |other| *other == id) {
            found.remove();
        }
        for handle in handles {
            if let Some(list) = self.children.get_mut(&handle) {
                list.retain(|child| *child != id);
                if list.is_empty() {
                    self.children.remove(&handle);
                }
            }
        }
        if let Some(app) = app
            && let Some(roots) = self.by_app.get_mut(&app)
        {
            roots.remove(&id);
            if roots.is_empty() {
                self.by_app.remove(&app);
            }
        }
    }

    fn change(&self, id: u32, kind: ChangeKind, before: Vec<Arc<str>>) -> Option<Change> {
        let entry = self.entry(id)?;
        let mut apps = before;
        for app in self.apps_of(id) {
            if !apps.contains(&app) {
                apps.push(app);
            }
        }
        Some(Change { key: self.key(entry), kind, root: entry.root_of().is_some(), apps })
    }

    /// What everything takes, in bytes.
    pub(crate) fn sizes(&self) -> Sizes {
        let mut sizes = Sizes::default();
        for entry in self.entries.iter().flatten() {
            let (bytes, full) = entry.heap_bytes();
            sizes.objects += 1;
            sizes.full += usize::from(full > 0);
            sizes.bytes += bytes;
            sizes.full_bytes += full;
        }
        sizes.bytes += self.entries.capacity() * size_of::<Option<Entry>>();
        sizes.bytes += (self.by_key.capacity() + self.by_uid.capacity()) * (size_of::<u32>() + 1) * 8 / 7;
        sizes.bytes += self.children.capacity() * (size_of::<(u64, Vec<u32>)>() + 1);
        sizes.bytes += self.children.values().map(|list| 16 + list.capacity() * 4).sum::<usize>();
        sizes.bytes += self.by_app.values().map(|ids| 64 + ids.capacity() * 5).sum::<usize>();
        sizes
    }
}

fn rehash_key(entries: &[Option<Entry>], hasher: &RandomState, id: u32) -> u64 {
    let entry = entries[id as usize].as_ref().expect("a filed entry is in the arena");
    hasher.hash_one((entry.kind, entry.namespace, &*entry.name))
}

fn rehash_uid(entries: &[Option<Entry>], hasher: &RandomState, id: u32) -> u64 {
    hasher.hash_one(&entries[id as usize].as_ref().expect("a filed entry is in the arena").uid)
}
