//! What a token of ours says.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::account::Capability;

/// The issuer of our tokens, as Argo CD's clients know it.
pub const ISSUER: &str = "argocd";

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A local account, with what the token was made for.
    Account {
        /// Name of the account.
        name: String,
        /// What the account needs for the token to be good.
        capability: Capability,
    },
    /// A role of a project.
    ProjectRole {
        /// Name of the project.
        project: String,
        /// Name of the role.
        role: String,
    },
}

/// The claims of a token to be issued. Times are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Whom it speaks for.
    pub subject: Subject,
    /// Its identifier, by which it is listed and revoked.
    pub id: String,
    /// When it was issued, in seconds since 1970; it is not valid before.
    pub issued_at: i64,
    /// When it ends, in seconds since 1970; `None` is never.
    pub expires_at: Option<i64>,
}

/// Claims as they are written into the token.
#[derive(Serialize)]
pub(super) struct Written<'a> {
    iss: &'static str,
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    nbf: i64,
    iat: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    jti: &'a str,
}

// === impl Subject ===

impl Subject {
    /// Reads a subject. An account without a capability is an API key of the days
    /// before there were two; what else is unknown is nobody.
    pub fn parse(text: &str) -> Option<Self> {
        let account =
            |name: &str, capability| (!name.is_empty()).then(|| Self::Account { name: name.to_owned(), capability });
        let parts: Vec<&str> = text.splitn(4, ':').collect();
        match parts.as_slice() {
            ["proj", project, role] if !project.is_empty() && !role.is_empty() => {
                Some(Self::ProjectRole { project: (*project).to_owned(), role: (*role).to_owned() })
            }
            [name] => account(name, Capability::ApiKey),
            [name, capability] => account(name, Capability::parse(capability)?),
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account { name, capability } => write!(f, "{name}:{capability}"),
            Self::ProjectRole { project, role } => write!(f, "proj:{project}:{role}"),
        }
    }
}

// === impl Claims ===

impl Claims {
    /// Claims valid from now on, for so many seconds; zero or less is for ever.
    pub fn new(subject: Subject, id: impl Into<String>, now: Timestamp, lifetime: i64) -> Self {
        let issued_at = now.as_second();
        let expires_at = (lifetime > 0).then(|| issued_at.saturating_add(lifetime));
        Self { subject, id: id.into(), issued_at, expires_at }
    }

    pub(super) fn written(&self) -> Written<'_> {
        Written {
            iss: ISSUER,
            sub: self.subject.to_string(),
            exp: self.expires_at,
            nbf: self.issued_at,
            iat: self.issued_at,
            jti: &self.id,
        }
    }
}
