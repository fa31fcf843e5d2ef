//! One cluster's rate budget: how many requests a second, how many at once, and
//! who goes first when there are more.
//!
//! A token bucket with a queue per [`Priority`]. The server's own word counts
//! for more than ours: after a 429 everybody waits as long as it asked. Waiters
//! are served within their priority in order of arrival; a waiter that gave up
//! costs nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// Who goes first. Lower ones may starve while higher ones use the whole
/// budget; what a person waits for is small, so that in practice they do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A person or a running operation waits for the answer.
    Interactive,
    /// Writes of a sync.
    Apply,
    /// Keeping the live state current.
    Watch,
    /// Periodic work nobody waits for.
    Background,
}

const PRIORITIES: usize = 4;

/// The bounds of one cluster.
#[derive(Clone, Copy, Debug)]
pub struct BudgetConfig {
    /// Requests a second, on average.
    pub qps: f64,
    /// Requests that may go out at once after a pause.
    pub burst: f64,
    /// Requests under way at once; streams of watches do not count once open.
    pub in_flight: usize,
}

/// Shared by everything that talks to one cluster.
pub struct Budget {
    config: BudgetConfig,
    state: Mutex<State>,
}

/// A request's permission to be under way; give it back by dropping it.
pub struct Permit {
    /// `None` once disarmed: nothing to give back.
    budget: Option<Arc<Budget>>,
}

struct State {
    tokens: f64,
    filled: Instant,
    in_flight: usize,
    paused_until: Option<Instant>,
    queues: [VecDeque<oneshot::Sender<Permit>>; PRIORITIES],
    pumping: bool,
}

/// A server that asks for more than this is asked again after it, in case it meant well.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

// === impl BudgetConfig ===

impl Default for BudgetConfig {
    /// Well above Argo CD's 50 a second: API Priority and Fairness protects the
    /// server, and a slow client only makes its users wait.
    fn default() -> Self {
        Self { qps: 400.0, burst: 800.0, in_flight: 64 }
    }
}

// === impl Budget ===

impl Budget {
    /// A full bucket.
    pub fn new(config: BudgetConfig) -> Arc<Self> {
        let state = State {
            tokens: config.burst,
            filled: Instant::now(),
            in_flight: 0,
            paused_until: None,
            queues: Default::default(),
            pumping: false,
        };
        Arc::new(Self { config, state: Mutex::new(state) })
    }

    /// Waits for a turn.
    pub async fn acquire(self: &Arc<Self>, priority: Priority) -> Permit {
        let turn = {
            let mut state = self.lock();
            if state.queues[..=priority as usize].iter().all(VecDeque::is_empty) && state.take(&self.config) {
                return Permit::of(self);
            }
            let (send, receive) = oneshot::channel();
            state.queues[priority as usize].push_back(send);
            self.pump(&mut state);
            receive
        };
        turn.await.expect("the queue lives in a budget we hold, and a turn leaves it only by being granted")
    }

    /// Everybody waits: the server asked for it.
    pub fn pause(self: &Arc<Self>, asked: Duration) {
        let until = Instant::now() + asked.min(LONGEST_PAUSE);
        let mut state = self.lock();
        if state.paused_until.is_none_or(|now| now < until) {
            state.paused_until = Some(until);
        }
    }

    /// Requests waiting for a turn.
    pub fn waiting(&self) -> usize {
        self.lock().queues.iter().map(VecDeque::len).sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves whoever can be served; when time alone can help, sees to it that
    /// somebody comes back then.
    fn pump(self: &Arc<Self>, state: &mut State) {
        if let Some(wait) = state.grant(self)
            && !state.pumping
        {
            state.pumping = true;
            let budget = Arc::downgrade(self);
            tokio::spawn(async move {
                let mut wait = wait;
                loop {
                    tokio::time::sleep(wait).await;
                    let Some(budget) = budget.upgrade() else { return };
                    let mut state = budget.lock();
                    match state.grant(&budget) {
                        Some(more) => wait = more,
                        None => {
                            state.pumping = false;
                            return;
                        }
                    }
                }
            });
        }
    }
}

// === impl Permit ===

impl Permit {
    fn of(budget: &Arc<Budget>) -> Self {
        Self { budget: Some(budget.clone()) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(budget) = self.budget.take() {
            let mut state = budget.lock();
            state.in_flight -= 1;
            budget.pump(&mut state);
        }
    }
}

// === impl State ===

impl State {
    fn take(&mut self, config: &BudgetConfig) -> bool {
        self.refill(config);
        if self.blocked_for(config).is_some() || self.in_flight >= config.in_flight {
            return false;
        }
        self.tokens -= 1.0;
        self.in_flight += 1;
        true
    }

    fn refill(&mut self, config: &BudgetConfig) {
        let now = Instant::now();
        self.tokens = (self.tokens + (now - self.filled).as_secs_f64() * config.qps).min(config.burst);
        self.filled = now;
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
        }
    }

    /// How long time must pass before the next request may go.
    fn blocked_for(&self, config: &BudgetConfig) -> Option<Duration> {
        if let Some(until) = self.paused_until {
            return Some(until - self.filled);
        }
        (self.tokens < 1.0).then(|| Duration::from_secs_f64(((1.0 - self.tokens) / config.qps).max(0.001)))
    }

    /// Grants what can be granted. Returns a wait when only time is missing;
    /// `None` when nobody waits or when a returning permit will come by.
    fn grant(&mut self, budget: &Arc<Budget>) -> Option<Duration> {
        let config = &budget.config;
        self.refill(config);
        while self.queues.iter().any(|q| !q.is_empty()) {
            if self.in_flight >= config.in_flight {
                return None;
            }
            if let Some(wait) = self.blocked_for(config) {
                return Some(wait);
            }
            let turn = self.queues.iter_mut().find_map(VecDeque::pop_front)?;
            // A waiter that gives up after this drops the permit with its channel.
            match turn.send(Permit::of(budget)) {
                Ok(()) => {
                    self.tokens -= 1.0;
                    self.in_flight += 1;
                }
                // Disarmed: dropping it would lock the state that is locked here.
                Err(mut refused) => refused.budget = None,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(qps: f64, burst: f64, in_flight: usize) -> Arc<Budget> {
        Budget::new(BudgetConfig { qps, burst, in_flight })
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_burst_requests_go_out_at_the_rate() {
        let budget = budget(10.0, 5.0, 100);
        let start = Instant::now();
        for _ in 0..15 {
            drop(budget.acquire(Priority::Apply).await);
        }
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(950) && took < Duration::from_millis(1200), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_important_go_first() {
        let budget = budget(1000.0, 1000.0, 1);
        let held = budget.acquire(Priority::Watch).await;
        let (log, mut order) = tokio::sync::mpsc::unbounded_channel();
        for priority in [Priority::Background, Priority::Watch, Priority::Interactive] {
            let (budget, log) = (budget.clone(), log.clone());
            tokio::spawn(async move {
                let permit = budget.acquire(priority).await;
                log.send(priority).expect("listening");
                drop(permit);
            });
        }
        while budget.waiting() < 3 {
            tokio::task::yield_now().await;
        }
        drop(held);
        assert_eq!(order.recv().await, Some(Priority::Interactive));
        assert_eq!(order.recv().await, Some(Priority::Watch));
        assert_eq!(order.recv().await, Some(Priority::Background));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_asked_for_by_the_server_holds_everybody() {
        let budget = budget(1000.0, 1000.0, 10);
        budget.pause(Duration::from_secs(2));
        let start = Instant::now();
        drop(budget.acquire(Priority::Interactive).await);
        assert!(start.elapsed() >= Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_gave_up_costs_nothing() {
        let budget = budget(1000.0, 1000.0, 1);
        let held = budget.acquire(Priority::Apply).await;
        let given_up = tokio::time::timeout(Duration::from_millis(1), budget.acquire(Priority::Apply)).await;
        assert!(given_up.is_err());
        drop(held);
        drop(budget.acquire(Priority::Apply).await);
    }
}
