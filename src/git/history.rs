//! What a commit says about itself, and what lies between two of them.

use std::collections::BTreeSet;

use git2::{Commit, DiffOptions};

use crate::Error;
use crate::objects::{Objects, unreadable};
use crate::refs::parse_oid;

/// A commit as people read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitMetadata {
    /// `Name <address>`
    pub author: String,
    /// When it was written, in seconds since 1970.
    pub date: i64,
    /// The whole message, as it is.
    pub message: String,
    /// Short names of the tags on it, sorted.
    pub tags: Vec<String>,
}

// === impl Objects ===

impl Objects {
    /// What a commit says about itself, and the tags on it as of the last fetch.
    ///
    /// # Errors
    /// [`Error::CommitUnavailable`] when it is not in the mirror.
    pub fn commit_metadata(&self, sha: &str) -> Result<CommitMetadata, Error> {
        let handle = self.handle()?;
        let commit = find_commit(&handle, sha)?;
        let author = commit.author();
        let name = String::from_utf8_lossy(author.name_bytes()).into_owned();
        let address = String::from_utf8_lossy(author.email_bytes());
        let refs = self.refs();
        let tags = refs.tags().filter(|(_, oid)| *oid == commit.id()).map(|(name, _)| name.to_owned());
        Ok(CommitMetadata {
            author: format!("{name} <{address}>"),
            date: author.when().seconds(),
            message: String::from_utf8_lossy(commit.message_bytes()).into_owned(),
            tags: tags.collect(),
        })
    }

    /// Every path whose content differs between two commits, sorted; both names
    /// of a renamed file.
    ///
    /// # Errors
    /// [`Error::CommitUnavailable`] when one is not in the mirror.
    pub fn changed_paths(&self, from: &str, to: &str) -> Result<Vec<String>, Error> {
        let handle = self.handle()?;
        let tree = |sha| find_commit(&handle, sha)?.tree().map_err(unreadable);
        let (from, to) = (tree(from)?, tree(to)?);
        let mut options = DiffOptions::new();
        options.include_typechange(true).skip_binary_check(true).ignore_submodules(false);
        let diff = handle.diff_tree_to_tree(Some(&from), Some(&to), Some(&mut options)).map_err(unreadable)?;
        let mut paths = BTreeSet::new();
        for delta in diff.deltas() {
            for file in [delta.old_file(), delta.new_file()] {
                if let Some(path) = file.path_bytes() {
                    paths.insert(String::from_utf8_lossy(path).into_owned());
                }
            }
        }
        Ok(paths.into_iter().collect())
    }
}

fn find_commit<'r>(repo: &'r git2::Repository, sha: &str) -> Result<Commit<'r>, Error> {
    let unavailable = || Error::CommitUnavailable { sha: sha.to_owned() };
    let oid = parse_oid(sha).ok_or_else(unavailable)?;
    if !repo.odb().map_err(unreadable)?.exists(oid) {
        return Err(unavailable());
    }
    let object = repo.find_object(oid, None).map_err(unreadable)?;
    object.peel_to_commit().map_err(|_| unavailable())
}
