//! The sample's Git repository: an ordinary work tree that the person edits and
//! commits to.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use argosy_tests::tools;

/// A repository with a work tree in a folder.
pub(crate) struct WorkTree {
    folder: PathBuf,
}

// === impl WorkTree ===

impl WorkTree {
    /// Fills a new folder with the sample application and commits it.
    pub(crate) fn create(folder: PathBuf) -> anyhow::Result<Self> {
        std::fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        let sample = tools::workspace().join("config/samples/guestbook");
        let entries = std::fs::read_dir(&sample).with_context(|| format!("reading {}", sample.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading {}", sample.display()))?;
            std::fs::copy(entry.path(), folder.join(entry.file_name())).context("copying the sample")?;
        }
        let tree = Self { folder };
        tree.git(&["init", "--quiet", "--initial-branch=main"])?;
        // So that a commit works where git has never been set up.
        tree.git(&["config", "user.name", "Argosy Sample"])?;
        tree.git(&["config", "user.email", "sample@example.com"])?;
        tree.git(&["config", "commit.gpgsign", "false"])?;
        tree.git(&["add", "--all"])?;
        tree.git(&["commit", "--quiet", "--message=The guestbook"])?;
        Ok(tree)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The address Argosy is told.
    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.folder.display())
    }

    /// The commit that is checked out.
    pub(crate) fn head(&self) -> anyhow::Result<String> {
        self.git(&["rev-parse", "HEAD"])
    }

    fn git(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = Command::new("git").arg("-C").arg(&self.folder).args(args).output().context("starting git")?;
        ensure!(output.status.success(), "git {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}
