//! The Repo actor: one per repository this replica owns.
//!
//! Owns the mirror, the refs as the remote last listed them, the poll and the
//! list of who is interested in which revision. It accepts [`Generate`] (the
//! manifests of one source at one revision), [`Forget`] and its own timer.
//!
//! Promises. However many applications share the repository, they share one
//! listing per poll and one fetch per change: requests that arrive while the
//! remote is being asked wait for the next round and are served together. A
//! revision that moved wakes only the applications whose files are different at
//! the new commit; the others are not touched. What is in the mirror is served
//! without asking anybody.
//!
//! A failing remote is asked again with growing waits; the state that was last
//! seen stands meanwhile. Lost in a crash: nothing but time. The mirror is on
//! disk, the refs are listed again and interests are registered by requests.

mod credentials;
mod interest;
mod message;
mod observer;
mod round;
mod snapshot;

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, ResponseFuture, WrapFuture as _,
};
use argosy_fleet::Ownership;
use argosy_git::{Objects, RemoteRefs, RepoUrl};
use tokio::sync::oneshot;

pub(crate) use message::{Asked, Forget, Generate, GenerateError, Generated, PollNow};

use crate::context::Shared;
use interest::Interests;
use round::{Round, RoundOutcome, Station};

/// Longest wait between attempts on a failing remote.
const LONGEST_BACKOFF: Duration = Duration::from_secs(180);
/// First wait after a failure.
const FIRST_BACKOFF: Duration = Duration::from_secs(2);

/// One repository.
pub(crate) struct Repository {
    shared: Arc<Shared>,
    url: RepoUrl,
    project: String,
    ownership: Ownership,
    station: Arc<Station>,
    refs: Option<Arc<RemoteRefs>>,
    waiting: Vec<Waiting>,
    interests: Interests,
    asking: bool,
    poll_due: bool,
    failures: u32,
}

/// A request that needs the remote, and who gets the answer.
struct Waiting {
    request: Generate,
    reply: oneshot::Sender<Result<Generated, GenerateError>>,
}

/// The end of a round with the remote.
#[derive(Message)]
#[rtype(result = "()")]
struct RoundEnded(Result<RoundOutcome, GenerateError>, Vec<Waiting>);

// === impl Repository ===

impl Repository {
    /// An owner of the repository at `url`, with the credentials that `project`
    /// has for it.
    pub(crate) fn new(shared: Arc<Shared>, url: RepoUrl, project: String, ownership: Ownership) -> Self {
        let station = Arc::new(Station::new(shared.clone(), url.clone(), project.clone()));
        Self {
            shared,
            url,
            project,
            ownership,
            station,
            refs: None,
            waiting: Vec::new(),
            interests: Interests::default(),
            asking: false,
            poll_due: false,
            failures: 0,
        }
    }

    /// Serves a request from memory where that is enough.
    fn known_commit(&self, request: &Generate) -> Option<(String, Objects)> {
        let objects = self.station.objects()?;
        let commit = match &request.asked {
            Asked::Commit(sha) => sha.clone(),
            Asked::Latest => round::commit_of(self.refs.as_deref()?, &objects, &request.source).ok()?,
            Asked::Remote => return None,
        };
        objects.contains(&commit).ok()?.then_some((commit, objects))
    }

    /// Starts a round with the remote when there is something to ask.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        if self.asking || (self.waiting.is_empty() && !self.poll_due) {
            return;
        }
        if !self.ownership.is_held(tokio::time::Instant::now()) {
            for waiting in self.waiting.drain(..) {
                waiting.answer(Err(GenerateError::Moved(self.url.to_string())));
            }
            return;
        }
        self.asking = true;
        let waiting = std::mem::take(&mut self.waiting);
        let list = std::mem::take(&mut self.poll_due)
            || self.refs.is_none()
            || waiting.iter().any(|w| matches!(w.request.asked, Asked::Remote));
        let round = Round {
            known: self.refs.clone(),
            list,
            wanted: waiting.iter().map(|w| w.request.wanted()).chain(self.interests.wanted(list)).collect(),
        };
        let station = self.station.clone();
        let work = async move { RoundEnded(station.ask(round).await, waiting) };
        ctx.spawn(work.into_actor(self).map(|ended, actor, ctx| actor.on_round(ended, ctx)));
    }

    fn on_round(&mut self, RoundEnded(outcome, waiting): RoundEnded, ctx: &mut Context<Self>) {
        self.asking = false;
        match outcome {
            Ok(outcome) => {
                let recovered = std::mem::take(&mut self.failures) > 0;
                let moved = self.refs.as_ref().is_some_and(|refs| **refs != *outcome.refs);
                self.refs = Some(outcome.refs.clone());
                for waiting in waiting {
                    self.serve(waiting, &outcome, ctx);
                }
                if moved || recovered {
                    self.wake_interested(recovered, ctx);
                }
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                tracing::warn!(repository = %self.url, attempt = self.failures, %error, "the repository cannot be read");
                for waiting in waiting {
                    waiting.answer(Err(error.clone()));
                }
                let wait = FIRST_BACKOFF.saturating_mul(1 << self.failures.min(7)).min(LONGEST_BACKOFF);
                self.poll_after(self.shared.jitter(wait, wait / 2), ctx);
            }
        }
        self.pump(ctx);
    }

    fn serve(&mut self, waiting: Waiting, outcome: &RoundOutcome, ctx: &mut Context<Self>) {
        let Some(objects) = self.station.objects() else {
            waiting.answer(Err(GenerateError::Moved(self.url.to_string())));
            return;
        };
        let commit = match &waiting.request.asked {
            Asked::Commit(sha) => Ok(sha.clone()),
            Asked::Latest | Asked::Remote => round::commit_of(&outcome.refs, &objects, &waiting.request.source),
        };
        match commit {
            Err(error) => waiting.answer(Err(error)),
            Ok(commit) => match outcome.unavailable.get(&commit) {
                Some(error) => waiting.answer(Err(error.clone())),
                None => self.render(waiting, commit, objects, ctx),
            },
        }
    }

    /// Renders off the actor's thread and remembers who wanted it.
    fn render(&mut self, waiting: Waiting, commit: String, objects: Objects, ctx: &mut Context<Self>) {
        let request = waiting.request.clone();
        let work = round::render(self.shared.clone(), request, commit.clone(), objects);
        ctx.spawn(work.into_actor(self).map(move |answer, actor, _| {
            let key = answer.as_ref().ok().and_then(|generated| generated.key);
            actor.interests.register(&waiting.request, &commit, key);
            waiting.answer(answer);
        }));
    }

    /// Wakes the applications for which the new refs mean other files.
    fn wake_interested(&mut self, everyone: bool, ctx: &mut Context<Self>) {
        let (Some(refs), Some(objects)) = (self.refs.clone(), self.station.objects()) else { return };
        let interests = self.interests.list();
        let shared = self.shared.clone();
        let work =
            tokio::task::spawn_blocking(move || interest::find_affected(&shared, &refs, &objects, interests, everyone));
        ctx.spawn(work.into_actor(self).map(|affected, actor, _| match affected {
            Ok(affected) => actor.on_affected(affected),
            Err(error) => tracing::error!(repository = %actor.url, %error, "looking for affected applications failed"),
        }));
    }

    fn on_affected(&mut self, affected: interest::Affected) {
        tracing::debug!(repository = %self.url, applications = affected.apps.len(), "the repository changed");
        self.interests.move_on(affected.unaffected);
        for app in affected.apps {
            self.shared.directory.wake(&app, argosy_engine::refresh::Level::Latest);
        }
    }

    fn poll_after(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        ctx.run_later(wait, |actor, ctx| {
            actor.poll_due = true;
            actor.pump(ctx);
        });
    }

    /// The regular poll. It re-reads its interval each time, so that a changed
    /// setting needs no restart.
    fn poll_regularly(&mut self, ctx: &mut Context<Self>) {
        let settings = self.shared.home.settings();
        let (interval, jitter) = (settings.timeouts.reconciliation, settings.timeouts.jitter);
        // Zero means "never by time"; look again in a while whether that still holds.
        let (wait, ask) = if interval.is_zero() { (LONGEST_BACKOFF, false) } else { (interval, true) };
        ctx.run_later(self.shared.jitter(wait, jitter), move |actor, ctx| {
            if ask && actor.failures == 0 && !actor.interests.is_empty() {
                actor.poll_due = true;
                actor.pump(ctx);
            }
            actor.poll_regularly(ctx);
        });
    }
}

impl Actor for Repository {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        tracing::debug!(repository = %self.url, project = self.project, epoch = %self.ownership.epoch(), "repository owned");
        self.poll_regularly(ctx);
    }
}

impl Handler<Generate> for Repository {
    type Result = ResponseFuture<Result<Generated, GenerateError>>;

    fn handle(&mut self, request: Generate, ctx: &mut Self::Context) -> Self::Result {
        let (reply, answer) = oneshot::channel();
        let url = self.url.to_string();
        match self.known_commit(&request) {
            Some((commit, objects)) => self.render(Waiting { request, reply }, commit, objects, ctx),
            None => {
                self.waiting.push(Waiting { request, reply });
                self.pump(ctx);
            }
        }
        Box::pin(async move { answer.await.unwrap_or(Err(GenerateError::Moved(url))) })
    }
}

impl Handler<Forget> for Repository {
    type Result = ();

    fn handle(&mut self, Forget(app): Forget, _: &mut Self::Context) {
        self.interests.forget(&app);
    }
}

impl Handler<PollNow> for Repository {
    type Result = ();

    fn handle(&mut self, _: PollNow, ctx: &mut Self::Context) {
        self.poll_due = true;
        self.pump(ctx);
    }
}

// === impl Waiting ===

impl Waiting {
    fn answer(self, answer: Result<Generated, GenerateError>) {
        // The asker may have gone away, and then nobody wants the answer.
        let _ = self.reply.send(answer);
    }
}
