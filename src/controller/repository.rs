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
//! A failing remote is asked again with growing waits, however many want something
//! of it meanwhile, and sooner only for a refresh or for new credentials. When it
//! fails repeatedly, whoever is interested hears of it; commits that are in the mirror
//! are served all the same. Lost in a crash: nothing but time. The mirror is on
//! disk, the refs are listed again and interests are registered by requests.

mod credentials;
mod interest;
mod lend;
mod message;
mod observer;
mod round;
mod snapshot;

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, ResponseFuture, SpawnHandle,
    WrapFuture as _,
};
use argosy_engine::refresh::Level;
use argosy_fleet::Ownership;
use argosy_git::{Objects, RemoteRefs, RepoUrl};
use argosy_home::RepoCredentials;
use argosy_render::cache::Key;
use futures::StreamExt as _;
use tokio::sync::oneshot;
use tokio::time::Instant;

pub(crate) use credentials::declared as credentials;
pub(crate) use lend::{Lend, Lent, PollNow, enabled_types, render_files};
use message::Waiting;
pub(crate) use message::{Asked, Forget, Generate, GenerateError, Generated, Redeclared};

use crate::context::Shared;
use interest::Interests;
use round::{Round, RoundOutcome, Station};

/// Listings of one remote begin at least this far apart.
const LISTING_GAP: Duration = Duration::from_millis(100);
/// Longest wait between attempts on a failing remote.
const LONGEST_BACKOFF: Duration = Duration::from_secs(180);
/// First wait after a failure.
const FIRST_BACKOFF: Duration = Duration::from_secs(2);

/// Failures in a row after which those who rely on the repository are told.
const TOLD: u32 = 2;

/// One repository.
pub(crate) struct Repository {
    shared: Arc<Shared>,
    url: RepoUrl,
    project: String,
    /// The credentials in use, to tell whether a new declaration says anything new.
    declared: RepoCredentials,
    ownership: Ownership,
    station: Arc<Station>,
    refs: Option<Arc<RemoteRefs>>,
    /// When the listing began that the refs are of.
    refs_of: Option<Instant>,
    waiting: Vec<Waiting>,
    interests: Interests,
    asking: bool,
    /// When a listing began last, and whether one is put off because of that.
    listed_at: Option<Instant>,
    resting: bool,
    poll_due: bool,
    /// Something was heard that the round under way may not know: new credentials, or that
    /// the remote has answered somebody else.
    heard: bool,
    failures: u32,
    /// While the remote fails: why, and the timer of the next attempt.
    failing: Option<(GenerateError, SpawnHandle)>,
    /// The regular poll, and the interval and jitter it was set with.
    poll: Option<(SpawnHandle, Timing)>,
}

/// How often to poll: interval and jitter.
type Timing = (Duration, Duration);

/// The end of a round with the remote, and when it began to list, if it did.
#[derive(Message)]
#[rtype(result = "()")]
struct RoundEnded(Result<RoundOutcome, GenerateError>, Vec<Waiting>, Option<Instant>);

/// The settings changed, perhaps how often to poll.
#[derive(Message)]
#[rtype(result = "()")]
struct SettingsChanged;

// === impl Repository ===

impl Repository {
    /// An owner of the repository at `url`, with the credentials that `project`
    /// has for it.
    pub(crate) fn new(shared: Arc<Shared>, url: RepoUrl, project: String, ownership: Ownership) -> Self {
        let declared = shared.home.repositories().resolve(&url.to_string(), &project);
        let station = Arc::new(Station::new(shared.clone(), url.clone(), project.clone()));
        Self {
            shared,
            url,
            project,
            declared,
            ownership,
            station,
            refs: None,
            refs_of: None,
            waiting: Vec::new(),
            interests: Interests::default(),
            asking: false,
            listed_at: None,
            resting: false,
            poll_due: false,
            heard: false,
            failures: 0,
            failing: None,
            poll: None,
        }
    }

    /// Serves a request from memory where that is enough.
    fn known_commit(&self, request: &Generate) -> Option<(String, Objects)> {
        let objects = self.station.objects()?;
        let commit = match &request.asked {
            Asked::Commit(sha) => sha.clone(),
            // What was listed long ago is not the latest.
            Asked::Latest(_) if self.failures >= TOLD => return None,
            Asked::Latest(since) if self.is_older(*since) => return None,
            Asked::Latest(_) => round::commit_of(self.refs.as_deref()?, &objects, &request.source).ok()?,
            Asked::Remote => return None,
        };
        objects.contains(&commit).ok()?.then_some((commit, objects))
    }

    /// Whether the refs are of an earlier listing than is asked for.
    fn is_older(&self, since: Option<Instant>) -> bool {
        since.is_some_and(|since| self.refs_of.is_none_or(|of| of < since))
    }

    /// Starts a round with the remote when there is something to ask.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        if self.asking || (self.waiting.is_empty() && !self.poll_due) {
            return;
        }
        if !self.ownership.is_held(Instant::now()) {
            for waiting in self.waiting.drain(..) {
                waiting.answer(Err(GenerateError::Moved(self.url.to_string())));
            }
            return;
        }
        let asks = |asked: &Asked| match asked {
            Asked::Commit(_) => false,
            Asked::Latest(since) => self.is_older(*since),
            Asked::Remote => true,
        };
        let list =
            self.poll_due || self.refs.is_none() || self.waiting.iter().any(|waiting| asks(&waiting.request.asked));
        if list && self.rests(ctx) {
            return;
        }
        self.asking = true;
        (self.poll_due, self.heard) = (false, false);
        let waiting = std::mem::take(&mut self.waiting);
        let round = Round {
            known: self.refs.clone(),
            list,
            wanted: waiting.iter().map(|w| w.request.wanted()).chain(self.interests.wanted(list)).collect(),
        };
        let (station, listed) = (self.station.clone(), list.then(Instant::now));
        let work = async move { RoundEnded(station.ask(round).await, waiting, listed) };
        ctx.spawn(work.into_actor(self).map(|ended, actor, ctx| actor.on_round(ended, ctx)));
    }

    /// Whether the remote was listed a moment ago. Applications that ask at the same
    /// time then share the next listing, which begins when the moment is over.
    fn rests(&mut self, ctx: &mut Context<Self>) -> bool {
        let now = Instant::now();
        let Some(until) = self.listed_at.map(|at| at + LISTING_GAP).filter(|until| *until > now) else {
            self.listed_at = Some(now);
            return false;
        };
        if !std::mem::replace(&mut self.resting, true) {
            ctx.run_later(until - now, |actor, ctx| {
                actor.resting = false;
                actor.pump(ctx);
            });
        }
        true
    }

    fn on_round(&mut self, RoundEnded(outcome, waiting, listed): RoundEnded, ctx: &mut Context<Self>) {
        self.asking = false;
        match outcome {
            Ok(outcome) => {
                let recovered = std::mem::take(&mut self.failures) > 0;
                self.forget_failure(ctx);
                let moved = self.refs.as_ref().is_some_and(|refs| **refs != *outcome.refs);
                self.refs = Some(outcome.refs.clone());
                self.refs_of = listed.or(self.refs_of);
                for waiting in waiting {
                    self.serve(waiting, &outcome, ctx);
                }
                // A commit can come without a ref that moved, to whom it was refused before.
                if moved || recovered || outcome.brought {
                    self.wake_interested(recovered, ctx);
                }
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                tracing::warn!(repository = %self.url, attempt = self.failures, %error, "the repository cannot be read");
                // Whoever came meanwhile would hear the same.
                let (fresh, late) = self.waiting.drain(..).partition(|w| matches!(w.request.asked, Asked::Remote));
                self.waiting = fresh;
                for waiting in waiting.into_iter().chain(late) {
                    self.refuse(waiting, error.clone());
                }
                if self.failures == TOLD {
                    self.interests.apps().iter().for_each(|app| self.shared.directory.wake(app, Level::Latest));
                }
                // The next attempt lists anyway; only what promises a better end does not wait.
                self.poll_due = self.heard;
                let wait = FIRST_BACKOFF.saturating_mul(1 << self.failures.min(7)).min(LONGEST_BACKOFF);
                self.ask_after(self.shared.jitter(wait, wait / 2), error, ctx);
            }
        }
        self.pump(ctx);
    }

    fn serve(&mut self, waiting: Waiting, outcome: &RoundOutcome, ctx: &mut Context<Self>) {
        let Some(objects) = self.station.objects() else {
            waiting.answer(Err(GenerateError::Moved(self.url.to_string())));
            return;
        };
        let request = &waiting.request;
        let commit = match &request.asked {
            Asked::Commit(sha) => outcome.available(sha.clone(), &request.source),
            Asked::Latest(_) | Asked::Remote => outcome.located(&objects, &request.source),
        };
        match commit {
            Ok(commit) => self.render(waiting, commit, objects, ctx),
            Err(error) => self.refuse(waiting, error),
        }
    }

    /// Remembers what an application wants to hear of. One that went while its request
    /// waited was forgotten before, and stays forgotten.
    fn register(&mut self, request: &Generate, commit: &str, key: Option<Key>) {
        if self.shared.directory.is_alive(&request.app) {
            self.interests.register(request, commit, key);
        }
    }

    /// Says no, and remembers who wants to hear when the answer would be another.
    fn refuse(&mut self, waiting: Waiting, error: GenerateError) {
        self.register(&waiting.request, "", None);
        waiting.answer(Err(error));
    }

    /// Renders off the actor's thread and remembers who wanted it.
    fn render(&mut self, waiting: Waiting, commit: String, objects: Objects, ctx: &mut Context<Self>) {
        if let Some(known) = waiting.request.known.as_ref().filter(|known| known.commit == commit) {
            let known = known.clone();
            self.register(&waiting.request, &commit, known.key);
            waiting.answer(Ok(known));
            return;
        }
        // The refs may move before the rendering ends, and that is to be heard of, too.
        let known = self.interests.key_of(&waiting.request, &commit);
        self.register(&waiting.request, &commit, known);
        let request = waiting.request.clone();
        let work = round::render(self.shared.clone(), request, commit.clone(), objects);
        ctx.spawn(work.into_actor(self).map(move |answer, actor, _| {
            let key = answer.as_ref().ok().and_then(|generated| generated.key);
            actor.interests.complete(&waiting.request, &commit, key);
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
            self.shared.directory.wake(&app, Level::Latest);
        }
    }

    /// Sets the next attempt on a failing remote, in place of the one set before.
    fn ask_after(&mut self, wait: Duration, error: GenerateError, ctx: &mut Context<Self>) {
        self.forget_failure(ctx);
        let timer = ctx.run_later(wait, |actor, ctx| {
            actor.failing = None;
            actor.poll_due = true;
            actor.pump(ctx);
        });
        self.failing = Some((error, timer));
    }

    fn forget_failure(&mut self, ctx: &mut Context<Self>) {
        if let Some((_, timer)) = self.failing.take() {
            ctx.cancel_future(timer);
        }
    }

    fn timing(&self) -> Timing {
        let settings = self.shared.home.settings();
        (settings.timeouts.reconciliation, settings.timeouts.jitter)
    }

    /// The regular poll, from now on with the interval of the settings.
    fn poll_regularly(&mut self, ctx: &mut Context<Self>) {
        if let Some((timer, _)) = self.poll.take() {
            ctx.cancel_future(timer);
        }
        let timing @ (interval, jitter) = self.timing();
        // Zero means "never by time"; look again in a while whether that still holds.
        let (wait, ask) = if interval.is_zero() { (LONGEST_BACKOFF, false) } else { (interval, true) };
        let timer = ctx.run_later(self.shared.jitter(wait, jitter), move |actor, ctx| {
            actor.poll = None;
            if ask && actor.failures == 0 && !actor.interests.is_empty() {
                actor.poll_due = true;
                actor.pump(ctx);
            }
            actor.poll_regularly(ctx);
        });
        self.poll = Some((timer, timing));
    }
}

impl Actor for Repository {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        tracing::debug!(repository = %self.url, project = self.project, epoch = %self.ownership.epoch(), "repository owned");
        let changes = tokio_stream::wrappers::WatchStream::from_changes(self.shared.home.settings_changes());
        ctx.add_message_stream(changes.map(|_| SettingsChanged));
        self.poll_regularly(ctx);
    }
}

impl Handler<Generate> for Repository {
    type Result = ResponseFuture<Result<Generated, GenerateError>>;

    fn handle(&mut self, request: Generate, ctx: &mut Self::Context) -> Self::Result {
        let (reply, answer) = oneshot::channel();
        let url = self.url.to_string();
        let known = self.known_commit(&request);
        let waiting = Waiting { request, reply };
        let patient = !self.asking && !matches!(waiting.request.asked, Asked::Remote);
        match (known, &self.failing) {
            (Some((commit, objects)), _) => self.render(waiting, commit, objects, ctx),
            (None, Some((error, _))) if patient => {
                let error = error.clone();
                self.refuse(waiting, error);
            }
            (None, _) => {
                self.waiting.push(waiting);
                self.pump(ctx);
            }
        }
        Box::pin(async move { answer.await.unwrap_or(Err(GenerateError::Moved(url))) })
    }
}

impl Handler<SettingsChanged> for Repository {
    type Result = ();

    fn handle(&mut self, _: SettingsChanged, ctx: &mut Self::Context) {
        if self.poll.is_some_and(|(_, timing)| timing != self.timing()) {
            self.poll_regularly(ctx);
        }
    }
}

impl Handler<Forget> for Repository {
    type Result = ();

    fn handle(&mut self, Forget(app): Forget, _: &mut Self::Context) {
        self.interests.forget(&app);
    }
}

impl Handler<Redeclared> for Repository {
    type Result = ();

    fn handle(&mut self, _: Redeclared, ctx: &mut Self::Context) {
        let declared = self.shared.home.repositories().resolve(&self.url.to_string(), &self.project);
        if self.declared != declared {
            self.declared = declared;
            (self.poll_due, self.heard) = (true, true);
            self.pump(ctx);
        }
    }
}
