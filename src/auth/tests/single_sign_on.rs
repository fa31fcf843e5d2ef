//! A provider's claims are believed when they are for us and for now, and what is
//! sealed for the browser comes back unchanged or not at all.

use argosy_auth::Kind;
use argosy_auth::oidc::{ClaimsError, Expected, allowed_audiences, validate_claims};
use argosy_auth::seal::SealingKey;
use argosy_auth::token::SigningKey;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const NOW: i64 = 1_700_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn expected() -> Expected {
    Expected {
        issuer: "https://idp".to_owned(),
        audiences: vec!["argo".to_owned(), "argo-cli".to_owned()],
        skip_audience_when_none: false,
    }
}

/// Good claims, with these instead; null takes one away.
fn claims(changes: Value) -> Map<String, Value> {
    let mut claims = json!({"iss": "https://idp", "aud": "argo", "sub": "u1", "exp": NOW + 60, "iat": NOW - 60});
    let claims = claims.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            claims.remove(name)
        } else {
            claims.insert(name.clone(), value.clone())
        };
    }
    claims.clone()
}

fn refusal(changes: Value) -> ClaimsError {
    validate_claims(claims(changes), &expected(), at(NOW)).expect_err("refused")
}

#[test]
fn the_user_is_who_the_provider_says() {
    let user = validate_claims(claims(json!({"email": "u@x", "jti": "t"})), &expected(), at(NOW)).expect("accepted");
    assert_eq!((user.subject.as_str(), user.username(), user.kind.clone()), ("u1", "u@x", Kind::Sso));
    assert!(user.is_recent_sso(at(NOW)) && !user.is_recent_sso(at(NOW + 300)));
    let of_dex = claims(json!({"federated_claims": {"user_id": "real"}, "at_hash": "h", "email": ""}));
    let of_dex = validate_claims(of_dex, &expected(), at(NOW)).expect("accepted");
    assert_eq!((of_dex.username(), of_dex.id.as_deref()), ("real", Some("h")));
    assert_ne!(user.revocation_key(), of_dex.revocation_key());
    let named_like_ours = claims(json!({"sub": "proj:p:role"}));
    let named_like_ours = validate_claims(named_like_ours, &expected(), at(NOW)).expect("accepted");
    assert_eq!(named_like_ours.kind, Kind::Sso, "a subject makes nobody a role of a project");
}

#[test]
fn a_token_for_somebody_else_is_refused() {
    for aud in [json!("other"), json!([]), json!(["other", ""]), json!("")] {
        assert!(matches!(refusal(json!({"aud": aud})), ClaimsError::Audience(_)));
    }
    assert_eq!(refusal(json!({"aud": 5})), ClaimsError::Claim("aud"));
    assert_eq!(refusal(json!({"aud": ["argo", 5]})), ClaimsError::Claim("aud"));
    assert_eq!(refusal(json!({"aud": null})), ClaimsError::NoAudience);
    let none = claims(json!({"aud": null}));
    let lenient = Expected { skip_audience_when_none: true, ..expected() };
    assert!(validate_claims(none, &lenient, at(NOW)).is_ok());
    assert!(validate_claims(claims(json!({"aud": "other"})), &lenient, at(NOW)).is_err());
    assert!(validate_claims(claims(json!({"aud": ["x", "argo-cli"]})), &expected(), at(NOW)).is_ok());
}

#[test]
fn a_token_of_another_issuer_is_refused_and_nobody_passes_for_us() {
    assert_eq!(refusal(json!({"iss": "https://idp/"})), ClaimsError::Issuer("https://idp/".to_owned()));
    assert_eq!(refusal(json!({"iss": null})), ClaimsError::Issuer(String::new()));
    let as_us = Expected { issuer: "argocd".to_owned(), ..expected() };
    assert!(validate_claims(claims(json!({"iss": "argocd"})), &as_us, at(NOW)).is_err());
    let unset = Expected { issuer: String::new(), ..expected() };
    assert!(validate_claims(claims(json!({"iss": ""})), &unset, at(NOW)).is_err());
}

#[test]
fn a_token_out_of_its_time_is_refused() {
    assert_eq!(refusal(json!({"exp": NOW})), ClaimsError::Expired);
    assert_eq!(refusal(json!({"exp": 0})), ClaimsError::Expired);
    assert_eq!(refusal(json!({"exp": null})), ClaimsError::Claim("exp"));
    assert_eq!(refusal(json!({"exp": "never"})), ClaimsError::Claim("exp"));
    assert_eq!(refusal(json!({"nbf": NOW + 301})), ClaimsError::NotYetValid);
    assert!(validate_claims(claims(json!({"nbf": NOW + 300, "exp": 1e300})), &expected(), at(NOW)).is_ok());
    assert_eq!(refusal(json!({"sub": null})), ClaimsError::Claim("sub"));
}

#[test]
fn audiences_are_the_clients_unless_configured() {
    assert_eq!(allowed_audiences(&[], "web", "cli"), ["web", "cli"]);
    assert_eq!(allowed_audiences(&[], "web", ""), ["web"]);
    assert_eq!(allowed_audiences(&["x".to_owned()], "web", "cli"), ["x"]);
    assert!(allowed_audiences(&[], "", "").is_empty());
}

#[test]
fn a_sealed_value_opens_only_where_and_for_what_it_was_sealed() {
    let ours = SigningKey::new(b"ours").expect("a key");
    let cookie = SealingKey::new(&ours, "state cookie");
    let sealed = cookie.seal(b"state\n/applications\n", [3; 12]);
    let opened = cookie.open(&sealed).expect("opens");
    assert_eq!(opened.expose(), b"state\n/applications\n");
    assert!(SealingKey::new(&ours, "refresh token").open(&sealed).is_err());
    let theirs = SigningKey::new(b"theirs").expect("a key");
    assert!(SealingKey::new(&theirs, "state cookie").open(&sealed).is_err());
    for position in 0..sealed.len() {
        let mut altered = sealed.clone();
        let digit = if &sealed[position..=position] == "0" { "1" } else { "0" };
        altered.replace_range(position..=position, digit);
        assert!(cookie.open(&altered).is_err());
        assert!(cookie.open(&sealed[..position]).is_err());
    }
    assert!(cookie.open(&sealed.to_uppercase()).is_err());
    assert_eq!(format!("{cookie:?}"), "SealingKey(<redacted>)");
}

proptest! {
    #[test]
    fn anything_seals_and_nothing_else_opens(value in prop::collection::vec(any::<u8>(), 0..200), nonce: [u8; 12], text in ".{0,120}|[0-9a-f]{0,120}") {
        let key = SealingKey::new(&SigningKey::new(b"ours").expect("a key"), "test");
        let sealed = key.seal(&value, nonce);
        let opened = key.open(&sealed).expect("opens");
        prop_assert_eq!(opened.expose(), &value);
        prop_assert!(key.open(&text).is_err());
    }

    #[test]
    fn no_claims_break_it(name in "iss|aud|sub|exp|nbf|iat|jti|federated_claims", number: f64, text in any::<String>()) {
        for value in [json!(number), json!(text), json!([text]), json!({"user_id": text}), json!(u64::MAX), json!(i64::MIN)] {
            let _ = validate_claims(claims(json!({name.clone(): value})), &expected(), at(NOW));
        }
    }
}
