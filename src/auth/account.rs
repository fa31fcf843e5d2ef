//! Local accounts: who they are, what they may do, and what to write when one changes.
//!
//! Accounts live in two objects of Argo CD: `argocd-cm` says who exists, who is
//! enabled and who can do what; `argocd-secret` holds the password hashes and the
//! list of API keys. [`Accounts::read`] reads both. What cannot be read is a
//! [`Problem`] of that one account, which is then denied what the unreadable part
//! would have decided; everybody else is not touched by it.

mod edit;
mod read;

use std::collections::BTreeMap;
use std::fmt;

use argosy_model::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use edit::{EditError, SecretEdit};

/// The account that always exists.
pub const ADMIN: &str = "admin";

/// What an account may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Signing in with a password.
    Login,
    /// Making API keys.
    ApiKey,
}

/// One API key of an account, as it is listed in `argocd-secret`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its identifier.
    pub id: String,
    /// When it was issued, in seconds since 1970.
    #[serde(rename = "iat")]
    pub issued_at: i64,
    /// When it ends, in seconds since 1970; 0 is never.
    #[serde(rename = "exp", default, skip_serializing_if = "is_zero")]
    pub expires_at: i64,
}

/// A local account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Whether it may be used at all.
    pub enabled: bool,
    /// What for, in the order they were written.
    pub capabilities: Vec<Capability>,
    /// The bcrypt hash of its password; empty when it has none.
    pub password_hash: Secret<String>,
    /// When the password was changed last. No token from before is good. The end of
    /// time when what is written there cannot be read.
    pub password_mtime: Option<Timestamp>,
    /// Its API keys.
    pub tokens: Vec<TokenRecord>,
    tokens_readable: bool,
}

/// All local accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    by_name: BTreeMap<String, Account>,
    problems: Vec<Problem>,
}

/// A key of the settings that could not be read. Never has a value of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The account it belongs to.
    pub account: String,
    /// The key in `argocd-cm` or `argocd-secret`.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

// === impl Capability ===

impl Capability {
    /// Reads a capability as it is written in settings and tokens.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "login" => Some(Self::Login),
            "apiKey" => Some(Self::ApiKey),
            _ => None,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "login",
            Self::ApiKey => "apiKey",
        })
    }
}

// === impl Account ===

impl Account {
    /// Whether it has the capability.
    pub fn has(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }

    /// The API key with this identifier.
    pub fn token(&self, id: &str) -> Option<&TokenRecord> {
        self.tokens.iter().find(|token| token.id == id)
    }
}

// === impl Accounts ===

impl Accounts {
    /// The account of this name.
    pub fn get(&self, name: &str) -> Option<&Account> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        self.by_name.values()
    }

    /// What of their settings cannot be read.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account '{}': {}: {}", self.account, self.key, self.message)
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}
