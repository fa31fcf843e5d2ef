//! A repository made with the `git` program, for mirrors to follow.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use argosy_git::{Credentials, Limits, Mirror, RepoUrl, Resolution, resolve};

/// A bare repository and a working copy of it, in one temporary folder.
pub(crate) struct Origin {
    pub(crate) dir: tempfile::TempDir,
    /// Commits get times of their own, one second apart.
    clock: AtomicU64,
}

impl Origin {
    /// With one commit on `main`.
    pub(crate) fn new() -> Self {
        let this = Self { dir: tempfile::tempdir().unwrap(), clock: AtomicU64::new(1_700_000_000) };
        this.init();
        this
    }

    fn init(&self) {
        self.run(self.dir.path(), &["init", "-q", "--bare", "-b", "main", "repo.git"]);
        self.run(self.dir.path(), &["init", "-q", "-b", "main", "work"]);
        self.git(&["remote", "add", "origin", "../repo.git"]);
        self.commit("README.md", "hello\n");
        self.push();
    }

    /// Deletes the repository and makes an unrelated one in its place.
    pub(crate) fn recreate(&self) {
        std::fs::remove_dir_all(self.bare()).unwrap();
        std::fs::remove_dir_all(self.work()).unwrap();
        self.init();
    }

    pub(crate) fn bare(&self) -> PathBuf {
        self.dir.path().join("repo.git")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub(crate) fn url(&self) -> RepoUrl {
        RepoUrl::parse(&format!("file://{}", self.bare().display())).unwrap()
    }

    /// Runs git in the working copy.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.run(&self.work(), args)
    }

    fn run(&self, dir: &Path, args: &[&str]) -> String {
        let time = format!("{} +0000", self.clock.fetch_add(1, Ordering::Relaxed));
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "protocol.file.allow=always"])
            .args(["-c", "gc.auto=0"])
            .args(args)
            .current_dir(dir)
            .env("GIT_AUTHOR_DATE", &time)
            .env("GIT_COMMITTER_DATE", &time)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.work().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes a file and commits everything; returns the commit.
    pub(crate) fn commit(&self, path: &str, text: impl AsRef<[u8]>) -> String {
        self.write(path, text);
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", &format!("change {path}")]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn push(&self) {
        self.git(&["push", "-q", "--force", "--all", "origin"]);
        self.git(&["push", "-q", "--force", "--tags", "origin"]);
    }

    pub(crate) fn publish(&self, path: &str, text: impl AsRef<[u8]>) -> String {
        let sha = self.commit(path, text);
        self.push();
        sha
    }
}

/// Fetches everything there is.
pub(crate) fn update(mirror: &mut Mirror) {
    mirror.fetch(&Credentials::default(), &[], &Limits::fetch()).unwrap();
}

/// The commit a revision names on the remote.
pub(crate) fn resolved(mirror: &Mirror, credentials: &Credentials, revision: &str) -> String {
    match resolve(&mirror.list_remote(credentials).unwrap(), revision, "").unwrap() {
        Resolution::Commit { sha, .. } => sha,
        Resolution::Abbreviated(prefix) => mirror.objects().complete(&prefix).unwrap(),
    }
}

/// Waits for a condition; panics when it does not come true in 20 s.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::yield_now();
    }
}

/// Bytes on disk below a folder.
pub(crate) fn disk_usage(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => disk_usage(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::from_fn(|| Some(next())).flatten().take(length).collect()
}
