//! Getting a credential to work with: choose a fence, make, prove, promote; and
//! the ends of those that were worked with before.

use std::sync::Arc;
use std::time::Duration;

use argosy_cluster::connection::Draining;
use argosy_cluster::fence::{SliceOf as Part, choose_fence, survey};
use argosy_cluster::{
    Budget, Choice, Claim, ClusterConfig, Connection, Error, Fence, FenceError, Grant, Issued, Prover,
};
use argosy_fleet::{Epoch, Slice, Succession};
use argosy_model::{FenceKind, FenceWish};

/// Longest wait until nothing is sent with an old credential any more: longer
/// than any request takes.
const DRAINED: Duration = Duration::from_secs(120);
/// Time to clean up on a cluster that is let go.
const CLEANED: Duration = Duration::from_secs(30);

/// What never changes for one owner of one slice, or for one reader.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) server: Arc<str>,
    /// `None` for whoever only reads.
    pub(super) owned: Option<(Slice, Epoch)>,
    /// Who was the owner before, and who may be next; of an owner.
    pub(super) succession: Option<Succession>,
    pub(super) budget: Arc<Budget>,
    pub(super) seed: u64,
}

/// What is wanted.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) config: ClusterConfig,
    /// Tells this declaration's claims from those of others.
    pub(super) declaration: String,
    pub(super) fence: FenceWish,
    pub(super) life: Duration,
}

/// What a look at a cluster shows.
pub(super) struct Found {
    /// Connected with the declared credential.
    pub(super) root: Connection,
    /// The fence it permits.
    pub(super) choice: Choice,
}

/// What is worked with.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) wanted: Wanted,
    pub(super) choice: Choice,
    /// `None` behind the lease alone.
    pub(super) grant: Option<Grant>,
}

/// A credential that works, in place.
pub(super) struct Established {
    pub(super) connection: Connection,
    pub(super) held: Held,
    /// When the one before is out of use.
    pub(super) draining: Option<Draining>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// A later owner works: this one must not.
    #[error("a later owner (epoch {0}) has taken over")]
    Superseded(u64),
    /// The cluster does not let us in, or not now.
    #[error(transparent)]
    Cluster(#[from] Error),
    /// As above, on the way to a credential of our own.
    #[error(transparent)]
    Fence(FenceError),
}

// === impl Place ===

impl Place {
    /// Whose the credential is.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.owned.map(|(_, epoch)| epoch)
    }

    async fn connect(&self, config: &ClusterConfig) -> Result<Connection, Error> {
        Connection::connect(config, self.budget.clone(), self.seed).await
    }

    fn fence(&self, root: Connection, wanted: &Wanted, choice: &Choice) -> Option<Fence> {
        let account = choice.account.clone()?;
        let (slice, epoch) = self.owned?;
        let slice = Part { number: slice.number, of: slice.of };
        let claim = Claim::new(&wanted.declaration, &self.server, slice, epoch.0);
        Some(Fence::new(root, claim, account, choice.kind, wanted.life))
    }

    /// Makes a credential, proves it and puts it in the place of the one that
    /// `working` has, or connects with it. On an error everything stays as it was.
    /// `found` was seen of the same declaration a moment ago.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn establish(
        &self,
        wanted: Wanted,
        found: Option<Found>,
        working: Option<Connection>,
        held: Option<&Held>,
        serial: u64,
    ) -> Result<Established, Failure> {
        let Found { root, mut choice } = match found {
            Some(found) => found,
            None => look(&wanted, self.budget.clone(), self.seed).await?,
        };
        let kept = held.and_then(|held| held.grant.as_ref()).filter(|_| working.is_some());
        let mut made = None;
        let is_same =
            |held: &Held| held.wanted.declaration == wanted.declaration && held.choice.account == choice.account;
        if let (Some(succession), false) = (&self.succession, held.is_none_or(is_same)) {
            // A successor looks for the credentials of one declaration.
            succession.unfenced().await;
        }
        loop {
            self.outlast(&choice).await;
            let Some(fence) = self.fence(root.clone(), &wanted, &choice) else { break };
            match self.make(&fence, &wanted, kept, serial).await {
                Ok((grant, trial, is_proven)) => {
                    if kept.is_none() && !is_proven {
                        self.alone(&choice).await;
                    }
                    made = Some((grant, trial));
                    break;
                }
                Err(FenceError::Superseded(epoch)) => return Err(Failure::Superseded(epoch)),
                // Something else that stands than what was looked for.
                Err(error @ FenceError::Refused { .. }) => choice = weaker(choice, wanted.fence, &error),
                Err(error) => return Err(Failure::Fence(error)),
            }
        }
        let (grant, trial) = made.map_or((None, None), |(grant, trial)| (Some(grant), Some(trial)));
        match promote(&wanted, working, trial, &root).await {
            Ok((connection, draining)) => {
                Ok(Established { connection, held: Held { wanted, choice, grant }, draining })
            }
            Err(error) => {
                if let (Some(fence), Some(grant)) = (self.fence(root, &wanted, &choice), &grant)
                    && let Err(error) = fence.discard(grant).await
                {
                    let error = argosy_model::report(&error);
                    tracing::debug!(server = &*self.server, error, "a mark is left over until the next attempt");
                }
                Err(error.into())
            }
        }
    }

    /// Waits until a credential may be used that the cluster accepts for longer than
    /// the next owner needs to take over. Others count on it that there is none, and
    /// so did this owner when it took over early.
    async fn outlast(&self, choice: &Choice) {
        let Some(succession) = self.succession.as_ref().filter(|_| choice.kind != FenceKind::Binding) else { return };
        self.alone(choice).await;
        succession.unfenced().await;
    }

    /// Waits until no earlier owner can be at work.
    async fn alone(&self, choice: &Choice) {
        let Some(succession) = self.succession.as_ref().filter(|succession| !succession.is_alone()) else { return };
        let (server, fence) = (&*self.server, choice.kind.as_str());
        tracing::warn!(
            server,
            fence,
            "an earlier owner may be at work, and nothing is known to keep it out: waiting for it"
        );
        succession.alone().await;
    }

    /// Makes a token, and proves that one can work with it; a connection that does, and
    /// whether an earlier owner is proven to be refused.
    async fn make(
        &self,
        fence: &Fence,
        wanted: &Wanted,
        kept: Option<&Grant>,
        serial: u64,
    ) -> Result<(Grant, Connection, bool), FenceError> {
        let Issued { grant, is_proven } = fence.issue(kept, serial).await?;
        let proof = async {
            let config = wanted.config.with_token(&grant.token)?;
            let trial = self.connect(&config).await?;
            trial.prove().await?;
            Ok::<_, Error>(trial)
        };
        match proof.await {
            Ok(trial) => fence.has_taken_effect(&grant, &trial).await.map(|()| (grant, trial, is_proven)),
            // Between here and the API server somebody expects other tokens.
            Err(source @ (Error::Credential(_) | Error::Config(_))) => {
                fence.discard(&grant).await?;
                Err(FenceError::Refused { what: "working with a token of its own making", source })
            }
            Err(error) => Err(FenceError::Cluster(error)),
        }
    }

    /// Removes what a credential that was replaced hangs on, once it is out of
    /// use, and waits for the proof that it is refused.
    pub(super) async fn retire(self, old: Held, next: Option<Grant>, draining: Option<Draining>) {
        let Some(grant) = &old.grant else { return };
        if let Some(draining) = draining
            && !draining.done(DRAINED).await
        {
            tracing::warn!(server = &*self.server, "requests go on with a credential that was replaced");
        }
        let retired = async {
            let root = self.connect(&old.wanted.config).await.map_err(FenceError::Cluster)?;
            let Some(fence) = self.fence(root, &old.wanted, &old.choice) else { return Ok(None) };
            let prover = Prover::new(&old.wanted.config).await.map_err(FenceError::Cluster)?;
            fence.retire(grant, next.as_ref(), &prover).await.map(Some)
        };
        match retired.await {
            Ok(took) => tracing::debug!(server = &*self.server, ?took, "the replaced credential is refused"),
            Err(error) => {
                let error = argosy_model::report(&error);
                tracing::warn!(
                    server = &*self.server,
                    error,
                    "the replaced credential may still be accepted until it ends"
                );
            }
        }
    }

    /// Removes everything of this owner from a cluster that is let go.
    pub(super) async fn withdraw(self, held: Held) {
        let withdrawn = async {
            let root = self.connect(&held.wanted.config).await.map_err(FenceError::Cluster)?;
            match self.fence(root, &held.wanted, &held.choice) {
                Some(fence) => fence.withdraw().await,
                None => Ok(()),
            }
        };
        let late = || Err(FenceError::Cluster(Error::Timeout(CLEANED)));
        if let Err(error) = tokio::time::timeout(CLEANED, withdrawn).await.unwrap_or_else(|_| late()) {
            let error = argosy_model::report(&error);
            tracing::info!(
                server = &*self.server,
                error,
                "what was made on the cluster could not be removed; a next owner does"
            );
        }
    }

    /// Whether nobody has taken over from what is held, as far as can be told.
    pub(super) async fn stands(self, held: Held) -> bool {
        let asked = async {
            let root = self.connect(&held.wanted.config).await.map_err(FenceError::Cluster)?;
            match (self.fence(root, &held.wanted, &held.choice), &held.grant) {
                (Some(fence), Some(grant)) => fence.stands(grant).await,
                _ => Ok(true),
            }
        };
        asked.await.unwrap_or_else(|error| {
            let error = argosy_model::report(&error);
            tracing::debug!(server = &*self.server, error, "it cannot be told whether somebody has taken over");
            true
        })
    }

    /// Brings a subject's bindings in line with those of the declared account.
    ///
    /// # Errors
    /// [`FenceError`].
    pub(super) async fn follow(self, held: Held) -> Result<(), FenceError> {
        let Some(grant) = held.grant.as_ref().filter(|grant| grant.kind == FenceKind::Binding) else { return Ok(()) };
        let root = self.connect(&held.wanted.config).await.map_err(FenceError::Cluster)?;
        match self.fence(root, &held.wanted, &held.choice) {
            Some(fence) => fence.follow_bindings(grant).await,
            None => Ok(()),
        }
    }
}

/// Puts what was proven in the place of what `working` has, or works with it.
/// Without a `trial` that is the declared credential, as which `root` is connected.
async fn promote(
    wanted: &Wanted,
    working: Option<Connection>,
    trial: Option<Connection>,
    root: &Connection,
) -> Result<(Connection, Option<Draining>), Error> {
    match (working, trial) {
        (None, trial) => Ok((trial.unwrap_or_else(|| root.clone()), None)),
        (Some(working), Some(trial)) => {
            let draining = working.adopt(trial).await?;
            Ok((working, Some(draining)))
        }
        (Some(working), None) => {
            let draining = working.swap(&wanted.config).await?;
            Ok((working, Some(draining)))
        }
    }
}

/// Looks which fence a cluster permits, and proves the declared credential by that.
///
/// # Errors
/// When it does not let us in, or not now.
pub(super) async fn look(wanted: &Wanted, budget: Arc<Budget>, seed: u64) -> Result<Found, Error> {
    let root = Connection::connect(&wanted.config, budget, seed).await?;
    let (identity, rights) = match wanted.fence {
        FenceWish::None => {
            root.server_version().await?;
            (argosy_cluster::fence::Identity::Unknown, Default::default())
        }
        wish => survey(&root, wish == FenceWish::Binding).await?,
    };
    Ok(Found { root, choice: choose_fence(wanted.fence, &identity, &rights) })
}

/// What is left when a fence turns out to be refused.
fn weaker(choice: Choice, wish: FenceWish, error: &FenceError) -> Choice {
    let reason = Some(argosy_model::report(error));
    match choice.kind {
        FenceKind::Binding => Choice { kind: FenceKind::Token, reason, is_short: true, ..choice },
        FenceKind::Token | FenceKind::Lease => {
            Choice { kind: FenceKind::Lease, account: None, reason, is_short: wish != FenceWish::Auto }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_that_is_refused_leaves_the_next_weaker_one_and_in_the_end_the_lease() {
        let refused = FenceError::Refused { what: "making a binding", source: Error::Closed };
        let choice =
            Choice { kind: FenceKind::Binding, account: Some(Default::default()), reason: None, is_short: false };
        let token = weaker(choice, FenceWish::Binding, &refused);
        assert_eq!((token.kind, token.is_short), (FenceKind::Token, true));
        let lease = weaker(token, FenceWish::Binding, &refused);
        assert_eq!((lease.kind, lease.account.clone(), lease.is_short), (FenceKind::Lease, None, true));
        assert!(lease.reason.is_some_and(|reason| reason.contains("making a binding is refused")));
    }
}
