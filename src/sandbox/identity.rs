//! Who is asking: static tokens, client certificates and the tokens of service
//! accounts.
//!
//! [`Identities::identify`] names the caller of a request. A token of a service
//! account is believed only while the account, and the Secret, Pod or Node it is
//! bound to, are in the store: a deleted Secret ends its token at once. Tokens are
//! kept as digests and appear in no error; journals show a caller's token id.

mod certificate;
mod claims;
mod impersonate;
mod keys;
mod request;
mod static_tokens;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use argosy_model::Secret;
use http::HeaderMap;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::faults::Faults;
use crate::hooks::{Authenticator, Caller};
use crate::stamp::Stamps;
use crate::store::Store;

pub use claims::{Bound, Ref};
pub use impersonate::impersonate;
pub use keys::{KeyError, TokenKeys};
pub use static_tokens::{StaticToken, TokenFileError};

/// The name of whoever shows nothing.
pub const ANONYMOUS: &str = "system:anonymous";
/// The group of everyone who proved who they are.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of everyone who did not.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The issuer of service-account tokens, and their audience unless asked otherwise.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// The extra field that names the credential a caller used.
pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// Why a credential is not believed. To the caller all of them are `Unauthorized`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// Nobody's token.
    #[error("invalid bearer token")]
    UnknownToken,
    /// A token of a service account that does not hold; the text is the server's.
    #[error("{0}")]
    Token(String),
    /// A certificate without a name.
    #[error("the client certificate has no common name")]
    Certificate,
}

/// Everyone the sandbox knows, and the keys of its tokens.
pub struct Identities {
    store: Store,
    stamps: Stamps,
    faults: Faults,
    keys: TokenKeys,
    /// By the digest of the token.
    tokens: RwLock<HashMap<[u8; 32], Caller>>,
}

// === impl Identities ===

impl Identities {
    /// Nobody but the service accounts of the store.
    #[must_use]
    pub fn new(store: Store, stamps: Stamps, keys: TokenKeys, faults: Faults) -> Self {
        Self { store, stamps, faults, keys, tokens: RwLock::new(HashMap::new()) }
    }

    /// Makes a static token known, under an id for journals and faults.
    pub fn add_token(&self, token: &Secret<String>, id: &str, user: Caller) {
        let caller = Caller { token_id: Some(id.to_owned()), ..user };
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(digest(token.expose()), caller);
    }

    /// Forgets the static tokens of an id.
    pub fn remove_token(&self, id: &str) {
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, caller| caller.token_id.as_deref() != Some(id));
    }

    /// Names whoever shows a credential, before any impersonation. A certificate that
    /// the TLS layer has verified comes first, then the `Authorization` header;
    /// without either it is [`anonymous`].
    ///
    /// # Errors
    /// [`AuthenticationError`]: a credential was shown and does not hold.
    pub fn identify(&self, headers: &HeaderMap, certificate: Option<&[u8]>) -> Result<Caller, AuthenticationError> {
        if let Some(certificate) = certificate {
            return certificate::caller(certificate).ok_or(AuthenticationError::Certificate);
        }
        match bearer(headers) {
            Some(token) => self.authenticate_token(token, &[]).map(|(caller, _)| caller),
            None => Ok(anonymous()),
        }
    }

    /// Names whom a token belongs to and the audiences it is good for; `audiences`
    /// (empty: the sandbox itself) are for whom it must have been issued. Static
    /// tokens hold for every audience.
    ///
    /// # Errors
    /// [`AuthenticationError`].
    pub fn authenticate_token(
        &self,
        token: &str,
        audiences: &[String],
    ) -> Result<(Caller, Vec<String>), AuthenticationError> {
        let own = [ISSUER.to_owned()];
        let wanted = if audiences.is_empty() { own.as_slice() } else { audiences };
        let known = self.tokens.read().unwrap_or_else(PoisonError::into_inner).get(&digest(token)).cloned();
        let (caller, audiences) = match known {
            Some(caller) => (caller, wanted.to_vec()),
            None => self.authenticate_service_account(token, wanted)?,
        };
        if self.faults.is_expired(caller.token_id.as_deref()) {
            return Err(AuthenticationError::Token("service account token has expired".to_owned()));
        }
        Ok((caller, audiences))
    }

    /// The keys that tokens are signed with.
    #[must_use]
    pub fn keys(&self) -> &TokenKeys {
        &self.keys
    }
}

impl Authenticator for Identities {
    fn authenticate(&self, headers: &HeaderMap, certificate: Option<&[u8]>) -> Result<Caller, Failure> {
        let caller = self.identify(headers, certificate).map_err(|error| {
            // The caller is not told why; whoever runs the sandbox may want to know.
            tracing::debug!(%error, "a credential was refused");
            Failure::unauthorized()
        })?;
        impersonate(headers, caller, &self.store)
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identities").finish_non_exhaustive()
    }
}

/// Whoever shows nothing.
#[must_use]
pub fn anonymous() -> Caller {
    Caller { name: ANONYMOUS.to_owned(), groups: vec![UNAUTHENTICATED.to_owned()], ..Caller::default() }
}

/// A user in groups; that of everyone authenticated is added.
#[must_use]
pub fn user(name: &str, groups: &[&str]) -> Caller {
    let mut groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
    if !groups.iter().any(|group| group == AUTHENTICATED) {
        groups.push(AUTHENTICATED.to_owned());
    }
    Caller { name: name.to_owned(), groups, ..Caller::default() }
}

/// A user as reviews show it.
#[must_use]
pub fn user_info(user: &Caller) -> Value {
    let mut shown = json!({"username": user.name});
    if !user.uid.is_empty() {
        shown["uid"] = user.uid.as_str().into();
    }
    if !user.groups.is_empty() {
        shown["groups"] = json!(user.groups);
    }
    if !user.extra.is_empty() {
        shown["extra"] = json!(user.extra);
    }
    shown
}

/// `system:serviceaccount:<namespace>:<name>`.
#[must_use]
pub fn service_account_name(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// The groups of a service account, without that of everyone authenticated.
#[must_use]
pub fn service_account_groups(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
}

/// Namespace and name of a service account's user name.
#[must_use]
pub fn split_service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
