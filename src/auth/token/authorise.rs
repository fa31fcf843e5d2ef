//! For whom a verified token speaks at this moment, and when it is renewed.

use std::sync::Arc;

use argosy_proto::v1alpha1::AppProject;
use jiff::Timestamp;
use serde_json::Value;

use super::claims::{Claims, ISSUER, Subject};
use super::verify::{TokenError, Verified};
use crate::account::{Accounts, Capability};
use crate::identity::{Identity, Kind};
use crate::project_token;

/// A login session with less than this left is renewed, in seconds.
pub const RENEW_BEFORE: i64 = 300;

/// What a token is held against: how things are now.
#[derive(Clone, Copy)]
pub struct Authority<'a> {
    /// The local accounts.
    pub accounts: &'a Accounts,
    /// A project by its name.
    pub project: &'a dyn Fn(&str) -> Option<Arc<AppProject>>,
    /// Whether what has this [`Identity::revocation_key`] was revoked.
    pub revoked: &'a dyn Fn(&str) -> bool,
}

// === impl Verified ===

impl Verified {
    /// Who is asking, as things are now.
    ///
    /// # Errors
    /// When the token is no longer valid, was revoked, or what it speaks for no
    /// longer stands behind it.
    pub fn authorise(&self, authority: &Authority<'_>, now: Timestamp) -> Result<Identity, TokenError> {
        self.check_times(now)?;
        let identity = match &self.subject {
            Subject::Account { name, capability } => {
                self.check_account(authority.accounts, name, *capability)?;
                self.identity(name.clone(), Kind::from(*capability))
            }
            Subject::ProjectRole { project, role } => {
                self.check_project_role(authority, project, role)?;
                let kind = Kind::Project { project: project.clone(), role: role.clone() };
                self.identity(self.subject.to_string(), kind)
            }
        };
        if identity.revocation_key().is_some_and(|key| (authority.revoked)(&key)) {
            return Err(TokenError::Revoked);
        }
        Ok(identity)
    }

    fn check_account(&self, accounts: &Accounts, name: &str, capability: Capability) -> Result<(), TokenError> {
        let account = accounts.get(name).filter(|account| account.enabled);
        let account = account.ok_or_else(|| TokenError::Account(name.to_owned()))?;
        if !account.has(capability) {
            return Err(TokenError::Capability { account: name.to_owned(), capability });
        }
        if self.id.is_empty() {
            return Err(TokenError::NoId);
        }
        if capability == Capability::ApiKey && account.token(&self.id).is_none() {
            return Err(TokenError::NotListed { account: name.to_owned(), id: self.id.clone() });
        }
        // An API key ends with the password too: whoever changes it after a leak
        // wants everything of before gone.
        if account.password_mtime.is_some_and(|changed| self.issued_at < changed.as_second()) {
            return Err(TokenError::PasswordChanged);
        }
        Ok(())
    }

    fn check_project_role(&self, authority: &Authority<'_>, project: &str, role: &str) -> Result<(), TokenError> {
        let listed = (authority.project)(project)
            .is_some_and(|project| project_token::find(&project, role, self.issued_at, &self.id).is_some());
        if listed {
            return Ok(());
        }
        Err(TokenError::NotInProject { project: project.to_owned(), role: role.to_owned(), issued_at: self.issued_at })
    }

    fn identity(&self, subject: String, kind: Kind) -> Identity {
        let mut claims = self.claims.clone();
        claims.insert("sub".to_owned(), Value::String(subject.clone()));
        let time = |seconds: i64| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        Identity {
            subject,
            issuer: ISSUER.to_owned(),
            groups: Vec::new(),
            claims,
            issued_at: Some(time(self.issued_at)),
            expires_at: self.expires_at.map(time),
            id: (!self.id.is_empty()).then(|| self.id.clone()),
            kind,
        }
    }
}

/// Whether a session ends so soon that its owner, being active, gets a new token.
pub fn renewal_due(identity: &Identity, now: Timestamp) -> bool {
    let remaining = identity.expires_at.map(|end| end.as_second() - now.as_second());
    identity.kind == Kind::Login && remaining.is_some_and(|seconds| seconds < RENEW_BEFORE)
}

/// The claims of the session that follows one for which [`renewal_due`] says so: as
/// long as that was. `id` is a new identifier.
pub fn renewal(identity: &Identity, now: Timestamp, id: impl Into<String>) -> Option<Claims> {
    let (issued_at, expires_at) = (identity.issued_at?, identity.expires_at?);
    let lifetime = expires_at.as_second() - issued_at.as_second();
    let subject = Subject::Account { name: identity.subject.clone(), capability: Capability::Login };
    (renewal_due(identity, now) && lifetime > 0).then(|| Claims::new(subject, id, now, lifetime))
}
