//! One bare repository and its history, written straight into its objects.
//! Times are counted, not read from a clock, so the same commits have the same
//! ids in every run.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context, ensure};
use git2::{Commit, FileMode, Oid, Repository, RepositoryInitOptions, Signature, Time};

use super::Inner;

/// 2026-01-01T00:00:00Z, the time of the first commit; each later one is a minute after.
const FIRST_COMMIT: i64 = 1_767_225_600;

/// A repository of a [`super::GitServer`]. Ids of commits are 40 hexadecimal digits.
pub struct Repo {
    server: Arc<Inner>,
    name: String,
    commits: AtomicI64,
}

/// A commit in the making; see [`Repo::change`].
pub struct Change<'a> {
    repo: &'a Repo,
    branch: String,
    message: String,
    rewrite: bool,
    edits: Vec<(String, Edit)>,
}

enum Edit {
    Write(Vec<u8>, FileMode),
    Remove,
}

// === impl Repo ===

impl Repo {
    pub(super) fn create(server: Arc<Inner>, name: &str) -> anyhow::Result<Self> {
        let repo = Self { server, name: name.to_owned(), commits: AtomicI64::new(0) };
        repo.init()?;
        Ok(repo)
    }

    /// Its name, without `.git`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `file:///...`, the bare repository itself.
    pub fn url_file(&self) -> String {
        format!("file://{}", self.server.path_of(&self.name).display())
    }

    /// `https://127.0.0.1:PORT/NAME.git`.
    pub fn url_https(&self) -> String {
        format!("https://{}/{}.git", self.server.https.address(), self.name)
    }

    /// `ssh://USER@127.0.0.1:PORT/...`, with the ssh server started if need be.
    ///
    /// # Errors
    /// When the ssh server does not start.
    pub fn url_ssh(&self) -> anyhow::Result<String> {
        let ssh = self.server.ssh()?;
        Ok(format!("ssh://{}{}", ssh.authority(), self.server.path_of(&self.name).display()))
    }

    /// Writes files on `main` in a new commit and returns its id; other files stay.
    ///
    /// # Errors
    /// When a path is none.
    pub fn commit(&self, files: &[(&str, &str)]) -> anyhow::Result<String> {
        files.iter().fold(self.change("main"), |change, (path, content)| change.write(path, content)).commit()
    }

    /// Starts a commit on a branch, made from `main` when it does not exist.
    pub fn change(&self, branch: &str) -> Change<'_> {
        Change {
            repo: self,
            branch: branch.to_owned(),
            message: "change".to_owned(),
            rewrite: false,
            edits: Vec::new(),
        }
    }

    /// Points a lightweight tag at a commit, moving it when it exists.
    ///
    /// # Errors
    /// When there is no such commit.
    pub fn tag(&self, name: &str, commit: &str) -> anyhow::Result<()> {
        let (git, id) = (self.open()?, Oid::from_str(commit).context("reading a commit id")?);
        git.reference(&format!("refs/tags/{name}"), id, true, "tag").context("tagging")?;
        Ok(())
    }

    /// Makes an annotated tag of a commit and returns the tag object's own id.
    ///
    /// # Errors
    /// When there is no such commit, or the tag exists.
    pub fn annotated_tag(&self, name: &str, commit: &str) -> anyhow::Result<String> {
        let (git, id) = (self.open()?, Oid::from_str(commit).context("reading a commit id")?);
        let target = git.find_object(id, None).context("finding a commit")?;
        let tag = git.tag(name, &target, &self.signature()?, name, false).context("tagging")?;
        Ok(tag.to_string())
    }

    /// Points a branch at a commit, wherever it pointed before: a force push.
    ///
    /// # Errors
    /// When there is no such commit.
    pub fn branch(&self, name: &str, commit: &str) -> anyhow::Result<()> {
        let (git, id) = (self.open()?, Oid::from_str(commit).context("reading a commit id")?);
        git.reference(&format!("refs/heads/{name}"), id, true, "branch").context("moving a branch")?;
        Ok(())
    }

    /// Removes a branch.
    ///
    /// # Errors
    /// When there is no such branch.
    pub fn delete_branch(&self, name: &str) -> anyhow::Result<()> {
        let git = self.open()?;
        let mut reference = git.find_reference(&format!("refs/heads/{name}")).context("finding a branch")?;
        reference.delete().context("deleting a branch")
    }

    /// Replaces the tip of `main` by another commit with these files changed: a
    /// force push that leaves the old tip unreachable.
    ///
    /// # Errors
    /// When there is nothing to replace.
    pub fn rewrite(&self, files: &[(&str, &str)]) -> anyhow::Result<String> {
        let mut change = self.change("main");
        change.rewrite = true;
        files.iter().fold(change, |change, (path, content)| change.write(path, content)).commit()
    }

    /// Deletes the repository and makes an empty one in its place, with a
    /// history of its own.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn recreate(&self) -> anyhow::Result<()> {
        self.delete()?;
        self.init()
    }

    /// Deletes the repository; its addresses answer as absent from now on.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn delete(&self) -> anyhow::Result<()> {
        std::fs::remove_dir_all(self.server.path_of(&self.name)).context("removing a repository")
    }

    /// The id of a branch's tip.
    ///
    /// # Errors
    /// When there is no such branch.
    pub fn tip(&self, branch: &str) -> anyhow::Result<String> {
        let id = self.open()?.refname_to_id(&format!("refs/heads/{branch}")).context("finding a branch")?;
        Ok(id.to_string())
    }

    fn init(&self) -> anyhow::Result<()> {
        let path = self.server.path_of(&self.name);
        ensure!(!path.exists(), "there is a repository {} already", self.name);
        let mut options = RepositoryInitOptions::new();
        options.bare(true).mkpath(true).initial_head("main");
        Repository::init_opts(path, &options).context("making a repository")?;
        Ok(())
    }

    fn open(&self) -> anyhow::Result<Repository> {
        Repository::open_bare(self.server.path_of(&self.name)).context("opening a repository")
    }

    fn signature(&self) -> anyhow::Result<Signature<'static>> {
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        let time = Time::new(FIRST_COMMIT + 60 * number, 0);
        Signature::new("Test Author", "author@example.com", &time).context("making a signature")
    }
}

// === impl Change ===

impl Change<'_> {
    /// Writes a file.
    #[must_use]
    pub fn write(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.edit(path, Edit::Write(content.as_ref().to_vec(), FileMode::Blob))
    }

    /// Writes an executable file.
    #[must_use]
    pub fn executable(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.edit(path, Edit::Write(content.as_ref().to_vec(), FileMode::BlobExecutable))
    }

    /// Makes a symbolic link, to anywhere.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.edit(path, Edit::Write(target.as_bytes().to_vec(), FileMode::Link))
    }

    /// Removes a file.
    #[must_use]
    pub fn remove(self, path: &str) -> Self {
        self.edit(path, Edit::Remove)
    }

    /// Says something else than "change".
    #[must_use]
    pub fn message(mut self, message: &str) -> Self {
        message.clone_into(&mut self.message);
        self
    }

    fn edit(mut self, path: &str, edit: Edit) -> Self {
        self.edits.push((path.to_owned(), edit));
        self
    }

    /// Makes the commit and returns its id.
    ///
    /// # Errors
    /// When a path is none, or a file to remove is not there.
    pub fn commit(self) -> anyhow::Result<String> {
        let git = self.repo.open()?;
        let reference = format!("refs/heads/{}", self.branch);
        let tip = |name: &str| git.find_reference(name).and_then(|r| r.peel_to_commit()).ok();
        let parent = tip(&reference).or_else(|| tip("refs/heads/main"));
        let tree = match &parent {
            Some(commit) => commit.tree().context("reading a tree")?,
            None => empty_tree(&git)?,
        };
        let mut builder = git2::build::TreeUpdateBuilder::new();
        for (path, edit) in &self.edits {
            match edit {
                Edit::Write(content, mode) => {
                    builder.upsert(path.as_str(), git.blob(content).context("writing a file")?, *mode)
                }
                Edit::Remove => builder.remove(path.as_str()),
            };
        }
        let tree = builder.create_updated(&git, &tree).context("writing a tree")?;
        let tree = git.find_tree(tree).context("reading a tree back")?;
        let parents: Vec<Commit<'_>> = match parent {
            Some(commit) if self.rewrite => commit.parents().collect(),
            parent => parent.into_iter().collect(),
        };
        let author = self.repo.signature()?;
        let parents: Vec<_> = parents.iter().collect();
        let id = git.commit(None, &author, &author, &self.message, &tree, &parents).context("committing")?;
        git.reference(&reference, id, true, &self.message).context("moving a branch")?;
        Ok(id.to_string())
    }
}

fn empty_tree(git: &Repository) -> anyhow::Result<git2::Tree<'_>> {
    let builder = git.treebuilder(None).context("making a tree")?;
    git.find_tree(builder.write().context("writing a tree")?).context("reading a tree back")
}
