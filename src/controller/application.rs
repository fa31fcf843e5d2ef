//! The Application actor: one per application.
//!
//! It works where its cluster is owned, and only for as long: without that right
//! it rests until this replica gets the cluster, and a pass whose right ends is
//! cut off where it is.
//!
//! Owns the application's turn: at most one pass runs at a time, and whatever
//! happens meanwhile is one more pass afterwards. A trigger carries a level and
//! no data ([`crate::bell`]); the pass reads desired and observed state itself.
//! Whether it waits for a round of others depends on the trigger ([`crate::turns`]).
//!
//! A pass ([`pass`]) compares ([`compare`]), decides by pure functions of the
//! engine, runs a sync where one is asked for ([`operate`]), deletes where the
//! application goes ([`delete`]), and writes what is new. Between passes only
//! [`Memory`] is kept: results that cost something and can be had again.
//!
//! Promises. An error or a panic in a pass ends that pass alone; it is tried
//! again with growing waits. An idle application holds no timer and no task.
//! Lost in a crash: nothing. The operation's progress is on the object.

mod compare;
mod comparison_status;
mod delete;
mod delete_hooks;
mod destination;
mod dry_run;
mod due;
mod execute;
mod judge;
mod kinds;
mod live;
mod memory;
mod narrate;
mod operate;
mod orphans;
mod pass;
mod record;
mod resolve;
mod summary;
mod tally;
mod view;

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context, Handler, SpawnHandle, WrapFuture as _,
};
use argosy_engine::refresh::Level;
use argosy_model::AppKey;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

pub(crate) use destination::{
    Grounds, acting_applier, cluster_of, find as find_grounds, find_project, project_name, server_of,
};
pub(crate) use narrate::deleted as tell_deleted;
pub(crate) use orphans::is_left_out;
pub(crate) use resolve::{is_commit, sources_of};
pub(crate) use view::View;

use crate::bell::{Bell, Rung};
use crate::context::Shared;
use due::{Due, Ticket};
use memory::Memory;
use pass::Verdict;

/// First and longest wait after a pass that failed.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(180));

/// One application.
pub(crate) struct Application {
    shared: Arc<Shared>,
    key: AppKey,
    bell: Arc<Bell>,
    /// `None` while a pass has it.
    memory: Option<Box<Memory>>,
    /// What is due after the pass that runs.
    due: Option<Due>,
    /// Of the pass that runs, or waits for its turn.
    ticket: Option<Arc<Ticket>>,
    timer: Option<Timer>,
    failures: u32,
}

/// A pass that is to run later.
struct Timer {
    at: Instant,
    level: Level,
    handle: SpawnHandle,
}

// === impl Application ===

impl Application {
    /// An application that begins with a comparison. One that is `new` to everybody is
    /// urgent.
    pub(crate) fn new(shared: Arc<Shared>, key: AppKey, bell: Arc<Bell>, new: bool) -> Self {
        let due = Some(Due { level: Some(Level::Latest), is_urgent: new });
        Self { shared, key, bell, memory: Some(Box::default()), due, ticket: None, timer: None, failures: 0 }
    }

    /// A pass is due: the one that waits for its turn, or the next.
    fn owe(&mut self, due: Due) {
        if self.ticket.as_ref().is_none_or(|waiting| !waiting.add(due)) {
            self.due = Some(self.due.map_or(due, |known| known.and(due)));
        }
    }

    /// Starts a pass if one is due and none runs.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        let Some(due) = self.due else { return };
        // A pass that runs has it.
        let Some(mut memory) = self.memory.take() else { return };
        self.due = None;
        // One that looks at less does not find out what the timer was set for.
        if let Some(timer) = self.timer.take_if(|timer| due.level >= Some(timer.level)) {
            ctx.cancel_future(timer.handle);
        }
        let (shared, key) = (self.shared.clone(), self.key.clone());
        let ticket = Arc::new(Ticket::new(due));
        self.ticket = Some(ticket.clone());
        // On the shared pool: a pass computes, and this thread serves mailboxes. It ends with
        // the actor: another of the same name may come.
        let pass = AbortOnDropHandle::new(tokio::spawn(async move {
            let verdict = pass::run(&shared, &key, &mut memory, &ticket).await;
            (memory, verdict)
        }));
        ctx.spawn(pass.into_actor(self).map(|ended, actor, ctx| match ended {
            Ok((memory, verdict)) => actor.on_pass(memory, verdict, ctx),
            Err(error) => {
                tracing::error!(application = %actor.key, %error, "a pass broke off; it is tried again");
                actor.on_pass(Box::default(), Verdict::Failed, ctx);
            }
        }));
    }

    fn on_pass(&mut self, memory: Box<Memory>, verdict: Verdict, ctx: &mut Context<Self>) {
        self.memory = Some(memory);
        self.ticket = None;
        match verdict {
            Verdict::Idle => self.failures = 0,
            Verdict::Again(wait, level) => {
                self.failures = 0;
                self.wake_after(wait, level, ctx);
            }
            Verdict::Failed => {
                self.failures = self.failures.saturating_add(1);
                let wait = BACKOFF.0.saturating_mul(1 << self.failures.min(8)).min(BACKOFF.1);
                self.wake_after(self.shared.jitter(wait, wait / 2), Level::Latest, ctx);
            }
            // It may have been made again since, and that was told to this actor; or its end
            // has yet to be told.
            Verdict::Gone if self.shared.home.apps().get(&self.key).is_some() => {
                self.wake_after(BACKOFF.0, Level::Latest, ctx);
            }
            Verdict::Gone => {
                ctx.stop();
                return;
            }
        }
        self.pump(ctx);
    }

    /// Runs a pass after this long, which is also the one that was to run later, if one was.
    fn wake_after(&mut self, wait: Duration, level: Level, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let (mut at, mut level) = (now + wait, level);
        if let Some(before) = self.timer.take() {
            ctx.cancel_future(before.handle);
            (at, level) = (at.min(before.at), level.max(before.level));
        }
        let handle = ctx.run_later(at.saturating_duration_since(now), move |actor, ctx| {
            actor.timer = None;
            actor.owe(Due { level: Some(level), is_urgent: true });
            actor.pump(ctx);
        });
        self.timer = Some(Timer { at, level, handle });
    }
}

impl Actor for Application {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.pump(ctx);
    }
}

impl Handler<Rung> for Application {
    type Result = ();

    fn handle(&mut self, _: Rung, ctx: &mut Self::Context) {
        let calls = self.bell.answer();
        if calls.gone {
            ctx.stop();
            return;
        }
        let misses_kinds = self.memory.as_ref().is_none_or(|m| m.misses_kinds);
        let round = calls.round.max((calls.kinds && misses_kinds).then_some(Level::Recorded));
        let is_urgent = calls.object || calls.level.is_some();
        if is_urgent || round.is_some() {
            self.owe(Due { level: calls.level.max(round), is_urgent });
        }
        self.pump(ctx);
    }
}
