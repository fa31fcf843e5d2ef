//! Accounts read as Argo CD wrote them, are written as it reads them, and one that
//! is broken breaks no other.

use std::collections::BTreeMap;

use argosy_auth::account::{Account, Accounts, Capability, EditError, SecretEdit, TokenRecord};
use argosy_model::Secret;
use jiff::Timestamp;
use proptest::prelude::*;

const HASH: &str = "$2a$10$1KALhg.WzxNYjyY7hVDEq.YakGiAXvnj2kZQ5DirXlRVnJ8PIzJ1K";

fn read(config: &[(&str, &str)], secret: &[(&str, &str)]) -> Accounts {
    let own = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let secret = own(secret);
    Accounts::read(&own(config), |key| secret.get(key).map(|value| Secret::new(value.as_str())))
}

fn account(config: &[(&str, &str)], secret: &[(&str, &str)], name: &str) -> Account {
    read(config, secret).get(name).expect("the account").clone()
}

fn problems(accounts: &Accounts) -> Vec<String> {
    accounts.problems().iter().map(ToString::to_string).collect()
}

fn text(edit: SecretEdit) -> (String, Option<String>) {
    (edit.key, edit.value.map(|value| value.expose().clone()))
}

#[test]
fn the_admin_is_always_there() {
    let accounts = read(&[], &[]);
    let admin = accounts.get("admin").expect("the admin");
    assert!(admin.enabled);
    assert_eq!(admin.capabilities, [Capability::Login]);
    assert!(admin.password_hash.expose().is_empty());
    assert_eq!(accounts.iter().count(), 1);
    let both = account(&[("accounts.admin", "apiKey, login")], &[], "admin");
    assert_eq!(both.capabilities, [Capability::Login, Capability::ApiKey]);
    assert!(!account(&[("admin.enabled", "false")], &[], "admin").enabled);
}

#[test]
fn accounts_are_read_from_both_objects() {
    let accounts = read(
        &[("accounts.ann", " login , apiKey"), ("accounts.bob.enabled", "F"), ("url", "https://x")],
        &[
            ("accounts.ann.password", HASH),
            ("accounts.ann.passwordMtime", "2023-11-14T22:13:20Z"),
            ("accounts.ann.tokens", r#"[{"id":"a","iat":5,"exp":9},{"id":"b","iat":6}]"#),
            ("accounts.bob.tokens", "null"),
            ("accounts.nobody.password", HASH),
        ],
    );
    let ann = accounts.get("ann").expect("ann");
    assert_eq!(ann.capabilities, [Capability::Login, Capability::ApiKey]);
    assert_eq!(ann.password_hash.expose(), HASH);
    assert_eq!(ann.password_mtime.map(Timestamp::as_second), Some(1_700_000_000));
    assert_eq!(ann.token("a").map(|token| (token.issued_at, token.expires_at)), Some((5, 9)));
    assert_eq!(ann.token("b").map(|token| token.expires_at), Some(0));
    let bob = accounts.get("bob").expect("bob");
    assert!(!bob.enabled && bob.capabilities.is_empty() && bob.tokens.is_empty());
    assert!(accounts.get("nobody").is_none());
    assert_eq!(problems(&accounts), Vec::<String>::new());
}

#[test]
fn what_cannot_be_read_is_denied_and_told_without_its_secrets() {
    let accounts = read(
        &[
            ("accounts.ann", "login, fly"),
            ("accounts.ann.enabled", "maybe"),
            ("accounts.a.b.c", "login"),
            ("accounts.bob", "login"),
        ],
        &[
            ("accounts.ann.password", "hunter2"),
            ("accounts.ann.passwordMtime", "hunter2"),
            ("accounts.ann.tokens", r#"["hunter2"]"#),
            ("admin.password", "$2a$31$1KALhg.WzxNYjyY7hVDEq.YakGiAXvnj2kZQ5DirXlRVnJ8PIzJ1K"),
        ],
    );
    let ann = accounts.get("ann").expect("ann");
    assert!(!ann.enabled);
    assert_eq!(ann.password_mtime, Some(Timestamp::MAX));
    assert!(ann.tokens.is_empty());
    assert!(accounts.get("bob").is_some_and(|bob| bob.enabled && bob.has(Capability::Login)));
    let told = problems(&accounts);
    assert_eq!(
        told,
        [
            "account 'a.b.c': accounts.a.b.c: the name of an account has no dots",
            "account 'ann': accounts.ann: 'fly' is not a capability",
            "account 'ann': accounts.ann.enabled: is neither true nor false; the account is disabled",
            "account 'admin': admin.password: is a bcrypt hash of a cost above 15; nobody can sign in with it",
            "account 'ann': accounts.ann.password: is not a bcrypt hash; nobody can sign in with it",
            "account 'ann': accounts.ann.passwordMtime: is not a time; no token of the account is accepted",
            "account 'ann': accounts.ann.tokens: is not a list of tokens; no API key of the account is accepted",
        ]
    );
    assert!(!format!("{accounts:?}{told:?}").contains("hunter2"));
}

#[test]
fn a_password_is_written_with_the_second_of_its_change() {
    let now: Timestamp = "2023-11-14T22:13:20.987Z".parse().expect("a time");
    let edits = account(&[], &[], "admin").set_password_edit(Secret::new(HASH.to_owned()), now);
    assert_eq!(
        edits.map(text),
        [
            ("admin.password".to_owned(), Some(HASH.to_owned())),
            ("admin.passwordMtime".to_owned(), Some("2023-11-14T22:13:20Z".to_owned())),
        ]
    );
    let edits = account(&[("accounts.ann", "login")], &[], "ann").set_password_edit(Secret::default(), now);
    assert_eq!(edits.map(|edit| edit.key), ["accounts.ann.password", "accounts.ann.passwordMtime"]);
}

#[test]
fn api_keys_are_listed_as_argo_cd_lists_them() {
    let ci = account(&[("accounts.ci", "apiKey")], &[("accounts.ci.tokens", r#"[{"id":"a","iat":5}]"#)], "ci");
    let token = |id: &str, expires_at| TokenRecord { id: id.to_owned(), issued_at: 7, expires_at };
    assert_eq!(
        text(ci.add_token_edit(token("b", 9)).expect("added")),
        ("accounts.ci.tokens".to_owned(), Some(r#"[{"id":"a","iat":5},{"id":"b","iat":7,"exp":9}]"#.to_owned()))
    );
    assert_eq!(text(ci.remove_token_edit("a").expect("removed")), ("accounts.ci.tokens".to_owned(), None));

    let message = |result: Result<SecretEdit, EditError>| result.expect_err("refused").to_string();
    assert_eq!(message(ci.add_token_edit(token("a", 0))), "account already has token with id 'a'");
    assert_eq!(message(ci.remove_token_edit("x")), "token with id 'x' does not exist");
    let admin = account(&[], &[], "admin");
    assert_eq!(message(admin.add_token_edit(token("a", 0))), "account 'admin' does not have apiKey capability");
}

#[test]
fn a_list_that_cannot_be_read_is_not_overwritten() {
    let ci = account(&[("accounts.ci", "apiKey")], &[("accounts.ci.tokens", "[{")], "ci");
    let token = TokenRecord { id: "a".to_owned(), issued_at: 7, expires_at: 0 };
    assert!(matches!(ci.add_token_edit(token), Err(EditError::UnreadableTokens(_))));
    assert!(matches!(ci.remove_token_edit("a"), Err(EditError::UnreadableTokens(_))));
}

proptest! {
    #[test]
    fn no_settings_make_it_fail(
        keys in prop::collection::vec("(admin|accounts)(\\.[a-zA-Z.]{0,6}(enabled|password|passwordMtime|tokens)?)?", 0..6),
        values in prop::collection::vec(any::<String>(), 6),
    ) {
        let pairs: Vec<(&str, &str)> =
            keys.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
        let accounts = read(&pairs, &pairs);
        prop_assert!(accounts.get("admin").is_some());
    }
}
