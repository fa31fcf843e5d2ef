//! One pass over an application: from what is to what shall be, and what is
//! written about it.

use std::sync::Arc;
use std::time::Duration;

use argosy_cluster::measured;
use argosy_engine::refresh::{Expiry, Level, Refresh, decide_refresh, is_skipped};
use argosy_model::{AppKey, names};
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::Application;

use super::destination::server_of;
use super::due::Ticket;
use super::memory::Memory;
use super::record::Draft;
use super::view::View;
use super::{compare, comparison_status, delete, operate, summary};
use crate::context::Shared;

/// What becomes of the application after a pass.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Nothing until something happens.
    Idle,
    /// Another pass after this long, comparing at least so thoroughly.
    Again(Duration, Level),
    /// The pass could not be brought to its end; try again.
    Failed,
    /// The object is gone.
    Gone,
}

/// Runs a pass. Errors are logged here, once; the application's own troubles are
/// conditions on it and no errors of the pass.
pub(super) async fn run(shared: &Arc<Shared>, key: &AppKey, memory: &mut Memory, ticket: &Ticket) -> Verdict {
    if shared.home.apps().get(key).is_some_and(|app| is_waited_for(&app)) {
        ticket.haste.hurry();
    }
    // There is no turn only when the process ends, and then nobody waits for the verdict.
    let verdict = shared.turns.run(&ticket.haste, turn(shared, key, memory, ticket)).await;
    verdict.unwrap_or(Verdict::Idle)
}

/// Whether somebody has asked for something, or waits for its end.
fn is_waited_for(app: &Application) -> bool {
    let metadata = app.metadata();
    app.operation.is_some()
        || metadata.deletion_timestamp.is_some()
        || metadata.annotations.contains_key(names::ANNOTATION_REFRESH)
}

async fn turn(shared: &Arc<Shared>, key: &AppKey, memory: &mut Memory, ticket: &Ticket) -> Verdict {
    let requested = ticket.begin();
    let Some(app) = shared.home.apps().get(key) else { return Verdict::Gone };
    let server = server_of(shared, &app);
    let Some(right) = shared.directory.right_to(key, &server).await else {
        // Whoever owns the cluster sees to it. What is known here gets old.
        *memory = Memory::default();
        shared.directory.views().forget(key);
        return Verdict::Idle;
    };
    memory.belong_to(&right);
    // A pass is large; on the heap it is not copied into what cuts it off.
    let pass = measured(reconcile(shared, key, app, memory, requested), |spent| right.spend(spent));
    let Some(reconciled) = right.while_held(pass).await else {
        tracing::info!(application = %key, server, "its cluster was taken away from this replica during a pass");
        *memory = Memory::default();
        // Should the cluster be back already, nobody else would wake it.
        return Verdict::Again(shared.jitter(Duration::from_millis(50), Duration::from_millis(100)), Level::Latest);
    };
    match reconciled {
        Ok(verdict) => verdict,
        Err(argosy_home::Error::NotFound(_)) => Verdict::Gone,
        Err(argosy_home::Error::Conflict(_)) => {
            tracing::debug!(application = %key, "somebody else changed the application; looking again");
            // Not only what is recorded: the pass may have been about a later commit.
            Verdict::Again(shared.jitter(Duration::from_millis(50), Duration::from_millis(100)), Level::Latest)
        }
        Err(error) => {
            tracing::warn!(application = %key, error = argosy_model::report(&error), "the application could not be written");
            Verdict::Failed
        }
    }
}

async fn reconcile(
    shared: &Arc<Shared>,
    key: &AppKey,
    app: Arc<Application>,
    memory: &mut Memory,
    requested: Option<Level>,
) -> Result<Verdict, argosy_home::Error> {
    if is_skipped(&app.metadata().annotations) {
        return Ok(Verdict::Idle);
    }
    if app.metadata().deletion_timestamp.is_some() && app.operation.is_none() {
        return delete::run(shared, key, app).await;
    }
    let started = std::time::Instant::now();
    let now = (shared.clock)();
    let settings = shared.home.settings();
    let expiry = Expiry { soft: settings.timeouts.reconciliation, hard: settings.timeouts.hard };
    let mut draft = Draft::new(shared.clone(), key.clone(), app);
    let mut verdict = Verdict::Idle;
    match decide_refresh(&draft.app, requested, memory.compared_at, expiry, now) {
        None => {}
        Some(Refresh { level: Level::Tree, .. }) => {
            summary::refresh(shared, &mut draft.app);
            draft.persist().await?;
        }
        Some(refresh) => {
            tracing::debug!(application = %key, level = ?refresh.level, hard = refresh.hard, reason = refresh.reason, "refreshing");
            verdict = self::refresh(shared, memory, &mut draft, &refresh).await?;
            compare::observe(&draft.app, started.elapsed());
        }
    }
    if draft.app.operation.is_some() {
        return operate::run(shared, memory, draft, verdict).await;
    }
    Ok(verdict)
}

/// Compares and writes what came of it, together with the operation that
/// automated sync starts, if it does.
pub(super) async fn refresh(
    shared: &Arc<Shared>,
    memory: &mut Memory,
    draft: &mut Draft,
    refresh: &Refresh,
) -> Result<Verdict, argosy_home::Error> {
    let now = (shared.clock)();
    if refresh.hard {
        memory.forget();
    }
    let request = compare::Request::refresh(refresh);
    let outcome = compare::run(shared, memory, &draft.key, &draft.app, &request).await;
    if let Some(view) = outcome.as_ref().ok().and_then(|compared| View::of(memory, compared)) {
        // Before the status, so that whoever has read the one can look at the other.
        shared.directory.views().publish(&draft.key, view);
    }
    let verdict = comparison_status::settle(shared, memory, draft, refresh, outcome, now);
    draft.persist().await?;
    shared.directory.views().tried(&draft.key);
    Ok(verdict)
}
