//! OpenPGP's text form: blocks of base64 between marked lines, with a checksum.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::key::Invalid;

const BEGIN: &str = "-----BEGIN PGP ";
const END: &str = "-----END PGP ";
const DASHES: &str = "-----";
/// What public keys are marked with.
const PUBLIC_KEY: &str = "PUBLIC KEY BLOCK";
const PRIVATE: &str = "PRIVATE KEY";
/// Digits on a line of those written here.
const WIDTH: usize = 64;

/// What the blocks of public keys in a text hold; other text is left out.
///
/// # Errors
/// When there is none, one is damaged, or one is of something else.
pub(super) fn blocks(text: &str) -> Result<Vec<Vec<u8>>, Invalid> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) else { continue };
        if label.contains(PRIVATE) {
            return Err(Invalid::Private);
        }
        if label != PUBLIC_KEY {
            return Err(Invalid::NoKeys);
        }
        let mut base64 = String::new();
        let mut checksum = None;
        loop {
            let line = lines.next().ok_or(Invalid::Armor)?;
            if line.starts_with(END) {
                break;
            }
            match line.strip_prefix('=') {
                Some(sum) if sum.len() == 4 => checksum = Some(sum),
                // Headers stand before the data; a colon is no digit of base64.
                _ if base64.is_empty() && line.contains(':') => {}
                _ => base64.push_str(line),
            }
        }
        let data = STANDARD.decode(base64).map_err(|_| Invalid::Armor)?;
        if checksum.is_some_and(|sum| STANDARD.encode(crc24(&data)) != sum) {
            return Err(Invalid::Checksum);
        }
        blocks.push(data);
    }
    if blocks.is_empty() { Err(Invalid::NoKeys) } else { Ok(blocks) }
}

/// A public key as a block.
pub(super) fn block(data: &[u8]) -> String {
    let digits = STANDARD.encode(data);
    let mut text = format!("{BEGIN}{PUBLIC_KEY}{DASHES}\n\n");
    let mut rest = &*digits;
    while !rest.is_empty() {
        // Base64 is ASCII: any place is between two characters.
        let (line, after) = rest.split_at(rest.len().min(WIDTH));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("={}\n{END}{PUBLIC_KEY}{DASHES}\n", STANDARD.encode(crc24(data))));
    text
}

/// RFC 4880, section 6.1.
fn crc24(data: &[u8]) -> [u8; 3] {
    let mut crc: u32 = 0x00b7_04ce;
    for byte in data {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
    }
    let [_, a, b, c] = crc.to_be_bytes();
    [a, b, c]
}
