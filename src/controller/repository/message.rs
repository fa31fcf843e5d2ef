//! What a repository is asked, and what it answers.

use std::sync::Arc;

use actix::Message;
use argosy_model::AppKey;
use argosy_proto::v1alpha1::ApplicationSource;
use argosy_render::Rendered;
use argosy_render::cache::Key;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The manifests of one source, please.
#[derive(Message, Clone, Debug)]
#[rtype(result = "Result<Generated, GenerateError>")]
pub(crate) struct Generate {
    /// Who asks; it is woken when the answer would be another one.
    pub(crate) app: AppKey,
    /// Name for the override file.
    pub(crate) instance: String,
    /// Position of the source in the application.
    pub(crate) index: usize,
    /// The source.
    pub(crate) source: Arc<ApplicationSource>,
    /// At which revision.
    pub(crate) asked: Asked,
    /// Render anew whatever is remembered.
    pub(crate) no_cache: bool,
    /// What the asker has from an earlier answer to the same question; good if the
    /// revision still names that commit.
    pub(crate) known: Option<Generated>,
}

/// Which revision is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// This very commit, full id.
    Commit(String),
    /// The source's target revision as the last listing has it; of those that began
    /// at this moment or later, if one is given.
    Latest(Option<Instant>),
    /// The same, after asking the remote.
    Remote,
}

/// Manifests and where they come from.
#[derive(Clone, Debug)]
pub(crate) struct Generated {
    /// Full id of the commit.
    pub(crate) commit: String,
    /// Shared with every application of equal content.
    pub(crate) rendered: Arc<Rendered>,
    /// Identity of what was read; equal where another commit renders the same.
    pub(crate) key: Option<Key>,
}

/// Why there are no manifests, in words for the application's owner.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum GenerateError {
    /// The repository cannot be reached or read. It may get better by itself.
    #[error("{0}")]
    Repository(String),
    /// The revision or the source is wrong; somebody has to change something.
    #[error("{0}")]
    Source(String),
    /// Another replica took the repository over; asking again finds it.
    #[error("the repository {0} is moving to another replica")]
    Moved(String),
}

/// The application no longer wants to be woken.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Forget(pub(crate) AppKey);

/// Credentials were declared anew. If they are this repository's, ask the remote
/// with them now, for whoever is interested.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Redeclared;

/// A request that needs the remote, and who gets the answer.
pub(super) struct Waiting {
    pub(super) request: Generate,
    pub(super) reply: oneshot::Sender<Result<Generated, GenerateError>>,
}

// === impl Generate ===

impl Generate {
    /// What the round with the remote must bring.
    pub(super) fn wanted(&self) -> super::round::Wanted {
        match &self.asked {
            Asked::Commit(sha) => super::round::Wanted::Commit(sha.clone()),
            Asked::Latest(_) | Asked::Remote => super::round::Wanted::Source(self.source.clone()),
        }
    }
}

// === impl GenerateError ===

impl GenerateError {
    /// Whether waiting may help.
    pub(crate) fn is_transient(&self) -> bool {
        !matches!(self, Self::Source(_))
    }
}

// === impl Waiting ===

impl Waiting {
    pub(super) fn answer(self, answer: Result<Generated, GenerateError>) {
        // The asker may have gone away, and then nobody wants the answer.
        let _ = self.reply.send(answer);
    }
}
