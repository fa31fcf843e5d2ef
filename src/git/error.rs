//! What can go wrong with a repository, in words that tell its user what to do.
//!
//! No message holds a credential: repositories are named by
//! [`crate::RepoUrl`]'s printed form, which has none, and text from a remote is
//! cut and cleaned before it gets here.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A failed operation on a repository.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no repository URL this crate can use.
    #[error("invalid repository URL: {reason}")]
    InvalidUrl {
        /// What is wrong with it; never the URL itself.
        reason: &'static str,
    },
    /// The credentials cannot be used, whatever the server thinks of them.
    #[error("invalid repository credentials: {reason}")]
    InvalidCredentials {
        /// Which part is wrong and why.
        reason: &'static str,
    },
    /// The revision names nothing in the repository.
    #[error("unable to resolve '{revision}' to a commit SHA")]
    Unresolved {
        /// As the user wrote it.
        revision: String,
    },
    /// The server wants credentials, or does not accept these.
    #[error("authentication required: {repo} does not accept the configured credentials, or needs some")]
    AuthenticationRequired {
        /// The repository, without credentials.
        repo: String,
    },
    /// The server knows who asks and refuses.
    #[error("authorization failed: the configured credentials may not read {repo}")]
    Forbidden {
        /// The repository, without credentials.
        repo: String,
    },
    /// There is no such repository, or not for these credentials.
    #[error("repository not found: {repo} does not exist, or the configured credentials may not see it")]
    RepositoryNotFound {
        /// The repository, without credentials.
        repo: String,
    },
    /// The host of an ssh repository has no known key.
    #[error("host key unknown: add the key of {host} to argocd-ssh-known-hosts-cm")]
    HostKeyUnknown {
        /// As a `known_hosts` file names it: `host`, or `[host]:port`.
        host: String,
    },
    /// The host of an ssh repository shows another key than the known one.
    #[error(
        "host key mismatch: the key of {host} is not the one in argocd-ssh-known-hosts-cm; \
         correct the entry if the host was given a new key"
    )]
    HostKeyChanged {
        /// As a `known_hosts` file names it: `host`, or `[host]:port`.
        host: String,
    },
    /// The server's certificate is not trusted, or it refused ours.
    #[error("TLS with {repo} failed: if its certificate is private, add the CA to argocd-tls-certs-cm")]
    Tls {
        /// The repository, without credentials.
        repo: String,
        /// What the TLS library found.
        #[source]
        source: reqwest::Error,
    },
    /// The server could not be reached, or the connection broke.
    #[error("cannot reach {repo}")]
    Connect {
        /// The repository, without credentials.
        repo: String,
        /// What the HTTP client found.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered something other than success.
    #[error("{repo} answered HTTP status {status}")]
    HttpStatus {
        /// The repository, without credentials.
        repo: String,
        /// The status code.
        status: u16,
    },
    /// The `ssh` or `git` child process ended without doing its work.
    #[error("{program} could not read {repo}: {message}")]
    Process {
        /// `ssh` or `git`.
        program: &'static str,
        /// The repository, without credentials.
        repo: String,
        /// The end of what it wrote to standard error, cleaned.
        message: String,
    },
    /// The conversation was cut in the middle.
    #[error("the connection to {repo} broke")]
    Transfer {
        /// The repository, without credentials.
        repo: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The other end does not speak the git protocol, or breaks its rules.
    #[error("{repo} does not speak the git protocol as expected: {reason}")]
    Protocol {
        /// The repository, without credentials.
        repo: String,
        /// Which rule was broken.
        reason: &'static str,
    },
    /// The server refused the request with a message of its own.
    #[error("{repo} refused: {message}")]
    Remote {
        /// The repository, without credentials.
        repo: String,
        /// The server's words, cleaned.
        message: String,
    },
    /// A wanted commit is on no branch or tag, and the server does not hand it out by id.
    #[error("commit {sha} is not in the repository: it is on no branch or tag, and the server does not give it by id")]
    CommitUnavailable {
        /// The wanted commit.
        sha: String,
    },
    /// The operation took longer than allowed.
    #[error("{operation} took longer than {} s", .limit.as_secs())]
    TimedOut {
        /// `git ls-remote` or `git fetch`.
        operation: &'static str,
        /// What was allowed.
        limit: Duration,
    },
    /// The caller gave up.
    #[error("{operation} was cancelled")]
    Cancelled {
        /// `git ls-remote` or `git fetch`.
        operation: &'static str,
    },
    /// Something is bigger than this process is willing to take.
    #[error("{what} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// A file, a pack, a list of refs.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// Another process, or another mirror of this one, owns the folder.
    #[error("the mirror in {} is in use by another process", .path.display())]
    Locked {
        /// The mirror's folder.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// The verb.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// libgit2 refused.
    #[error("cannot {action}")]
    Store {
        /// What was attempted.
        action: &'static str,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// An object that must be in the mirror is not, or is not what it was.
    #[error("the mirror is damaged and must be made anew: cannot {action}")]
    Damaged {
        /// What was attempted.
        action: &'static str,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// Nothing is at this path of the commit.
    #[error("{path}: no such file or directory in the repository")]
    PathNotFound {
        /// As asked for.
        path: String,
    },
    /// There is something else at this path.
    #[error("{path} is not a {expected}")]
    WrongKind {
        /// As asked for.
        path: String,
        /// `file` or `directory`.
        expected: &'static str,
    },
    /// The path is absolute, leaves the repository, or cannot be a path.
    #[error("{path}: the path leaves the repository or is malformed")]
    InvalidPath {
        /// As asked for.
        path: String,
    },
    /// A symbolic link leads out of the repository.
    #[error("repository contains out-of-bounds symlinks. file: {path}")]
    OutOfBoundsLink {
        /// The link, from the root of the repository.
        path: String,
    },
    /// A chain of symbolic links never ends.
    #[error("{path}: too many levels of symbolic links")]
    LinkLoop {
        /// As asked for.
        path: String,
    },
    /// A tree that git itself would not write: hostile or damaged.
    #[error("the repository holds a malformed or oversized tree at '{path}'")]
    MalformedTree {
        /// The folder, from the root of the repository.
        path: String,
    },
}

// === impl Error ===

impl Error {
    /// Whether the same request may succeed later with nothing changed: the
    /// network, the server or a deadline was at fault, not the request.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::Transfer { .. }
                | Self::TimedOut { .. }
                | Self::Process { .. }
                | Self::HttpStatus { status: 408 | 429 | 500..=599, .. }
        )
    }

    /// Whether the mirror itself is broken, so that [`crate::Mirror::recreate`]
    /// and a fetch are the way out.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn store(action: &'static str) -> impl FnOnce(git2::Error) -> Self {
        move |source| Self::Store { action, source }
    }
}

/// Text from the other end, fit for a message: one line, no control characters,
/// at most the last 300 characters, nothing that looks like a URL's credentials.
pub(crate) fn clean(text: &str) -> String {
    let line: String = text
        .split(|c: char| c.is_control())
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(strip_userinfo)
        .collect::<Vec<_>>()
        .join("; ");
    let skip = line.chars().count().saturating_sub(300);
    line.chars().skip(skip).collect()
}

fn strip_userinfo(text: &str) -> String {
    text.split(' ')
        .map(|word| match word.split_once("://").and_then(|(s, rest)| rest.rsplit_once('@').map(|(_, r)| (s, r))) {
            Some((scheme, rest)) => format!("{scheme}://{rest}"),
            None => word.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_remote_loses_credentials_and_control_characters() {
        assert_eq!(clean("fatal: no\r\n\x1b[31mat https://u:hunter2@h/x\n"), "fatal: no; [31mat https://h/x");
        assert!(clean(&"x".repeat(1000)).len() == 300);
    }
}
