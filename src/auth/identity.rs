//! Who is asking.

use aws_lc_rs::digest;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::account::Capability;

/// How old a single sign-on token may be to change a password without the current
/// one, in seconds.
const RECENT: i64 = 300;

/// Who is asking, proven by a token or known to be nobody.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Name of the account, `proj:<project>:<role>`, or the provider's name for the
    /// user. Only the [`Kind`] says which, for a provider may call its users anything.
    pub subject: String,
    /// Who says so; `argocd` for ourselves, empty for nobody.
    pub issuer: String,
    /// The user's groups, as far as somebody read them from the claims.
    pub groups: Vec<String>,
    /// All claims of the token.
    pub claims: Map<String, Value>,
    /// When the token was issued.
    pub issued_at: Option<Timestamp>,
    /// When it ends; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// The token's identifier.
    pub id: Option<String>,
    /// What was shown as proof.
    pub kind: Kind,
}

/// What was shown as proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A session of a local account.
    Login,
    /// An API key of a local account.
    ApiKey,
    /// A token of a project's role.
    Project {
        /// Name of the project.
        project: String,
        /// Name of the role.
        role: String,
    },
    /// A token of the provider of single sign-on.
    Sso,
    /// Nothing, where that is allowed.
    Anonymous,
}

// === impl Identity ===

impl Identity {
    /// Nobody, where anonymous access is allowed.
    pub fn anonymous() -> Self {
        Self {
            subject: String::new(),
            issuer: String::new(),
            groups: Vec::new(),
            claims: Map::new(),
            issued_at: None,
            expires_at: None,
            id: None,
            kind: Kind::Anonymous,
        }
    }

    /// The same, with these groups.
    #[must_use]
    pub fn with_groups(self, groups: Vec<String>) -> Self {
        Self { groups, ..self }
    }

    /// What to call the user: for single sign-on the mail address if there is one.
    pub fn username(&self) -> &str {
        let email = self.claims.get("email").and_then(Value::as_str).filter(|email| !email.is_empty());
        match self.kind {
            Kind::Sso => email.unwrap_or(&self.subject),
            _ => &self.subject,
        }
    }

    /// Whether it is a local account.
    pub fn is_account(&self) -> bool {
        matches!(self.kind, Kind::Login | Kind::ApiKey)
    }

    /// Whether a single sign-on user signed in so recently that a password may be
    /// changed without knowing the current one.
    pub fn is_recent_sso(&self, now: Timestamp) -> bool {
        let age = self.issued_at.map(|issued_at| now.as_second() - issued_at.as_second());
        self.kind == Kind::Sso && age.is_some_and(|age| age <= RECENT)
    }

    /// Under what name the token is revoked; `None` when it has no identifier.
    ///
    /// Identifiers are chosen by whoever makes a token, so revoking one must not
    /// reach the token of another owner that happens to have the same: the name is a
    /// digest of owner and identifier (64 hexadecimal digits).
    pub fn revocation_key(&self) -> Option<String> {
        let kind = match &self.kind {
            Kind::Login => "login",
            Kind::ApiKey => "apiKey",
            Kind::Project { .. } => "project",
            Kind::Sso => "sso",
            Kind::Anonymous => return None,
        };
        let id = self.id.as_deref()?;
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [kind, &self.issuer, &self.subject, id] {
            // Lengths keep the parts apart, whatever is in them.
            context.update(&part.len().to_be_bytes());
            context.update(part.as_bytes());
        }
        Some(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

// === impl Kind ===

impl From<Capability> for Kind {
    fn from(capability: Capability) -> Self {
        match capability {
            Capability::Login => Self::Login,
            Capability::ApiKey => Self::ApiKey,
        }
    }
}
