//! What to make and what to remove so that a slice is claimed: the decision, pure.
//!
//! Planned again after each look until nothing stands in the way. The last look
//! comes after the own mark is made, which is what makes it safe (see the folder's
//! page).

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::claim::{Claim, digest};
use super::{Part, PartKind};

/// Age at which a subject or binding without a mark is nobody's: its maker would
/// have used it, or removed it.
const ORPHANED: Duration = Duration::from_secs(3600);

/// What the claimant has and wants.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    /// Name of the mark its next token hangs on.
    pub(super) mark: String,
    /// When it made that, by the API server's clock. Somebody may have removed it since.
    pub(super) made: Option<Timestamp>,
    /// Name of the mark its token in use hangs on.
    pub(super) kept: Option<String>,
    /// Whether it works, or worked until now, as a subject of its own.
    pub(super) subject: bool,
    /// The bindings to copy to its subject; `None`: what is there is left alone.
    pub(super) sources: Option<Vec<Source>>,
}

/// A binding of the declared account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Empty for one of the whole cluster.
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) role: Value,
}

/// What is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// A later epoch is there: give up.
    Superseded(u64),
    /// Do this, then look again.
    Steps(Vec<Step>),
    /// The slice is claimed, by the own mark with this uid. `missing` is what has yet to
    /// be made to work with; it needs no look after that, for it is of no use to anybody
    /// without a token, and there is none once that mark has gone.
    Ready { uid: String, missing: Vec<Step> },
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Remove(Part),
    Mark,
    Subject,
    Bind(Source),
}

// === impl Step ===

impl Step {
    /// The name of the subject of another epoch that this makes fall.
    pub(super) fn fallen_subject(&self) -> Option<&str> {
        match self {
            Self::Remove(part) if part.kind == PartKind::Subject => Some(&part.name),
            _ => None,
        }
    }
}

// === impl Source ===

impl Source {
    /// Name of its copy: another role makes another copy, for a binding's role
    /// cannot change.
    pub(super) fn copy(&self, claim: &Claim) -> String {
        claim.name(&digest(&[&self.namespace, &self.name, &self.role.to_string()]))
    }
}

/// Plans the next steps of a claim, given all that is there.
pub(super) fn plan_claim(claim: &Claim, own: &Own, parts: &[Part]) -> Plan {
    let mark = parts.iter().find(|part| part.is_mark() && part.name == own.mark);
    // The one time that is certainly the API server's, and a little old.
    let scene = Scene { claim, own, parts, now: mark.map(|mark| mark.created).or(own.made) };
    if let Some(later) = scene.later() {
        return Plan::Superseded(later);
    }
    let copies: Option<BTreeSet<String>> =
        own.sources.as_ref().map(|sources| sources.iter().map(|source| source.copy(claim)).collect());
    let gone = parts.iter().filter(|part| scene.is_in_the_way(part, copies.as_ref()));
    let mut steps: Vec<Step> = gone.cloned().map(Step::Remove).collect();
    let Some(mark) = mark else {
        steps.push(Step::Mark);
        return Plan::Steps(steps);
    };
    if !steps.is_empty() {
        return Plan::Steps(steps);
    }
    // What is worked with comes only after a look that found the own mark and no later
    // one: nobody who was replaced may make again what its successor has removed.
    let mut missing = Vec::new();
    if let Some(sources) = own.sources.as_ref().filter(|_| own.subject) {
        let has = |kind: PartKind, name: &str| parts.iter().any(|part| part.kind == kind && part.name == name);
        if !has(PartKind::Subject, &claim.name("")) {
            missing.push(Step::Subject);
        }
        let absent = sources.iter().filter(|source| !has(PartKind::Binding, &source.copy(claim)));
        missing.extend(absent.cloned().map(Step::Bind));
    }
    Plan::Ready { uid: mark.uid.clone(), missing }
}

/// Everything a part is judged by.
struct Scene<'a> {
    claim: &'a Claim,
    own: &'a Own,
    parts: &'a [Part],
    /// `None` before the own mark was made.
    now: Option<Timestamp>,
}

// === impl Scene ===

impl Scene<'_> {
    /// The latest epoch after the own one, once it can be judged whether its mark
    /// still counts.
    fn later(&self) -> Option<u64> {
        let now = self.now?;
        let marks = self.parts.iter().filter(|part| part.is_mark() && part.slice.overlaps(self.claim.slice));
        marks.filter(|mark| mark.epoch > self.claim.epoch && lives(mark, now)).map(|mark| mark.epoch).max()
    }

    fn is_in_the_way(&self, part: &Part, copies: Option<&BTreeSet<String>>) -> bool {
        if !part.slice.overlaps(self.claim.slice) || part.epoch > self.claim.epoch {
            return self.is_left_over(part);
        }
        if part.epoch < self.claim.epoch {
            return true;
        }
        match part.kind {
            PartKind::Mark => part.name != self.own.mark && self.own.kept.as_ref() != Some(&part.name),
            PartKind::Subject => !self.own.subject,
            PartKind::Binding => !self.own.subject || copies.is_some_and(|copies| !copies.contains(&part.name)),
        }
    }

    /// Whether something of another claim cannot be in use any more.
    fn is_left_over(&self, part: &Part) -> bool {
        let Some(now) = self.now else { return false };
        if part.is_mark() {
            return !lives(part, now);
        }
        let same = |mark: &&Part| mark.is_mark() && mark.slice == part.slice && mark.epoch == part.epoch;
        let is_marked = self.parts.iter().filter(same).any(|mark| lives(mark, now));
        !is_marked && after(part.created, ORPHANED) < now
    }
}

fn lives(mark: &Part, now: Timestamp) -> bool {
    after(mark.created, mark.life) >= now
}

fn after(time: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    time.checked_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
