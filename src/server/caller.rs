//! Who makes a request. The authentication layer puts a [`Caller`] on every
//! request; services ask [`caller`] for it and get an answer that names nothing
//! when there is none.

use std::sync::Arc;

use argosy_auth::identity::{Identity, Kind};
use argosy_auth::token::Verified;
use tonic::{Request, Status};

/// Who makes a request, as far as it could be established.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Arc<Known>);

#[derive(Debug)]
enum Known {
    /// Authentication is switched off: everybody may do everything.
    Everybody,
    /// Proven, or anonymous where that is allowed. A token of our own is kept in its
    /// verified form, so that a stream can ask again whether it still counts.
    Identity { identity: Box<Identity>, token: Option<Box<Verified>> },
    /// Nobody, and what to tell them.
    Nobody(String),
}

/// What a request without any token is told.
pub(crate) const NO_SESSION: &str = "no session information";

// === impl Caller ===

impl Caller {
    /// For servers without authentication.
    pub(crate) fn everybody() -> Self {
        Self(Arc::new(Known::Everybody))
    }

    /// A proven identity, and the token of ours that proves it.
    pub(crate) fn of(identity: Identity, token: Option<Verified>) -> Self {
        Self(Arc::new(Known::Identity { identity: Box::new(identity), token: token.map(Box::new) }))
    }

    /// Nobody; `reason` is what clients read.
    pub(crate) fn nobody(reason: impl Into<String>) -> Self {
        Self(Arc::new(Known::Nobody(reason.into())))
    }

    /// The identity; `None` for nobody and where authentication is off.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        match &*self.0 {
            Known::Identity { identity, .. } => Some(identity),
            Known::Everybody | Known::Nobody(_) => None,
        }
    }

    /// The token of ours that proves the identity.
    pub(crate) fn token(&self) -> Option<&Verified> {
        match &*self.0 {
            Known::Identity { token, .. } => token.as_deref(),
            Known::Everybody | Known::Nobody(_) => None,
        }
    }

    /// Whether somebody signed in, rather than being let in without a name.
    pub(crate) fn has_name(&self) -> bool {
        self.identity().is_some_and(|identity| identity.kind != Kind::Anonymous)
    }

    /// Whether everything is permitted without a question.
    pub(crate) fn is_everybody(&self) -> bool {
        matches!(&*self.0, Known::Everybody)
    }

    /// Whether requests that need a session may go on.
    ///
    /// # Errors
    /// `Unauthenticated` with the reason.
    pub(crate) fn signed_in(&self) -> Result<(), Status> {
        match &*self.0 {
            Known::Nobody(reason) => Err(Status::unauthenticated(reason.clone())),
            Known::Everybody | Known::Identity { .. } => Ok(()),
        }
    }

    /// The name that events and operations bear; empty where there is none.
    pub(crate) fn username(&self) -> &str {
        self.identity().map(Identity::username).unwrap_or_default()
    }
}

/// The caller of a request that needs a session.
///
/// # Errors
/// `Unauthenticated` when there is none.
pub(crate) fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = anyone(request);
    caller.signed_in()?;
    Ok(caller)
}

/// The caller of a request that anybody may make.
pub(crate) fn anyone<T>(request: &Request<T>) -> Caller {
    request.extensions().get::<Caller>().cloned().unwrap_or_else(|| Caller::nobody(NO_SESSION))
}
