//! Local accounts: their passwords and API keys, and what a caller may do.
//!
//! Whoever changes a password ends every session and key of that account at once,
//! on every replica: tokens from before the change no longer count.

mod keys;
mod password;

use std::sync::Arc;

use argosy_auth::account::Account as Local;
use argosy_auth::identity::Identity;
use argosy_auth::rbac::{ACTIONS, RESOURCES, object};
use argosy_proto::account::account_service_server::AccountService;
use argosy_proto::account::{
    Account, AccountsList, CanIRequest, CanIResponse, CreateTokenRequest, CreateTokenResponse, DeleteTokenRequest,
    EmptyResponse, GetAccountRequest, ListAccountRequest, Token, UpdatePasswordRequest, UpdatePasswordResponse,
};
use tonic::{Request, Response, Status};

use crate::caller::{Caller, caller};
use crate::gateway::{self, Gateway};
use crate::permission::{action, resource};
use crate::shared::Shared;

/// See the module's page.
pub(crate) struct Service {
    shared: Arc<Shared>,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn bind(self: &Arc<Self>, gateway: &mut Gateway) -> Result<(), gateway::Error> {
        bind!(gateway, self, "account.AccountService", {
            "CanI" => can_i, "UpdatePassword" => update_password, "ListAccounts" => list_accounts,
            "GetAccount" => get_account, "CreateToken" => create_token, "DeleteToken" => delete_token,
        });
        Ok(())
    }

    /// Everybody has access to their own account; to others by policy.
    ///
    /// # Errors
    /// `PermissionDenied`.
    fn may(&self, caller: &Caller, action: &str, name: &str) -> Result<(), Status> {
        let own = |identity: &Identity| identity.is_account() && identity.subject == name;
        if caller.identity().is_some_and(own) {
            return Ok(());
        }
        self.shared.enforce(caller, resource::ACCOUNTS, action, name)
    }

    fn known(&self, name: &str) -> Result<Local, Status> {
        let accounts = self.shared.authority.snapshot().accounts.clone();
        accounts.get(name).cloned().ok_or_else(|| Status::not_found(format!("account '{name}' does not exist")))
    }
}

#[tonic::async_trait]
impl AccountService for Service {
    async fn can_i(&self, request: Request<CanIRequest>) -> Result<Response<CanIResponse>, Status> {
        let caller = caller(&request)?;
        let CanIRequest { resource, action, subresource } = request.into_inner();
        known_word(ACTIONS, &action)?;
        known_word(RESOURCES, &resource)?;
        let object = object::normalized(&resource, &subresource, self.shared.home.namespace());
        let value = if self.shared.permits(&caller, &resource, &action, &object) { "yes" } else { "no" };
        Ok(Response::new(CanIResponse { value: value.to_owned() }))
    }

    async fn update_password(
        &self,
        request: Request<UpdatePasswordRequest>,
    ) -> Result<Response<UpdatePasswordResponse>, Status> {
        let caller = caller(&request)?;
        let source = self.shared.source(&request);
        self.change_password(&caller, source, request.into_inner()).await.map(Response::new)
    }

    async fn list_accounts(&self, request: Request<ListAccountRequest>) -> Result<Response<AccountsList>, Status> {
        let caller = caller(&request)?;
        let accounts = self.shared.authority.snapshot().accounts.clone();
        let visible = accounts.iter().filter(|account| self.may(&caller, action::GET, &account.name).is_ok());
        Ok(Response::new(AccountsList { items: visible.map(answer).collect() }))
    }

    async fn get_account(&self, request: Request<GetAccountRequest>) -> Result<Response<Account>, Status> {
        let caller = caller(&request)?;
        let name = request.into_inner().name;
        self.may(&caller, action::GET, &name)?;
        Ok(Response::new(answer(&self.known(&name)?)))
    }

    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        let caller = caller(&request)?;
        self.create_key(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn delete_token(&self, request: Request<DeleteTokenRequest>) -> Result<Response<EmptyResponse>, Status> {
        let caller = caller(&request)?;
        self.delete_key(&caller, request.into_inner()).await.map(Response::new)
    }
}

fn known_word(words: &[&str], word: &str) -> Result<(), Status> {
    if words.contains(&word) {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("[{}] does not contain {word}", words.join(" "))))
}

/// An account as clients see it: no hash, and of keys only what they are called.
fn answer(account: &Local) -> Account {
    let mut tokens: Vec<Token> = account
        .tokens
        .iter()
        .map(|token| Token { id: token.id.clone(), issued_at: token.issued_at, expires_at: token.expires_at })
        .collect();
    tokens.sort_by_key(|token| std::cmp::Reverse(token.issued_at));
    Account {
        name: account.name.clone(),
        enabled: account.enabled,
        capabilities: account.capabilities.iter().map(ToString::to_string).collect(),
        tokens,
    }
}
