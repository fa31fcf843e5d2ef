//! Tokens that strangers make up, and tokens of ours with claims of any kind.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Map, Value};

use super::{Authority, Issuer, SigningKey, Subject, peek_issuer, renewal, verify};
use crate::account::Accounts;
use crate::oidc::{self, Expected};
use crate::seal::SealingKey;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::new(b"canary of the key").expect("it is not empty"));
static SEALING: LazyLock<SealingKey> = LazyLock::new(|| SealingKey::new(&KEY, "fuzzing"));
static ACCOUNTS: LazyLock<Accounts> = LazyLock::new(|| {
    let config = BTreeMap::from([("accounts.ann".to_owned(), "login, apiKey".to_owned())]);
    Accounts::read(&config, |_| None)
});

/// 2026-01-01, when the tokens of the corpus are valid.
const NOW: i64 = 1_767_225_600;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).expect("a time in range")
}

/// Texts in place of tokens: none is taken for ours, and what refuses one repeats
/// neither its signature nor the key.
pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let _ = peek_issuer(&text);
    // Nobody who lacks the key makes what counts.
    let error = verify(&text, &KEY, now()).expect_err("it was not signed here");
    let said = error.client_message();
    let signature = text.rsplit('.').next().unwrap_or_default();
    assert!(!said.contains("canary"), "{said}");
    // Our own words have spaces; a fuzzer finds them, too.
    assert!(signature.len() < 24 || signature.contains(' ') || !said.contains(signature), "{said}");
    assert!(SEALING.open(&text).is_err());
}

/// JSON as the claims of a token that we signed, and of one of a provider.
pub(crate) fn claims(input: &[u8]) {
    let Ok(claims) = serde_json::from_slice::<Map<String, Value>>(input) else { return };
    of_a_provider(&claims);
    let Ok(token) = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &KEY.encoding) else { return };
    let Ok(verified) = verify(&token, &KEY, now()) else { return };
    assert_eq!(peek_issuer(&token).ok(), Some(Issuer::Ours));
    assert!(verified.expires_at.is_none_or(|end| end > NOW), "it has ended");
    assert!(verified.not_before.is_none_or(|start| start <= NOW), "it has not begun");
    assert_eq!(Subject::parse(&verified.subject.to_string()).as_ref(), Some(&verified.subject));
    let project = |_: &str| None;
    let authorise = |is_revoked: bool| {
        let revoked = move |_: &str| is_revoked;
        verified.authorise(&Authority { accounts: &ACCOUNTS, project: &project, revoked: &revoked }, now())
    };
    if let Ok(identity) = authorise(false) {
        assert!(matches!(identity.username(), "admin" | "ann"), "{}", identity.username());
        if let Some(next) = renewal(&identity, now(), "next") {
            assert!(next.expires_at.is_some_and(|end| end > NOW), "a renewal that has ended");
        }
        assert!(identity.revocation_key().is_none() || authorise(true).is_err(), "it was revoked");
    }
}

fn of_a_provider(claims: &Map<String, Value>) {
    let expected = Expected {
        issuer: "https://idp".to_owned(),
        audiences: vec!["argo".to_owned()],
        skip_audience_when_none: false,
    };
    if let Ok(identity) = oidc::validate_claims(claims.clone(), &expected, now()) {
        assert_eq!(identity.issuer, "https://idp");
        assert!(!identity.is_account() && identity.expires_at.is_some_and(|end| end > now()));
        let ours = claims
            .get("aud")
            .is_some_and(|aud| aud == "argo" || aud.as_array().is_some_and(|list| list.contains(&"argo".into())));
        assert!(ours, "it is for somebody else");
    }
}
