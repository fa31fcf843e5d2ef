//! What of a cluster is kept whole here: the objects of applications that this
//! replica works for or is to work for next, and for a while of those it has lost.
//!
//! A cluster may be shared by several replicas, and an application is in the slice
//! that its name gives. Everything else of the cluster is known by its metadata.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use argosy_cluster::LiveState;
use argosy_cluster::live::Wanted;
use argosy_fleet::{Slice, slice_of};
use argosy_model::{AppKey, GroupKind};

use crate::directory::Directory;

/// See the module's page.
pub(crate) struct Interest {
    /// Namespace of the control plane.
    home: String,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// With the kinds that their applications have said they manage.
    slices: BTreeMap<Slice, HashSet<GroupKind>>,
    /// The kinds of what their applications own in the cluster, when it was last
    /// looked at.
    owned: HashSet<GroupKind>,
}

// === impl Interest ===

impl Interest {
    pub(super) fn new(home: &str) -> Self {
        Self { home: home.to_owned(), known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn slices(&self) -> BTreeSet<Slice> {
        self.lock().slices.keys().copied().collect()
    }

    /// Sets the slices. False when they are these already.
    pub(super) fn set(&self, slices: &BTreeSet<Slice>) -> bool {
        let mut known = self.lock();
        if known.slices.keys().eq(slices) {
            return false;
        }
        known.slices.retain(|slice, _| slices.contains(slice));
        for slice in slices {
            known.slices.entry(*slice).or_default();
        }
        true
    }

    /// Whose objects are wanted whole.
    pub(super) fn wanted(&self) -> Wanted {
        wanted(&self.home, &self.slices())
    }

    /// Makes a live state keep what is wanted, and watch in full what the
    /// applications have there.
    pub(super) fn apply(&self, live: &LiveState, directory: &Directory) {
        let wanted = self.wanted();
        live.want(wanted.clone());
        // Names may be on objects that belong to no application of this installation.
        let owned = live.kinds_of(|app| wanted.has(app) && directory.knows_instance(app));
        let mut known = self.lock();
        known.owned = owned;
        live.set_managed(known.managed());
    }

    /// An application manages these kinds.
    pub(super) fn manage(&self, live: &LiveState, key: &AppKey, kinds: &[GroupKind]) {
        let (mut known, name, mut is_new) = (self.lock(), key.to_string(), false);
        for (_, managed) in known.slices.iter_mut().filter(|(slice, _)| slice.contains(&name)) {
            for kind in kinds {
                is_new |= !managed.contains(kind) && managed.insert(kind.clone());
            }
        }
        if is_new {
            live.set_managed(known.managed());
        }
    }
}

impl Known {
    fn managed(&self) -> HashSet<GroupKind> {
        self.slices.values().flatten().chain(&self.owned).cloned().collect()
    }
}

/// The applications that are in some slices, by their names on what they own.
fn wanted(home: &str, slices: &BTreeSet<Slice>) -> Wanted {
    let mut numbers: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for slice in slices {
        numbers.entry(slice.of).or_default().insert(slice.number);
    }
    if numbers.iter().any(|(of, numbers)| numbers.len() as u64 == u64::from(*of)) {
        return Wanted::default();
    }
    let home = home.to_owned();
    Wanted::only(move |instance| {
        let name = AppKey::of_instance(instance, &home).to_string();
        numbers.iter().any(|(of, numbers)| numbers.contains(&slice_of(&name, *of)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_application_is_wanted_in_its_slice_alone() {
        let instances = |n: usize| [format!("app-{n}"), format!("team_app-{n}")];
        for instance in (0..50).flat_map(instances) {
            let name = AppKey::of_instance(&instance, "argocd").to_string();
            for slice in Slice::all(4) {
                assert_eq!(wanted("argocd", &[slice].into()).has(&instance), slice.contains(&name), "{instance}");
            }
            assert!(wanted("argocd", &[Slice::WHOLE, Slice { number: 1, of: 4 }].into()).has(&instance));
            assert!(wanted("argocd", &Slice::all(3).collect()).has(&instance));
            assert!(!wanted("argocd", &BTreeSet::new()).has(&instance));
        }
    }

    #[test]
    fn the_same_slices_are_no_news_and_those_that_stay_keep_their_kinds() {
        let interest = Interest::new("argocd");
        let [first, second] = [0, 1].map(|number| Slice { number, of: 2 });
        assert!(interest.set(&[first].into()) && !interest.set(&[first].into()));
        interest.lock().slices.entry(first).or_default().insert(GroupKind::new("", "ConfigMap"));
        assert!(interest.set(&[first, second].into()));
        assert_eq!(interest.lock().managed(), [GroupKind::new("", "ConfigMap")].into());
        assert!(interest.set(&[second].into()));
        assert!(interest.lock().managed().is_empty());
    }
}
