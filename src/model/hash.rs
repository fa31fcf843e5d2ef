//! The hash that names of credential Secrets are made with, and that deals out
//! clusters among shards.

/// FNV-1a, 32 bits, over the parts as one text.
pub fn fnv32a(parts: &[&str]) -> u32 {
    let bytes = parts.iter().flat_map(|part| part.bytes());
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_published_function() {
        assert_eq!(fnv32a(&[]), 0x811c_9dc5);
        assert_eq!(fnv32a(&["a"]), 0xe40c_292c);
        assert_eq!(fnv32a(&["foo", "bar"]), 0xbf9c_f968);
    }
}
