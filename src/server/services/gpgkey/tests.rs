use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::key::Invalid;
use super::*;

// Made with GnuPG 2.2; what is expected of them is what it says about them.
const TWO_NAMES: &str = include_str!("testdata/two_names.asc");
const TWO_KEYS: &str = include_str!("testdata/two_keys.asc");
const EXPIRED: &str = include_str!("testdata/expired.asc");
const REVOKED: &str = include_str!("testdata/revoked.asc");
const ANA: &str = "3C641B131AA986AB";
const BOB: &str = "CC5F5419B343204C";

fn now() -> Timestamp {
    "2026-12-01T00:00:00Z".parse().unwrap()
}

fn keys(text: &str) -> Vec<Key> {
    read(text, now()).unwrap()
}

fn block(label: &str, packets: &[u8]) -> String {
    format!("-----BEGIN PGP {label}-----\n\n{}\n-----END PGP {label}-----\n", STANDARD.encode(packets))
}

fn packets(text: &str) -> Vec<u8> {
    armor::blocks(text).unwrap().concat()
}

#[test]
fn a_key_is_described_as_gnupg_does() {
    let [key] = &keys(TWO_NAMES)[..] else { panic!("not one key") };
    assert_eq!(key.fingerprint, "7EDD78280760C51DD6A0AC483C641B131AA986AB");
    assert_eq!((&*key.id, &*key.sub_type, key.trust), (ANA, "ed25519", "unknown"));
    assert_eq!(key.owner, "Ana Second <ana2@example.com>");
}

#[test]
fn each_key_of_a_block_is_stored_by_itself() {
    let both = keys(TWO_KEYS);
    let described: Vec<_> = both.iter().map(|key| (&*key.id, &*key.sub_type, &*key.owner)).collect();
    let expected =
        [(ANA, "ed25519", "Ana Second <ana2@example.com>"), (BOB, "rsa2048", "Bob Example <bob@example.com>")];
    assert_eq!(described, expected);
    assert_eq!(both[0].armored, TWO_NAMES);
    assert_eq!(keys(&both[1].armored), [both[1].clone()]);
}

#[test]
fn blocks_one_after_the_other_with_text_around_them_are_all_read() {
    let text = format!(
        "my keys\n{}\r\nand\n{TWO_KEYS}bye",
        TWO_NAMES.replace("-----\n\n", "-----\nComment: hi\n\n").replace('\n', "\r\n")
    );
    assert_eq!(keys(&text), keys(TWO_KEYS));
}

#[test]
fn keys_that_are_past_say_so() {
    let [expired] = &keys(EXPIRED)[..] else { panic!("not one key") };
    assert_eq!((expired.trust, &*expired.sub_type), ("expired", "rsa1024"));
    let then = read(EXPIRED, "2020-01-01T12:00:00Z".parse().unwrap()).unwrap();
    assert_eq!(then[0].trust, "unknown");
    let [revoked] = &keys(REVOKED)[..] else { panic!("not one key") };
    assert_eq!((revoked.trust, &*revoked.sub_type), ("revoked", "nistp256"));
}

#[test]
fn private_keys_are_refused_whatever_they_are_called() {
    let mut secret = packets(TWO_NAMES);
    assert_eq!(read(&block("PRIVATE KEY BLOCK", &secret), now()), Err(Invalid::Private));
    // The header of a public key's packet, made one of a secret key.
    assert_eq!(secret[0], 0x98);
    secret[0] = 0x94;
    assert_eq!(read(&block("PUBLIC KEY BLOCK", &secret), now()), Err(Invalid::Private));
}

#[test]
fn what_is_no_key_is_refused() {
    for text in
        ["", "nonsense", "-----BEGIN CERTIFICATE-----\n", &block("SIGNATURE", &[]), &block("PUBLIC KEY BLOCK", &[])]
    {
        assert_eq!(read(text, now()), Err(Invalid::NoKeys), "{text}");
    }
    assert_eq!(read("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n", now()), Err(Invalid::Armor));
    let damaged = TWO_NAMES.replacen("mDMEawXsYRYJ", "mDMEawXsYRYK", 1);
    assert_eq!(read(&damaged, now()), Err(Invalid::Checksum));
    assert_eq!(read(&"-".repeat(LONGEST + 1), now()), Err(Invalid::TooLong));
}

#[test]
fn a_key_needs_a_name_that_it_signed_itself() {
    let whole = packets(TWO_NAMES);
    let parts = packet::packets(&whole).unwrap();
    let only = |count: usize| parts[..count].iter().map(|part| part.whole).collect::<Vec<_>>().concat();
    for count in [1, 2] {
        let text = block("PUBLIC KEY BLOCK", &only(count));
        assert_eq!(read(&text, now()), Err(Invalid::NoUser(ANA.to_owned())));
    }
    assert_eq!(keys(&block("PUBLIC KEY BLOCK", &only(3)))[0].owner, "Ana Müller (unicode) <ana@example.com>");
}

#[test]
fn a_key_cut_or_bent_anywhere_never_panics() {
    let whole = packets(TWO_KEYS);
    for at in 0..whole.len() {
        let _ = key::read(&[whole[..at].to_vec()], now());
        for bit in [0x01, 0x40, 0x80, 0xff] {
            let mut bent = whole.clone();
            bent[at] ^= bit;
            let _ = key::read(&[bent], now());
        }
    }
}

#[test]
fn ids_and_fingerprints_name_the_same_key() {
    let fingerprint = "7edd78280760c51dd6a0ac483c641b131aa986ab";
    assert_eq!(id(fingerprint).as_deref(), Some(ANA));
    assert_eq!(id(ANA).as_deref(), Some(ANA));
    for bad in ["", "3C641B131AA986A", "3C641B131AA986AX", "ü641B131AA986AB"] {
        assert_eq!(id(bad), None, "{bad}");
    }
    let data = BTreeMap::from([(fingerprint.to_owned(), "text".to_owned())]);
    assert_eq!(entry(&data, ANA), Some((fingerprint, "text")));
}

#[test]
fn an_entry_must_hold_the_one_key_it_is_named_after() {
    assert_eq!(configured(ANA, TWO_NAMES, now()).unwrap().armored, TWO_NAMES);
    assert_eq!(
        configured(BOB, TWO_NAMES, now()).unwrap_err(),
        format!("key parsed for entry with key ID '{BOB}' had different key ID '{ANA}'")
    );
    assert_eq!(configured(ANA, TWO_KEYS, now()).unwrap_err(), "more than one key found in input data");
    assert_eq!(configured("x", TWO_KEYS, now()).unwrap_err(), "'x' is not a valid GnuPG key ID");
}
