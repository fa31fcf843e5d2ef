//! Names of hosts, and patterns of names.

use std::net::Ipv6Addr;

/// Longest label of a name.
const LONGEST_LABEL: usize = 63;

/// Whether something can be the name or address of a host.
pub(super) fn is_valid(name: &str) -> bool {
    is_name(name) || is_address(name)
}

/// The host in `host` or `[host]:port`.
pub(super) fn without_port(name: &str) -> &str {
    let inner = name.strip_prefix('[').and_then(|rest| rest.rsplit_once("]:"));
    match inner {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => name,
    }
}

fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.split('.').enumerate().all(|(place, label)| is_label(label, place == 0))
}

/// Only the first label may end in an underscore.
fn is_label(label: &str, first: bool) -> bool {
    let bytes = label.as_bytes();
    let inside = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    match bytes {
        [] => false,
        [only] => only.is_ascii_alphanumeric(),
        [start, middle @ .., end] => {
            bytes.len() <= LONGEST_LABEL
                && (start.is_ascii_alphanumeric() || *start == b'_')
                && middle.iter().all(inside)
                && (end.is_ascii_alphanumeric() || first && *end == b'_')
        }
    }
}

/// An address of IPv6, perhaps with the interface it is reached by.
fn is_address(name: &str) -> bool {
    let (address, zone) = name.split_once('%').map_or((name, None), |(address, zone)| (address, Some(zone)));
    let is_zone = |zone: &str| !zone.is_empty() && zone.bytes().all(|b| b.is_ascii_alphanumeric());
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(is_zone)
}

/// Whether the name matches: `*` is any text without a slash, `?` one character
/// that is none, and a backslash takes the next one as it is. Brackets mean
/// nothing, for names have them. An empty pattern matches everything, a broken
/// one nothing.
pub(super) fn matches(name: &str, pattern: &str) -> bool {
    if pattern.is_empty() {
        return true;
    }
    let Some(tokens) = tokens(pattern) else { return false };
    let name: Vec<char> = name.chars().collect();
    // The last star seen, and how much of the name it has taken.
    let (mut at, mut token, mut star) = (0, 0, None);
    while at < name.len() {
        let fits = match tokens.get(token) {
            Some(Token::Star) => {
                star = Some((token, at));
                token += 1;
                continue;
            }
            Some(Token::Any) => name[at] != '/',
            Some(Token::Char(c)) => name[at] == *c,
            None => false,
        };
        if fits {
            (at, token) = (at + 1, token + 1);
            continue;
        }
        match star {
            Some((place, taken)) if name[taken] != '/' => {
                star = Some((place, taken + 1));
                (at, token) = (taken + 1, place + 1);
            }
            _ => return false,
        }
    }
    tokens[token..].iter().all(|token| *token == Token::Star)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Star,
    Any,
    Char(char),
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut chars = pattern.chars();
    let mut tokens = Vec::new();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::Star,
            '?' => Token::Any,
            '\\' => Token::Char(chars.next()?),
            c => Token::Char(c),
        });
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_of_hosts_are_told_from_other_texts() {
        let label = "a".repeat(63);
        for good in ["example.com", "a", "A-b.c_d.e.", "_x_", "10.0.0.1", "::1", "fe80::1%eth0", &*label] {
            assert!(is_valid(good), "{good}");
        }
        let long = "a".repeat(64);
        let bad =
            ["", ".", "a..b", "-a", "a-", "a.b_", "a b", "a,b", "x\n::1", "::1 y", "|1|a|b", "a/b", "::1%", &*long];
        for bad in bad {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    #[test]
    fn only_a_port_behind_brackets_is_left_out() {
        assert_eq!(without_port("[git.example.com]:2222"), "git.example.com");
        assert_eq!(without_port("[::1]:22"), "::1");
        for other in ["git.example.com", "[a]:", "[a]:x", "a:22", "[a]"] {
            assert_eq!(without_port(other), other);
        }
    }

    #[test]
    fn patterns_match_like_those_of_files() {
        for (name, pattern) in [
            ("github.com", ""),
            ("github.com", "*"),
            ("github.com", "git*.com"),
            ("github.com", "*hub*"),
            ("github.com", "?ithub.co?"),
            ("[a.b]:22", "[a.b]:22"),
            ("[a.b]:22", "[*]:*"),
            ("a*b", "a\\*b"),
            ("aab", "a*ab"),
        ] {
            assert!(matches(name, pattern), "{name} {pattern}");
        }
        for (name, pattern) in [
            ("github.com", "git"),
            ("github.com", "*.org"),
            ("a", "[a]"),
            ("axb", "a\\*b"),
            ("a", "a\\"),
            ("|1|x/y", "*"),
            ("/", "?"),
        ] {
            assert!(!matches(name, pattern), "{name} {pattern}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_long_time() {
        assert!(!matches(&"a".repeat(5000), &format!("{}b", "a*".repeat(500))));
    }
}
