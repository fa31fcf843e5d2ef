//! What to write into `argocd-secret` when an account changes, in Argo CD's formats.
//!
//! An edit is made from the account as it was just read; the caller writes it
//! against that version of the Secret and begins anew when somebody was faster.

use std::collections::BTreeMap;

use argosy_model::Secret;
use jiff::Timestamp;

use super::{Account, Capability, TokenRecord};

/// One key of `argocd-secret` and its new value; without a value it is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretEdit {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Option<Secret<String>>,
}

/// An account's API keys are not changed that way.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// There is one of that identifier.
    #[error("account already has token with id '{0}'")]
    TokenExists(String),
    /// The account makes no API keys.
    #[error("account '{0}' does not have apiKey capability")]
    NoCapability(String),
    /// There is none of that identifier.
    #[error("token with id '{0}' does not exist")]
    TokenMissing(String),
    /// The list that is there would be lost.
    #[error("the token list of account '{0}' cannot be read")]
    UnreadableTokens(String),
    /// The list cannot be written.
    #[error("the token list of account '{account}' cannot be written")]
    Unwritable {
        /// Name of the account.
        account: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

// === impl SecretEdit ===

impl SecretEdit {
    /// Makes the edit in the data of `argocd-secret`.
    pub fn apply(&self, data: &mut BTreeMap<String, String>) {
        match &self.value {
            Some(value) => data.insert(self.key.clone(), value.expose().clone()),
            None => data.remove(&self.key),
        };
    }
}

// === impl Account ===

impl Account {
    /// Another password: its hash, and the time before which no token is good.
    pub fn set_password_edit(&self, hash: Secret<String>, now: Timestamp) -> [SecretEdit; 2] {
        [
            SecretEdit { key: self.secret_key("password"), value: Some(hash) },
            SecretEdit { key: self.secret_key("passwordMtime"), value: Some(Secret::new(format!("{now:.0}"))) },
        ]
    }

    /// One more API key.
    ///
    /// # Errors
    /// When the identifier is taken, the account makes none, or its list cannot be read.
    pub fn add_token_edit(&self, token: TokenRecord) -> Result<SecretEdit, EditError> {
        if self.token(&token.id).is_some() {
            return Err(EditError::TokenExists(token.id));
        }
        if !self.has(Capability::ApiKey) {
            return Err(EditError::NoCapability(self.name.clone()));
        }
        let mut tokens = self.tokens.clone();
        tokens.push(token);
        self.tokens_edit(&tokens)
    }

    /// One API key less.
    ///
    /// # Errors
    /// When there is none of that identifier, or the list cannot be read.
    pub fn remove_token_edit(&self, id: &str) -> Result<SecretEdit, EditError> {
        let tokens: Vec<TokenRecord> = self.tokens.iter().filter(|token| token.id != id).cloned().collect();
        if self.tokens_readable && tokens.len() == self.tokens.len() {
            return Err(EditError::TokenMissing(id.to_owned()));
        }
        self.tokens_edit(&tokens)
    }

    fn tokens_edit(&self, tokens: &[TokenRecord]) -> Result<SecretEdit, EditError> {
        if !self.tokens_readable {
            return Err(EditError::UnreadableTokens(self.name.clone()));
        }
        let unwritable = |source| EditError::Unwritable { account: self.name.clone(), source };
        let list = serde_json::to_string(tokens).map_err(unwritable)?;
        let value = (!tokens.is_empty()).then(|| Secret::new(list));
        Ok(SecretEdit { key: self.secret_key("tokens"), value })
    }
}
