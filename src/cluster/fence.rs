//! The fence at the target: credentials that exist only for one epoch.
//!
//! An owner makes no changes with the declared credential but with a token that was
//! made for its epoch. Its successor removes what that token hangs on, and the
//! cluster itself refuses whoever still has it, whatever that one believes. With the
//! declared credential nothing is made or removed but this.
//!
//! | kind | what is made for an epoch | refused after |
//! | --- | --- | --- |
//! | `token` | a Secret, the *mark*, to which a token of the same service account is bound | at most 10 s: the server remembers tokens for that long |
//! | `binding` | a service account, the *subject*, with copies of the bindings of the declared one; and a mark | about 50 ms: bindings are watched |
//! | `lease` | nothing: the identity may not do more | |
//!
//! | file | what it does |
//! | --- | --- |
//! | [`choose`] | which kind, pure |
//! | [`plan`] | what to make and what to remove, pure |
//! | [`claim`] | whose a thing is: its name and labels |
//! | [`survey`] | what there is: identity, rights, marks, subjects, bindings |
//! | [`act`] | makes and removes |
//! | [`prove`] | that a credential works, and that it does not any more |
//! | [`grant`] | tokens |
//!
//! # Why a late owner cannot come back
//!
//! Everybody first makes its mark, then looks, and asks for a token only when
//! the look found no mark of a later epoch. The API server's lists are
//! linearizable. So of two owners the later one finds the mark of the earlier
//! one and removes it, or the earlier one finds that of the later one and gives
//! up ([`FenceError::Superseded`]); an owner that sleeps between its look and
//! its token gets one that is bound to a mark that is gone. A subject and its
//! bindings are made after that look and before the token, so the later owner's
//! last look, which comes after that mark has gone, finds them too, or nobody
//! can ever use them.
//!
//! # Leftovers
//!
//! A token lives an hour; a mark says how long what hangs on it can live. What a
//! crashed owner left is removed by the next one of the slice, and what a slice
//! that is no more left by any other, once it cannot be in use. Marks and
//! subjects are owned by the declared service account and go with it.

mod act;
mod choose;
mod claim;
mod grant;
mod plan;
mod prove;
mod survey;

use std::sync::Arc;
use std::time::Duration;

use argosy_model::FenceKind;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::error::Error;
use plan::{Own, Plan, Source, Step, plan_claim};

pub use choose::{Choice, choose_fence};
pub use claim::{Account, Claim, SliceOf};
pub use grant::Grant;
pub use prove::Prover;
pub use survey::{Identity, Rights, survey};

/// Looks until everything is as it should be. Two do when nobody interferes.
const ROUNDS: usize = 8;

/// Why there is no credential of the epoch's own.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// A later owner has taken over: this one must not work.
    #[error("a later owner (epoch {0}) has taken over")]
    Superseded(u64),
    /// The cluster does not let us, and will not a little later.
    #[error("{what} is refused")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// The cluster's words.
        #[source]
        source: Error,
    },
    /// Somebody has removed the mark in use.
    #[error("the mark of the credential in use has been removed")]
    Removed,
    /// The cluster could not be asked.
    #[error(transparent)]
    Cluster(Error),
    /// Others change the same things all the time.
    #[error("what belongs to the epoch does not settle")]
    Unsettled,
}

/// Makes and removes the credentials of one epoch, with the declared one.
pub struct Fence {
    root: Connection,
    claim: Claim,
    account: Account,
    kind: FenceKind,
    life: Duration,
}

/// What was issued.
#[derive(Debug)]
pub struct Issued {
    /// The credential.
    pub grant: Grant,
    /// Whether a subject of an earlier owner was removed, and seen to be denied what
    /// the declared account may do: that owner can write no more, whatever it believes.
    pub is_proven: bool,
}

// === impl FenceError ===

impl FenceError {
    pub(crate) fn of(what: &'static str, source: Error) -> Self {
        let is_lasting =
            matches!(&source, Error::Api(status) if matches!(status.code, 400 | 403 | 404 | 405 | 409 | 422));
        if is_lasting { Self::Refused { what, source } } else { Self::Cluster(source) }
    }
}

// === impl Fence ===

impl Fence {
    /// A fence of a kind other than `lease` for whoever `root` is. Tokens are to
    /// live for `life`, and at least for the ten minutes below which API servers
    /// refuse.
    pub fn new(root: Connection, claim: Claim, account: Account, kind: FenceKind, life: Duration) -> Self {
        Self { root, claim, account, kind, life: life.max(grant::SHORTEST) }
    }

    /// Takes the slice over, where that has not happened, and makes a token for
    /// this epoch. What earlier epochs left is removed first, and with
    /// [`FenceKind::Binding`] their subjects are proven to be refused. `kept` is
    /// the grant in use, which stays; `serial` tells this token's mark from those
    /// before it.
    ///
    /// # Errors
    /// [`FenceError`]; then nothing is in use that was not before.
    pub async fn issue(&self, kept: Option<&Grant>, serial: u64) -> Result<Issued, FenceError> {
        // Both at once: how soon an earlier owner is refused depends on it.
        let look = || survey::parts(&self.root, &self.claim, &self.account, self.is_bound(kept));
        let (sources, first) = futures::try_join!(self.sources(), look())?;
        let mut own = Own {
            mark: self.claim.name(&format!("{serial:x}")),
            made: None,
            kept: kept.map(|grant| grant.mark.clone()),
            subject: self.kind == FenceKind::Binding || kept.is_some_and(|g| g.kind == FenceKind::Binding),
            sources,
        };
        let (mut fallen, mut first) = (Vec::new(), Some(first));
        for _ in 0..ROUNDS {
            let parts = match first.take() {
                Some(parts) => parts,
                None => look().await?,
            };
            match plan_claim(&self.claim, &own, &parts) {
                Plan::Superseded(epoch) => {
                    // Not only the mark: nothing of this epoch is of use to anybody.
                    act::remove(&self.root, parts.iter().filter(|part| self.claim.has(part))).await?;
                    return Err(FenceError::Superseded(epoch));
                }
                Plan::Ready { uid, missing } => {
                    let scene = self.scene(own.sources.as_deref());
                    let granted = async {
                        self.perform(&own, &missing).await?;
                        Ok(self.grant(own.mark.clone(), &uid, scene.clone()).await)
                    };
                    let ((rights, is_proven), granted) = futures::try_join!(self.proof(&scene, &fallen), granted)?;
                    match granted {
                        // The mark has gone since: look who removed it.
                        Err(FenceError::Refused { source, .. }) if matches!(source.code(), Some(404 | 409)) => {}
                        done => return done.map(|grant| Issued { grant: Grant { rights, ..grant }, is_proven }),
                    }
                }
                Plan::Steps(steps) => {
                    let started = Instant::now();
                    own.made = self.perform(&own, &steps).await?.or(own.made);
                    let subjects = steps.iter().filter_map(Step::fallen_subject);
                    fallen.extend(subjects.map(|name| (name.to_owned(), started)));
                }
            }
        }
        Err(FenceError::Unsettled)
    }

    /// What the declared account may do in a namespace, where that is needed; and whether
    /// subjects of earlier owners, each with the time its removal began, are denied that.
    async fn proof(&self, scene: &str, fallen: &[(String, Instant)]) -> Result<(Arc<[Value]>, bool), FenceError> {
        let rights = match (self.kind, fallen) {
            (FenceKind::Binding, _) => prove::rules(&self.root, scene).await?,
            (FenceKind::Token | FenceKind::Lease, []) => Vec::new(),
            (FenceKind::Token | FenceKind::Lease, _) => {
                let unknown = |error: &FenceError| tracing::debug!(%error, "nothing is known to prove a refusal with");
                // Then there is no proof, and the caller waits for the earlier owner's end.
                prove::rules(&self.root, scene).await.inspect_err(unknown).unwrap_or_default()
            }
        };
        let is_proven = prove::denied(&self.root, &self.account, (scene, &rights), fallen).await;
        Ok((rights.into(), is_proven))
    }

    async fn perform(&self, own: &Own, steps: &[Step]) -> Result<Option<Timestamp>, FenceError> {
        act::perform(&self.root, &self.claim, &self.account, self.life, own, steps).await
    }

    async fn sources(&self) -> Result<Option<Vec<Source>>, FenceError> {
        match self.kind {
            FenceKind::Binding => survey::sources(&self.root, &self.account).await.map(Some),
            FenceKind::Token | FenceKind::Lease => Ok(None),
        }
    }

    /// A namespace in which bindings of the account take effect.
    fn scene(&self, sources: Option<&[Source]>) -> String {
        let sources = sources.unwrap_or_default();
        let is_whole = sources.iter().any(|source| source.namespace.is_empty());
        let first = sources.first().filter(|_| !is_whole).map(|source| source.namespace.clone());
        first.unwrap_or_else(|| self.account.namespace.clone())
    }

    async fn grant(&self, mark: String, uid: &str, scene: String) -> Result<Grant, FenceError> {
        let account = match self.kind {
            FenceKind::Binding => Account { name: self.claim.name(""), uid: String::new(), ..self.account.clone() },
            FenceKind::Token | FenceKind::Lease => self.account.clone(),
        };
        let asked = grant::Asked { kind: self.kind, account, mark, uid, scene };
        grant::request(&self.root, asked, self.life).await
    }

    /// Whether a grant's mark is still there: nobody has taken over.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn stands(&self, grant: &Grant) -> Result<bool, FenceError> {
        let is_bound = grant.kind == FenceKind::Binding;
        let parts = survey::parts(&self.root, &self.claim, &self.account, is_bound).await?;
        let is_marked = parts.iter().any(|part| part.name == grant.mark);
        let binds = |part: &Part| part.kind == PartKind::Binding && self.claim.has(part);
        // A successor removes all at the same time, and not in one moment.
        Ok(is_marked && (!is_bound || parts.iter().any(binds)))
    }

    /// Removes the mark of a grant that nobody works with.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn discard(&self, grant: &Grant) -> Result<(), FenceError> {
        let parts = survey::parts(&self.root, &self.claim, &self.account, false).await?;
        act::remove(&self.root, parts.iter().filter(|part| part.name == grant.mark)).await
    }

    /// Brings the copied bindings in line with those of the declared account.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub async fn follow_bindings(&self, used: &Grant) -> Result<(), FenceError> {
        let sources = survey::sources(&self.root, &self.account).await?;
        let own = Own { mark: used.mark.clone(), made: None, kept: None, subject: true, sources: Some(sources) };
        let parts = survey::parts(&self.root, &self.claim, &self.account, true).await?;
        if !parts.iter().any(|part| part.name == used.mark) {
            return Err(FenceError::Removed);
        }
        match plan_claim(&self.claim, &own, &parts) {
            Plan::Superseded(epoch) => Err(FenceError::Superseded(epoch)),
            Plan::Ready { missing: mut steps, .. } | Plan::Steps(mut steps) => {
                // The mark of a credential that is being made meanwhile is in nobody's way.
                let is_next = |part: &Part| part.is_mark() && self.claim.has(part);
                steps.retain(|step| !matches!(step, Step::Remove(part) if is_next(part)));
                self.perform(&own, &steps).await.map(drop)
            }
        }
    }

    /// Waits until a new grant may do what the declared credential may; bindings
    /// take effect a moment after they are made.
    ///
    /// # Errors
    /// When it may not within a few seconds.
    pub async fn has_taken_effect(&self, grant: &Grant, working: &Connection) -> Result<(), FenceError> {
        match grant.kind {
            FenceKind::Binding => prove::permitted(working, &grant.scene, &grant.rights).await,
            FenceKind::Token | FenceKind::Lease => Ok(()),
        }
    }

    /// Removes what a grant that is out of use hangs on, and waits until the
    /// cluster refuses its token; how long that took. `next` is the grant in use
    /// now, if there is one.
    ///
    /// # Errors
    /// When it cannot be removed, or is accepted for much longer than it should be.
    pub async fn retire(&self, old: &Grant, next: Option<&Grant>, anonymous: &Prover) -> Result<Duration, FenceError> {
        let started = Instant::now();
        let is_left = old.kind == FenceKind::Binding && next.is_none_or(|next| next.kind != FenceKind::Binding);
        let parts = survey::parts(&self.root, &self.claim, &self.account, is_left).await?;
        let mine = parts.iter().filter(|part| self.claim.has(part));
        act::remove(&self.root, mine.filter(|part| part.name == old.mark || (is_left && !part.is_mark()))).await?;
        anonymous.refused(&old.token, self.root.budget()).await?;
        let took = started.elapsed();
        metrics::histogram!("argosy_credential_revocation_duration_seconds").record(took.as_secs_f64());
        Ok(took)
    }

    /// Removes everything of this slice up to this epoch: the cluster is let go.
    ///
    /// # Errors
    /// When something cannot be removed; the rest is.
    pub async fn withdraw(&self) -> Result<(), FenceError> {
        let parts = survey::parts(&self.root, &self.claim, &self.account, self.is_bound(None)).await?;
        let mine = parts.iter().filter(|part| part.slice == self.claim.slice && part.epoch <= self.claim.epoch);
        act::remove(&self.root, mine).await
    }

    /// Whether there can be subjects and bindings to look for. With another kind
    /// than `binding` the right to look may be missing, and there are none but for
    /// a grant of that kind still in use.
    fn is_bound(&self, kept: Option<&Grant>) -> bool {
        self.kind == FenceKind::Binding || kept.is_some_and(|grant| grant.kind == FenceKind::Binding)
    }
}

/// A thing on the cluster that belongs to some epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) kind: PartKind,
    /// Empty for bindings of the whole cluster.
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) slice: SliceOf,
    pub(crate) epoch: u64,
    /// By the API server's clock.
    pub(crate) created: Timestamp,
    /// How long what hangs on it can live.
    pub(crate) life: Duration,
}

/// What kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PartKind {
    /// A RoleBinding or ClusterRoleBinding.
    Binding,
    /// A Secret.
    Mark,
    /// A ServiceAccount.
    Subject,
}

// === impl Part ===

impl Part {
    pub(crate) fn is_mark(&self) -> bool {
        self.kind == PartKind::Mark
    }
}
