//! The applications in the order of their names, once more by project, by
//! namespace and by each label, and the last ones that were deleted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use argosy_model::AppKey;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::Application;
use tokio::time::Instant;

use super::CHUNK;
use super::filter::{Filter, project, version};

/// Deleted applications that are remembered.
const MOST_TOMBSTONES: usize = 1024;

/// By name, then by namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ByName {
    name: Arc<str>,
    namespace: Arc<str>,
}

type Ordered = BTreeMap<ByName, Arc<Application>>;

/// An application that is gone.
pub(super) struct Tombstone {
    pub(super) last: Arc<Application>,
    pub(super) key: AppKey,
    /// When that was.
    pub(super) since: Instant,
    /// The latest version of any application then.
    pub(super) version: u64,
}

/// See the module's page.
#[derive(Default)]
pub(super) struct Catalog {
    all: Ordered,
    by_project: HashMap<String, Ordered>,
    by_namespace: HashMap<Arc<str>, Ordered>,
    by_label: HashMap<String, HashMap<String, Ordered>>,
    tombstones: VecDeque<Tombstone>,
    /// The latest version of any application that was ever here.
    latest: u64,
}

// === impl ByName ===

impl From<&AppKey> for ByName {
    fn from(key: &AppKey) -> Self {
        Self { name: key.name.clone(), namespace: key.namespace.clone() }
    }
}

// === impl Catalog ===

impl Catalog {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    /// Takes a state over; gives the one before.
    pub(super) fn insert(&mut self, key: &AppKey, app: &Arc<Application>) -> Option<Arc<Application>> {
        let at = ByName::from(key);
        self.latest = self.latest.max(version(app));
        let old = self.all.insert(at.clone(), app.clone());
        if let Some(old) = &old {
            self.leave(&at, old, Some(app));
        }
        self.by_project.entry(project(app).to_owned()).or_default().insert(at.clone(), app.clone());
        self.by_namespace.entry(key.namespace.clone()).or_default().insert(at.clone(), app.clone());
        for (label, value) in &app.metadata().labels {
            let values = self.by_label.entry(label.clone()).or_default();
            values.entry(value.clone()).or_default().insert(at.clone(), app.clone());
        }
        old
    }

    /// Takes an application out of the parts that its next state does not belong to.
    fn leave(&mut self, at: &ByName, old: &Application, new: Option<&Application>) {
        if new.is_none_or(|new| project(new) != project(old)) {
            drop_from(&mut self.by_project, project(old), at);
        }
        let labels = new.map(|new| &new.metadata().labels);
        for (label, value) in &old.metadata().labels {
            if labels.is_some_and(|labels| labels.get(label) == Some(value)) {
                continue;
            }
            if let Some(values) = self.by_label.get_mut(label) {
                drop_from(values, value, at);
                if values.is_empty() {
                    self.by_label.remove(label);
                }
            }
        }
    }

    /// Forgets an application but for a while; gives its last state.
    pub(super) fn remove(&mut self, key: &AppKey, since: Instant) -> Option<Arc<Application>> {
        let at = ByName::from(key);
        let last = self.all.remove(&at)?;
        self.leave(&at, &last, None);
        drop_from(&mut self.by_namespace, &key.namespace, &at);
        if self.tombstones.len() == MOST_TOMBSTONES {
            self.tombstones.pop_front();
        }
        self.tombstones.push_back(Tombstone { last: last.clone(), key: key.clone(), since, version: self.latest });
        Some(last)
    }

    pub(super) fn contains(&self, key: &AppKey) -> bool {
        self.all.contains_key(&ByName::from(key))
    }

    /// Those deleted lately, the latest first.
    pub(super) fn tombstones(&self) -> impl Iterator<Item = &Tombstone> {
        self.tombstones.iter().rev()
    }

    /// Copies the next applications after `cursor` that match the filter and moves
    /// the cursor past what was looked at; `false` when there are no more. Ends at
    /// `most` copies, and after [`CHUNK`] looks however few of them matched.
    pub(super) fn scan(
        &self,
        filter: &Filter,
        cursor: &mut Option<ByName>,
        most: usize,
        into: &mut Vec<Arc<Application>>,
    ) -> bool {
        let Some(ordered) = self.narrowest(filter) else { return false };
        let after = match (&cursor, &filter.name) {
            (Some(cursor), _) => Bound::Excluded(cursor.clone()),
            (None, Some(name)) => Bound::Included(ByName { name: name.as_str().into(), namespace: "".into() }),
            (None, None) => Bound::Unbounded,
        };
        let mut rest = ordered.range((after, Bound::Unbounded));
        let mut last = None;
        for (at, app) in rest.by_ref().take(CHUNK) {
            if filter.name.as_ref().is_some_and(|name| *at.name != **name) {
                return false;
            }
            last = Some(at);
            if filter.matches(app) {
                into.push(app.clone());
                if into.len() == most {
                    break;
                }
            }
        }
        *cursor = last.cloned().or(cursor.take());
        rest.next().is_some()
    }

    /// The smallest part that holds all that match; `None` when nothing can.
    fn narrowest(&self, filter: &Filter) -> Option<&Ordered> {
        let mut parts = Vec::new();
        if let [project] = filter.projects.as_slice() {
            parts.push(self.by_project.get(project)?);
        }
        if let Some(namespace) = &filter.namespace {
            parts.push(self.by_namespace.get(namespace.as_str())?);
        }
        for (label, value) in filter.selector.required() {
            parts.push(self.by_label.get(label)?.get(value)?);
        }
        Some(parts.into_iter().min_by_key(|part| part.len()).unwrap_or(&self.all))
    }
}

/// Parts that become empty go: names of projects and namespaces come and go.
fn drop_from<K>(parts: &mut HashMap<K, Ordered>, part: &str, at: &ByName)
where
    K: std::borrow::Borrow<str> + std::hash::Hash + Eq,
{
    if let Some(ordered) = parts.get_mut(part) {
        ordered.remove(at);
        if ordered.is_empty() {
            parts.remove(part);
        }
    }
}
