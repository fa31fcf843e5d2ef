//! When an address from a webhook names a repository that is declared in
//! another way: over ssh or https, with or without `.git`, port or user.

/// Where a repository is, whichever way it is reached; `None` for no address.
pub(super) fn place(url: &str) -> Option<(String, String)> {
    let url = url.trim().to_lowercase();
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None => ("", url.as_str()),
    };
    if scheme == "file" || url.starts_with('/') {
        // A folder of this machine; its file system tells cases apart, a match does not.
        return Some((String::new(), trim(rest)));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let start = rest[..end].rfind('@').map_or(0, |at| at + 1);
    let rest = &rest[start..];
    let split = rest.find(['/', ':'])?;
    let (mut host, mut path) = (&rest[..split], &rest[split + 1..]);
    if rest.as_bytes()[split] == b':' {
        // A port, or the path of the `user@host:path` form.
        let (first, after) = path.split_once('/').unwrap_or((path, ""));
        if !first.is_empty() && first.bytes().all(|b| b.is_ascii_digit()) {
            path = after;
        }
    }
    for prefix in ["altssh.", "ssh."] {
        host = host.strip_prefix(prefix).unwrap_or(host);
    }
    let path = trim(path.split(['?', '#']).next().unwrap_or(path));
    (!host.is_empty() && !path.is_empty()).then(|| (host.to_owned(), path))
}

fn trim(path: &str) -> String {
    let path = path.trim_matches('/');
    path.strip_suffix(".git").unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn all_ways_to_one_repository_are_one_place() {
        let web = place("https://github.com/Org/Repo").expect("a place");
        for way in [
            "https://github.com/org/repo.git",
            "http://user:pass@github.com/org/repo/",
            "https://github.com:8443/org/repo",
            "git@github.com:org/repo.git",
            "ssh://git@github.com/org/repo",
            "ssh://git@ssh.github.com:443/org/repo.git",
            "ssh://git@altssh.github.com/org/repo.git",
            "github.com/org/repo",
        ] {
            assert_eq!(place(way).as_ref(), Some(&web), "{way}");
        }
        for other in
            ["https://github.com/org/repo2", "https://github.com.evil.org/org/repo", "https://gitlab.com/org/repo"]
        {
            assert_ne!(place(other).as_ref(), Some(&web), "{other}");
        }
        assert_eq!(place("file:///srv/git/x.git"), place("/srv/git/x"));
        for nothing in ["", "https://", "https://host", "x", ":", "@", "https://host/"] {
            assert_eq!(place(nothing), None, "{nothing}");
        }
    }
}
