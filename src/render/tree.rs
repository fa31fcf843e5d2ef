//! The files a rendering may read: one directory tree at one revision, behind a
//! trait, so that rendering never touches a file system and never sees a secret.
//!
//! Paths are relative to the repository's root, `/` between names, `""` for the
//! root itself. [`clean_path`] is the only way a path from a manifest becomes one.

use std::error::Error as StdError;

mod memory;

pub use memory::MemoryTree;

/// A tree of files that does not change: a commit's, an extracted chart's.
/// Implementations block; callers keep them off an actor's thread.
pub trait Tree: Send + Sync {
    /// Content id of the directory at `path`, equal where all content below is
    /// equal; `None` where nothing is there.
    ///
    /// # Errors
    /// [`TreeError::NotADirectory`], or what reading met.
    fn tree_id(&self, path: &str) -> Result<Option<String>, TreeError>;

    /// Entries below the directory at `path`, in any order: its own, or with
    /// `recursive` those of all directories below too. Links are not followed.
    ///
    /// # Errors
    /// [`TreeError::NotFound`], [`TreeError::NotADirectory`], or what reading met.
    fn list(&self, path: &str, recursive: bool) -> Result<Vec<Entry>, TreeError>;

    /// Content of the file at `path`, links within the tree followed.
    ///
    /// # Errors
    /// Every [`TreeError`]; [`TreeError::TooBig`] beyond `max_bytes`.
    fn read(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, TreeError>;
}

/// Something in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path from the repository's root.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Content id; equal where the content is equal.
    pub id: String,
    /// Bytes of a file; of a link, of its target's path; else 0.
    pub size: u64,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, wherever it leads.
    Symlink,
    /// Another repository's commit: nothing that can be read here.
    Submodule,
}

/// Why something of a tree cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Nothing there, or a link that leads to nothing.
    #[error("{path}: no such file or directory")]
    NotFound {
        /// As asked.
        path: String,
    },
    /// A file was asked for.
    #[error("{path}: not a regular file")]
    NotAFile {
        /// As asked.
        path: String,
    },
    /// A directory was asked for.
    #[error("{path}: not a directory")]
    NotADirectory {
        /// As asked.
        path: String,
    },
    /// A link that leaves the repository, or is absolute.
    #[error("{path}: the link leads out of the repository; replace it by the file itself")]
    OutOfBounds {
        /// The link.
        path: String,
    },
    /// A chain of links that is too long or closed.
    #[error("{path}: too many levels of symbolic links")]
    TooManyLinks {
        /// As asked.
        path: String,
    },
    /// A file bigger than the reader would have it.
    #[error("{path}: bigger than {max_bytes} bytes")]
    TooBig {
        /// As asked.
        path: String,
        /// The reader's limit.
        max_bytes: u64,
    },
    /// The store behind the tree failed; asking again may help.
    #[error("{path}: reading the repository failed")]
    Read {
        /// As asked.
        path: String,
        /// What the store said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

/// Why a path is refused. Displays as Argo CD says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Begins with `/`.
    #[error("{0}: app path is absolute")]
    Absolute(String),
    /// Leaves the repository through `..`.
    #[error("{0}: app path outside root")]
    Outside(String),
    /// Holds a zero byte or a backslash, which no two systems read alike.
    #[error("{0:?}: app path holds a character that is not allowed")]
    Character(String),
}

/// The path without `.`, `..` and doubled slashes; `""` for the root.
///
/// # Errors
/// [`PathError`], for every path that is not below the root.
pub fn clean_path(path: &str) -> Result<String, PathError> {
    if path.starts_with('/') {
        return Err(PathError::Absolute(path.to_owned()));
    }
    if path.contains(['\0', '\\']) {
        return Err(PathError::Character(path.to_owned()));
    }
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if names.pop().is_none() => return Err(PathError::Outside(path.to_owned())),
            ".." => {}
            name => names.push(name),
        }
    }
    Ok(names.join("/"))
}

/// `name` below the directory `path`.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// `path` as seen from the directory `base` that holds it.
pub(crate) fn relative<'a>(base: &str, path: &'a str) -> &'a str {
    path.strip_prefix(base).map_or(path, |rest| rest.trim_start_matches('/'))
}

/// The last name of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_stays_inside_is_cleaned() {
        for (path, clean) in [("", ""), (".", ""), ("./a//b/", "a/b"), ("a/../b", "b"), ("a/./b/..", "a")] {
            assert_eq!(clean_path(path).as_deref(), Ok(clean), "{path}");
        }
    }

    #[test]
    fn a_path_that_leaves_the_repository_is_refused() {
        for path in ["..", "a/../..", "../x", "a/../../a", "/etc", "/", "a\\..\\b", "a\0"] {
            assert!(clean_path(path).is_err(), "{path}");
        }
    }
}
