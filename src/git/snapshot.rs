//! The files of one commit, read straight from the object database. Nothing is
//! written anywhere, and nothing outside the commit can be reached.

use git2::{ObjectType, Oid, Repository, Tree, TreeEntry};

use crate::Error;
use crate::objects::{Objects, unreadable};
use crate::path::{Found, find, link_stays_inside, read_target};
use crate::refs::parse_oid;

/// Deepest folder of a listing; real trees stay below 50.
const MAX_DEPTH: usize = 256;
/// Entries of one listing. A tree that refers to itself many times over can name
/// billions in a few kilobytes.
const MAX_ENTRIES: usize = 1_000_000;

/// One commit of a mirror. Cheap to clone; to be read from any thread.
#[derive(Clone)]
pub struct Snapshot {
    objects: Objects,
    commit: Oid,
    root: Oid,
}

/// One thing in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From the listed folder; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// The object: of a file its content, of a submodule the commit it is at.
    pub oid: Oid,
    /// Bytes of a file or of a link's target; 0 for the rest.
    pub size: u64,
}

/// What a tree may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A plain file.
    File,
    /// A file with the executable bit.
    Executable,
    /// A symbolic link.
    Symlink,
    /// A folder.
    Tree,
    /// A commit of another repository.
    Submodule,
}

// === impl EntryKind ===

impl EntryKind {
    pub(crate) fn of(entry: &TreeEntry<'_>) -> Self {
        match entry.filemode() & 0o170_000 {
            0o040_000 => Self::Tree,
            0o120_000 => Self::Symlink,
            0o160_000 => Self::Submodule,
            _ if entry.filemode() & 0o111 != 0 => Self::Executable,
            _ => Self::File,
        }
    }
}

// === impl Snapshot ===

impl Snapshot {
    pub(crate) fn open(objects: &Objects, sha: &str) -> Result<Self, Error> {
        let unavailable = || Error::CommitUnavailable { sha: sha.to_owned() };
        let oid = parse_oid(sha).ok_or_else(unavailable)?;
        let handle = objects.handle()?;
        if !handle.odb().map_err(unreadable)?.exists(oid) {
            return Err(unavailable());
        }
        let object = handle.find_object(oid, None).map_err(unreadable)?;
        let commit = object.peel_to_commit().map_err(|_| unavailable())?;
        Ok(Self { objects: objects.clone(), commit: commit.id(), root: commit.tree_id() })
    }

    /// The commit.
    pub fn commit(&self) -> Oid {
        self.commit
    }

    /// The id of the folder or file at `path`, links followed; `None` when
    /// nothing is there. Equal ids mean equal content, in any commit, except
    /// for what links inside a folder lead to outside of it.
    ///
    /// # Errors
    /// [`Error::InvalidPath`], [`Error::OutOfBoundsLink`], [`Error::LinkLoop`],
    /// [`Error::Damaged`].
    pub fn tree_id(&self, path: &str) -> Result<Option<Oid>, Error> {
        Ok(find(&*self.objects.handle()?, self.root, path, true)?.map(|found| found.oid))
    }

    /// What is at `path` itself, a link at the end not followed; `None` when
    /// nothing is. The entry's path is `path`, cleaned, links in it resolved.
    ///
    /// # Errors
    /// As [`Self::tree_id`].
    pub fn entry(&self, path: &str) -> Result<Option<Entry>, Error> {
        self.described(path, false)
    }

    /// What `path` leads to, links followed; the entry's path is where that is.
    ///
    /// # Errors
    /// As [`Self::tree_id`].
    pub fn resolve(&self, path: &str) -> Result<Option<Entry>, Error> {
        self.described(path, true)
    }

    /// What is in the folder at `path` (`""` is the root), links on the way to it
    /// followed, links in it listed as such. Sorted as git sorts; with
    /// `recursive`, a folder is followed by what is in it.
    ///
    /// # Errors
    /// As [`Self::tree_id`], and [`Error::PathNotFound`], [`Error::WrongKind`]
    /// for a file, [`Error::MalformedTree`].
    pub fn list(&self, path: &str, recursive: bool) -> Result<Vec<Entry>, Error> {
        let handle = self.objects.handle()?;
        let mut listing = Listing { repo: &handle, recursive, sizes: true, entries: Vec::new() };
        listing.add(self.folder(&handle, path)?, "", 0)?;
        Ok(listing.entries)
    }

    /// The content of the file at `path`, links followed.
    ///
    /// # Errors
    /// As [`Self::tree_id`], and [`Error::PathNotFound`], [`Error::WrongKind`]
    /// for anything but a file, [`Error::TooLarge`] beyond `max_bytes`, before
    /// anything is read.
    pub fn read(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, Error> {
        let handle = self.objects.handle()?;
        let found = find(&handle, self.root, path, true)?.ok_or_else(|| not_found(path))?;
        if !matches!(found.kind, EntryKind::File | EntryKind::Executable) {
            return Err(Error::WrongKind { path: path.to_owned(), expected: "file" });
        }
        read_blob(&handle, found.oid, path, max_bytes)
    }

    /// The content of a file by the id a listing gave: for many files of one
    /// folder, cheaper than by path. `path` is for the error alone.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Damaged`].
    pub fn read_object(&self, oid: Oid, path: &str, max_bytes: u64) -> Result<Vec<u8>, Error> {
        read_blob(&*self.objects.handle()?, oid, path, max_bytes)
    }

    /// Makes sure that no symbolic link of the commit, by its text, leads out of
    /// the repository.
    ///
    /// # Errors
    /// [`Error::OutOfBoundsLink`] for the first that does.
    pub fn check_links(&self) -> Result<(), Error> {
        let handle = self.objects.handle()?;
        let mut listing = Listing { repo: &handle, recursive: true, sizes: false, entries: Vec::new() };
        listing.add(self.root, "", 0)?;
        for link in listing.entries.iter().filter(|entry| entry.kind == EntryKind::Symlink) {
            let target = read_target(&handle, link.oid, &link.path)?;
            if !link_stays_inside(&link.path, &target) {
                return Err(Error::OutOfBoundsLink { path: link.path.clone() });
            }
        }
        Ok(())
    }

    fn described(&self, path: &str, follow_last: bool) -> Result<Option<Entry>, Error> {
        let handle = self.objects.handle()?;
        let Some(Found { path, kind, oid }) = find(&handle, self.root, path, follow_last)? else { return Ok(None) };
        let size = size_of(&handle, kind, oid)?;
        Ok(Some(Entry { path, kind, oid, size }))
    }

    fn folder(&self, repo: &Repository, path: &str) -> Result<Oid, Error> {
        match find(repo, self.root, path, true)? {
            Some(Found { kind: EntryKind::Tree, oid, .. }) => Ok(oid),
            Some(_) => Err(Error::WrongKind { path: path.to_owned(), expected: "directory" }),
            None => Err(not_found(path)),
        }
    }
}

struct Listing<'a> {
    repo: &'a Repository,
    recursive: bool,
    sizes: bool,
    entries: Vec<Entry>,
}

// === impl Listing ===

impl Listing<'_> {
    fn add(&mut self, folder: Oid, prefix: &str, depth: usize) -> Result<(), Error> {
        let malformed = || Error::MalformedTree { path: prefix.trim_end_matches('/').to_owned() };
        let tree: Tree<'_> = self.repo.find_tree(folder).map_err(unreadable)?;
        if depth > MAX_DEPTH || self.entries.len() + tree.len() > MAX_ENTRIES {
            return Err(malformed());
        }
        for entry in &tree {
            let name = String::from_utf8_lossy(entry.name_bytes());
            if !is_plain_name(&name) {
                return Err(malformed());
            }
            let (kind, oid, path) = (EntryKind::of(&entry), entry.id(), format!("{prefix}{name}"));
            let size = if self.sizes { size_of(self.repo, kind, oid)? } else { 0 };
            let inner = (kind == EntryKind::Tree && self.recursive).then(|| format!("{path}/"));
            self.entries.push(Entry { path, kind, oid, size });
            if let Some(inner) = inner {
                self.add(oid, &inner, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Names git refuses to check out: whoever writes a listing to disk must not be
/// led elsewhere by one.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && name != "." && name != ".." && !name.eq_ignore_ascii_case(".git")
}

fn size_of(repo: &Repository, kind: EntryKind, oid: Oid) -> Result<u64, Error> {
    match kind {
        EntryKind::Tree | EntryKind::Submodule => Ok(0),
        EntryKind::File | EntryKind::Executable | EntryKind::Symlink => {
            let odb = repo.odb().map_err(unreadable)?;
            odb.read_header(oid).map(|(size, _)| size as u64).map_err(unreadable)
        }
    }
}

fn read_blob(repo: &Repository, oid: Oid, path: &str, max_bytes: u64) -> Result<Vec<u8>, Error> {
    let odb = repo.odb().map_err(unreadable)?;
    let (size, kind) = odb.read_header(oid).map_err(unreadable)?;
    if kind != ObjectType::Blob {
        return Err(Error::WrongKind { path: path.to_owned(), expected: "file" });
    }
    if size as u64 > max_bytes {
        return Err(Error::TooLarge { what: path.to_owned(), limit: max_bytes });
    }
    Ok(odb.read(oid).map_err(unreadable)?.data().to_vec())
}

fn not_found(path: &str) -> Error {
    Error::PathNotFound { path: path.to_owned() }
}
