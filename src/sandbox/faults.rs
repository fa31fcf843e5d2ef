//! What a test makes go wrong: slow answers, 429, 500, 410, ended watches, expired
//! tokens, and a pause in which nothing is answered.
//!
//! The serving code asks [`Observation`] ahead of each request; authentication asks
//! [`Faults::is_expired`]. Without rules that costs one look at a lock.
//! [`Faults::resumed`] and [`Faults::watch_end`] are for code that serves: the one
//! holds a request during a pause, the other ends watches that run.

mod observer;

pub use observer::Observation;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered that much later.
    Latency(Duration),
    /// 429, with so many seconds in `Retry-After`.
    TooManyRequests {
        /// Seconds.
        retry_after: u32,
    },
    /// 500.
    InternalError,
    /// 410, as for a version that is too old.
    Gone,
    /// A watch breaks off after a while.
    WatchDrops(Duration),
    /// A watch says 410 after a while, and ends.
    WatchExpires(Duration),
}

/// To which requests a fault happens; absent parts are any.
#[derive(Clone, Debug)]
pub struct FaultRule {
    /// `get`, `list`, `watch`, `create`, ...
    pub verb: Option<String>,
    /// Plural of the resource.
    pub resource: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
    /// To how many requests; `None` until it is removed.
    pub times: Option<u32>,
    /// What happens.
    pub fault: Fault,
}

/// Names a rule, to remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleId(u64);

/// How a watch is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEnd {
    /// The connection is cut.
    Dropped,
    /// An error event says 410, then the stream ends.
    Gone,
}

/// The switchboard of one sandbox; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    rules: Mutex<Vec<(RuleId, FaultRule)>>,
    expired: Mutex<Expired>,
    next_id: AtomicU64,
    paused: watch::Sender<bool>,
    /// How many times watches were ended, and how the last time.
    ended: watch::Sender<(u64, Option<WatchEnd>)>,
}

#[derive(Debug, Default)]
struct Expired {
    all: bool,
    ids: HashSet<String>,
}

// === impl FaultRule ===

impl FaultRule {
    /// A fault of every request.
    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self { verb: None, resource: None, namespace: None, times: None, fault }
    }

    fn concerns(&self, verb: &str, resource: &str, namespace: &str) -> bool {
        let is = |wanted: &Option<String>, given: &str| wanted.as_deref().is_none_or(|wanted| wanted == given);
        is(&self.verb, verb) && is(&self.resource, resource) && is(&self.namespace, namespace)
    }
}

// === impl Faults ===

impl Faults {
    /// Nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a rule. Of several that concern a request, latencies add up and the
    /// first refusal counts.
    pub fn add(&self, rule: FaultRule) -> RuleId {
        let id = RuleId(self.shared.next_id.fetch_add(1, Ordering::Relaxed));
        lock(&self.shared.rules).push((id, rule));
        id
    }

    /// Removes a rule.
    pub fn remove(&self, id: RuleId) {
        lock(&self.shared.rules).retain(|(one, _)| *one != id);
    }

    /// Removes all rules, un-expires all tokens and ends a pause.
    pub fn clear(&self) {
        lock(&self.shared.rules).clear();
        *lock(&self.shared.expired) = Expired::default();
        self.resume();
    }

    /// Answers nothing until [`Faults::resume`].
    pub fn pause(&self) {
        self.shared.paused.send_replace(true);
    }

    /// Answers again.
    pub fn resume(&self) {
        self.shared.paused.send_replace(false);
    }

    /// Ends all watches that run now.
    pub fn end_watches(&self, how: WatchEnd) {
        self.shared.ended.send_modify(|(count, last)| (*count, *last) = (*count + 1, Some(how)));
    }

    /// From now on the token of this id counts as expired.
    pub fn expire_token(&self, id: &str) {
        lock(&self.shared.expired).ids.insert(id.to_owned());
    }

    /// From now on every token counts as expired, those issued later too.
    pub fn expire_all_tokens(&self) {
        lock(&self.shared.expired).all = true;
    }

    /// Whether a token counts as expired.
    #[must_use]
    pub fn is_expired(&self, id: Option<&str>) -> bool {
        let expired = lock(&self.shared.expired);
        expired.all || id.is_some_and(|id| expired.ids.contains(id))
    }

    /// Ends when running watches are to end; call it as the watch begins.
    pub fn watch_end(&self) -> impl Future<Output = WatchEnd> + Send + use<> {
        let mut ended = self.shared.ended.subscribe();
        let shared = self.shared.clone();
        async move {
            // The sender lives as long as `shared`, so that waiting cannot fail.
            let _ = ended.changed().await;
            let how = ended.borrow().1.unwrap_or(WatchEnd::Dropped);
            drop(shared);
            how
        }
    }

    /// Waits for the end of a pause, if there is one.
    pub async fn resumed(&self) {
        if *self.shared.paused.borrow() {
            // The sender lives in `self`, so that waiting cannot fail.
            let _ = self.shared.paused.subscribe().wait_for(|paused| !paused).await;
        }
    }

    /// What happens to a request; counts it for the rules that concern it.
    #[must_use]
    pub fn draw(&self, verb: &str, resource: &str, namespace: &str) -> Vec<Fault> {
        let mut rules = lock(&self.shared.rules);
        let mut faults = Vec::new();
        for (_, rule) in rules.iter_mut().filter(|(_, rule)| rule.concerns(verb, resource, namespace)) {
            faults.push(rule.fault);
            rule.times = rule.times.map(|times| times.saturating_sub(1));
        }
        rules.retain(|(_, rule)| rule.times != Some(0));
        faults
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_counts_for_its_requests_and_as_often_as_it_says() {
        let faults = Faults::none();
        let rule = FaultRule { times: Some(2), ..FaultRule::always(Fault::InternalError) };
        faults.add(FaultRule { resource: Some("pods".to_owned()), ..rule });
        assert_eq!(faults.draw("get", "secrets", "a"), vec![]);
        assert_eq!(faults.draw("get", "pods", "a"), vec![Fault::InternalError]);
        assert_eq!(faults.draw("list", "pods", "b"), vec![Fault::InternalError]);
        assert_eq!(faults.draw("list", "pods", "b"), vec![]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_requests_until_it_ends() {
        let faults = Faults::none();
        faults.pause();
        assert!(tokio::time::timeout(Duration::from_secs(60), faults.resumed()).await.is_err());
        faults.resume();
        faults.resumed().await;
    }

    #[tokio::test]
    async fn watches_that_run_end_and_later_ones_do_not() {
        let faults = Faults::none();
        let running = faults.watch_end();
        faults.end_watches(WatchEnd::Gone);
        assert_eq!(running.await, WatchEnd::Gone);
        let later = faults.watch_end();
        assert!(futures::FutureExt::now_or_never(later).is_none());
    }

    #[test]
    fn tokens_expire_by_their_id() {
        let faults = Faults::none();
        faults.expire_token("one");
        assert!(faults.is_expired(Some("one")) && !faults.is_expired(Some("two")) && !faults.is_expired(None));
        faults.expire_all_tokens();
        assert!(faults.is_expired(Some("two")));
        faults.clear();
        assert!(!faults.is_expired(Some("one")));
    }
}
