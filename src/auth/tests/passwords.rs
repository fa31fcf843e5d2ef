//! Passwords verify against the hashes Argo CD wrote, no hash hangs the server, and
//! new ones have to match the pattern.

use std::time::{Duration, Instant};

use argosy_auth::password::{self, PasswordError, Pattern};
use argosy_model::Secret;
use proptest::prelude::*;
use serde_json::Value;

const LONG: &str = "0123456789012345678901234567890123456789012345678901234567890123456789ab";

fn from_go(name: &str) -> Secret<String> {
    let vectors: Value = serde_json::from_str(include_str!("data/go_vectors.json")).expect("JSON");
    Secret::new(vectors[name].as_str().expect("a vector").to_owned())
}

#[test]
fn hashes_of_argo_cd_verify() {
    for (name, right) in [("bcrypt_short", "password"), ("bcrypt_unicode", "пароль-ключ"), ("bcrypt_long72", LONG)]
    {
        assert!(password::verify(right, &from_go(name)), "{name}");
        assert!(!password::verify(&format!("x{right}"), &from_go(name)), "{name}");
    }
    let with_newline = Secret::new(format!("{}\n", from_go("bcrypt_short").expose()));
    assert!(password::verify("password", &with_newline));
    let of_htpasswd = Secret::new(from_go("bcrypt_short").expose().replacen("$2a$", "$2y$", 1));
    assert!(password::verify("password", &of_htpasswd));
}

#[test]
fn what_we_hash_verifies_and_looks_like_argo_cds() {
    let hash = password::hash("correct horse", [9; 16]).expect("hashed");
    assert!(hash.expose().starts_with("$2a$10$"));
    assert_eq!(hash.expose().len(), 60);
    assert!(password::verify("correct horse", &hash));
    assert!(!password::verify("correct horse ", &hash));
    assert!(password::verify(LONG, &password::hash(LONG, [1; 16]).expect("72 bytes fit")));
    assert!(matches!(password::hash(&format!("{LONG}x"), [1; 16]), Err(PasswordError::TooLong)));
    assert!(matches!(password::hash("", [1; 16]), Err(PasswordError::Blank)));
}

#[test]
fn no_hash_hangs_the_server_and_none_lets_a_blank_password_in() {
    let costly = Secret::new(from_go("bcrypt_short").expose().replacen("$10$", "$31$", 1));
    assert!(password::check_hash(costly.expose()).is_err());
    let began = Instant::now();
    for hash in [costly, Secret::default(), Secret::new("ключ".repeat(40)), Secret::new("$2a$10$short".to_owned())]
    {
        assert!(!password::verify("password", &hash));
        assert!(!password::verify("", &hash));
    }
    password::verify_nobody("password");
    assert!(began.elapsed() < Duration::from_secs(120), "a cost of 31 takes days");
}

#[test]
fn new_passwords_match_the_pattern() {
    let default = Pattern::compile("").expect("compiles");
    for good in ["12345678", &"x".repeat(32), "пароль-ключ"] {
        assert!(default.check(good).is_ok(), "{good}");
    }
    for bad in ["", "1234567", &"x".repeat(33), "1234\n5678"] {
        let message = default.check(bad).expect_err("refused").to_string();
        assert_eq!(message, "new password does not match the following expression: ^.{8,32}$");
    }
    let strict = Pattern::compile("^[a-z]+[0-9]$").expect("compiles");
    assert!(strict.check("abc1").is_ok() && strict.check("abc").is_err());
    for broken in ["(", "(?:a{1000}){1000}"] {
        let error = Pattern::compile(broken).expect_err("not compiled");
        assert_eq!(error.to_string(), "failed to compile password regex");
    }
}

#[test]
fn the_first_password_uses_all_letters_and_all_bytes() {
    let first = password::initial(&[0; 64]);
    assert_eq!(first.expose(), &"0".repeat(16));
    assert_eq!(password::initial(&[255; 64]).expose(), &"-".repeat(16));
    let mut random = [0; 64];
    for (place, byte) in (0_u8..).zip(&mut random) {
        *byte = place.wrapping_mul(67);
    }
    let mixed = password::initial(&random);
    assert_eq!(mixed.expose().len(), 16);
    assert!(Pattern::compile("").expect("compiles").check(mixed.expose()).is_ok());
}

#[test]
fn a_first_password_has_its_length_and_only_its_letters() {
    let mut next = 0u8;
    for _ in 0..50 {
        let random = std::array::from_fn(|_| {
            next = next.wrapping_add(21);
            next
        });
        let password = password::initial(&random);
        let password = password.expose();
        assert_eq!(password.len(), 16);
        assert!(password.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{password}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_reading_a_hash(text in any::<String>(), like in "\\$2[abxy]\\$[0-9]{2}\\$[./A-Za-z0-9]{53}") {
        let _ = password::check_hash(&text);
        let _ = password::check_hash(&like);
    }
}
