//! API keys of accounts.

use argosy_auth::account::{Accounts, Capability, TokenRecord};
use argosy_auth::token::Subject;
use argosy_home::settings::Names;
use argosy_model::Secret;
use argosy_proto::account::{CreateTokenRequest, CreateTokenResponse, DeleteTokenRequest, EmptyResponse};
use tonic::Status;

use super::Service;
use crate::caller::Caller;
use crate::permission::action;
use crate::status::Refusal;

/// Longest identifier of a key, in bytes: all keys of all accounts share one Secret.
const LONGEST_ID: usize = 256;

// === impl Service ===

impl Service {
    pub(super) async fn create_key(
        &self,
        caller: &Caller,
        request: CreateTokenRequest,
    ) -> Result<CreateTokenResponse, Status> {
        let CreateTokenRequest { name, expires_in, id } = request;
        self.may(caller, action::UPDATE, &name)?;
        let id = if id.is_empty() { self.shared.uuid() } else { id };
        if id.len() > LONGEST_ID {
            return Err(Status::invalid_argument(format!("the id is longer than {LONGEST_ID} bytes")));
        }
        let account = self.known(&name)?;
        if !account.has(Capability::ApiKey) {
            let words = format!("account '{name}' does not have {} capability", Capability::ApiKey);
            return Err(Status::failed_precondition(words));
        }
        let subject = Subject::Account { name: name.clone(), capability: Capability::ApiKey };
        let issued = self.shared.authority.issue(subject, &id, expires_in)?;
        let record = TokenRecord {
            id,
            issued_at: issued.claims.issued_at,
            expires_at: issued.claims.expires_at.unwrap_or_default(),
        };
        self.edit(&name, |account| {
            account.add_token_edit(record.clone()).map_err(|error| Status::already_exists(error.to_string()))
        })
        .await?;
        tracing::info!(account = name, by = caller.username(), security = 2, "an API key was made");
        Ok(CreateTokenResponse { token: issued.token.expose().clone() })
    }

    pub(super) async fn delete_key(
        &self,
        caller: &Caller,
        request: DeleteTokenRequest,
    ) -> Result<EmptyResponse, Status> {
        let DeleteTokenRequest { name, id } = request;
        self.may(caller, action::UPDATE, &name)?;
        self.known(&name)?;
        self.edit(&name, |account| {
            account.remove_token_edit(&id).map_err(|error| Status::not_found(error.to_string()))
        })
        .await?;
        tracing::info!(account = name, by = caller.username(), security = 2, "an API key was deleted");
        Ok(EmptyResponse {})
    }

    /// Changes what `argocd-secret` says of an account, as it is there then.
    async fn edit(
        &self,
        name: &str,
        change: impl Fn(&argosy_auth::account::Account) -> Result<argosy_auth::account::SecretEdit, Status>,
    ) -> Result<(), Status> {
        let config = self.shared.home.settings().raw.config.clone();
        let written = self.shared.home.edit_settings_map(Names::SECRET, |data| {
            let secret = |key: &str| data.get(key).map(|value| Secret::new(value.as_str()));
            let accounts = Accounts::read(&config, secret);
            let account = accounts.get(name).ok_or_else(|| Status::not_found("the account is gone"))?;
            change(account)?.apply(data);
            Ok::<_, Refusal>(())
        });
        written.await.map(drop).map_err(Status::from)
    }
}
