//! What a new object gets that is different each time: its time, its uid and the
//! end of a generated name. Clock and randomness are handed in.

use std::sync::Arc;

use argosy_model::object;
use serde_json::Value;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// Fills a buffer with random bytes.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// What generated names are made of: no vowels and nothing that is easily misread.
const NAME_LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Longest name that is generated; the prefix is cut to leave room for five letters.
const MAX_GENERATED: usize = 63;

/// The source of times, uids and names of one sandbox.
#[derive(Clone)]
pub struct Stamps {
    clock: Clock,
    random: Random,
}

// === impl Stamps ===

impl Stamps {
    /// Takes the time and randomness from these.
    pub fn new(clock: Clock, random: Random) -> Self {
        Self { clock, random }
    }

    /// The time now.
    pub fn timestamp(&self) -> jiff::Timestamp {
        (self.clock)()
    }

    /// The time now as metadata has it: RFC 3339, whole seconds, UTC.
    pub fn now(&self) -> String {
        seconds(self.timestamp())
    }

    /// The time now in microseconds, as Events and Leases have it.
    pub fn now_micro(&self) -> String {
        self.timestamp().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
    }

    /// A random (version 4) uid.
    pub fn uid(&self) -> String {
        let mut bytes = [0_u8; 16];
        (self.random)(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let number = u128::from_be_bytes(bytes);
        let hex = format!("{number:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// A name that begins with `prefix`, as `generateName` makes it.
    pub fn name(&self, prefix: &str) -> String {
        let mut end = prefix.len().min(MAX_GENERATED - 5);
        while !prefix.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}{}", &prefix[..end], self.suffix(5))
    }

    /// Random letters as generated names end with.
    pub fn suffix(&self, letters: usize) -> String {
        let mut bytes = vec![0_u8; letters];
        (self.random)(&mut bytes);
        bytes.iter().map(|b| char::from(NAME_LETTERS[usize::from(*b) % NAME_LETTERS.len()])).collect()
    }

    /// Random bytes, for keys and tokens.
    pub fn bytes(&self, buffer: &mut [u8]) {
        (self.random)(buffer);
    }

    /// Gives an object that is about to be created its uid and creation time, and
    /// a name where it has only the beginning of one.
    pub fn stamp(&self, value: &mut Value) {
        let prefix = object::generate_name(value).to_owned();
        let unnamed = object::name(value).is_empty();
        let Some(metadata) = object::metadata(value) else { return };
        if unnamed && !prefix.is_empty() {
            metadata.insert("name".to_owned(), self.name(&prefix).into());
        }
        metadata.insert("uid".to_owned(), self.uid().into());
        metadata.insert("creationTimestamp".to_owned(), self.now().into());
    }
}

impl std::fmt::Debug for Stamps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stamps").finish_non_exhaustive()
    }
}

/// A time as metadata has it.
pub fn seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
pub(crate) fn fixed() -> Stamps {
    use std::sync::atomic::{AtomicU64, Ordering};
    let count = AtomicU64::new(0);
    let random = move |buffer: &mut [u8]| {
        for byte in buffer {
            let n = count.fetch_add(1, Ordering::Relaxed);
            *byte = (n.wrapping_mul(2_654_435_761) >> 16) as u8;
        }
    };
    Stamps::new(Arc::new(|| jiff::Timestamp::UNIX_EPOCH), Arc::new(random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_new_object_gets_uid_time_and_name() {
        let mut object = json!({"metadata": {"generateName": "web-"}});
        fixed().stamp(&mut object);
        assert_eq!(object["metadata"]["creationTimestamp"], "1970-01-01T00:00:00Z");
        let name = object::name(&object);
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
        let uid = object::uid(&object);
        assert_eq!((uid.len(), &uid[14..15]), (36, "4"), "{uid}");
    }

    #[test]
    fn long_prefixes_leave_room_for_the_letters() {
        assert_eq!(fixed().name(&"a".repeat(100)).len(), 63);
    }
}
