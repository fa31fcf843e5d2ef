//! Only what we signed is accepted, only while it is valid, and only as long as
//! account or project stand behind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use argosy_auth::account::{Accounts, Capability};
use argosy_auth::token::{
    Authority, Claims, Issuer, SigningKey, Subject, TokenError, Verified, issue, peek_issuer, renewal, renewal_due,
    verify,
};
use argosy_auth::{Identity, Kind};
use argosy_model::Secret;
use argosy_proto::v1alpha1::AppProject;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

const KEY: &[u8] = b"dGhlIHNlcnZlciBzZWNyZXQga2V5IG9mIGEgdGVzdCE=";
/// When the tokens were issued.
const ISSUED: i64 = 1_700_000_000;

/// Tokens made by golang-jwt and hashes made by golang.org/x/crypto/bcrypt.
fn from_go(name: &str) -> String {
    let vectors: Value = serde_json::from_str(include_str!("data/go_vectors.json")).expect("JSON");
    vectors[name].as_str().expect("a vector").to_owned()
}

fn key() -> SigningKey {
    SigningKey::new(KEY).expect("a key")
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn account(name: &str, capability: Capability) -> Subject {
    Subject::Account { name: name.to_owned(), capability }
}

fn sign(subject: Subject, id: &str, lifetime: i64) -> String {
    issue(&Claims::new(subject, id, at(ISSUED), lifetime), &key()).expect("signed").expose().clone()
}

fn accepted(token: &str) -> Verified {
    verify(token, &key(), at(ISSUED + 1)).expect("accepted")
}

fn accounts(config: &[(&str, &str)], secret: &[(&'static str, &'static str)]) -> Accounts {
    let config: BTreeMap<String, String> =
        config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let secret: BTreeMap<&str, &'static str> = secret.iter().copied().collect();
    Accounts::read(&config, |key| secret.get(key).copied().map(Secret::new))
}

/// The world that tokens are held against.
struct World {
    accounts: Accounts,
    projects: Vec<Arc<AppProject>>,
    revoked: Vec<String>,
}

impl World {
    fn new(accounts: Accounts) -> Self {
        Self { accounts, projects: Vec::new(), revoked: Vec::new() }
    }

    fn with_project(project: Value) -> Self {
        let project: AppProject = serde_json::from_value(project).expect("a project");
        Self { projects: vec![Arc::new(project)], ..Self::new(Accounts::default()) }
    }

    fn authorise(&self, token: &str) -> Result<Identity, TokenError> {
        let find = |name: &str| {
            let named = |project: &&Arc<AppProject>| project.metadata.as_ref().is_some_and(|m| m.name == name);
            self.projects.iter().find(named).cloned()
        };
        let authority = Authority {
            accounts: &self.accounts,
            project: &find,
            revoked: &|key| self.revoked.iter().any(|revoked| revoked == key),
        };
        accepted(token).authorise(&authority, at(ISSUED + 1))
    }
}

fn refusal(result: Result<Identity, TokenError>) -> String {
    result.expect_err("refused").client_message()
}

// === verify ===

#[test]
fn tokens_of_argo_cd_are_accepted_and_ours_are_the_same() {
    for (name, subject, id, lifetime) in [
        ("login", account("admin", Capability::Login), "2b6f1b3c-6a3a-4a4e-9a33-0d7c9e1f5a10", 86400),
        ("api_key", account("ci", Capability::ApiKey), "deploy", 0),
        ("project", Subject::ProjectRole { project: "payments".into(), role: "deployer".into() }, "7d1c", 3600),
    ] {
        let theirs = accepted(&from_go(name));
        let ours = accepted(&sign(subject, id, lifetime));
        assert_eq!(theirs, ours, "{name}");
    }
}

#[test]
fn what_somebody_else_signed_or_nobody_is_refused() {
    for (name, expected) in [
        ("none", "invalid session: token is malformed"),
        ("hs512", "invalid session: token is unverifiable: unexpected signing method"),
        ("other_key", "invalid session: token signature is invalid: signature is invalid"),
        ("empty_key", "invalid session: token signature is invalid: signature is invalid"),
        ("other_issuer", "invalid session: token has invalid claims: token has invalid issuer"),
    ] {
        let refused = verify(&from_go(name), &key(), at(ISSUED + 1)).expect_err(name);
        assert_eq!(refused.client_message(), expected, "{name}");
    }
    assert!(SigningKey::new(b"").is_err(), "with an empty key anybody could sign");
}

#[test]
fn a_token_is_valid_from_its_issue_to_its_end_to_the_second() {
    let token = from_go("project");
    let verify_at = |seconds| verify(&token, &key(), at(seconds));
    assert!(matches!(verify_at(ISSUED - 1), Err(TokenError::NotYetValid)));
    assert!(verify_at(ISSUED).is_ok());
    assert!(verify_at(ISSUED + 3599).is_ok());
    assert!(matches!(verify_at(ISSUED + 3600), Err(TokenError::Expired)));
    let fractions = from_go("float_times");
    assert!(verify(&fractions, &key(), at(ISSUED)).is_ok(), "fractions of seconds are cut off");
    assert!(verify(&fractions, &key(), at(ISSUED + 86400)).is_err());
    let endless = from_go("api_key");
    assert!(verify(&endless, &key(), Timestamp::MAX).is_ok());
}

#[test]
fn a_token_that_ends_while_a_stream_is_open_loses_its_authority() {
    let world = World::new(accounts(&[], &[]));
    let verified = accepted(&sign(account("admin", Capability::Login), "s", 60));
    let authority = Authority { accounts: &world.accounts, project: &|_| None, revoked: &|_| false };
    assert!(verified.authorise(&authority, at(ISSUED + 59)).is_ok());
    assert!(matches!(verified.authorise(&authority, at(ISSUED + 60)), Err(TokenError::Expired)));
}

#[test]
fn an_overlong_token_is_not_looked_at() {
    let token = sign(account("admin", Capability::Login), &"x".repeat(9000), 60);
    assert!(matches!(verify(&token, &key(), at(ISSUED)), Err(TokenError::TooLong)));
    assert!(matches!(peek_issuer(&"x".repeat(70_000)), Err(TokenError::TooLong)));
}

#[test]
fn the_issuer_is_told_without_believing_it() {
    assert_eq!(peek_issuer(&from_go("login")).expect("a token"), Issuer::Ours);
    assert_eq!(peek_issuer(&from_go("other_key")).expect("a token"), Issuer::Ours);
    assert_eq!(
        peek_issuer(&from_go("other_issuer")).expect("a token"),
        Issuer::Other("https://idp.example.com".to_owned())
    );
    for text in ["", ".", "..", "...", "a.b.c", "eyJ9.eyJ9.x"] {
        assert!(peek_issuer(text).is_err(), "{text}");
    }
}

// === authorise ===

#[test]
fn a_session_speaks_for_its_account() {
    let identity = World::new(accounts(&[], &[])).authorise(&from_go("login")).expect("authorised");
    assert_eq!((identity.subject.as_str(), identity.username()), ("admin", "admin"));
    assert_eq!((identity.kind, identity.issuer.as_str()), (Kind::Login, "argocd"));
    assert_eq!(identity.claims["sub"], "admin");
    assert_eq!(identity.expires_at, Some(at(ISSUED + 86400)));
}

#[test]
fn whether_an_account_is_gone_or_disabled_looks_the_same() {
    let login = |name| sign(account(name, Capability::Login), "s", 60);
    let world = World::new(accounts(&[("accounts.ann", "login"), ("accounts.ann.enabled", "false")], &[]));
    assert_eq!(refusal(world.authorise(&login("ann"))), "invalid session: account ann is disabled");
    assert_eq!(refusal(world.authorise(&login("bob"))), "invalid session: account bob is disabled");
    let admin_off = World::new(accounts(&[("admin.enabled", "false")], &[]));
    assert_eq!(refusal(admin_off.authorise(&from_go("login"))), "invalid session: account admin is disabled");
}

#[test]
fn a_token_needs_the_capability_it_was_made_for() {
    let world = World::new(accounts(&[("accounts.ann", "apiKey")], &[]));
    let login = sign(account("ann", Capability::Login), "s", 60);
    assert_eq!(refusal(world.authorise(&login)), "invalid session: account ann does not have 'login' capability");
    let key = sign(account("admin", Capability::ApiKey), "s", 60);
    assert_eq!(refusal(world.authorise(&key)), "invalid session: account admin does not have 'apiKey' capability");
}

#[test]
fn an_api_key_is_good_while_it_is_listed() {
    let config = [("accounts.ci", "apiKey")];
    let listed = [("accounts.ci.tokens", r#"[{"id":"deploy","iat":1700000000}]"#)];
    let identity = World::new(accounts(&config, &listed)).authorise(&from_go("api_key")).expect("authorised");
    assert_eq!((identity.kind, identity.id.as_deref()), (Kind::ApiKey, Some("deploy")));
    let removed = World::new(accounts(&config, &[]));
    assert_eq!(
        refusal(removed.authorise(&from_go("api_key"))),
        "invalid session: account ci does not have token with id deploy"
    );
    let nameless = sign(account("ci", Capability::ApiKey), "", 0);
    assert!(matches!(removed.authorise(&nameless), Err(TokenError::NoId)));
}

#[test]
fn nothing_outlives_a_change_of_the_password() {
    let changed = |time: &'static str| {
        World::new(accounts(
            &[("accounts.ci", "apiKey, login")],
            &[
                ("admin.passwordMtime", time),
                ("accounts.ci.passwordMtime", time),
                ("accounts.ci.tokens", r#"[{"id":"deploy","iat":1700000000}]"#),
            ],
        ))
    };
    let (before, same, after) = ("2023-11-14T22:13:19Z", "2023-11-14T22:13:20Z", "2023-11-14T22:13:21Z");
    for token in [from_go("login"), from_go("api_key")] {
        assert!(changed(before).authorise(&token).is_ok());
        assert!(changed(same).authorise(&token).is_ok());
        for time in [after, "yesterday"] {
            assert_eq!(
                refusal(changed(time).authorise(&token)),
                "invalid session: account password has changed since token issued"
            );
        }
    }
}

#[test]
fn a_revoked_token_is_refused_and_no_other_of_the_same_identifier() {
    let mut world = World::new(accounts(
        &[("accounts.ann", "login"), ("accounts.ci", "apiKey")],
        &[("accounts.ci.tokens", r#"[{"id":"s","iat":1}]"#)],
    ));
    let tokens = [
        sign(account("admin", Capability::Login), "s", 60),
        sign(account("ann", Capability::Login), "s", 60),
        sign(account("ci", Capability::ApiKey), "s", 60),
    ];
    let first = world.authorise(&tokens[0]).expect("authorised");
    world.revoked.push(first.revocation_key().expect("has an identifier"));
    assert_eq!(refusal(world.authorise(&tokens[0])), "invalid session: token is revoked, please re-login");
    assert!(world.authorise(&tokens[1]).is_ok());
    assert!(world.authorise(&tokens[2]).is_ok());
}

#[test]
fn a_project_token_is_good_while_project_role_and_entry_are_there() {
    let world = |roles: Value, by_role: Value| {
        World::with_project(json!({
            "metadata": {"name": "payments"}, "spec": {"roles": roles}, "status": {"jwtTokensByRole": by_role},
        }))
    };
    let token = from_go("project");
    let entry = json!({"id": "7d1c", "iat": ISSUED, "exp": ISSUED + 3600});
    let role = json!([{"name": "deployer"}]);
    let listed = json!({"deployer": {"items": [entry]}});
    let identity = world(role.clone(), listed.clone()).authorise(&token).expect("authorised");
    assert_eq!(identity.subject, "proj:payments:deployer");
    assert_eq!(identity.kind, Kind::Project { project: "payments".into(), role: "deployer".into() });
    assert!(world(json!([{"name": "deployer", "jwtTokens": [entry]}]), json!({})).authorise(&token).is_ok());
    let by_time = json!({"deployer": {"items": [{"iat": ISSUED}]}});
    assert!(world(role.clone(), by_time).authorise(&token).is_ok(), "listed as before there were identifiers");

    let other_of_the_same_second = json!({"deployer": {"items": [{"id": "other", "iat": ISSUED}]}});
    for (world, why) in [
        (world(role.clone(), json!({})), "not listed"),
        (world(json!([]), listed.clone()), "the role is gone"),
        (world(role, other_of_the_same_second), "deleted, and another was made in the same second"),
        (World::new(Accounts::default()), "the project is gone"),
    ] {
        let message = refusal(world.authorise(&token));
        assert_eq!(
            message,
            "invalid session: JWT token for role 'deployer' issued at '1700000000' does not exist in project 'payments'",
            "{why}"
        );
    }
}

// === renewal ===

#[test]
fn a_session_with_less_than_five_minutes_left_is_renewed_for_as_long_as_it_was() {
    let identity = World::new(accounts(&[], &[])).authorise(&from_go("login")).expect("authorised");
    let end = ISSUED + 86400;
    assert!(!renewal_due(&identity, at(end - 300)));
    assert!(renewal(&identity, at(end - 300), "new").is_none());
    assert!(renewal_due(&identity, at(end - 299)));
    let next = renewal(&identity, at(end - 299), "new").expect("renewed");
    assert_eq!(next.subject, account("admin", Capability::Login));
    assert_eq!((next.issued_at, next.expires_at, next.id.as_str()), (end - 299, Some(end - 299 + 86400), "new"));
    let endless = Identity { expires_at: None, ..identity.clone() };
    assert!(!renewal_due(&endless, at(end)));
    assert!(!renewal_due(&Identity { kind: Kind::ApiKey, ..identity }, at(end)));
}

// === properties ===

#[test]
fn subjects_read_as_argo_cd_writes_them() {
    assert_eq!(Subject::parse("ann:login"), Some(account("ann", Capability::Login)));
    assert_eq!(Subject::parse("ann"), Some(account("ann", Capability::ApiKey)));
    assert_eq!(Subject::parse("proj:login"), Some(account("proj", Capability::Login)));
    for text in ["", ":", ":login", "ann:", "ann:admin", "ann:login:x", "proj::r", "proj:p:", "proj:p:r:x"] {
        assert_eq!(Subject::parse(text), None, "{text}");
    }
}

#[test]
fn a_token_altered_in_any_byte_is_refused() {
    let token = from_go("login");
    for position in 0..token.len() {
        for byte in (0..=127_u8).filter(|byte| *byte != token.as_bytes()[position]) {
            let mut altered = token.clone().into_bytes();
            altered[position] = byte;
            let altered = String::from_utf8(altered).expect("ASCII");
            assert!(verify(&altered, &key(), at(ISSUED)).is_err(), "byte {position} became {byte}");
        }
    }
}

#[test]
fn no_key_is_shown() {
    let text = format!("{:?}", key());
    assert_eq!(text, "SigningKey(<redacted>)");
    let fresh = SigningKey::fresh_value(&[7; 32]);
    assert_eq!(fresh.expose().len(), 44);
    assert_eq!(format!("{fresh:?}"), "<redacted>");
}

proptest! {
    #[test]
    fn what_is_cut_or_appended_is_refused(cut in 0_usize..300, tail in "[A-Za-z0-9_.=-]{0,4}") {
        let token = from_go("login");
        let altered = format!("{}{tail}", &token[..cut.min(token.len())]);
        prop_assume!(altered != token);
        prop_assert!(verify(&altered, &key(), at(ISSUED)).is_err());
    }

    #[test]
    fn claims_under_another_signature_are_refused(sub in "[a-z]{1,8}:(login|apiKey)", id in "[a-z0-9-]{1,36}") {
        let ours = sign(Subject::parse(&sub).expect("a subject"), &id, 60);
        prop_assert!(verify(&ours, &key(), at(ISSUED)).is_ok());
        let (claims, _) = ours.rsplit_once('.').expect("three parts");
        let login = from_go("login");
        let (_, signature) = login.rsplit_once('.').expect("three parts");
        let mixed = [claims, ".", signature].concat();
        prop_assert!(verify(&mixed, &key(), at(ISSUED)).is_err());
        let other_key = SigningKey::new(b"other").expect("a key");
        prop_assert!(verify(&ours, &other_key, at(ISSUED)).is_err());
    }

    #[test]
    fn no_text_is_a_token_and_none_is_a_crash(text in any::<String>(), parts in "[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,44}") {
        for text in [&text, &parts] {
            prop_assert!(verify(text, &key(), at(ISSUED)).is_err());
            let _ = peek_issuer(text);
            let _ = Subject::parse(text);
        }
    }
}
