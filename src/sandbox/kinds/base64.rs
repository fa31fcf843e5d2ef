//! Base64, as far as it is not.

/// Where a text is no base64, as Go counts.
pub(super) fn bad_base64(text: &str) -> Option<usize> {
    let mut group = 0;
    let mut ends = false;
    for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n')) {
        let is_letter = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        if (ends && byte != b'=') || !(is_letter || (byte == b'=' && group >= 2)) {
            return Some(at);
        }
        ends = byte == b'=';
        group = (group + 1) % 4;
    }
    (group != 0).then(|| text.len() - group)
}

#[cfg(test)]
mod tests {
    use super::bad_base64;

    #[test]
    fn the_first_wrong_byte_is_told() {
        for (text, wanted) in
            [("", None), ("aGVsbG8=", None), ("eA==", None), ("not base64!", Some(3)), ("*", Some(0)), ("abc", Some(0))]
        {
            assert_eq!(bad_base64(text), wanted, "{text}");
        }
    }
}
