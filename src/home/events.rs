//! Kubernetes Events about applications: an audit trail that users read with
//! `kubectl get events`.
//!
//! [`EventWriter`] never blocks and never fails: events wait in a bounded queue,
//! go out at a bounded rate, and those that find the queue full are dropped,
//! counted and logged. An event is lost in a crash; nothing depends on one.

mod object;
mod queue;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argosy_model::glob;
use argosy_proto::resource::CustomResource;
use argosy_proto::v1alpha1::{AppProject, Application};
use kube::client::Client;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::Clock;
use crate::settings::{GeneralSettings, Settings};

pub use object::{EventSubject, Record, event_object};
pub use queue::Pace;

/// The component that events name as their source.
pub const COMPONENT: &str = "argocd-application-controller";

/// What an event is about, as users filter for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A refresh or a deletion had a result worth telling.
    StatusRefreshed,
    /// Something was made.
    ResourceCreated,
    /// Something was changed; status transitions too.
    ResourceUpdated,
    /// Something was deleted.
    ResourceDeleted,
    /// An action ran.
    ResourceActionRan,
    /// An operation began.
    OperationStarted,
    /// An operation ended.
    OperationCompleted,
}

/// Whether it is fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Which reasons are written: the words of `--enable-k8s-event`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnabledReasons {
    /// Every one.
    All,
    /// Only these; none where it is empty.
    Only(Vec<String>),
}

/// Where the time and ids come from, and how fast events may go out.
#[derive(Clone)]
pub struct EventOptions {
    /// Component named as the source; [`COMPONENT`] as a rule.
    pub component: String,
    /// Times of events.
    pub clock: Clock,
    /// Makes names unique: nanoseconds since 1970 as a rule.
    pub ids: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Bounds.
    pub pace: Pace,
}

/// Writes events. Clones share the queue; the last one to go drops what waits.
#[derive(Clone)]
pub struct EventWriter {
    shared: Arc<Shared>,
}

struct Shared {
    queue: mpsc::Sender<Record>,
    options: EventOptions,
    dropped: Arc<AtomicU64>,
    _task: AbortOnDropHandle<()>,
}

// === impl Reason ===

impl Reason {
    /// As it stands in the event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StatusRefreshed => "StatusRefreshed",
            Self::ResourceCreated => "ResourceCreated",
            Self::ResourceUpdated => "ResourceUpdated",
            Self::ResourceDeleted => "ResourceDeleted",
            Self::ResourceActionRan => "ResourceActionRan",
            Self::OperationStarted => "OperationStarted",
            Self::OperationCompleted => "OperationCompleted",
        }
    }
}

// === impl Severity ===

impl Severity {
    /// As it stands in the event's type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

// === impl EnabledReasons ===

impl EnabledReasons {
    /// Reads the words: `none` and `all` count for all of them, `none` first.
    pub fn parse(words: &[String]) -> Self {
        let has = |word: &str| words.iter().any(|w| w == word);
        match (has("none"), has("all")) {
            (true, _) => Self::Only(Vec::new()),
            (_, true) => Self::All,
            _ => Self::Only(words.to_vec()),
        }
    }

    /// Whether events of this reason are written.
    pub fn allows(&self, reason: Reason) -> bool {
        match self {
            Self::All => true,
            Self::Only(reasons) => reasons.iter().any(|r| r == reason.as_str()),
        }
    }
}

// === impl EventWriter ===

impl EventWriter {
    /// Starts the sender. Must be called on a tokio runtime.
    pub fn start(client: Client, options: EventOptions) -> Self {
        let (queue, waiting) = mpsc::channel(options.pace.queue.max(1));
        let dropped = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(queue::send_all(client, waiting, options.pace, dropped.clone()));
        Self { shared: Arc::new(Shared { queue, options, dropped, _task: AbortOnDropHandle::new(task) }) }
    }

    /// Tells something about an application. Labels are the application's and its
    /// project's, as far as the settings let them through. `user` is who caused
    /// it; empty for the controller itself.
    #[expect(clippy::too_many_arguments, reason = "an event has this many parts, and each call names them all")]
    pub fn application(
        &self,
        settings: &Settings,
        app: &Application,
        project: Option<&AppProject>,
        severity: Severity,
        reason: Reason,
        message: &str,
        user: &str,
    ) {
        let labels = event_labels(&settings.general, app, project);
        self.write(settings, EventSubject::application(app, user), labels, severity, reason, message);
    }

    /// Tells something about any object.
    pub fn write(
        &self,
        settings: &Settings,
        subject: EventSubject,
        labels: BTreeMap<String, String>,
        severity: Severity,
        reason: Reason,
        message: &str,
    ) {
        if !EnabledReasons::parse(&settings.controller.enabled_events).allows(reason) {
            return;
        }
        let EventOptions { component, clock, ids, .. } = &self.shared.options;
        let record = Record {
            subject,
            labels,
            severity,
            reason,
            message: message.to_owned(),
            component: component.clone(),
            time: clock(),
            id: ids(),
        };
        if self.shared.queue.try_send(record).is_err() {
            let dropped = self.shared.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            // Every doubling: a storm of events must not become one of log lines.
            if dropped.is_power_of_two() {
                tracing::warn!(dropped, "the queue of events is full; events are dropped");
            }
        }
    }

    /// How many events were dropped so far, for want of room or because the API
    /// refused them.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

/// The labels an application's events take over: its own before its project's,
/// those that are included and not excluded.
fn event_labels(
    settings: &GeneralSettings,
    app: &Application,
    project: Option<&AppProject>,
) -> BTreeMap<String, String> {
    if settings.include_event_labels.is_empty() {
        return BTreeMap::new();
    }
    let any = |patterns: &[String], key: &str| patterns.iter().any(|pattern| glob::matches(pattern, key, &[]));
    let mut labels = project.map(|p| p.metadata().labels.clone()).unwrap_or_default();
    labels.extend(app.metadata().labels.clone());
    labels.retain(|key, _| any(&settings.include_event_labels, key) && !any(&settings.exclude_event_labels, key));
    labels
}

#[cfg(test)]
#[path = "events/tests.rs"]
mod tests;
