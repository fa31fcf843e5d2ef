//! What a comparison means for the application's status, and whether a sync
//! starts because of it.

use std::time::Duration;

use argosy_engine::auto_sync::{AutoSync, AutoSyncInput, plan_auto_sync};
use argosy_engine::backoff::Backoff;
use argosy_engine::condition::{Finding, Kind, OF_COMPARISON, OF_SPEC, merge_conditions};
use argosy_engine::hook::{self, HookType};
use argosy_engine::operation::{NextStep, plan_operation};
use argosy_engine::refresh::{Level, Refresh, effective_source};
use argosy_engine::windows::Subject;
use argosy_home::Settings;
use argosy_model::names;
use argosy_proto::meta::Time;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{AppHealthStatus, Application, ComparedTo, SyncStatus};
use jiff::Timestamp;

use super::compare::{Compared, Failure};
use super::memory::Memory;
use super::pass::Verdict;
use super::record::Draft;
use super::summary;
use crate::context::Shared;
use crate::health_rules;

/// First wait before a failed comparison is tried again by itself.
const RETRY: Duration = Duration::from_secs(10);

/// Puts the outcome of a comparison into the draft and says when to look again.
pub(super) fn settle(
    shared: &Shared,
    memory: &mut Memory,
    draft: &mut Draft,
    refresh: &Refresh,
    outcome: Result<Compared, Failure>,
    now: Timestamp,
) -> Verdict {
    let requested = take_request(&mut draft.app, refresh);
    let verdict = match outcome {
        Ok(compared) => {
            record(shared, &mut draft.app, &compared, now);
            hold_for_deletion_hooks(&mut draft.app, memory);
            match (start_auto_sync(shared, draft, &compared, now), compared.again) {
                (Verdict::Idle, Some(wait)) => Verdict::Again(wait, Level::Recorded),
                (verdict, _) => verdict,
            }
        }
        Err(failure) => fail(shared, memory, &mut draft.app, refresh, failure, now),
    };
    let news = requested || draft.app.status != draft.base().status;
    if refresh.level >= Level::Latest && news {
        status(&mut draft.app).reconciled_at = Some(Time::from(now));
    }
    verdict
}

/// Takes the request for a refresh off the application, if this one was as thorough as
/// is asked for. One that came meanwhile stays, for the next pass.
fn take_request(app: &mut Application, refresh: &Refresh) -> bool {
    let annotations = &mut app.metadata_mut().annotations;
    let is_met = |kind: &String| refresh.level == Level::Remote && (refresh.hard || kind != "hard");
    let is_taken = annotations.get(names::ANNOTATION_REFRESH).is_some_and(is_met);
    if is_taken {
        annotations.remove(names::ANNOTATION_REFRESH);
    }
    is_taken
}

fn status(app: &mut Application) -> &mut argosy_proto::v1alpha1::ApplicationStatus {
    app.status.get_or_insert_default()
}

/// Writes a comparison into the status.
pub(super) fn record(shared: &Shared, app: &mut Application, compared: &Compared, now: Timestamp) {
    let settings = shared.home.settings();
    let spec = app.spec.clone().unwrap_or_default();
    let failed = compared.findings.iter().any(|f| f.kind == Kind::ComparisonError);
    let several = !spec.sources.is_empty();
    let types: Vec<String> = compared.types.iter().map(|t| t.as_str().to_owned()).collect();
    let status = status(app);
    status.sync = Some(SyncStatus {
        status: match (failed, compared.summary.out_of_sync) {
            (true, _) => "Unknown",
            (false, true) => "OutOfSync",
            (false, false) => "Synced",
        }
        .to_owned(),
        compared_to: Some(compared_to(&spec)),
        revision: if several { String::new() } else { compared.revisions.first().cloned().unwrap_or_default() },
        revisions: if several { compared.revisions.clone() } else { Vec::new() },
    });
    set_health(status, compared.summary.health.as_str(), now);
    status.resources.clone_from(&compared.summary.resources);
    status.source_type = if several { String::new() } else { types.first().cloned().unwrap_or_default() };
    status.source_types = if several { types } else { Vec::new() };
    status.controller_namespace.clone_from(&shared.options.namespace);
    status.resource_health_source =
        if settings.controller.resource_health_persist { String::new() } else { "appTree".to_owned() };
    status.summary = Some(summary::of(&compared.target, compared.pairing.pairs.iter()));
    let evaluated: Vec<Kind> = OF_SPEC.iter().chain(OF_COMPARISON).copied().collect();
    let unjudged = health_rules::failure(&compared.pairing.pairs);
    let findings: Vec<Finding> = compared.findings.iter().cloned().chain(unjudged).collect();
    status.conditions = merge_conditions(&status.conditions, &evaluated, &findings, now);
}

/// An application with hooks around its deletion must not go without them: each
/// kind has finalizers that are there as long as the source has such hooks.
fn hold_for_deletion_hooks(app: &mut Application, memory: &Memory) {
    if app.metadata().deletion_timestamp.is_some() {
        // The API server accepts no new ones, and the old ones have work to do.
        return;
    }
    let Some(known) = &memory.targets else { return };
    let moments = [
        (HookType::PreDelete, [names::FINALIZER_PRE_DELETE, names::FINALIZER_PRE_DELETE_CLEANUP]),
        (HookType::PostDelete, [names::FINALIZER_POST_DELETE, names::FINALIZER_POST_DELETE_CLEANUP]),
    ];
    for (moment, finalizers) in moments {
        let wanted = known.targets.objects.iter().any(|object| hook::has_type(object, moment));
        for finalizer in finalizers {
            let held = app.metadata().finalizers.iter().any(|f| f == finalizer);
            match (wanted, held) {
                (true, false) => app.metadata_mut().finalizers.push(finalizer.to_owned()),
                (false, true) => app.metadata_mut().finalizers.retain(|f| f != finalizer),
                _ => {}
            }
        }
    }
}

fn compared_to(spec: &argosy_proto::v1alpha1::ApplicationSpec) -> ComparedTo {
    ComparedTo {
        source: effective_source(spec),
        destination: spec.destination.clone(),
        sources: spec.sources.clone(),
        ignore_differences: spec.ignore_differences.clone(),
    }
}

fn set_health(status: &mut argosy_proto::v1alpha1::ApplicationStatus, health: &str, now: Timestamp) {
    let known = status.health.get_or_insert_with(AppHealthStatus::default);
    if known.status != health {
        health.clone_into(&mut known.status);
        known.last_transition_time = Some(Time::from(now));
    }
}

/// Writes down why there is no comparison. What was known of the resources
/// stands: a repository that is away says nothing about the cluster.
fn fail(
    shared: &Shared,
    memory: &mut Memory,
    app: &mut Application,
    refresh: &Refresh,
    failure: Failure,
    now: Timestamp,
) -> Verdict {
    let spec = app.spec.clone().unwrap_or_default();
    let (findings, evaluated, health, verdict) = match failure {
        Failure::Spec(findings) => {
            (findings, [OF_SPEC, &[Kind::UnknownError]].concat(), Some("Unknown"), Verdict::Idle)
        }
        Failure::Source { finding, transient } => {
            let since = *memory.repository_failing_since.get_or_insert(now);
            let grace = shared.home.settings().controller.repo_error_grace_period;
            let failing = Duration::try_from(now.duration_since(since)).unwrap_or_default();
            let was_compared = app.status.as_ref().is_some_and(|s| s.reconciled_at.is_some());
            if transient && was_compared && failing < grace && refresh.level < Level::Remote {
                tracing::debug!(error = finding.message, "the repository fails; the last state stands for now");
                return Verdict::Again(shared.jitter(RETRY, RETRY), refresh.level);
            }
            let again =
                if transient { Verdict::Again(shared.jitter(RETRY, RETRY), Level::Latest) } else { Verdict::Idle };
            (vec![finding], [OF_SPEC, OF_COMPARISON].concat(), None, again)
        }
        Failure::Live(finding) => {
            let again = Verdict::Again(shared.jitter(RETRY, RETRY), Level::Latest);
            (vec![finding], [OF_SPEC, OF_COMPARISON].concat(), Some("Unknown"), again)
        }
    };
    let status = status(app);
    status.conditions = merge_conditions(&status.conditions, &evaluated, &findings, now);
    let sync = status.sync.get_or_insert_with(SyncStatus::default);
    "Unknown".clone_into(&mut sync.status);
    sync.compared_to = Some(compared_to(&spec));
    if let Some(health) = health.or(status.health.is_none().then_some("Unknown")) {
        set_health(status, health, now);
    }
    verdict
}

/// Decides about automated sync; an operation that starts is in the draft with
/// its first state, so that one write records comparison and start.
fn start_auto_sync(shared: &Shared, draft: &mut Draft, compared: &Compared, now: Timestamp) -> Verdict {
    let settings = shared.home.settings();
    if compared.findings.iter().any(|f| f.kind.is_error()) {
        return Verdict::Idle;
    }
    let windows = compared.grounds.project.windows.matching(&Subject::of(&draft.app));
    let decision = windows.can_sync(false, now, None);
    let input = AutoSyncInput {
        summary: &compared.summary,
        revisions: &compared.revisions,
        heal_backoff: heal_backoff(&settings),
        now,
    };
    let planned = plan_auto_sync(&draft.app, &input);
    let mut findings = Vec::new();
    let mut verdict = Verdict::Idle;
    match planned {
        AutoSync::Nothing(reason) => tracing::trace!(application = %draft.key, reason, "no automated sync"),
        AutoSync::Refuse(message) => findings.push(Finding::new(Kind::SyncError, message)),
        AutoSync::Wait(wait) => verdict = Verdict::Again(wait, Level::Latest),
        AutoSync::Start(_) if !decision.allowed => {
            tracing::info!(application = %draft.key, reason = %decision.reason, "automated sync waits for its window");
            verdict =
                until(windows.next_change(now), now).map_or(Verdict::Idle, |wait| Verdict::Again(wait, Level::Latest));
        }
        // The end of an operation and the start of the next are two writes: both are to be seen.
        AutoSync::Start(_) if draft.base().operation.is_some() => {
            verdict = Verdict::Again(Duration::ZERO, Level::Latest);
        }
        AutoSync::Start(operation) => {
            draft.app.operation = Some(*operation);
            if let NextStep::Start(state) = plan_operation(&draft.app, Duration::ZERO, now) {
                status(&mut draft.app).operation_state = Some(*state);
            }
        }
    }
    let status = status(&mut draft.app);
    status.conditions = merge_conditions(&status.conditions, &[Kind::SyncError], &findings, now);
    verdict
}

/// Time until an instant; nothing when there is none.
pub(super) fn until(instant: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    instant.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

fn heal_backoff(settings: &Settings) -> Backoff {
    let controller = &settings.controller;
    if controller.self_heal_timeout > Duration::ZERO {
        let fixed = controller.self_heal_timeout;
        return Backoff { first: fixed, factor: 1.0, limit: fixed };
    }
    #[expect(clippy::cast_precision_loss, reason = "factors are small numbers")]
    let factor = controller.self_heal_backoff_factor as f64;
    Backoff { first: controller.self_heal_backoff_timeout, factor, limit: controller.self_heal_backoff_cap }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_by_a_refresh_that_does_what_it_asks_for() {
        let asked = |kind: &str| {
            let mut app = Application::default();
            app.metadata_mut().annotations.insert(names::ANNOTATION_REFRESH.to_owned(), kind.to_owned());
            app
        };
        let refresh = |level, hard| Refresh { level, hard, reason: "a test" };
        for (kind, level, hard, taken) in [
            ("normal", Level::Remote, false, true),
            ("hard", Level::Remote, true, true),
            ("normal", Level::Latest, false, false),
            ("hard", Level::Latest, true, false),
            ("hard", Level::Remote, false, false),
        ] {
            let mut app = asked(kind);
            assert_eq!(take_request(&mut app, &refresh(level, hard)), taken, "{kind} {level:?} {hard}");
            assert_eq!(app.metadata().annotations.is_empty(), taken);
        }
        assert!(!take_request(&mut Application::default(), &refresh(Level::Remote, true)));
    }
}
