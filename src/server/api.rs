//! The Api actor: one per API replica.
//!
//! Owns the counting of failed sign-ins. A sign-in is a message: admitted or not
//! by the counters of this moment, verified away from the actor's thread (bcrypt
//! computes for some 50 ms on purpose), counted, answered. Accounts, revocations
//! and the policy it keeps current are read by everybody through
//! [`crate::authority`].
//!
//! Promises. However many names and addresses are tried, memory stays bounded and
//! nobody's counter is pushed out. Counters and revocations stand in the shared
//! document of all replicas before the caller has an answer, or, when the home
//! cluster is away, as soon as it is back; a restart forgets neither.
//! Lost in a crash: the counts of the last moment.

mod persist;
mod sign_in;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use argosy_auth::sign_in::{Limiter, Limits};
use argosy_home::{Clock, Home};
use futures::StreamExt as _;
use tokio::sync::Semaphore;
use tokio_stream::wrappers::WatchStream;
use tonic::Status;

use crate::authority::Authority;
use crate::shared::Random;

pub(crate) use persist::revoke;
pub(crate) use sign_in::SignIn;

/// Sign-ins that wait for their turn; more are told to come back. Each is a name
/// and a password of bounded length, and a verification takes some 50 ms a core.
const WAITING: usize = 512;

/// See the module's page.
pub(crate) struct Api {
    home: Home,
    authority: Authority,
    clock: Clock,
    random: Random,
    limits: Limits,
    /// Made with the first sign-in, for it needs the server's key.
    limiter: Option<Limiter>,
    /// Verifications at once.
    turns: Arc<Semaphore>,
    /// What was counted and is not in the shared document yet.
    unsaved: bool,
    saving: bool,
}

/// Asks the actor; clones share it.
#[derive(Clone)]
pub(crate) struct ApiHandle(Addr<Api>);

/// The shared document changed.
#[derive(Message)]
#[rtype(result = "()")]
struct SessionsChanged(Arc<BTreeMap<String, String>>);

// === impl Api ===

impl Api {
    pub(crate) fn start(
        home: Home,
        authority: Authority,
        clock: Clock,
        random: Random,
        limits: Limits,
        concurrency: usize,
    ) -> ApiHandle {
        let turns = Arc::new(Semaphore::new(concurrency.max(1)));
        let api = Self { home, authority, clock, random, limits, limiter: None, turns, unsaved: false, saving: false };
        ApiHandle(api.start())
    }

    /// The counters; `None` while the server has no key.
    fn limiter(&mut self) -> Option<&mut Limiter> {
        if self.limiter.is_none() {
            let key = self.authority.snapshot().key.clone()?;
            let mut limiter = Limiter::new(self.limits, &key);
            let records = persist::records(&self.home.sessions());
            limiter.merge_records(&records, (self.clock)());
            self.limiter = Some(limiter);
        }
        self.limiter.as_mut()
    }
}

impl Actor for Api {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(WAITING);
        let changes = WatchStream::from_changes(self.home.sessions_changes());
        ctx.add_message_stream(changes.map(SessionsChanged));
        ctx.spawn(crate::authority::follow(self.authority.clone()).into_actor(self));
    }
}

impl Handler<SessionsChanged> for Api {
    type Result = ();

    fn handle(&mut self, SessionsChanged(sessions): SessionsChanged, _: &mut Self::Context) {
        let now = (self.clock)();
        if let Some(limiter) = &mut self.limiter {
            for key in limiter.merge_records(&persist::records(&sessions), now) {
                tracing::warn!(key, "a record of failed sign-ins cannot be read and is left out");
            }
        }
    }
}

// === impl ApiHandle ===

impl ApiHandle {
    /// Signs in, or says why not. Answers after a while that says nothing.
    ///
    /// # Errors
    /// `Unauthenticated`, alike for every reason that could tell who exists;
    /// `ResourceExhausted` when too many wait.
    pub(crate) async fn sign_in(&self, request: SignIn) -> Result<(), Status> {
        const PATIENCE: Duration = Duration::from_secs(30);
        match self.0.send(request).timeout(PATIENCE).await {
            Ok(answer) => answer,
            Err(actix::MailboxError::Timeout) => Err(Status::resource_exhausted("too many sign-ins, try again later")),
            Err(actix::MailboxError::Closed) => Err(Status::unavailable("the server is shutting down")),
        }
    }
}
