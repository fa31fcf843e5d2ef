//! Looking into a repository on somebody's request, without wanting to be woken
//! by it later: the mirror is lent, and the rounds with the remote that this
//! needs run beside the actor, one after the other with its own.

use std::sync::Arc;

use actix::{Addr, AsyncContext as _, Context, Handler, Message};
use argosy_git::{Objects, RemoteRefs, Resolution, resolve};
use argosy_model::AppKey;
use argosy_proto::v1alpha1::ApplicationSource;
use argosy_render::{EnabledTypes, Rendered, Tree};

use super::message::{Asked, Generate, GenerateError, Generated};
use super::round::{self, Round, Station, Wanted};
use super::snapshot::SnapshotTree;
use super::{FIRST_BACKOFF, Repository};
use crate::context::Shared;

/// The mirror, please.
#[derive(Message)]
#[rtype(result = "Result<Lent, GenerateError>")]
pub(crate) struct Lend;

/// Ask the remote now. Any number of these while the remote rests are one; one that
/// fails is asked a little later, however many there are.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct PollNow;

/// Somebody else has asked the remote, and it has answered with news.
#[derive(Message)]
#[rtype(result = "()")]
struct Answered;

/// A mirror to look into.
pub(crate) struct Lent {
    station: Arc<Station>,
    /// As listed last.
    refs: Option<Arc<RemoteRefs>>,
    owner: Addr<Repository>,
}

/// A commit that is in the mirror.
pub(crate) struct Located {
    /// Full id.
    pub(crate) commit: String,
    pub(crate) objects: Objects,
}

// === impl Lent ===

impl Lent {
    /// The refs: as known, or `fresh` from the remote.
    pub(crate) async fn refs(&self, fresh: bool) -> Result<Arc<RemoteRefs>, GenerateError> {
        let refs = match &self.refs {
            Some(refs) if !fresh => return Ok(refs.clone()),
            _ => self.station.list_shared().await?,
        };
        if self.refs.as_ref().is_some_and(|known| *known != refs) {
            // Others follow the repository, and they are told by its owner.
            #[expect(clippy::disallowed_methods, reason = "one per request that finds news, and requests are bounded")]
            self.owner.do_send(Answered);
        }
        Ok(refs)
    }

    /// The commit that the source's revision names, brought over where it is
    /// missing; `fresh` asks the remote what it names now.
    pub(crate) async fn locate(&self, source: &Arc<ApplicationSource>, fresh: bool) -> Result<Located, GenerateError> {
        if !fresh && let Some(located) = self.known(source) {
            return Ok(located);
        }
        let known = Some(self.refs(fresh).await?);
        let round = Round { known, list: false, wanted: vec![Wanted::Source(source.clone())] };
        let outcome = self.station.clone().ask(round).await?;
        let objects = self.objects()?;
        let commit = outcome.located(&objects, source)?;
        self.checked(commit, objects)
    }

    /// What is known needs no remote.
    fn known(&self, source: &ApplicationSource) -> Option<Located> {
        let objects = self.station.objects()?;
        // Without refs only a commit's own id says anything.
        let none = RemoteRefs::default();
        let refs = self.refs.as_deref().unwrap_or(&none);
        let commit = match resolve(refs, &source.target_revision, &source.tag_prefix).ok()? {
            Resolution::Commit { sha, .. } => sha,
            Resolution::Abbreviated(prefix) => objects.complete(&prefix).ok()?,
        };
        objects.contains(&commit).ok()?.then_some(Located { commit, objects })
    }

    fn checked(&self, commit: String, objects: Objects) -> Result<Located, GenerateError> {
        match objects.contains(&commit) {
            Ok(true) => Ok(Located { commit, objects }),
            _ => Err(GenerateError::Source(format!("commit {commit} is not in the repository"))),
        }
    }

    fn objects(&self) -> Result<Objects, GenerateError> {
        self.station
            .objects()
            .ok_or_else(|| GenerateError::Repository("the repository's mirror is not open".to_owned()))
    }
}

// === impl Located ===

impl Located {
    /// The files of the commit. Reading them blocks.
    pub(crate) fn tree(&self) -> Result<SnapshotTree, GenerateError> {
        let snapshot = self.objects.snapshot(&self.commit);
        snapshot.map(SnapshotTree).map_err(|e| GenerateError::Repository(argosy_model::report(&e)))
    }

    /// Renders a source at this commit.
    pub(crate) async fn render(
        self,
        shared: &Arc<Shared>,
        app: &AppKey,
        source: Arc<ApplicationSource>,
        no_cache: bool,
    ) -> Result<Generated, GenerateError> {
        let instance = app.instance_name(&shared.options.namespace);
        let asked = Asked::Commit(self.commit.clone());
        let request = Generate { app: app.clone(), instance, index: 0, source, asked, no_cache, known: None };
        round::render(shared.clone(), request, self.commit, self.objects).await
    }
}

/// Renders a source from files that are in no repository. Blocks.
pub(crate) fn render_files(
    shared: &Shared,
    files: &dyn Tree,
    app: &AppKey,
    source: &ApplicationSource,
) -> Result<Arc<Rendered>, GenerateError> {
    let source = serde_json::to_value(source).map_err(|e| GenerateError::Source(e.to_string()))?;
    let instance = app.instance_name(&shared.options.namespace);
    let request = round::render_request(shared, &source, &instance, false);
    let rendered = shared.renderer.render(files, &request, (shared.clock)());
    rendered.map_err(|error| GenerateError::Source(argosy_model::report(&*error)))
}

/// The source types that are on.
pub(crate) fn enabled_types(shared: &Shared) -> EnabledTypes {
    round::render_request(shared, &serde_json::Value::Null, "", false).enabled
}

impl Handler<Lend> for Repository {
    type Result = Result<Lent, GenerateError>;

    fn handle(&mut self, _: Lend, ctx: &mut Context<Self>) -> Self::Result {
        if !self.ownership.is_held(tokio::time::Instant::now()) {
            return Err(GenerateError::Moved(self.url.to_string()));
        }
        Ok(Lent { station: self.station.clone(), refs: self.refs.clone(), owner: ctx.address() })
    }
}

impl Handler<PollNow> for Repository {
    type Result = ();

    fn handle(&mut self, _: PollNow, ctx: &mut Context<Self>) {
        // Whoever calls cannot know that the remote fails, and must not make it worse. One
        // that is being asked may have listed already.
        let has_rested = self.listed_at.is_none_or(|at| at.elapsed() > FIRST_BACKOFF);
        if self.asking || self.failing.is_none() || has_rested {
            self.poll_due = true;
            self.pump(ctx);
        }
    }
}

impl Handler<Answered> for Repository {
    type Result = ();

    fn handle(&mut self, _: Answered, ctx: &mut Context<Self>) {
        (self.poll_due, self.heard) = (true, true);
        self.pump(ctx);
    }
}
