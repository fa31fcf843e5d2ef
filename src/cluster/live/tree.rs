//! Owners and children: following relations up and down.

use std::collections::HashSet;
use std::sync::Arc;

use super::entry::{Entry, Owner};
use super::index::Index;
use super::owners;

impl Index {
    /// The owners of an object that are known.
    pub(super) fn parents(&self, id: u32) -> Vec<u32> {
        let Some(entry) = self.entry(id) else { return Vec::new() };
        let mut parents: Vec<u32> = Vec::new();
        for owner in &entry.owners {
            let parent = match owner {
                Owner::Uid(uid) => self.find_uid(uid),
                Owner::Named(kind, name) => self.find(*kind, entry.namespace, name).or_else(|| {
                    let cluster = self.known_namespace("")?;
                    self.find(*kind, cluster, name)
                }),
                Owner::Claim(kind, set) => self.find(*kind, entry.namespace, set).filter(|id| self.made(*id, entry)),
            };
            parents.extend(parent.filter(|p| *p != id && !parents.contains(p)));
        }
        parents
    }

    /// The objects an object owns.
    pub(super) fn children(&self, id: u32) -> Vec<u32> {
        let Some(entry) = self.entry(id) else { return Vec::new() };
        let by_uid = self.candidates(self.handle(&Owner::Uid(entry.uid.clone())));
        let by_name = self.candidates(self.handle(&Owner::Named(entry.kind, entry.name.clone())));
        let mut children: Vec<u32> = Vec::new();
        for child in by_uid.iter().chain(by_name) {
            // Filed under a hash: whether it is really owned, its own word tells.
            if *child != id && !children.contains(child) && self.parents(*child).contains(&id) {
                children.push(*child);
            }
        }
        children
    }

    /// Whether a StatefulSet made this claim.
    fn made(&self, set: u32, claim: &Entry) -> bool {
        self.entry(set).is_some_and(|set| {
            set.summary().is_some_and(|s| owners::is_claim_of(&claim.name, &set.name, &s.claim_templates))
        })
    }

    /// The applications an object concerns: its own, and those of everything
    /// above it.
    pub(super) fn apps_of(&self, id: u32) -> Vec<Arc<str>> {
        let (mut apps, mut seen, mut pending) = (Vec::new(), HashSet::new(), vec![id]);
        while let Some(id) = pending.pop() {
            // Owner references can be made to go in circles.
            if !seen.insert(id) {
                continue;
            }
            if let Some(app) = self.entry(id).and_then(Entry::root_of)
                && !apps.contains(app)
            {
                apps.push(app.clone());
            }
            pending.extend(self.parents(id));
        }
        apps
    }

    /// Everything below some objects, themselves included, each once, owners
    /// before what they own.
    pub(super) fn descend(&self, roots: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let (mut order, mut seen) = (Vec::new(), HashSet::new());
        let mut pending: std::collections::VecDeque<u32> = roots.into_iter().collect();
        while let Some(id) = pending.pop_front() {
            if seen.insert(id) {
                order.push(id);
                pending.extend(self.children(id));
            }
        }
        order
    }
}
