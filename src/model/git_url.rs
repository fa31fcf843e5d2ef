//! When two texts name the same git repository.
//!
//! Case, surrounding blanks, a trailing `.git`, and the two ways of writing an
//! ssh address (`git@host:path`, `ssh://git@host/path`) make no difference.
//! Patterns of projects pass through the same function as the addresses they
//! are held against, so wildcards are left as they are.

/// The comparable form of a repository address; `None` when it can be no
/// address. It is for comparing only: case is lost, so it cannot be fetched.
pub fn normalize(url: &str) -> Option<String> {
    let mut text = url.trim().to_lowercase();
    if is_ssh(&text) && !text.starts_with("ssh://") {
        text = text.replacen(':', "/", 1);
        text.insert_str(0, "ssh://");
    }
    let text = text.strip_suffix(".git").unwrap_or(&text);
    let escaped = escape(text)?;
    Some(escaped.strip_prefix("ssh://").map_or_else(|| escaped.clone(), str::to_owned))
}

/// As [`normalize`], and what can be no address stands for itself.
pub fn key(url: &str) -> String {
    normalize(url).unwrap_or_else(|| url.to_owned())
}

/// Whether both name the same repository.
pub fn same(left: &str, right: &str) -> bool {
    key(left) == key(right)
}

/// Whether the address is reached over ssh: `ssh://user@...` or `user@host:path`.
pub fn is_ssh(url: &str) -> bool {
    let rest = url.strip_prefix("ssh://").unwrap_or(url);
    rest.split_once('@')
        .is_some_and(|(user, rest)| !user.contains(['/', ':']) && !rest.is_empty() && !rest.contains('@'))
}

/// Brings the parts of an address to one way of escaping; `None` when the
/// scheme, host, port or an escape is malformed.
fn escape(text: &str) -> Option<String> {
    if text.bytes().any(|b| b.is_ascii_control()) || text.starts_with(':') {
        return None;
    }
    let (head, path) = match text.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            if !is_scheme(scheme) || !is_authority(&rest[..end]) {
                return None;
            }
            text.split_at(scheme.len() + 3 + end)
        }
        None => ("", text),
    };
    let tail = path.find(['?', '#']).unwrap_or(path.len());
    let mut out = head.to_owned();
    escape_path(&path[..tail], &mut out)?;
    out.push_str(&path[tail..]);
    Some(out)
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn is_authority(authority: &str) -> bool {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (name, port) = match host.rfind(']') {
        Some(end) => host.split_at(end + 1),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port_is_number = port.strip_prefix(':').unwrap_or(port).bytes().all(|b| b.is_ascii_digit());
    // Old ssh addresses write the path behind a colon: `ssh://git@host:group/x`.
    let allowed = |c: char| !c.is_whitespace() && !matches!(c, '{' | '}' | '|' | '\\' | '^' | '`' | '%');
    name.chars().all(allowed) && (port_is_number || authority.contains('@'))
}

fn escape_path(path: &str, out: &mut String) -> Option<()> {
    let bytes = path.as_bytes();
    for (i, &b) in bytes.iter().enumerate() {
        match b {
            b'%' if !bytes.get(i + 1..i + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) => return None,
            b' ' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
                out.push_str(&format!("%{b:02X}"));
            }
            _ => out.push(char::from(b)),
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_repository_are_the_same() {
        for (left, right) in [
            ("https://GitHub.com/Org/Repo.git", "https://github.com/org/repo"),
            ("git@github.com:org/repo", "ssh://git@github.com/org/repo.git"),
            (" https://host/a ", "https://host/a"),
            ("https://host/a b", "https://host/a%20b"),
        ] {
            assert!(same(left, right), "{left} {right}");
        }
        assert!(!same("https://host/a", "http://host/a"));
        assert!(!same("git@host:a", "https://host/a"));
    }

    #[test]
    fn wildcards_survive() {
        assert_eq!(normalize("*").as_deref(), Some("*"));
        assert_eq!(normalize("https://*.Example.com/**").as_deref(), Some("https://*.example.com/**"));
        assert_eq!(normalize("git@host:org/*.git").as_deref(), Some("git@host/org/*"));
    }

    #[test]
    fn what_can_be_no_address_has_no_normal_form() {
        for text in ["https://host/%zz", "https://ho st/", "https://host:port/x", "a\nb", "://x"] {
            assert_eq!(normalize(text), None, "{text}");
        }
        assert_eq!(key("https://host/%zz"), "https://host/%zz");
    }
}
