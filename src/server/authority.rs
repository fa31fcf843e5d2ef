//! Who callers are and what the policy is, at this moment.
//!
//! A snapshot of accounts, revocations, the signing key and the compiled policy,
//! replaced whole when something it was made of changes. Reading it takes no lock
//! and no message. Each replacement counts as one more epoch; streams that stay
//! open look at the epoch and ask [`Authority::still_holds`] again, so that
//! whoever loses a right loses it in what is already flowing.

mod follow;
mod policy;
pub(crate) mod revocation;
mod snapshot;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use argosy_auth::account::Capability;
use argosy_auth::identity::{Identity, Kind};
use argosy_auth::rbac::Policy;
use argosy_auth::token::{self, Claims, Issuer, Subject, TokenError};
use argosy_home::{Clock, Home};
use argosy_model::Secret;
use tokio::sync::watch;
use tonic::Status;

use crate::caller::{Caller, NO_SESSION};
use crate::sso::Sso;

pub(crate) use follow::follow;
pub(crate) use snapshot::Snapshot;

/// See the module's page. Clones share the snapshot.
#[derive(Clone)]
pub(crate) struct Authority {
    state: Arc<State>,
}

struct State {
    home: Home,
    clock: Clock,
    sso: Sso,
    disabled: bool,
    snapshot: ArcSwap<Snapshot>,
    replacing: Mutex<()>,
    epoch: watch::Sender<u64>,
}

/// A token that was signed just now.
pub(crate) struct Issued {
    pub(crate) token: Secret<String>,
    pub(crate) claims: Claims,
}

// === impl Authority ===

impl Authority {
    /// Reads the first snapshot. With `disabled` every caller may do everything.
    pub(crate) fn new(home: Home, clock: Clock, sso: Sso, disabled: bool) -> Self {
        let snapshot = Snapshot::read(&home, None);
        let state = State {
            home,
            clock,
            sso,
            disabled,
            snapshot: ArcSwap::from_pointee(snapshot),
            replacing: Mutex::default(),
            epoch: watch::Sender::new(0),
        };
        Self { state: Arc::new(state) }
    }

    /// Everything at this moment.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.state.snapshot.load_full()
    }

    /// The policy at this moment.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.snapshot().policy.clone()
    }

    /// Single sign-on, for those who sign users in and out.
    pub(crate) fn sso(&self) -> &Sso {
        &self.state.sso
    }

    /// Changes with every epoch.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.state.epoch.subscribe()
    }

    /// Whether some account may sign in with a password.
    pub(crate) fn somebody_may_sign_in(&self) -> bool {
        self.snapshot().accounts.iter().any(|account| account.enabled && account.has(Capability::Login))
    }

    /// Who shows this token; nobody, where it proves nothing. What this replica has
    /// learnt by now counts: whoever was told that a token is revoked will find it so.
    pub(crate) async fn identify(&self, token: Option<&str>) -> Caller {
        if self.state.disabled {
            return Caller::everybody();
        }
        self.catch_up();
        let snapshot = self.snapshot();
        let refusal = match token {
            None => NO_SESSION.to_owned(),
            Some(token) => match self.read(token, &snapshot).await {
                Ok(caller) => return caller,
                Err(reason) => reason,
            },
        };
        // A token that proves nothing is as good as none, and no better.
        if snapshot.anonymous { Caller::of(Identity::anonymous(), None) } else { Caller::nobody(refusal) }
    }

    async fn read(&self, token: &str, snapshot: &Snapshot) -> Result<Caller, String> {
        let now = (self.state.clock)();
        match token::peek_issuer(token).map_err(|e| e.client_message())? {
            Issuer::Ours => {
                let key = snapshot.key.as_ref().ok_or_else(|| "the server has no signing key yet".to_owned())?;
                let verified = token::verify(token, key, now).map_err(|e| e.client_message())?;
                let identity = self.authorise(&verified, snapshot).map_err(|e| e.client_message())?;
                Ok(Caller::of(identity, Some(verified)))
            }
            Issuer::Other(_) => {
                let identity = self.state.sso.verify(token).await?;
                if snapshot.revocations.cover(&identity, now) {
                    return Err(TokenError::Revoked.client_message());
                }
                Ok(Caller::of(identity, None))
            }
        }
    }

    fn authorise(&self, verified: &token::Verified, snapshot: &Snapshot) -> Result<Identity, TokenError> {
        let now = (self.state.clock)();
        let authority = token::Authority {
            accounts: &snapshot.accounts,
            project: &|name| self.state.home.project(name),
            // Asked below, with more than the token's key.
            revoked: &|_| false,
        };
        let identity = verified.authorise(&authority, now)?;
        if snapshot.revocations.cover(&identity, now) { Err(TokenError::Revoked) } else { Ok(identity) }
    }

    /// Whether the caller of an open stream is still who they were.
    ///
    /// # Errors
    /// `Unauthenticated` with the reason.
    pub(crate) fn still_holds(&self, caller: &Caller) -> Result<(), Status> {
        let snapshot = self.snapshot();
        if let Some(verified) = caller.token() {
            let known = self.authorise(verified, &snapshot);
            return known.map(|_| ()).map_err(|e| Status::unauthenticated(e.client_message()));
        }
        let Some(identity) = caller.identity() else { return caller.signed_in() };
        if identity.kind == Kind::Anonymous {
            return if snapshot.anonymous { Ok(()) } else { Err(Status::unauthenticated(NO_SESSION)) };
        }
        let now = (self.state.clock)();
        if identity.expires_at.is_some_and(|end| end <= now) {
            return Err(Status::unauthenticated(TokenError::Expired.client_message()));
        }
        if snapshot.revocations.cover(identity, now) {
            return Err(Status::unauthenticated(TokenError::Revoked.client_message()));
        }
        Ok(())
    }

    /// The same with everything this replica knows by now, which may be a moment
    /// ahead of what [`follow`] has taken over.
    ///
    /// # Errors
    /// As [`Self::still_holds`].
    pub(crate) fn holds_at_once(&self, caller: &Caller) -> Result<(), Status> {
        self.catch_up();
        self.still_holds(caller)
    }

    /// Signs a token. A lifetime of zero is for ever.
    ///
    /// # Errors
    /// `Unavailable` while there is no key; `Internal` when signing fails.
    pub(crate) fn issue(&self, subject: Subject, id: &str, lifetime_seconds: i64) -> Result<Issued, Status> {
        let claims = Claims::new(subject, id, (self.state.clock)(), lifetime_seconds);
        self.sign(claims)
    }

    /// Signs claims as they are.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub(crate) fn sign(&self, claims: Claims) -> Result<Issued, Status> {
        let snapshot = self.snapshot();
        let key = snapshot.key.as_ref().ok_or_else(|| Status::unavailable("the server has no signing key yet"))?;
        let token = token::issue(&claims, key).map_err(|error| {
            tracing::error!(%error, "a token cannot be signed");
            Status::internal("the token cannot be signed")
        })?;
        Ok(Issued { token, claims })
    }

    /// Takes over what has changed, and tells the streams. One at a time: nobody puts
    /// back what another has replaced.
    fn catch_up(&self) {
        if !self.snapshot().is_outdated(&self.state.home) {
            return;
        }
        let _alone = self.state.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let previous = self.snapshot();
        if previous.is_outdated(&self.state.home) {
            self.state.snapshot.store(Arc::new(Snapshot::read(&self.state.home, Some(&previous))));
            self.bump();
        }
    }

    fn bump(&self) {
        self.state.epoch.send_modify(|epoch| *epoch += 1);
    }
}
