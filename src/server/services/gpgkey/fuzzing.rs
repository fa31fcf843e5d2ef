//! Keys of strangers, as text and as packets.

use jiff::Timestamp;

use super::{armor, key};

pub(crate) fn run(input: &[u8]) {
    let now = Timestamp::from_second(1_767_225_600).expect("a time in range");
    let blocks = match armor::blocks(&String::from_utf8_lossy(input)) {
        Ok(blocks) => blocks,
        // Most inputs are no text; those are tried as what a text would hold.
        Err(_) => vec![input.to_vec()],
    };
    for block in &blocks {
        assert_eq!(armor::blocks(&armor::block(block)).ok().as_deref(), Some(&[block.clone()][..]));
    }
    let Ok(keys) = key::read(&blocks, now) else { return };
    assert!(!keys.is_empty(), "no key and no error");
    for key in keys {
        assert!(key.fingerprint.ends_with(&key.id) && key.fingerprint.len() == 40 && key.id.len() == 16);
        assert!(!key.owner.chars().any(char::is_control), "{:?}", key.owner);
        // What is stored is read again as the same key.
        let again = armor::blocks(&key.armored).and_then(|blocks| key::read(&blocks, now)).expect("it was stored");
        assert_eq!(again.iter().map(|again| &again.fingerprint).collect::<Vec<_>>(), [&key.fingerprint]);
        assert_eq!(again[0].armored, key.armored);
    }
}
