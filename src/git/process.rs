//! A child process that carries the protocol on its pipes, and what its
//! complaints mean. It is killed and reaped when dropped.

use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

use crate::error::clean;
use crate::{Error, RepoUrl};

/// Enough for every message of ssh; more is dropped, not kept.
const MAX_COMPLAINT: usize = 16 << 10;

pub(crate) struct Process {
    program: &'static str,
    child: Child,
    stdin: ChildStdin,
    complaint: Arc<Mutex<Vec<u8>>>,
    listener: JoinHandle<()>,
    /// Key files and the like, removed with the process.
    _files: Option<tempfile::TempDir>,
}

// === impl Process ===

impl Process {
    /// Starts it. Needs the runtime of [`crate::Limits::run`].
    pub(crate) fn spawn(
        program: &'static str,
        command: &mut Command,
        files: Option<tempfile::TempDir>,
    ) -> io::Result<(Self, ChildStdout)> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("the child process has no pipes"));
        };
        let complaint = Arc::new(Mutex::new(Vec::new()));
        let listener = tokio::spawn(listen(ChildStderr::from_std(stderr)?, complaint.clone()));
        let stdin = ChildStdin::from_std(stdin)?;
        let stdout = ChildStdout::from_std(stdout)?;
        Ok((Self { program, child, stdin, complaint, listener, _files: files }, stdout))
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdin.write_all(bytes).await?;
        self.stdin.flush().await
    }

    /// Why it hung up, once it has.
    pub(crate) async fn explain(&mut self, url: &RepoUrl) -> Error {
        // Ends when the child closes its standard error; the operation's own
        // time limit is above this.
        let _ = (&mut self.listener).await;
        let bytes = std::mem::take(&mut *self.complaint.lock().unwrap_or_else(PoisonError::into_inner));
        classify(self.program, url, &String::from_utf8_lossy(&bytes))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the child is already gone, which is the aim.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn listen(mut stderr: ChildStderr, complaint: Arc<Mutex<Vec<u8>>>) {
    let mut chunk = [0; 1024];
    while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
        let mut kept = complaint.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_COMPLAINT.saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..length.min(room)]);
    }
}

/// The words are those of OpenSSH and of the usual git servers.
fn classify(program: &'static str, url: &RepoUrl, complaint: &str) -> Error {
    let repo = url.to_string();
    let host = || url.known_hosts_name();
    let says = |needles: &[&str]| {
        let lower = complaint.to_lowercase();
        needles.iter().any(|needle| lower.contains(needle))
    };
    if says(&["remote host identification has changed", "host key for"]) && says(&["has changed"]) {
        Error::HostKeyChanged { host: host() }
    } else if says(&["host key verification failed", "host key is known for"]) {
        Error::HostKeyUnknown { host: host() }
    } else if says(&["permission denied (", "load key", "authentication failures"]) {
        Error::AuthenticationRequired { repo }
    } else if says(&["not found", "does not exist", "does not appear to be a git", "not a git repository"])
        && !says(&["command not found"])
    {
        Error::RepositoryNotFound { repo }
    } else {
        let message = clean(complaint);
        let message = if message.is_empty() { "it ended without a message".to_owned() } else { message };
        Error::Process { program, repo, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_become_errors_that_say_what_to_do() {
        let url = RepoUrl::parse("git@host:org/repo").unwrap();
        let shown = |text: &str| classify("ssh", &url, text).to_string();
        let unknown = "No ED25519 host key is known for host and you have requested strict checking.\r\n\
                       Host key verification failed.\r\n";
        assert!(shown(unknown).contains("argocd-ssh-known-hosts-cm"));
        let changed = "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\r\nHost key for host has changed\r\n\
                       Host key verification failed.\r\n";
        assert!(shown(changed).starts_with("host key mismatch"));
        assert!(shown("git@host: Permission denied (publickey).").starts_with("authentication required"));
        assert!(shown("ERROR: Repository not found.").starts_with("repository not found"));
        assert!(shown("bash: git-upload-pack: command not found").contains("command not found"));
        assert!(shown("").contains("without a message"));
    }
}
