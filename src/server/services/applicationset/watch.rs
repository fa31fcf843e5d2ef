//! Watching ApplicationSets.
//!
//! A watch by name begins with what is there; any other tells only of changes. It
//! holds one unread change per ApplicationSet at most, asks for permission at every
//! event, and ends when its caller's authority does.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use argosy_home::{Change, Changes};
use argosy_model::AppKey;
use argosy_proto::applicationset::ApplicationSetWatchQuery;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{ApplicationSet, ApplicationSetWatchEvent};
use futures::stream;
use tonic::Status;

use super::present::shown;
use super::read::selector;
use super::{Service, project, version};
use crate::caller::Caller;
use crate::index::{EventKind, Selector};
use crate::permission::action;
use crate::services::guard::{Answers, guarded};
use crate::shared::Shared;

/// One watch.
struct Watch {
    shared: Arc<Shared>,
    caller: Caller,
    filter: Filter,
    /// To be told before anything else.
    first: VecDeque<Arc<ApplicationSet>>,
    changes: Changes<ApplicationSet>,
    seen: Seen,
}

/// Which ApplicationSets are wanted; what is empty does not matter.
struct Filter {
    name: String,
    namespace: String,
    projects: Vec<String>,
    selector: Selector,
    /// Only in this version or a later one.
    since: u64,
}

/// What the watch knows to be there, in the latest version it heard of.
#[derive(Default)]
struct Seen(HashMap<AppKey, u64>);

// === impl Service ===

impl Service {
    pub(super) async fn watch_sets(
        &self,
        caller: &Caller,
        query: ApplicationSetWatchQuery,
    ) -> Result<Answers<ApplicationSetWatchEvent>, Status> {
        let filter = Filter {
            selector: selector(&query.selector)?,
            name: query.name,
            namespace: query.app_set_namespace,
            projects: query.projects,
            since: query.resource_version.parse().unwrap_or(0),
        };
        let store = self.known().await?;
        // Before the list: a change between the two is told, not lost.
        let changes = store.subscribe();
        let mut there = store.list();
        let seen = Seen(there.iter().map(|(key, set)| (key.clone(), version(set))).collect());
        there.retain(|_| !filter.name.is_empty());
        there.sort_by(|(a, _), (b, _)| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let watch = Watch {
            shared: self.shared.clone(),
            caller: caller.clone(),
            filter,
            first: there.into_iter().map(|(_, set)| set).collect(),
            changes,
            seen,
        };
        let events = Box::pin(stream::unfold(watch, Watch::next));
        // Permission is asked at every event, for that one's ApplicationSet.
        Ok(guarded(&self.shared, caller, events, |_| Ok(())))
    }
}

// === impl Watch ===

impl Watch {
    async fn next(mut self) -> Option<(Result<ApplicationSetWatchEvent, Status>, Self)> {
        loop {
            let told = match self.first.pop_front() {
                Some(set) => Some((EventKind::Added, set)),
                None => self.seen.take(self.changes.next().await?),
            };
            if let Some((kind, set)) = told
                && self.filter.wants(kind, &set)
                && self.may_see(&set)
            {
                let event =
                    ApplicationSetWatchEvent { r#type: kind.as_str().to_owned(), application_set: Some(shown(&set)) };
                return Some((Ok(event), self));
            }
        }
    }

    fn may_see(&self, set: &ApplicationSet) -> bool {
        let service = Service::new(self.shared.clone());
        self.shared.namespaces().admits(&set.metadata().namespace) && service.permits(&self.caller, action::GET, set)
    }
}

// === impl Filter ===

impl Filter {
    fn wants(&self, kind: EventKind, set: &ApplicationSet) -> bool {
        let metadata = set.metadata();
        (self.name.is_empty() || self.name == metadata.name)
            && (self.namespace.is_empty() || self.namespace == metadata.namespace)
            && (self.projects.is_empty() || self.projects.iter().any(|p| p == project(set)))
            // What is gone is known only in a version from before it went.
            && (kind == EventKind::Deleted || version(set) >= self.since)
            && self.selector.matches(&metadata.labels)
    }
}

// === impl Seen ===

impl Seen {
    /// What a change is to the watch: nothing, where it is known already or nobody
    /// can read the object.
    fn take(&mut self, change: Change<ApplicationSet>) -> Option<(EventKind, Arc<ApplicationSet>)> {
        match change {
            Change::Applied { key, new, .. } => {
                let version = version(&new);
                match self.0.insert(key, version) {
                    Some(known) if version <= known => None,
                    Some(_) => Some((EventKind::Modified, new)),
                    None => Some((EventKind::Added, new)),
                }
            }
            Change::Deleted { key, last } => {
                self.0.remove(&key);
                last.map(|last| (EventKind::Deleted, last))
            }
            Change::Malformed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(version: u64) -> Arc<ApplicationSet> {
        let object = json!({
            "metadata": {"name": "a", "namespace": "argocd", "resourceVersion": version.to_string(), "labels": {"t": "x"}},
            "spec": {"generators": [], "template": {"spec": {"project": "p"}}},
        });
        Arc::new(serde_json::from_value(object).expect("an ApplicationSet"))
    }

    fn applied(version: u64) -> Change<ApplicationSet> {
        Change::Applied { key: AppKey::new("argocd", "a"), old: None, new: set(version) }
    }

    fn filter() -> Filter {
        Filter {
            name: String::new(),
            namespace: String::new(),
            projects: Vec::new(),
            selector: Selector::default(),
            since: 0,
        }
    }

    #[test]
    fn what_was_there_is_not_told_again_and_what_changes_is() {
        let mut seen = Seen(HashMap::from([(AppKey::new("argocd", "a"), 5)]));
        let kind = |told: Option<(EventKind, _)>| told.map(|(kind, _)| kind);
        assert_eq!(kind(seen.take(applied(5))), None);
        assert_eq!(kind(seen.take(applied(6))), Some(EventKind::Modified));
        let gone = Change::Deleted { key: AppKey::new("argocd", "a"), last: Some(set(6)) };
        assert_eq!(kind(seen.take(gone)), Some(EventKind::Deleted));
        assert_eq!(kind(seen.take(applied(9))), Some(EventKind::Added));
    }

    #[test]
    fn every_part_of_a_filter_must_hold() {
        let wants = |filter: Filter| filter.wants(EventKind::Modified, &set(5));
        assert!(wants(filter()));
        assert!(wants(Filter { name: "a".into(), projects: vec!["p".into()], since: 5, ..filter() }));
        assert!(!wants(Filter { name: "b".into(), ..filter() }));
        assert!(!wants(Filter { namespace: "other".into(), ..filter() }));
        assert!(!wants(Filter { projects: vec!["q".into()], ..filter() }));
        assert!(!wants(Filter { since: 6, ..filter() }));
        assert!(!wants(Filter { selector: Selector::parse("t=y").unwrap(), ..filter() }));
        assert!(Filter { since: 6, ..filter() }.wants(EventKind::Deleted, &set(5)));
    }
}
