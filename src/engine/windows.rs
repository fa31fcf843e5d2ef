//! Sync windows: when an application may be synced.
//!
//! A project's windows open on a schedule and stay open for a duration. While a
//! `deny` window is open nothing is synced; where `allow` windows apply, one of
//! them must be open. [`Windows`] is the list compiled once, narrowed to an
//! application with [`Windows::matching`], and asked with [`Windows::can_sync`].
//! A blocked operation needs no polling: [`Windows::next_change`] names the
//! instant before which the answer stays the same.
//!
//! A window that cannot be read affects only what it matches, and on the safe
//! side: an unreadable `deny` counts as open, an unreadable `allow` as closed.

mod window;

use std::fmt;
use std::sync::Arc;

use argosy_proto::v1alpha1::{Application, SyncWindow};
use jiff::Timestamp;

pub use window::{InvalidWindow, Kind, Window};

/// What windows are matched against: an application's name and destination, the
/// destination as its spec writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Name of the Application.
    pub application: &'a str,
    /// Destination namespace.
    pub namespace: &'a str,
    /// Destination server, empty where the spec gives a name.
    pub server: &'a str,
    /// Destination cluster name, empty where the spec gives a server.
    pub cluster: &'a str,
}

/// A list of windows, in the project's order. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Windows(Vec<Arc<Window>>);

/// Whether a sync may run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// Whether it may.
    pub allowed: bool,
    /// What decided.
    pub reason: Reason,
}

/// What decided about a sync. Texts are windows as Argo CD prints them,
/// `kind:schedule:duration`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No window applies.
    NoWindow,
    /// Only `deny` windows apply, and none is open.
    NoneOpen,
    /// This `allow` window is open.
    Open(String),
    /// This `deny` window is open.
    Denied(String),
    /// `allow` windows apply and none is open; this is the first of them.
    Closed(String),
    /// A person asked, and every window in the way lets people through.
    Manual(String),
    /// The operation began when it was allowed, and every window in the way
    /// lets running operations finish.
    Overrun(String),
}

// === impl Subject ===

impl<'a> Subject<'a> {
    /// The subject of an Application.
    pub fn of(app: &'a Application) -> Self {
        let application = app.metadata.as_ref().map_or("", |m| &m.name);
        let destination = app.spec.as_ref().and_then(|s| s.destination.as_ref());
        destination.map_or(Self { application, ..Self::default() }, |d| Self {
            application,
            namespace: &d.namespace,
            server: &d.server,
            cluster: &d.name,
        })
    }
}

// === impl Windows ===

impl Windows {
    /// Compiles a project's windows. None is left out: what cannot be read says
    /// so through [`Window::error`].
    pub fn compile(windows: &[SyncWindow]) -> Self {
        Self(windows.iter().map(|spec| Arc::new(Window::compile(spec))).collect())
    }

    /// The windows that apply to an application.
    pub fn matching(&self, subject: &Subject<'_>) -> Self {
        Self(self.0.iter().filter(|window| window.matches(subject)).cloned().collect())
    }

    /// The windows, in the project's order.
    pub fn iter(&self) -> impl Iterator<Item = &Window> {
        self.0.iter().map(Arc::as_ref)
    }

    /// The windows that are open at `now`.
    pub fn open(&self, now: Timestamp) -> impl Iterator<Item = &Window> {
        self.iter().filter(move |window| window.is_open(now))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an application all these windows apply to may be synced at `now`.
    /// `manual` says that a person asked; `started` is when the operation in
    /// question began, if it has.
    pub fn can_sync(&self, manual: bool, now: Timestamp, started: Option<Timestamp>) -> Decision {
        if self.is_empty() {
            return Decision { allowed: true, reason: Reason::NoWindow };
        }
        let of_kind = |kind, open| self.iter().filter(move |w| w.kind() == kind && w.is_open(now) == open);
        let denies: Vec<&Window> = of_kind(Kind::Deny, true).collect();
        if let Some(first) = denies.first() {
            return self.unless_let_through(&denies, Reason::Denied(first.to_string()), manual, started);
        }
        if let Some(window) = of_kind(Kind::Allow, true).next() {
            return Decision { allowed: true, reason: Reason::Open(window.to_string()) };
        }
        let closed: Vec<&Window> = of_kind(Kind::Allow, false).collect();
        match closed.first() {
            Some(first) => self.unless_let_through(&closed, Reason::Closed(first.to_string()), manual, started),
            None => Decision { allowed: true, reason: Reason::NoneOpen },
        }
    }

    /// The windows in the way decide together: one that lets nothing through is enough.
    fn unless_let_through(
        &self,
        in_the_way: &[&Window],
        blocked: Reason,
        manual: bool,
        started: Option<Timestamp>,
    ) -> Decision {
        let first = in_the_way.first().map(ToString::to_string).unwrap_or_default();
        if manual && in_the_way.iter().all(|w| w.spec().manual_sync) {
            return Decision { allowed: true, reason: Reason::Manual(first) };
        }
        if let Some(started) = started
            && in_the_way.iter().all(|w| w.spec().sync_overrun)
            && self.can_sync(manual, started, None).allowed
        {
            return Decision { allowed: true, reason: Reason::Overrun(first) };
        }
        Decision { allowed: false, reason: blocked }
    }

    /// The instant before which no window opens or closes; at it, ask again.
    /// `None` when nothing will ever change. It is never later than the next
    /// change, and may be earlier: it stops at a change of the zone's offset.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.iter().filter_map(|window| window.next_change(now)).min()
    }
}

// === impl Reason ===

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWindow => f.write_str("no sync window applies"),
            Self::NoneOpen => f.write_str("no deny window is open"),
            Self::Open(window) => write!(f, "window {window} is open"),
            Self::Denied(window) => write!(f, "window {window} is open and denies syncs"),
            Self::Closed(window) => write!(f, "window {window} is closed and no other allows syncs"),
            Self::Manual(window) => write!(f, "window {window} lets manual syncs through"),
            Self::Overrun(window) => write!(f, "window {window} lets running syncs finish"),
        }
    }
}
