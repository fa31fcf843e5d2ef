//! One sign-in: admitted, verified, counted, answered.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, ResponseActFuture, WrapFuture as _};
use argosy_auth::account::Accounts;
use argosy_auth::sign_in::{Admission, Attempt, SignInError, answer_after, check_form, verify};
use argosy_model::Secret;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::Status;

use super::Api;

/// A name and a password, and where they come from.
#[derive(Message)]
#[rtype(result = "Result<(), Status>")]
pub(crate) struct SignIn {
    pub(crate) name: String,
    pub(crate) password: Secret<String>,
    pub(crate) source: Option<IpAddr>,
}

impl Handler<SignIn> for Api {
    type Result = ResponseActFuture<Self, Result<(), Status>>;

    fn handle(&mut self, request: SignIn, ctx: &mut Context<Self>) -> Self::Result {
        let SignIn { name, password, source } = request;
        let begun = Instant::now();
        if let Err(error) = check_form(&name, password.expose()) {
            return refuse(error);
        }
        let Ok(turn) = self.turns.clone().try_acquire_owned() else {
            let busy = Status::resource_exhausted("too many sign-ins at once, try again later");
            return Box::pin(actix::fut::ready(Err(busy)));
        };
        let accounts = self.authority.snapshot().accounts.clone();
        let attempt = Attempt { exists: accounts.get(&name).is_some(), name, source };
        let now = (self.clock)();
        let Some(limiter) = self.limiter() else {
            return Box::pin(actix::fut::ready(Err(Status::unavailable("the server has no signing key yet"))));
        };
        let admitted = limiter.admit(&attempt, now);
        self.unsaved = true;
        self.save(ctx);
        if let Admission::Refused { by, .. } = admitted {
            tracing::warn!(account = attempt.name, security = 3, ?by, "sign-in refused after too many failures");
            let due = begun + self.answer_after();
            return Box::pin(delayed(due, Err(SignInError::Invalid)).into_actor(self));
        }
        // From the beginning: how long a hash takes must not tell whose it is.
        let due = begun + self.answer_after();
        let (account, secret) = (attempt.name.clone(), password);
        let verified = verify_aside(turn, accounts, account, secret).into_actor(self);
        Box::pin(verified.then(move |outcome, actor, ctx| {
            actor.count(&attempt, &outcome, ctx);
            // A right password is answered at once: it tells nobody anything.
            let due = if outcome.is_ok() { begun } else { due };
            delayed(due, outcome).into_actor(actor)
        }))
    }
}

// === impl Api ===

impl Api {
    fn count(&mut self, attempt: &Attempt, outcome: &Result<(), SignInError>, ctx: &mut Context<Self>) {
        let now = (self.clock)();
        let Some(limiter) = &mut self.limiter else { return };
        match outcome {
            Ok(()) => limiter.on_success(attempt, now),
            Err(error) => {
                tracing::warn!(account = attempt.name, security = 3, reason = %error, "sign-in failed");
                // Admitting it has counted it; a right password is no failure.
                if matches!(error, SignInError::Invalid) {
                    return;
                }
                limiter.withdraw(attempt);
            }
        }
        self.unsaved = true;
        self.save(ctx);
    }

    fn answer_after(&self) -> Duration {
        let mut bytes = [0; 2];
        (self.random)(&mut bytes);
        answer_after(u16::from_be_bytes(bytes)).unsigned_abs()
    }

    /// Starts writing the counters unless that is under way; what is counted
    /// meanwhile goes out with the next writing.
    fn save(&mut self, ctx: &mut Context<Self>) {
        if self.saving || !self.unsaved {
            return;
        }
        let now = (self.clock)();
        let Some(limiter) = &mut self.limiter else { return };
        let records = limiter.to_records(now);
        (self.saving, self.unsaved) = (true, false);
        let saved = super::persist::save(self.home.clone(), records);
        ctx.spawn(saved.into_actor(self).map(|(), actor, ctx| {
            actor.saving = false;
            actor.save(ctx);
        }));
    }
}

fn refuse(error: SignInError) -> ResponseActFuture<Api, Result<(), Status>> {
    let status = match error {
        SignInError::NameTooLong => Status::invalid_argument(error.to_string()),
        _ => Status::unauthenticated(error.to_string()),
    };
    Box::pin(actix::fut::ready(Err(status)))
}

/// Verifies on a thread for blocking work, holding a turn so long.
async fn verify_aside(
    turn: OwnedSemaphorePermit,
    accounts: Arc<Accounts>,
    name: String,
    password: Secret<String>,
) -> Result<(), SignInError> {
    let verified = tokio::task::spawn_blocking(move || {
        let outcome = verify(&accounts, &name, password.expose()).map(|_| ());
        drop(turn);
        outcome
    });
    // A verification that broke off proves nothing.
    verified.await.unwrap_or(Err(SignInError::Invalid))
}

async fn delayed(due: Instant, outcome: Result<(), SignInError>) -> Result<(), Status> {
    tokio::time::sleep_until(due).await;
    outcome.map_err(|error| Status::unauthenticated(error.to_string()))
}
