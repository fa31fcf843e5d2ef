//! What is kept of a sign-in after it: the provider's tokens that are needed later.
//!
//! They stand in the document that all replicas share, each sealed for its own
//! place, until the session ends. The document is bounded: what has ended goes, and
//! then what ends first; its owner signs in again a little earlier than planned.
//! Nothing is kept where nothing is needed: no refresh, no groups of the user info.

use std::collections::BTreeMap;

use argosy_auth::seal::SealingKey;
use argosy_auth::token::SigningKey;
use argosy_home::{Error, Home};
use argosy_model::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Prefix of the keys in the shared document.
const PREFIX: &str = "sso.";
/// Most that all sessions together take of the document, in bytes; a Secret holds
/// 1 MiB, and revocations and counters need room too.
const ROOM: usize = 512 << 10;
/// Longest record before it is sealed, in bytes.
const LONGEST: usize = 8 << 10;

/// Which session: a user at a provider, and the provider's name for the session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionId(String);

/// What is kept of one.
#[derive(Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct Session {
    access_token: Option<String>,
    refresh_token: Option<String>,
    /// The newest token, for those who still show the one before.
    id_token: Option<String>,
    /// When the user signed in, in seconds since 1970.
    pub(crate) started: i64,
    /// When all of it ends, in seconds since 1970.
    pub(crate) until: i64,
}

// === impl SessionId ===

impl SessionId {
    /// By the claims of its token.
    pub(crate) fn of(claims: &Map<String, Value>) -> Self {
        let mut hash = Sha256::new();
        for name in ["iss", "sub", "sid"] {
            let text = claims.get(name).and_then(Value::as_str).unwrap_or_default();
            // Lengths keep the parts apart, whatever is in them.
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
        Self(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn entry(&self) -> String {
        format!("{PREFIX}{}", self.0)
    }

    fn sealing(&self, key: &SigningKey) -> SealingKey {
        SealingKey::new(key, &format!("session {}", self.0))
    }
}

// === impl Session ===

impl Session {
    pub(crate) fn new(started: i64, until: i64) -> Self {
        Self { access_token: None, refresh_token: None, id_token: None, started, until }
    }

    /// The same with these tokens; a refresh token that was not replaced stays.
    pub(crate) fn with(
        self,
        access: Option<Secret<String>>,
        refresh: Option<Secret<String>>,
        id: &Secret<String>,
    ) -> Self {
        let plain = |token: Option<Secret<String>>| token.map(|token| token.expose().clone());
        Self {
            access_token: plain(access).or(self.access_token),
            refresh_token: plain(refresh).or(self.refresh_token),
            id_token: Some(id.expose().clone()),
            ..self
        }
    }

    pub(crate) fn access_token(&self) -> Option<Secret<String>> {
        self.access_token.clone().map(Secret::new)
    }

    pub(crate) fn refresh_token(&self) -> Option<Secret<String>> {
        self.refresh_token.clone().map(Secret::new)
    }

    pub(crate) fn id_token(&self) -> Option<Secret<String>> {
        self.id_token.clone().map(Secret::new)
    }

    fn seal(mut self, id: &SessionId, key: &SigningKey, nonce: [u8; 12]) -> Option<String> {
        let write = |session: &Self| serde_json::to_vec(session).ok().filter(|text| text.len() <= LONGEST);
        let text = write(&self).or_else(|| {
            // It only saves a question.
            self.id_token = None;
            write(&self)
        })?;
        Some(format!("{}.{}", self.until, id.sealing(key).seal(&text, nonce)))
    }

    fn open(sealed: &str, id: &SessionId, key: &SigningKey, now: Timestamp) -> Option<Self> {
        let (_, sealed) = sealed.split_once('.')?;
        let opened = id.sealing(key).open(sealed).ok()?;
        let session: Self = serde_json::from_slice(opened.expose()).ok()?;
        (session.until > now.as_second()).then_some(session)
    }
}

/// The session of this name, if there is one and it has not ended.
pub(crate) fn find(home: &Home, id: &SessionId, key: &SigningKey, now: Timestamp) -> Option<Session> {
    Session::open(home.sessions().get(&id.entry())?, id, key, now)
}

/// Keeps a session on every replica. One with very long tokens is not kept.
///
/// # Errors
/// When the document cannot be written.
pub(crate) async fn keep(
    home: &Home,
    id: &SessionId,
    session: Session,
    key: &SigningKey,
    nonce: [u8; 12],
    now: Timestamp,
) -> Result<(), Error> {
    let Some(sealed) = session.seal(id, key, nonce) else {
        tracing::warn!("the tokens of a sign-in are too long to be kept; it will end with its first token");
        return Ok(());
    };
    let edit = |document: &mut BTreeMap<String, String>| {
        document.insert(id.entry(), sealed.clone());
        make_room(document, now);
        Ok::<_, Error>(())
    };
    home.edit_sessions(edit).await.map(drop)
}

/// Forgets a session, on every replica.
///
/// # Errors
/// When the document cannot be written.
pub(crate) async fn forget(home: &Home, id: &SessionId) -> Result<(), Error> {
    let entry = id.entry();
    if !home.sessions().contains_key(&entry) {
        return Ok(());
    }
    let edit = |document: &mut BTreeMap<String, String>| {
        document.remove(&entry);
        Ok::<_, Error>(())
    };
    home.edit_sessions(edit).await.map(drop)
}

/// Drops what has ended, and then what ends first, until the rest fits.
fn make_room(document: &mut BTreeMap<String, String>, now: Timestamp) {
    let end = |value: &str| value.split_once('.').and_then(|(end, _)| end.parse::<i64>().ok()).unwrap_or(0);
    document.retain(|key, value| !key.starts_with(PREFIX) || end(value) > now.as_second());
    let kept = document.iter().filter(|(key, _)| key.starts_with(PREFIX));
    let mut all: Vec<_> = kept.map(|(key, value)| (end(value), key.clone(), key.len() + value.len())).collect();
    all.sort();
    let mut size: usize = all.iter().map(|(_, _, size)| size).sum();
    for (_, key, freed) in all {
        if size <= ROOM {
            break;
        }
        document.remove(&key);
        size -= freed;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn id(sub: &str) -> SessionId {
        let claims = json!({"iss": "https://idp", "sub": sub});
        SessionId::of(claims.as_object().unwrap())
    }

    fn session(until: i64) -> Session {
        let secret = |text: &str| Secret::new(text.to_owned());
        Session::new(0, until).with(Some(secret("canary-access")), Some(secret("canary-refresh")), &secret("canary-id"))
    }

    #[test]
    fn a_session_is_sealed_for_its_own_place_and_ends() {
        let key = SigningKey::new(b"key").unwrap();
        let sealed = session(100).seal(&id("a"), &key, [1; 12]).unwrap();
        assert!(!sealed.contains("canary") && sealed.starts_with("100."));
        let opened = Session::open(&sealed, &id("a"), &key, at(99)).unwrap();
        assert_eq!(opened.refresh_token().unwrap().expose(), "canary-refresh");
        assert!(Session::open(&sealed, &id("a"), &key, at(100)).is_none());
        assert!(Session::open(&sealed, &id("b"), &key, at(0)).is_none());
        assert!(Session::open(&sealed, &id("a"), &SigningKey::new(b"other").unwrap(), at(0)).is_none());
        // Moving the end in plain sight does not move it.
        assert!(Session::open(&sealed.replacen("100", "999", 1), &id("a"), &key, at(100)).is_none());
    }

    #[test]
    fn tokens_that_are_too_long_are_left_out_or_not_kept() {
        let key = SigningKey::new(b"key").unwrap();
        let long = |length| Secret::new("x".repeat(length));
        let sealed = session(9).with(None, None, &long(9000)).seal(&id("a"), &key, [1; 12]).unwrap();
        assert!(Session::open(&sealed, &id("a"), &key, at(0)).unwrap().id_token().is_none());
        assert!(session(9).with(Some(long(9000)), None, &long(1)).seal(&id("a"), &key, [1; 12]).is_none());
    }

    #[test]
    fn the_document_stays_bounded_and_loses_what_ends_first() {
        let mut document: BTreeMap<String, String> =
            (0..100).map(|n| (format!("{PREFIX}{n:03}"), format!("{}.{}", 1000 + n, "f".repeat(10_000)))).collect();
        document.insert(format!("{PREFIX}old"), "10.ff".to_owned());
        document.insert("revoked.x".to_owned(), "1".to_owned());
        make_room(&mut document, at(10));
        let size: usize = document.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!(size <= ROOM + 100, "{size}");
        assert!(document.contains_key("sso.099") && !document.contains_key("sso.000"));
        assert!(document.contains_key("revoked.x") && !document.contains_key("sso.old"));
    }
}
