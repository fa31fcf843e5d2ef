//! What replicas tell each other of failed attempts, and what outlives a restart.
//!
//! Records are short texts under keys that fit a ConfigMap: `account.<name>` has
//! failures, last failure and last success, `source.<slot>` has the moment an address
//! is free of charge. Addresses themselves are not in them, nor names of no account.
//! Merging takes the higher of two counts, so merging twice, or in another order,
//! changes nothing; replicas that have not yet heard of each other count apart.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::failures::Failures;
use super::limiter::Limiter;

// === impl Limiter ===

impl Limiter {
    /// What to tell others, after dropping what no longer matters.
    pub fn to_records(&mut self, now: Timestamp) -> BTreeMap<String, String> {
        self.forget_old(now.as_millisecond());
        let accounts = self
            .accounts
            .iter()
            .map(|(name, f)| (format!("account.{name}"), format!("{} {} {}", f.count, f.last, f.cleared)));
        let sources = self.sources.iter().map(|(slot, empty_at)| (format!("source.{slot}"), empty_at.to_string()));
        accounts.chain(sources).collect()
    }

    /// Learns what others told. Returns the keys of records that mean nothing.
    pub fn merge_records(&mut self, records: &BTreeMap<String, String>, now: Timestamp) -> Vec<String> {
        let now = now.as_millisecond();
        let unread = records.iter().filter(|(key, value)| self.merge_record(key, value, now).is_none());
        unread.map(|(key, _)| key.clone()).collect()
    }

    fn merge_record(&mut self, key: &str, value: &str, now: i64) -> Option<()> {
        if let Some(name) = key.strip_prefix("account.") {
            let mut theirs = read_failures(value, now)?;
            let mut ours = self.accounts.get(name).copied().unwrap_or_default();
            // A count that is over must not live on under the time of another.
            for failures in [&mut ours, &mut theirs] {
                failures.forget_old(now, self.limits.window_ms());
            }
            let merged = ours.merge(theirs);
            if merged != Failures::default() {
                self.accounts.insert(name.to_owned(), merged);
            }
        } else {
            let slot: u32 = key.strip_prefix("source.")?.parse().ok()?;
            let theirs: i64 = value.parse().ok()?;
            if slot >= self.limits.max_entries {
                return None;
            }
            // No charge lasts longer than a full bucket, whatever a clock said.
            let theirs = theirs.clamp(0, now.max(0) + self.limits.horizon_ms());
            let ours = self.sources.entry(slot).or_insert(theirs);
            *ours = theirs.max(*ours);
        }
        Some(())
    }
}

/// Reads the failures of an account. Nothing in them is later than now, whatever a
/// clock said.
fn read_failures(text: &str, now: i64) -> Option<Failures> {
    let mut numbers = text.split(' ');
    let count = numbers.next()?.parse().ok()?;
    let mut time = || Some(numbers.next()?.parse::<i64>().ok()?.clamp(0, now.max(0)));
    let failures = Failures { count, last: time()?, cleared: time()? };
    numbers.next().is_none().then_some(failures)
}
