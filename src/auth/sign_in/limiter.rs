//! How often a password may be tried: per account, and per address it comes from.
//!
//! - An account is locked by so many failures in a row, until none was added for the
//!   length of the window; a success forgets them. This is what Argo CD does.
//! - An address may fail more often, for many people may share one, and drains over
//!   the window instead of being locked.
//! - Memory is bounded, and nobody can push out what is remembered of another: real
//!   accounts have an entry each, and there are as many as the settings have. Names
//!   of no account and addresses share tables of fixed size, by a keyed hash that
//!   outsiders cannot predict; what collides there is counted together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use argosy_model::Secret;
use aws_lc_rs::hmac;
use jiff::Timestamp;

use super::failures::{Bucket, Failures};
use crate::token::SigningKey;

/// The bounds of trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Failures in a row that lock an account, at least 1
    /// (`ARGOCD_SESSION_FAILURE_MAX_FAIL_COUNT`).
    pub max_failures: u32,
    /// How long an account stays locked after the last of them, in seconds; 0 is for
    /// ever (`ARGOCD_SESSION_FAILURE_WINDOW_SECONDS`).
    pub window: u32,
    /// Failures that one address may have within the window, at least 1.
    pub max_source_failures: u32,
    /// Size of the table of unknown names and of that of addresses, at least 1
    /// (`ARGOCD_SESSION_MAX_CACHE_SIZE`).
    pub max_entries: u32,
}

/// One attempt to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The name that was given.
    pub name: String,
    /// Whether there is such an account.
    pub exists: bool,
    /// The client's address. `None` when it is not known, as behind a proxy that is
    /// not trusted to tell; then only the account is limited.
    pub source: Option<IpAddr>,
}

/// Whether an attempt may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Admission {
    /// It may, and is charged.
    Admitted,
    /// It may not. For the log; the client is told nothing of it.
    Refused {
        /// What had too many failures.
        by: Limit,
        /// From when one may be made again; `None` is never.
        until: Option<Timestamp>,
    },
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The account.
    Account,
    /// The address.
    Source,
}

/// Remembers failed attempts. See the module.
#[derive(Debug)]
pub struct Limiter {
    pub(super) limits: Limits,
    hash_key: Secret<[u8; 32]>,
    pub(super) accounts: BTreeMap<String, Failures>,
    strangers: BTreeMap<u32, Failures>,
    /// When the bucket of each address will be empty.
    pub(super) sources: BTreeMap<u32, i64>,
}

/// The window that drains addresses when accounts are locked for ever, in seconds.
const DEFAULT_WINDOW: u32 = 300;

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self { max_failures: 5, window: DEFAULT_WINDOW, max_source_failures: 50, max_entries: 10_000 }
    }
}

impl Limits {
    pub(super) fn window_ms(self) -> i64 {
        i64::from(self.window) * 1000
    }

    /// How long anything but a lock for ever is remembered.
    pub(super) fn horizon_ms(self) -> i64 {
        i64::from(if self.window == 0 { DEFAULT_WINDOW } else { self.window }) * 1000
    }

    fn bucket(self) -> Bucket {
        let attempts = i64::from(self.max_source_failures.max(1));
        let cost = (self.horizon_ms() / attempts).max(1);
        Bucket { cost, size: cost * attempts }
    }
}

// === impl Limiter ===

impl Limiter {
    /// Remembers nothing yet. The key makes all replicas count the same things together.
    pub fn new(limits: Limits, key: &SigningKey) -> Self {
        Self {
            limits,
            hash_key: key.derive("sign-in limits"),
            accounts: BTreeMap::new(),
            strangers: BTreeMap::new(),
            sources: BTreeMap::new(),
        }
    }

    /// Whether an attempt may be made. If so it is charged as a failure.
    pub fn admit(&mut self, attempt: &Attempt, now: Timestamp) -> Admission {
        let limits = self.limits;
        let now = now.as_millisecond();
        let source = attempt.source.map(|address| self.source_slot(address));
        let failures = self.failures(attempt);
        failures.forget_old(now, limits.window_ms());
        if failures.count >= limits.max_failures.max(1) {
            let until = (limits.window > 0).then(|| moment(failures.last + limits.window_ms()));
            return Admission::Refused { by: Limit::Account, until };
        }
        if let Some(slot) = source {
            match limits.bucket().charge(self.sources.get(&slot).copied().unwrap_or(0), now) {
                Ok(empty_at) => self.sources.insert(slot, empty_at),
                Err(room_at) => {
                    return Admission::Refused { by: Limit::Source, until: Some(moment(room_at)) };
                }
            };
        }
        let failures = self.failures(attempt);
        failures.charge(now);
        Admission::Admitted
    }

    /// The attempt that was admitted signed somebody in: its account's failures are
    /// forgotten, and its address is not charged.
    pub fn on_success(&mut self, attempt: &Attempt, now: Timestamp) {
        let failures = self.failures(attempt);
        failures.clear(now.as_millisecond());
        self.refund_source(attempt);
    }

    /// The attempt that was admitted did not fail by its password: it is as if it had
    /// not been made.
    pub fn withdraw(&mut self, attempt: &Attempt) {
        let failures = self.failures(attempt);
        failures.count = failures.count.saturating_sub(1);
        if failures.count == 0 {
            failures.forget();
        }
        self.refund_source(attempt);
    }

    /// Drops what no longer matters. Memory is bounded without it; a table that is
    /// written down should have nothing needless.
    pub(super) fn forget_old(&mut self, now: i64) {
        let (window, horizon) = (self.limits.window_ms(), self.limits.horizon_ms());
        let remembered = |failures: &mut Failures| {
            failures.forget_old(now, window);
            !failures.is_over(now, horizon)
        };
        self.accounts.retain(|_, failures| remembered(failures));
        self.strangers.retain(|_, failures| remembered(failures));
        self.sources.retain(|_, empty_at| *empty_at > now);
    }

    fn refund_source(&mut self, attempt: &Attempt) {
        let Some(address) = attempt.source else { return };
        let slot = self.source_slot(address);
        if let Some(empty_at) = self.sources.get_mut(&slot) {
            *empty_at -= self.limits.bucket().cost;
        }
    }

    fn failures(&mut self, attempt: &Attempt) -> &mut Failures {
        if attempt.exists {
            self.accounts.entry(attempt.name.clone()).or_default()
        } else {
            let slot = self.slot("name", attempt.name.as_bytes());
            self.strangers.entry(slot).or_default()
        }
    }

    fn source_slot(&self, address: IpAddr) -> u32 {
        match address.to_canonical() {
            IpAddr::V4(address) => self.slot("source", &address.octets()),
            // Whoever has one address of a /64 has them all.
            IpAddr::V6(address) => self.slot("source", &address.octets()[..8]),
        }
    }

    fn slot(&self, table: &str, key: &[u8]) -> u32 {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, self.hash_key.expose()));
        context.update(table.as_bytes());
        context.update(key);
        let tag = context.sign();
        let bytes = tag.as_ref().first_chunk::<4>().expect("a SHA-256 has 32 bytes");
        u32::from_be_bytes(*bytes) % self.limits.max_entries.max(1)
    }
}

fn moment(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
}
