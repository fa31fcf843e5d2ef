//! OpenPGP's packets: what a key is made of, as RFC 4880 and RFC 9580 write it.

use super::key::Invalid;

/// Packets of one block; a key with this many signatures is an attack.
const MOST: usize = 4096;

/// Kinds of packets.
pub(super) mod tag {
    pub(in super::super) const SIGNATURE: u8 = 2;
    pub(in super::super) const SECRET_KEY: u8 = 5;
    pub(in super::super) const PUBLIC_KEY: u8 = 6;
    pub(in super::super) const SECRET_SUBKEY: u8 = 7;
    pub(in super::super) const USER_ID: u8 = 13;
    pub(in super::super) const PUBLIC_SUBKEY: u8 = 14;
    pub(in super::super) const USER_ATTRIBUTE: u8 = 17;
}

/// One packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) tag: u8,
    pub(super) body: &'a [u8],
    /// The packet as it stands, with its header.
    pub(super) whole: &'a [u8],
}

/// Takes a block apart.
///
/// # Errors
/// When it is damaged or too long.
pub(super) fn packets(block: &[u8]) -> Result<Vec<Packet<'_>>, Invalid> {
    let mut packets = Vec::new();
    let mut rest = block;
    while !rest.is_empty() {
        let mut bytes = Bytes(rest);
        let header = bytes.byte()?;
        let (tag, length) = match header {
            0xc0.. => (header & 0x3f, long_length(&mut bytes)?),
            0x80.. => (header >> 2 & 0x0f, bytes.number(1 << (header & 3))?),
            _ => return Err(Invalid::Packet),
        };
        // Of unknown length are no packets of keys.
        if header < 0xc0 && header & 3 == 3 {
            return Err(Invalid::Packet);
        }
        let body = bytes.take(length)?;
        let (whole, after) = rest.split_at(rest.len() - bytes.0.len());
        packets.push(Packet { tag, body, whole });
        if packets.len() > MOST {
            return Err(Invalid::TooLong);
        }
        rest = after;
    }
    Ok(packets)
}

/// A length of the newer form. Those of parts are not for packets of keys.
fn long_length(bytes: &mut Bytes<'_>) -> Result<usize, Invalid> {
    match bytes.byte()? {
        short @ ..192 => Ok(short.into()),
        first @ 192..224 => Ok((usize::from(first) - 192) * 256 + usize::from(bytes.byte()?) + 192),
        255 => bytes.number(4),
        224..=254 => Err(Invalid::Packet),
    }
}

/// A reader that never reads beyond the end.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

// === impl Bytes ===

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Invalid> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Invalid::Packet)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Invalid> {
        Ok(self.take(1)?[0])
    }

    /// A number of up to four bytes, the greatest first.
    pub(super) fn number(&mut self, bytes: usize) -> Result<usize, Invalid> {
        if bytes > 4 {
            return Err(Invalid::Packet);
        }
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// How many bits an integer of any size has; skips it.
    pub(super) fn integer_bits(&mut self) -> Result<usize, Invalid> {
        let bits = self.number(2)?;
        self.take(bits.div_ceil(8))?;
        Ok(bits)
    }

    /// A part of a signature's packet, `None` at the end.
    pub(super) fn subpacket(&mut self) -> Result<Option<(u8, &'a [u8])>, Invalid> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let length = match self.byte()? {
            short @ ..192 => short.into(),
            255 => self.number(4)?,
            first => (usize::from(first) - 192) * 256 + usize::from(self.byte()?) + 192,
        };
        let [kind, body @ ..] = self.take(length)? else { return Err(Invalid::Packet) };
        // The highest bit says whether who does not know the kind may go on.
        Ok(Some((kind & 0x7f, body)))
    }
}
