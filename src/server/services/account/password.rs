//! Changing a password: one's own, or by policy another's.

use std::net::IpAddr;

use argosy_auth::identity::{Identity, Kind};
use argosy_auth::password::{PasswordError, Pattern, hash};
use argosy_home::settings::Names;
use argosy_model::Secret;
use argosy_proto::account::{UpdatePasswordRequest, UpdatePasswordResponse};
use jiff::Timestamp;
use tonic::Status;

use super::Service;
use crate::api::SignIn;
use crate::caller::Caller;
use crate::permission::{action, resource};
use crate::status::Refusal;

// === impl Service ===

impl Service {
    pub(super) async fn change_password(
        &self,
        caller: &Caller,
        source: Option<IpAddr>,
        request: UpdatePasswordRequest,
    ) -> Result<UpdatePasswordResponse, Status> {
        let UpdatePasswordRequest { new_password, current_password, name } = request;
        let identity = caller.identity();
        let own = identity.map_or("", |identity| identity.subject.as_str()).to_owned();
        let target = if name.is_empty() { own.clone() } else { name };
        if target != own || !identity.is_some_and(Identity::is_account) {
            self.shared.enforce(caller, resource::ACCOUNTS, action::UPDATE, &target)?;
        }
        if let Some(identity) = identity {
            self.prove(identity, Secret::new(current_password), source).await?;
        }
        let settings = self.shared.home.settings();
        let pattern = Pattern::compile(&settings.api.password_pattern).map_err(|error| weak(&error))?;
        pattern.check(&new_password).map_err(|error| weak(&error))?;
        self.known(&target)?;
        self.store(&target, Secret::new(new_password)).await?;
        tracing::info!(account = target, by = own, security = 2, "a password was changed");
        Ok(UpdatePasswordResponse {})
    }

    /// Whoever changes a password shows that it is really them: by their own
    /// current one, or by having signed in a moment ago.
    async fn prove(&self, identity: &Identity, current: Secret<String>, source: Option<IpAddr>) -> Result<(), Status> {
        match &identity.kind {
            Kind::Login | Kind::ApiKey => {
                let attempt = SignIn { name: identity.subject.clone(), password: current, source };
                let verified = self.shared.api.sign_in(attempt).await;
                verified.map_err(|_| Status::invalid_argument("current password does not match"))
            }
            Kind::Project { .. } | Kind::Anonymous => Err(Status::invalid_argument(format!(
                "password can only be changed for local users, not user {:?}",
                identity.subject
            ))),
            Kind::Sso if identity.is_recent_sso((self.shared.clock)()) => Ok(()),
            Kind::Sso => {
                Err(Status::failed_precondition("SSO token is too old. Please use 'argocd relogin' to get a new token"))
            }
        }
    }

    async fn store(&self, name: &str, password: Secret<String>) -> Result<(), Status> {
        let mut salt = [0; 16];
        (self.shared.random)(&mut salt);
        let hashed = tokio::task::spawn_blocking(move || hash(password.expose(), salt)).await;
        let hashed = hashed.map_err(|_| Status::internal("the password could not be hashed"))?;
        let now = (self.shared.clock)();
        let from = next_second(now);
        let edits = self.known(name)?.set_password_edit(hashed.map_err(|error| weak(&error))?, from);
        let written = self.shared.home.edit_settings_map(Names::SECRET, |data| {
            for edit in &edits {
                edit.apply(data);
            }
            Ok::<_, Refusal>(())
        });
        written.await.map_err(Status::from)?;
        tokio::time::sleep(from.duration_since(now).unsigned_abs()).await;
        Ok(())
    }
}

/// When tokens of before end and new ones begin. Tokens say their time in seconds, so
/// those of this very second could not be told from those that follow: they end too,
/// and whoever changes a password has the answer when the next second has begun.
fn next_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second().saturating_add(1)).unwrap_or(Timestamp::MAX)
}

fn weak(error: &PasswordError) -> Status {
    Status::invalid_argument(error.to_string())
}
