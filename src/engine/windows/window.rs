//! One sync window, compiled.
//!
//! A window follows the clock on the wall of its zone: it is open while that
//! clock reads from a scheduled start, up to but not including start plus
//! duration. A window from 22:00 for eight hours thus ends at 06:00 on every
//! night of the year; the hour skipped in spring belongs to no window, and the
//! hour repeated in autumn is read twice.

use std::fmt;

use argosy_model::cron::{InvalidSchedule, Schedule};
use argosy_model::duration::{self, InvalidDuration};
use argosy_model::glob::Pattern;
use argosy_proto::v1alpha1::SyncWindow;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Subject;

/// What an open window does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Allows syncs, and forbids them while closed.
    Allow,
    /// Forbids syncs.
    Deny,
    /// Neither: the window has no effect.
    Unknown,
}

/// What is wrong with a window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWindow {
    /// The kind is neither `allow` nor `deny`.
    #[error("kind '{0}' mismatch: can only be allow or deny")]
    Kind(String),
    /// The schedule cannot be read.
    #[error("cannot parse schedule '{0}'")]
    Schedule(String, #[source] InvalidSchedule),
    /// The duration cannot be read.
    #[error("cannot parse duration '{0}'")]
    Duration(String, #[source] InvalidDuration),
    /// The schedule names a zone that does not exist.
    #[error("unknown time zone '{0}'")]
    Zone(String),
}

/// A window with its patterns and schedule read.
#[derive(Clone, Debug)]
pub struct Window {
    spec: SyncWindow,
    kind: Kind,
    opening: Result<Opening, InvalidWindow>,
    applications: Vec<Pattern>,
    namespaces: Vec<Pattern>,
    clusters: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Opening {
    schedule: Schedule,
    duration: SignedDuration,
    zone: TimeZone,
}

/// Starts followed in a row to find the end of overlapping openings. Beyond it
/// the time reached is given, which is early but never late.
const MAX_OVERLAPS: usize = 1000;

/// The longest pattern that is read, in bytes; a longer one matches nothing.
const MAX_PATTERN: usize = 4096;

// === impl Window ===

impl Window {
    pub(super) fn compile(spec: &SyncWindow) -> Self {
        let patterns = |texts: &[String]| {
            let texts = texts.iter().filter(|text| text.len() <= MAX_PATTERN);
            texts.map(|text| Pattern::new(text, &[])).collect()
        };
        let kind = match spec.kind.as_str() {
            "allow" => Kind::Allow,
            "deny" => Kind::Deny,
            _ => Kind::Unknown,
        };
        let opening = match kind {
            Kind::Unknown => Err(InvalidWindow::Kind(spec.kind.clone())),
            _ => Opening::read(spec),
        };
        Self {
            kind,
            opening,
            applications: patterns(&spec.applications),
            namespaces: patterns(&spec.namespaces),
            clusters: patterns(&spec.clusters),
            spec: spec.clone(),
        }
    }

    /// The window as the project has it.
    pub fn spec(&self) -> &SyncWindow {
        &self.spec
    }

    /// What the window does while open.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Why the window cannot be read, if it cannot.
    pub fn error(&self) -> Option<&InvalidWindow> {
        self.opening.as_ref().err()
    }

    /// Whether the window's zone is unknown, so that its schedule is read in UTC.
    pub fn zone_is_unknown(&self) -> bool {
        zone(&self.spec.time_zone).is_none()
    }

    /// Whether the window applies to an application: any of its lists matches,
    /// or with `andOperator` each list that is not empty does.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        let any = |patterns: &[Pattern], text: &str| patterns.iter().any(|p| p.matches(text));
        let cluster = |text: &str| !text.is_empty() && any(&self.clusters, text);
        let lists = [
            (self.spec.applications.is_empty(), any(&self.applications, subject.application)),
            (self.spec.clusters.is_empty(), cluster(subject.server) || cluster(subject.cluster)),
            (self.spec.namespaces.is_empty(), any(&self.namespaces, subject.namespace)),
        ];
        if self.spec.and_operator {
            lists.iter().all(|(unset, matched)| *unset || *matched) && lists.iter().any(|(unset, _)| !unset)
        } else {
            lists.iter().any(|(_, matched)| *matched)
        }
    }

    /// Whether the window is open at `now`. One that cannot be read is taken
    /// for whatever blocks: a `deny` is open, anything else closed.
    pub fn is_open(&self, now: Timestamp) -> bool {
        match &self.opening {
            Ok(opening) => opening.started(opening.zone.to_datetime(now)).is_some(),
            Err(_) => self.kind == Kind::Deny,
        }
    }

    /// The instant before which the window neither opens nor closes; see
    /// [`super::Windows::next_change`].
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.opening.as_ref().ok()?.next_change(now)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.spec.kind, self.spec.schedule, self.spec.duration)
    }
}

// === impl Opening ===

impl Opening {
    fn read(spec: &SyncWindow) -> Result<Self, InvalidWindow> {
        let schedule =
            Schedule::parse(&spec.schedule).map_err(|e| InvalidWindow::Schedule(spec.schedule.clone(), e))?;
        let invalid = |e| InvalidWindow::Duration(spec.duration.clone(), e);
        let length = duration::parse_go(&spec.duration).map_err(invalid)?;
        let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
        let zone = match schedule.zone() {
            Some(named) => zone(named).ok_or_else(|| InvalidWindow::Zone(named.to_owned()))?,
            None => zone(&spec.time_zone).unwrap_or(TimeZone::UTC),
        };
        Ok(Self { schedule, duration: length, zone })
    }

    /// The latest start whose opening still lasts at `wall`. An earlier start
    /// ends earlier, so no other needs to be looked at.
    fn started(&self, wall: DateTime) -> Option<DateTime> {
        let start = self.schedule.latest(wall)?;
        (wall < self.end(start)).then_some(start)
    }

    fn end(&self, start: DateTime) -> DateTime {
        start.checked_add(self.duration).unwrap_or(DateTime::MAX)
    }

    fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let wall = self.zone.to_datetime(now);
        let change = match self.started(wall) {
            Some(start) => self.end_of_overlaps(start),
            None if self.duration.is_zero() => return None,
            None => self.schedule.next(wall)?,
        };
        // The wall clock runs evenly only until its offset next changes.
        let change = now.checked_add(change.duration_since(wall)).unwrap_or(Timestamp::MAX);
        let offset_change = self.zone.following(now).next().map(|transition| transition.timestamp());
        Some(offset_change.map_or(change, |at| at.min(change)))
    }

    fn end_of_overlaps(&self, mut start: DateTime) -> DateTime {
        for _ in 0..MAX_OVERLAPS {
            match self.schedule.latest(self.end(start)) {
                Some(later) if later > start => start = later,
                _ => break,
            }
        }
        self.end(start)
    }
}

/// A zone of the bundled database; no name means UTC.
fn zone(name: &str) -> Option<TimeZone> {
    if name.is_empty() { Some(TimeZone::UTC) } else { TimeZone::get(name).ok() }
}
