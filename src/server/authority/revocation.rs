//! Revoked tokens, as they stand among what all replicas share about sign-ins.
//!
//! Each has an entry until it would have ended. Nobody can fill the document by
//! signing in and out: the owner of many revoked tokens loses everything they were
//! given so far at once, which takes one entry.

use std::collections::{BTreeMap, HashMap};

use argosy_auth::identity::Identity;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// `revoked.<owner>.<token>`; the value is when the token would have ended, in
/// seconds since 1970.
const ONE: &str = "revoked.";
/// `revoked-before.<owner>`; the value is the last second whose tokens are revoked,
/// and when the last of them would have ended.
const ALL: &str = "revoked-before.";

/// Revoked tokens of one owner that are kept one by one.
const ONE_BY_ONE: usize = 64;

/// How long a token without an end stays revoked: it cannot be known when it no
/// longer has to, so for as long as anything here lives.
const FOR_EVER: i64 = i64::MAX;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    /// Ends by token.
    ends: HashMap<String, i64>,
    /// By owner: the last second whose tokens are revoked.
    before: HashMap<String, i64>,
}

/// Adds the revocation of an identity's token and drops what has run out. A token
/// without an identifier cannot be revoked.
pub(crate) fn add(sessions: &mut BTreeMap<String, String>, identity: &Identity, now: Timestamp) {
    let Some(token) = identity.revocation_key() else { return };
    let now = now.as_second();
    sessions.retain(|key, value| !is_over(key, value, now));
    let owner = owner(identity);
    let own = format!("{ONE}{owner}.");
    let end = identity.expires_at.map_or(FOR_EVER, Timestamp::as_second);
    let ends: Vec<i64> =
        sessions.iter().filter(|(key, _)| key.starts_with(&own)).map(|(_, value)| end_of(value)).collect();
    if ends.len() < ONE_BY_ONE {
        sessions.insert(format!("{own}{token}"), end.to_string());
        return;
    }
    sessions.retain(|key, _| !key.starts_with(&own));
    let last = ends.into_iter().fold(end, i64::max);
    sessions.insert(format!("{ALL}{owner}"), format!("{now} {last}"));
}

// === impl Revocations ===

impl Revocations {
    /// Reads the shared entries.
    pub(crate) fn read(sessions: &BTreeMap<String, String>) -> Self {
        let mut revocations = Self::default();
        for (key, value) in sessions {
            if let Some(owner) = key.strip_prefix(ALL) {
                revocations.before.insert(owner.to_owned(), moment(value));
            } else if let Some(rest) = key.strip_prefix(ONE) {
                let token = rest.rsplit('.').next().unwrap_or(rest);
                revocations.ends.insert(token.to_owned(), end_of(value));
            }
        }
        revocations
    }

    /// Whether the identity's token was revoked.
    pub(crate) fn cover(&self, identity: &Identity, now: Timestamp) -> bool {
        let one = identity.revocation_key().and_then(|token| self.ends.get(&token).copied());
        if one.is_some_and(|end| end > now.as_second()) {
            return true;
        }
        if self.before.is_empty() {
            return false;
        }
        let issued = identity.issued_at.map_or(i64::MIN, Timestamp::as_second);
        self.before.get(&owner(identity)).is_some_and(|before| issued <= *before)
    }
}

/// Whose token it is: sixteen hexadecimal digits.
fn owner(identity: &Identity) -> String {
    let mut hash = Sha256::new();
    for part in [&identity.issuer, &identity.subject] {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_over(key: &str, value: &str, now: i64) -> bool {
    (key.starts_with(ONE) || key.starts_with(ALL)) && end_of(value) <= now
}

/// An end that cannot be read is none: what was revoked stays so.
fn end_of(value: &str) -> i64 {
    value.rsplit(' ').next().and_then(|end| end.parse().ok()).unwrap_or(FOR_EVER)
}

fn moment(value: &str) -> i64 {
    value.split(' ').next().and_then(|moment| moment.parse().ok()).unwrap_or(FOR_EVER)
}

#[cfg(test)]
mod tests {
    use argosy_auth::identity::Kind;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn token(subject: &str, id: usize, issued: i64, end: i64) -> Identity {
        Identity {
            subject: subject.to_owned(),
            issuer: "argocd".to_owned(),
            issued_at: Some(at(issued)),
            expires_at: Some(at(end)),
            id: Some(id.to_string()),
            kind: Kind::Login,
            ..Identity::anonymous()
        }
    }

    #[test]
    fn one_revoked_token_is_revoked_until_it_ends_and_no_other_is() {
        let mut sessions = BTreeMap::new();
        add(&mut sessions, &token("ann", 1, 0, 100), at(10));
        let revocations = Revocations::read(&sessions);
        assert!(revocations.cover(&token("ann", 1, 0, 100), at(99)));
        assert!(!revocations.cover(&token("ann", 2, 0, 100), at(99)));
        assert!(!revocations.cover(&token("bob", 1, 0, 100), at(99)));
        add(&mut sessions, &token("bob", 1, 100, 300), at(200));
        assert_eq!(sessions.len(), 1, "what has run out is dropped");
    }

    #[test]
    fn many_revocations_of_one_owner_become_one_and_cost_nobody_else() {
        let mut sessions = BTreeMap::new();
        for id in 0..1000 {
            add(&mut sessions, &token("ann", id, 50, 1000), at(60));
        }
        assert!(sessions.len() <= ONE_BY_ONE + 1, "{}", sessions.len());
        let revocations = Revocations::read(&sessions);
        assert!((0..1000).all(|id| revocations.cover(&token("ann", id, 50, 1000), at(70))));
        assert!(!revocations.cover(&token("ann", 5000, 61, 1000), at(70)), "a later sign-in counts");
        assert!(!revocations.cover(&token("bob", 3, 50, 1000), at(70)));
    }

    #[test]
    fn what_cannot_be_read_stays_revoked() {
        let revoked = token("ann", 1, 0, 100);
        let mut sessions = BTreeMap::new();
        add(&mut sessions, &revoked, at(10));
        sessions.values_mut().for_each(|value| "nonsense".clone_into(value));
        assert!(Revocations::read(&sessions).cover(&revoked, at(1000)));
    }
}
