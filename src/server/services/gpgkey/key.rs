//! Public keys: packets put together and described.

use argosy_proto::v1alpha1::GnuPgPublicKey;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use jiff::Timestamp;

use super::armor;
use super::packet::{Bytes, Packet, packets, tag};
use super::signature::{self, Kind, SelfSignature};

/// Trust in a key: nobody has said anything.
pub(super) const UNKNOWN: &str = "unknown";
const EXPIRED: &str = "expired";
const REVOKED: &str = "revoked";
/// Most keys of one text.
const MOST: usize = 256;
/// The only version of keys that is understood.
const VERSION: u8 = 4;
/// Elliptic curves by their object identifiers in DER.
const CURVES: [(&[u8], &str); 8] = [
    (&[0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01], "ed25519"),
    (&[0x2b, 0x65, 0x71], "ed448"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], "nistp256"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x22], "nistp384"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x23], "nistp521"),
    (&[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07], "brainpoolP256r1"),
    (&[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0b], "brainpoolP384r1"),
    (&[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0d], "brainpoolP512r1"),
];

/// Why a text gives no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Invalid {
    #[error("no valid OpenPGP data found")]
    NoKeys,
    #[error("private keys are not accepted; export the public key")]
    Private,
    #[error("the text of a key is damaged")]
    Armor,
    #[error("the checksum of a key is wrong")]
    Checksum,
    #[error("invalid packet")]
    Packet,
    #[error("limit exceeded")]
    TooLong,
    #[error("keys of version {0} are not supported")]
    Version(u8),
    #[error("keys of algorithm {0} are not supported")]
    Algorithm(u8),
    #[error("key {0} has no valid user ID")]
    NoUser(String),
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The last 16 digits of the fingerprint.
    pub(super) id: String,
    /// 40 hexadecimal digits.
    pub(super) fingerprint: String,
    /// The first name.
    pub(super) owner: String,
    /// Trust in it.
    pub(super) trust: &'static str,
    /// Algorithm and size.
    pub(super) sub_type: String,
    /// The key as text.
    pub(super) armored: String,
}

// === impl Key ===

impl From<Key> for GnuPgPublicKey {
    fn from(key: Key) -> Self {
        Self {
            key_id: key.id,
            fingerprint: key.fingerprint,
            owner: key.owner,
            trust: key.trust.to_owned(),
            sub_type: key.sub_type,
            key_data: key.armored,
        }
    }
}

/// The keys of all blocks, by id; one that is there twice counts once.
///
/// # Errors
/// When something is no public key.
pub(super) fn read(blocks: &[Vec<u8>], now: Timestamp) -> Result<Vec<Key>, Invalid> {
    let mut keys: Vec<Key> = Vec::new();
    for block in blocks {
        let packets = packets(block)?;
        if packets.iter().any(|packet| matches!(packet.tag, tag::SECRET_KEY | tag::SECRET_SUBKEY)) {
            return Err(Invalid::Private);
        }
        let is_start = |packet: &Packet<'_>| packet.tag == tag::PUBLIC_KEY;
        if !packets.first().is_some_and(is_start) {
            return Err(Invalid::NoKeys);
        }
        for packets in packets.chunk_by(|_, next| !is_start(next)) {
            keys.push(assembled(packets, now)?);
            if keys.len() > MOST {
                return Err(Invalid::TooLong);
            }
        }
    }
    keys.sort_by(|a, b| a.id.cmp(&b.id));
    keys.dedup_by(|a, b| a.id == b.id);
    Ok(keys)
}

/// One key out of its packets, of which the first is the key itself.
fn assembled(packets: &[Packet<'_>], now: Timestamp) -> Result<Key, Invalid> {
    let [primary, others @ ..] = packets else { return Err(Invalid::NoKeys) };
    let (created, sub_type) = described(primary.body)?;
    let length = u16::try_from(primary.body.len()).map_err(|_| Invalid::Packet)?;
    let hashed = [&[0x99], &length.to_be_bytes()[..], primary.body].concat();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &hashed);
    let fingerprint: String = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    let id = fingerprint[24..].to_owned();

    let mut names: Vec<(String, SelfSignature)> = Vec::new();
    let (mut name, mut in_subkeys, mut revoked) = (None, false, false);
    for packet in others {
        match packet.tag {
            tag::USER_ID => name = Some(shown(packet.body)),
            tag::USER_ATTRIBUTE => name = None,
            tag::PUBLIC_SUBKEY => in_subkeys = true,
            tag::SIGNATURE if !in_subkeys => match (signature::read(packet.body, hash.as_ref())?, &name) {
                (Some(own), _) if own.kind == Kind::Revocation => revoked = true,
                (Some(own), Some(name)) => names.push((name.clone(), own)),
                _ => {}
            },
            _ => {}
        }
    }
    let Some((owner, latest)) = names.into_iter().max_by_key(|(_, own)| (own.primary, own.created)) else {
        return Err(Invalid::NoUser(id));
    };
    let expired =
        latest.key_expires > 0 && i64::try_from(created + latest.key_expires).is_ok_and(|end| end <= now.as_second());
    let trust = if revoked {
        REVOKED
    } else if expired {
        EXPIRED
    } else {
        UNKNOWN
    };
    let kept = packets.iter().filter(|packet| {
        let tags = [tag::PUBLIC_KEY, tag::SIGNATURE, tag::USER_ID, tag::USER_ATTRIBUTE, tag::PUBLIC_SUBKEY];
        tags.contains(&packet.tag)
    });
    let armored = armor::block(&kept.map(|packet| packet.whole).collect::<Vec<_>>().concat());
    Ok(Key { id, fingerprint, owner, trust, sub_type, armored })
}

/// When a key was made, in seconds since 1970, and its algorithm and size.
fn described(body: &[u8]) -> Result<(u64, String), Invalid> {
    let mut bytes = Bytes(body);
    let version = bytes.byte()?;
    if version != VERSION {
        return Err(Invalid::Version(version));
    }
    let created = u64::try_from(bytes.number(4)?).map_err(|_| Invalid::Packet)?;
    let algorithm = bytes.byte()?;
    let sized = |name: &str, bytes: &mut Bytes<'_>, integers: usize| {
        let bits = bytes.integer_bits()?;
        for _ in 1..integers {
            bytes.integer_bits()?;
        }
        Ok(format!("{name}{bits}"))
    };
    let sub_type = match algorithm {
        1 | 3 => sized("rsa", &mut bytes, 2)?,
        17 => sized("dsa", &mut bytes, 4)?,
        19 | 22 => {
            let length = bytes.byte()?;
            let curve = bytes.take(length.into())?;
            bytes.integer_bits()?;
            let known = CURVES.iter().find(|(id, _)| *id == curve);
            known.ok_or(Invalid::Algorithm(algorithm))?.1.to_owned()
        }
        27 => bytes.take(32).map(|_| "ed25519".to_owned())?,
        28 => bytes.take(57).map(|_| "ed448".to_owned())?,
        other => return Err(Invalid::Algorithm(other)),
    };
    if bytes.0.is_empty() { Ok((created, sub_type)) } else { Err(Invalid::Packet) }
}

/// A name as it can be shown: without what would move a cursor.
fn shown(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    name.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
