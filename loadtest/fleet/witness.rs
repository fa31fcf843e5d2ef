//! What one simulated cluster saw of its controllers: the judge of a run.
//!
//! It stands between the cluster and what answers there, so that it sees reads and
//! refused credentials too, which the cluster's journal of writes leaves out, and
//! forgets nothing however long a run is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use argosy_sandbox::failure::Failure;
use argosy_sandbox::hooks::{Attributes, Authenticator, Caller, Hooks, Observer, Record, Trouble};
use argosy_sandbox::store::Store;
use http::{HeaderMap, HeaderValue, Method, header};
use tokio::sync::watch;

/// The user that this program itself is.
pub(crate) const SELF: &str = "admin";
/// What a fence looks through, whenever a credential is made or removed.
const OF_FENCES: [&str; 4] = ["secrets", "serviceaccounts", "rolebindings", "clusterrolebindings"];

/// What was done to an object by the controllers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Creations, updates and patches that were stored.
    pub(crate) writes: usize,
    pub(crate) deletions: usize,
}

/// Requests of the controllers, by what they say about credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    /// Credentials that were not known: 401.
    pub(crate) unknown: usize,
    /// Answers of 403, 429 and from 500 on, by code.
    pub(crate) failed: BTreeMap<u16, usize>,
    /// Lists by resource, but for what fences look through.
    pub(crate) lists: BTreeMap<String, usize>,
}

/// See the module's page.
#[derive(Default)]
pub(crate) struct Witness {
    seen: Mutex<Seen>,
    /// How often something was done to an object.
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct Seen {
    /// By the name of the ConfigMap, with the version that was stored last: a write that
    /// leaves it changes nothing.
    effects: HashMap<String, (Effects, Option<u64>)>,
    requests: Requests,
    /// Each that was good for something at some time.
    tokens: HashSet<HeaderValue>,
    behind: Option<Behind>,
}

/// What is behind the witness.
#[derive(Clone)]
struct Behind {
    authenticator: Arc<dyn Authenticator>,
    store: Store,
}

/// The hooks in front of those of the cluster.
struct Watching {
    witness: Arc<Witness>,
    observer: Arc<dyn Observer>,
    authenticator: Arc<dyn Authenticator>,
}

// === impl Effects ===

impl Effects {
    /// One write.
    pub(crate) const WRITE: Self = Self { writes: 1, deletions: 0 };
    /// One deletion.
    pub(crate) const DELETION: Self = Self { writes: 0, deletions: 1 };

    pub(crate) fn add(&mut self, more: Self) {
        self.writes += more.writes;
        self.deletions += more.deletions;
    }

    /// Whether each was done at least as often as in `other`.
    fn reaches(self, other: Self) -> bool {
        self.writes >= other.writes && self.deletions >= other.deletions
    }
}

// === impl Witness ===

impl Witness {
    /// Stands before the hooks of a cluster that starts, which keeps its objects there.
    pub(crate) fn before(self: &Arc<Self>, hooks: Hooks, store: &Store) -> Hooks {
        self.lock().behind = Some(Behind { authenticator: hooks.authenticator.clone(), store: store.clone() });
        let watching = Arc::new(Watching {
            witness: self.clone(),
            observer: hooks.observer.clone(),
            authenticator: hooks.authenticator.clone(),
        });
        Hooks { observer: watching.clone(), authenticator: watching, ..hooks }
    }

    /// What was done to the object of this name so far.
    pub(crate) fn effects(&self, name: &str) -> Effects {
        self.lock().effects.get(name).map(|(effects, _)| *effects).unwrap_or_default()
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Requests {
        self.lock().requests.clone()
    }

    /// Waits until that much was done to an object.
    ///
    /// # Errors
    /// When it is not before the deadline.
    pub(crate) async fn wait_for(&self, name: &str, wanted: Effects, deadline: Duration) -> anyhow::Result<()> {
        let mut news = self.news.subscribe();
        let done = news.wait_for(|_| self.effects(name).reaches(wanted));
        let done = tokio::time::timeout(deadline, done).await;
        // The sender is in `self`.
        done.map(drop).with_context(|| format!("{name}: {:?} within {deadline:?}, not {wanted:?}", self.effects(name)))
    }

    /// How many of the tokens that were ever used the cluster still knows, and how many
    /// it refuses.
    pub(crate) fn try_tokens(&self) -> (usize, usize) {
        let seen = self.lock();
        let is_known = |token: &&HeaderValue| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, (*token).clone())]);
            seen.behind.as_ref().is_some_and(|behind| behind.authenticator.authenticate(&headers, None).is_ok())
        };
        let known = seen.tokens.iter().filter(is_known).count();
        (known, seen.tokens.len() - known)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_request(&self, record: &Record) {
        if record.caller.name == SELF {
            return;
        }
        let (what, code) = (&record.attributes, record.code);
        let effect = match what.verb.as_str() {
            "create" | "update" | "patch" | "apply" => Effects::WRITE,
            "delete" => Effects::DELETION,
            _ => Effects::default(),
        };
        let mut seen = self.lock();
        if matches!(code.as_u16(), 403 | 429 | 500..) {
            *seen.requests.failed.entry(code.as_u16()).or_default() += 1;
        }
        if what.verb == "list" && !OF_FENCES.contains(&what.resource.as_str()) {
            *seen.requests.lists.entry(what.resource.clone()).or_default() += 1;
        }
        if what.resource == "configmaps"
            && what.namespace == crate::clusters::NAMESPACE
            && effect != Effects::default()
            && code.is_success()
            && !record.dry_run
        {
            // What is created has its name in the object alone.
            let created = |store: &Store| name_of(store, record.version.unwrap_or_default());
            let name = if what.name.is_empty() {
                seen.behind.as_ref().and_then(|behind| created(&behind.store)).unwrap_or_default()
            } else {
                what.name.clone()
            };
            let (effects, version) = seen.effects.entry(name).or_default();
            if record.version.is_some() && *version == record.version {
                return;
            }
            effects.add(effect);
            *version = record.version;
            drop(seen);
            self.news.send_modify(|news| *news += 1);
        }
    }
}

/// The name of the ConfigMap that was stored as this version.
fn name_of(store: &Store, version: u64) -> Option<String> {
    let (maps, _) = store.list("", "configmaps", Some(crate::clusters::NAMESPACE));
    let map = maps.into_iter().find(|map| map.version == version)?;
    map.value["metadata"]["name"].as_str().map(str::to_owned)
}

// === impl Watching ===

impl Authenticator for Watching {
    fn authenticate(&self, headers: &HeaderMap, certificate: Option<&[u8]>) -> Result<Caller, Failure> {
        let answer = self.authenticator.authenticate(headers, certificate);
        let mut seen = self.witness.lock();
        match (&answer, headers.get(header::AUTHORIZATION)) {
            (Ok(_), Some(token)) if !seen.tokens.contains(token) => drop(seen.tokens.insert(token.clone())),
            (Ok(_), _) => {}
            (Err(_), _) => seen.requests.unknown += 1,
        }
        answer
    }
}

impl Observer for Watching {
    fn trouble(&self, caller: &Caller, attributes: &Attributes, method: &Method) -> Trouble {
        self.observer.trouble(caller, attributes, method)
    }

    fn record(&self, record: Record) {
        self.witness.on_request(&record);
        self.observer.record(record);
    }
}

#[cfg(test)]
mod tests {
    use argosy_sandbox::store::ObjectKey;
    use http::StatusCode;

    use super::*;

    fn record(caller: &str, verb: &str, resource: &str, code: StatusCode) -> Record {
        Record {
            time: jiff::Timestamp::UNIX_EPOCH,
            caller: Caller { name: caller.to_owned(), ..Caller::default() },
            attributes: Attributes {
                verb: verb.to_owned(),
                resource: resource.to_owned(),
                namespace: crate::clusters::NAMESPACE.to_owned(),
                name: "app-1".to_owned(),
                ..Attributes::default()
            },
            field_manager: String::new(),
            dry_run: false,
            code,
            version: None,
        }
    }

    #[test]
    fn effects_are_what_controllers_stored() {
        let witness = Witness::default();
        for (caller, verb, code) in [
            ("argosy", "patch", StatusCode::CREATED),
            ("argosy", "patch", StatusCode::CONFLICT),
            (SELF, "delete", StatusCode::OK),
            ("argosy", "get", StatusCode::OK),
            ("argosy", "delete", StatusCode::OK),
        ] {
            witness.on_request(&record(caller, verb, "configmaps", code));
        }
        let stored = Record { version: Some(7), ..record("argosy", "patch", "configmaps", StatusCode::OK) };
        witness.on_request(&stored);
        witness.on_request(&stored);
        witness.on_request(&Record { dry_run: true, ..record("argosy", "patch", "configmaps", StatusCode::OK) });
        // Not the one that left the version as it was.
        assert_eq!(witness.effects("app-1"), Effects { writes: 2, deletions: 1 });
        assert_eq!(witness.requests(), Requests::default());
    }

    #[test]
    fn a_creation_is_told_by_what_was_stored() {
        let (witness, store) = (Arc::new(Witness::default()), Store::in_memory());
        let _hooks = witness.before(Hooks::default(), &store);
        let key = ObjectKey::new("", "configmaps", crate::clusters::NAMESPACE, "app-7");
        let made = store.create(&key, serde_json::json!({"metadata": {"name": "app-7"}})).expect("is new");
        let mut creation = record("argosy", "create", "configmaps", StatusCode::CREATED);
        (creation.attributes.name, creation.version) = (String::new(), Some(made.version));
        witness.on_request(&creation);
        assert_eq!(witness.effects("app-7"), Effects::WRITE);
    }

    #[test]
    fn refusals_and_lists_are_counted_but_not_what_fences_look_through() {
        let witness = Witness::default();
        witness.on_request(&record("argosy", "list", "secrets", StatusCode::OK));
        witness.on_request(&record("argosy", "list", "pods", StatusCode::FORBIDDEN));
        let requests = witness.requests();
        assert_eq!(requests.lists, BTreeMap::from([("pods".to_owned(), 1)]));
        assert_eq!(requests.failed, BTreeMap::from([(403, 1)]));
    }

    #[tokio::test]
    async fn whoever_waits_for_an_effect_is_told_or_learns_how_far_it_came() {
        let witness = Witness::default();
        let waiting = witness.wait_for("app-1", Effects::WRITE, Duration::from_secs(60));
        let (done, ()) = tokio::join!(waiting, async {
            witness.on_request(&record("argosy", "create", "configmaps", StatusCode::CREATED));
        });
        done.expect("it was written");
        let error = witness.wait_for("app-1", Effects::DELETION, Duration::ZERO).await.expect_err("it was not");
        assert!(format!("{error:#}").contains("writes: 1, deletions: 0"), "{error:#}");
    }
}
