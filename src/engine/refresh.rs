//! Whether an application needs a refresh now, and how thorough a one.

use std::time::Duration;

use argosy_model::names;
use argosy_proto::resource::CustomResource;
use argosy_proto::v1alpha1::{Application, ApplicationSpec};
use jiff::Timestamp;

/// How much of the comparison is done anew. Each level includes those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Only the resource tree.
    Tree,
    /// Compare with the revision that was recorded last.
    Recorded,
    /// Compare with the latest revision, as the last poll has it.
    Latest,
    /// Compare with the latest revision, asked of the repository now.
    Remote,
}

/// A refresh that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// How thorough.
    pub level: Level,
    /// Whether rendered manifests may not come from the cache.
    pub hard: bool,
    /// Why, for logs.
    pub reason: &'static str,
}

/// When a comparison counts as old. Zero never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// `timeout.reconciliation`.
    pub soft: Duration,
    /// `timeout.hard.reconciliation`.
    pub hard: Duration,
}

/// Decides whether a refresh is due; the first reason that holds wins.
/// `requested` is the highest level anyone asked for since the last pass;
/// `compared_at` a comparison that said nothing new and so was not recorded.
pub fn decide_refresh(
    app: &Application,
    requested: Option<Level>,
    compared_at: Option<Timestamp>,
    expiry: Expiry,
    now: Timestamp,
) -> Option<Refresh> {
    let due = |level, hard, reason| Some(Refresh { level, hard, reason });
    if let Some(kind) = app.metadata().annotations.get(names::ANNOTATION_REFRESH) {
        return due(Level::Remote, kind == "hard", "requested by annotation");
    }
    let (spec, status) = (app.spec.clone().unwrap_or_default(), app.status.clone().unwrap_or_default());
    let compared = status.sync.clone().unwrap_or_default().compared_to.unwrap_or_default();
    if compared.source != effective_source(&spec) || compared.sources != spec.sources {
        return due(Level::Remote, false, "the source changed");
    }
    let reconciled_at = compared_at.max(status.reconciled_at.map(|at| at.timestamp()));
    let age = reconciled_at.map(|at| now.duration_since(at));
    let older = |limit: Duration| age.is_none_or(|age| age.as_secs() > limit.as_secs().cast_signed());
    if expiry.hard > Duration::ZERO && older(expiry.hard) {
        return due(Level::Latest, true, "the comparison is too old for cached manifests");
    }
    if age.is_none() || expiry.soft > Duration::ZERO && older(expiry.soft) {
        return due(Level::Latest, false, "the comparison is too old");
    }
    if compared.destination != spec.destination {
        return due(Level::Latest, false, "the destination changed");
    }
    if compared.ignore_differences != spec.ignore_differences {
        return due(Level::Latest, false, "the ignored differences changed");
    }
    if namespace_metadata_changed(&spec, &status) {
        return due(Level::Latest, false, "the managed namespace metadata changed");
    }
    requested.and_then(|level| due(level, false, "requested by an event"))
}

/// The single source a comparison is recorded against; `None` with several.
pub fn effective_source(spec: &ApplicationSpec) -> Option<argosy_proto::v1alpha1::ApplicationSource> {
    if spec.sources.is_empty() { Some(spec.source.clone().unwrap_or_default()) } else { None }
}

/// Whether the namespace's labels or annotations differ from those last synced.
/// Before the first sync there is nothing to differ from.
fn namespace_metadata_changed(spec: &ApplicationSpec, status: &argosy_proto::v1alpha1::ApplicationStatus) -> bool {
    let Some(result) = status.operation_state.as_ref().and_then(|state| state.sync_result.as_ref()) else {
        return false;
    };
    let wanted = spec.sync_policy.as_ref().and_then(|policy| policy.managed_namespace_metadata.as_ref());
    result.managed_namespace_metadata.as_ref() != wanted
}

/// Whether the annotation says that the controller must leave the application alone.
pub fn is_skipped(annotations: &std::collections::BTreeMap<String, String>) -> bool {
    matches!(
        annotations.get(names::ANNOTATION_SKIP_RECONCILE).map(String::as_str),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use argosy_proto::meta::Time;
    use argosy_proto::v1alpha1::{ApplicationStatus, ComparedTo, SyncStatus};

    const EXPIRY: Expiry = Expiry { soft: Duration::from_secs(120), hard: Duration::ZERO };

    fn compared() -> Application {
        let spec: ApplicationSpec = serde_json::from_value(serde_json::json!({
            "project": "default", "source": {"repoURL": "r", "path": "p"}, "destination": {"namespace": "n"},
        }))
        .expect("a spec");
        let to =
            ComparedTo { source: spec.source.clone(), destination: spec.destination.clone(), ..Default::default() };
        let status = ApplicationStatus {
            sync: Some(SyncStatus { compared_to: Some(to), ..Default::default() }),
            reconciled_at: Some(Time::from(Timestamp::UNIX_EPOCH)),
            ..Default::default()
        };
        Application { spec: Some(spec), status: Some(status), ..Default::default() }
    }

    fn level(app: &Application, requested: Option<Level>, seconds: i64) -> Option<Level> {
        let now = Timestamp::from_second(seconds).expect("in range");
        decide_refresh(app, requested, None, EXPIRY, now).map(|r| r.level)
    }

    #[test]
    fn a_fresh_comparison_needs_nothing_unless_asked() {
        assert_eq!(level(&compared(), None, 60), None);
        assert_eq!(level(&compared(), Some(Level::Recorded), 60), Some(Level::Recorded));
        assert_eq!(level(&compared(), None, 121), Some(Level::Latest));
    }

    #[test]
    fn a_changed_source_asks_the_repository_and_the_annotation_wins() {
        let mut app = compared();
        app.spec.get_or_insert_default().source.get_or_insert_default().path = "q".into();
        assert_eq!(level(&app, None, 1), Some(Level::Remote));
        app.metadata_mut().annotations.insert(names::ANNOTATION_REFRESH.into(), "hard".into());
        let refresh = decide_refresh(&app, None, None, EXPIRY, Timestamp::UNIX_EPOCH).expect("due");
        assert!(refresh.hard);
    }

    #[test]
    fn a_changed_destination_or_ignore_rule_compares_with_the_latest() {
        let mut app = compared();
        app.spec.get_or_insert_default().destination.get_or_insert_default().namespace = "other".into();
        assert_eq!(level(&app, Some(Level::Tree), 1), Some(Level::Latest));
    }
}
