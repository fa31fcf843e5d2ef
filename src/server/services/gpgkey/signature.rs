//! What a key says about itself in its signatures. Nothing is checked here but
//! who says it.

use super::key::Invalid;
use super::packet::Bytes;

/// Kinds of signatures.
const CERTIFICATIONS: std::ops::RangeInclusive<u8> = 0x10..=0x13;
const KEY_REVOCATION: u8 = 0x20;
/// Kinds of what a signature holds.
const CREATED: u8 = 2;
const KEY_EXPIRES: u8 = 9;
const ISSUER: u8 = 16;
const PRIMARY: u8 = 25;
const ISSUER_FINGERPRINT: u8 = 33;

/// What a signature is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// That a name belongs to the key.
    Certification,
    /// That the key must not be used any more.
    Revocation,
}

/// A signature of a key about itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct SelfSignature {
    pub(super) kind: Kind,
    /// Seconds since 1970.
    pub(super) created: u64,
    /// Seconds after the key was made; 0 for never.
    pub(super) key_expires: u64,
    /// Whether the name is the first one.
    pub(super) primary: bool,
}

/// Reads a signature, if the key with this fingerprint made it and it is of a kind
/// that matters here.
///
/// # Errors
/// When it is damaged.
pub(super) fn read(body: &[u8], fingerprint: &[u8]) -> Result<Option<SelfSignature>, Invalid> {
    let mut bytes = Bytes(body);
    if bytes.byte()? != 4 {
        return Ok(None);
    }
    let kind = match bytes.byte()? {
        kind if CERTIFICATIONS.contains(&kind) => Kind::Certification,
        KEY_REVOCATION => Kind::Revocation,
        _ => return Ok(None),
    };
    bytes.take(2)?;
    let mut signature = SelfSignature { kind, created: 0, key_expires: 0, primary: false };
    let mut own = false;
    let length = bytes.number(2)?;
    let mut hashed = Bytes(bytes.take(length)?);
    while let Some((kind, body)) = hashed.subpacket()? {
        match (kind, body) {
            (CREATED, _) => signature.created = seconds(body)?,
            (KEY_EXPIRES, _) => signature.key_expires = seconds(body)?,
            (PRIMARY, [flag]) => signature.primary = *flag != 0,
            _ => own |= names(kind, body, fingerprint),
        }
    }
    let length = bytes.number(2)?;
    let mut unhashed = Bytes(bytes.take(length)?);
    while let Some((kind, body)) = unhashed.subpacket()? {
        own |= names(kind, body, fingerprint);
    }
    Ok(own.then_some(signature))
}

/// Whether this part of a signature names the key as its maker.
fn names(kind: u8, body: &[u8], fingerprint: &[u8]) -> bool {
    match kind {
        ISSUER => body.len() == 8 && fingerprint.ends_with(body),
        ISSUER_FINGERPRINT => body.split_first().is_some_and(|(_, named)| named == fingerprint),
        _ => false,
    }
}

fn seconds(body: &[u8]) -> Result<u64, Invalid> {
    let number = Bytes(body).number(4)?;
    u64::try_from(number).map_err(|_| Invalid::Packet)
}
