//! The address of a repository: which way to reach it, and when two spellings
//! mean the same one.

use std::fmt;
use std::path::{Path, PathBuf};

use argosy_model::Secret;
use sha2::{Digest, Sha256};

use crate::Error;

/// A parsed repository URL. `Display` and `Debug` never show user information
/// of an http URL, nor a password of any.
#[derive(Clone, PartialEq, Eq)]
pub struct RepoUrl {
    shown: String,
    location: Location,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// A folder of this machine.
    Local(PathBuf),
    /// http or https; the URL is without user information.
    Http {
        url: url::Url,
        userinfo: Option<(String, Secret<String>)>,
    },
    Ssh {
        user: Option<String>,
        host: String,
        port: Option<u16>,
        path: String,
    },
}

// === impl RepoUrl ===

impl RepoUrl {
    /// Reads `file://`, an absolute path, `http(s)://`, `ssh://` or the
    /// `user@host:path` form. Anything that could be taken for an option by a
    /// program it is handed to is refused.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`], which does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.is_empty() || text.chars().any(|c| c.is_control()) {
            return Err(invalid("it is empty or has control characters"));
        }
        if text.starts_with('/') {
            return Ok(Self { shown: text.to_owned(), location: Location::Local(PathBuf::from(text)) });
        }
        match text.split_once("://") {
            Some((scheme, _)) => match scheme.to_ascii_lowercase().as_str() {
                "http" | "https" => parse_http(text),
                "file" => parse_file(text),
                "ssh" => parse_ssh(text),
                _ => Err(invalid("the scheme is not http, https, ssh or file")),
            },
            None => parse_scp(text),
        }
    }

    /// The spelling under which all spellings of one repository are equal:
    /// lower case (except a local path), no scheme for ssh, no `.git`, no
    /// trailing slash, no http user information.
    pub fn normalized(&self) -> String {
        let text = match &self.location {
            Location::Local(path) => return trim_git(&format!("file://{}", path.display())).to_owned(),
            Location::Http { url, .. } => url.as_str().to_lowercase(),
            Location::Ssh { user, host, port, path } => {
                let user = user.as_ref().map(|u| u.to_lowercase() + "@").unwrap_or_default();
                let port = port.map(|p| format!(":{p}")).unwrap_or_default();
                format!("{user}{}{port}/{}", host.to_lowercase(), path.trim_start_matches('/').to_lowercase())
            }
        };
        trim_git(&text).to_owned()
    }

    /// Whether both name the same repository.
    pub fn is_same(&self, other: &Self) -> bool {
        self.normalized() == other.normalized()
    }

    /// The folder of this machine that it is, if it is one. Whether a tenant may
    /// name it is the caller's decision.
    pub fn local_folder(&self) -> Option<&Path> {
        match &self.location {
            Location::Local(folder) => Some(folder),
            Location::Http { .. } | Location::Ssh { .. } => None,
        }
    }

    /// Whether the repository is reached by ssh.
    pub fn is_ssh(&self) -> bool {
        matches!(self.location, Location::Ssh { .. })
    }

    /// The host as `argocd-tls-certs-cm` and `argocd-ssh-known-hosts-cm` name
    /// it, without a port; `None` for a local folder.
    pub fn host(&self) -> Option<&str> {
        match &self.location {
            Location::Local(_) => None,
            Location::Http { url, .. } => url.host_str(),
            Location::Ssh { host, .. } => Some(host),
        }
    }

    /// The name of an ssh host in a `known_hosts` file: with its port, in
    /// brackets, when that is not 22. Empty for anything else.
    pub(crate) fn known_hosts_name(&self) -> String {
        match &self.location {
            Location::Ssh { host, port: Some(port), .. } => format!("[{host}]:{port}"),
            Location::Ssh { host, .. } => host.clone(),
            _ => String::new(),
        }
    }

    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// Name of the mirror's folder: 32 hexadecimal digits of a hash of
    /// [`Self::normalized`].
    pub(crate) fn folder(&self) -> String {
        Sha256::digest(self.normalized()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RepoUrl").field(&self.shown).finish()
    }
}

impl std::str::FromStr for RepoUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

fn invalid(reason: &'static str) -> Error {
    Error::InvalidUrl { reason }
}

fn trim_git(text: &str) -> &str {
    let text = text.trim_end_matches('/');
    text.strip_suffix(".git").unwrap_or(text).trim_end_matches('/')
}

fn parse_http(text: &str) -> Result<RepoUrl, Error> {
    let mut url = url::Url::parse(text).map_err(|_| invalid("it does not parse"))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(invalid("it has no host"));
    }
    let user = percent_decode(url.username());
    let password = url.password().map(percent_decode).unwrap_or_default();
    let userinfo = (!(user.is_empty() && password.is_empty())).then(|| (user, Secret::new(password)));
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.map_err(|()| invalid("it cannot carry a user name"))?;
    url.set_fragment(None);
    Ok(RepoUrl { shown: url.as_str().to_owned(), location: Location::Http { url, userinfo } })
}

fn parse_file(text: &str) -> Result<RepoUrl, Error> {
    let url = url::Url::parse(text).map_err(|_| invalid("it does not parse"))?;
    let path = url.to_file_path().map_err(|()| invalid("a file URL must be absolute and without a host"))?;
    Ok(RepoUrl { shown: url.as_str().to_owned(), location: Location::Local(path) })
}

fn parse_ssh(text: &str) -> Result<RepoUrl, Error> {
    let url = url::Url::parse(text).map_err(|_| invalid("it does not parse"))?;
    let host = url.host_str().ok_or(invalid("it has no host"))?;
    let user = percent_decode(url.username());
    let path = percent_decode(url.path());
    // `/~user/repo` means the home folder of that user, as git reads it.
    let path = path.strip_prefix('/').filter(|p| p.starts_with('~')).unwrap_or(&path).to_owned();
    let at = if user.is_empty() { String::new() } else { format!("{user}@") };
    let port = url.port().filter(|port| *port != 22);
    let colon = port.map(|p| format!(":{p}")).unwrap_or_default();
    let shown = format!("ssh://{at}{host}{colon}{}", url.path());
    checked_ssh(shown, &user, host, port, path)
}

/// `user@host:path`, where the path is relative to the user's home. A bracketed
/// host is an IPv6 address.
fn parse_scp(text: &str) -> Result<RepoUrl, Error> {
    let (user, rest) = match text.split_once('@') {
        Some((user, rest)) if !user.contains(['/', ':']) => (user, rest),
        _ => ("", text),
    };
    let (host, path) = match rest.strip_prefix('[').and_then(|r| r.split_once("]:")) {
        Some(split) => split,
        None => rest.split_once(':').ok_or(invalid("it has no scheme and is no absolute path"))?,
    };
    checked_ssh(text.to_owned(), user, host, None, path.to_owned())
}

fn checked_ssh(shown: String, user: &str, host: &str, port: Option<u16>, path: String) -> Result<RepoUrl, Error> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let plain = |c: char, extra: &str| c.is_ascii_alphanumeric() || extra.contains(c);
    if host.is_empty() || host.starts_with('-') || !host.chars().all(|c| plain(c, ".-_:")) {
        return Err(invalid("the host has characters no host name has"));
    }
    if user.starts_with('-') || !user.chars().all(|c| plain(c, ".-_+")) {
        return Err(invalid("the user has characters no user name has"));
    }
    if path.trim_matches('/').is_empty() || path.starts_with(['-', ':']) {
        return Err(invalid("the path is empty, or begins with a dash or a colon"));
    }
    let user = (!user.is_empty()).then(|| user.to_owned());
    Ok(RepoUrl { shown, location: Location::Ssh { user, host: host.to_owned(), port, path } })
}

pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The `.git` folder of a local repository, bare or not.
pub(crate) fn local_git_dir(path: &Path) -> PathBuf {
    let inner = path.join(".git");
    if inner.exists() { inner } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> String {
        RepoUrl::parse(text).expect(text).normalized()
    }

    #[test]
    fn spellings_of_one_repository_are_equal() {
        for (a, b) in [
            ("git@github.com:Org/Repo.git", "ssh://git@GITHUB.com/org/repo"),
            ("git@github.com:org/repo", "ssh://git@github.com/org/repo.git/"),
            ("ssh://git@host:22/o/r", "git@host:o/r"),
            ("https://GitHub.com/Org/Repo.git", "https://github.com/org/repo"),
            ("https://user:pass@github.com/org/repo", "https://github.com/org/repo/"),
            ("file:///srv/git/repo.git", "/srv/git/repo"),
        ] {
            assert_eq!(normal(a), normal(b));
        }
        assert_eq!(normal("git@github.com:argoproj/test.git"), "git@github.com/argoproj/test");
        assert_ne!(normal("ssh://git@host:2222/o/r"), normal("ssh://git@host/o/r"));
        assert_ne!(normal("/srv/A"), normal("/srv/a"), "a file system tells cases apart");
        assert_ne!(normal("https://h/o/r"), normal("http://h/o/r"));
    }

    #[test]
    fn credentials_in_a_url_are_never_shown() {
        for text in ["https://u:canary@h/o/r", "https://canary@h/o/r", "ssh://git:canary@h/o/r"] {
            let url = RepoUrl::parse(text).unwrap();
            assert!(!format!("{url} {url:?} {}", url.normalized()).contains("canary"), "{text}");
        }
    }

    #[test]
    fn an_address_that_could_be_an_option_is_refused() {
        for text in [
            "ssh://-oProxyCommand=x/y",
            "-oProxyCommand=x:y",
            "git@-oProxyCommand=x:y",
            "-l@host:y",
            "git@host:--upload-pack=x",
            "ssh://git@ho st/y",
            "git@host:",
            "ext::sh -c x",
            "ftp://h/x",
            "",
            "relative/path",
        ] {
            assert!(RepoUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn home_folders_ports_and_addresses_are_read_as_git_reads_them() {
        let of = |text: &str| match RepoUrl::parse(text).unwrap().location {
            Location::Ssh { user, host, port, path } => (user.unwrap_or_default(), host, port, path),
            _ => panic!("{text} is not ssh"),
        };
        assert_eq!(of("ssh://h/~bob/r"), (String::new(), "h".into(), None, "~bob/r".into()));
        assert_eq!(of("ssh://bob@[::1]:2222/a%20b"), ("bob".into(), "::1".into(), Some(2222), "/a b".into()));
        assert_eq!(of("bob@[::1]:a/b"), ("bob".into(), "::1".into(), None, "a/b".into()));
    }
}
