//! Paths inside a commit. What a user wrote is taken apart and never leaves the
//! root; symbolic links are followed inside the tree of the same commit and
//! nowhere else.

use std::collections::VecDeque;

use git2::{ObjectType, Oid, Repository};

use crate::Error;
use crate::objects::unreadable;
use crate::snapshot::EntryKind;

/// Links followed for one path, as on Linux.
const MAX_LINKS: usize = 40;
/// Bytes of a link's target, as on Linux.
const MAX_TARGET: usize = 4096;

/// What a path leads to.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// From the root, links resolved.
    pub path: String,
    pub kind: EntryKind,
    pub oid: Oid,
}

/// The components of a path as a user writes it: `./a//b/../c/` is `a`, `c`.
pub(crate) fn components(path: &str) -> Result<Vec<&str>, Error> {
    let invalid = || Error::InvalidPath { path: path.to_owned() };
    if path.starts_with('/') || path.contains('\0') {
        return Err(invalid());
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or_else(invalid)?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts)
}

/// Where a link at `path` leads, by its text alone; `None` when that is outside.
pub(crate) fn link_stays_inside(path: &str, target: &str) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    !target.starts_with('/') && components(format!("{folder}/{target}").trim_start_matches('/')).is_ok()
}

/// Follows `path` from the tree `root`; `None` when nothing is there. With
/// `follow_last`, a link at the very end is followed too.
pub(crate) fn find(repo: &Repository, root: Oid, path: &str, follow_last: bool) -> Result<Option<Found>, Error> {
    let mut pending: VecDeque<String> = components(path)?.into_iter().map(str::to_owned).collect();
    let mut folders: Vec<(String, Oid)> = Vec::new();
    let mut links = 0;
    let mut last_link = String::new();
    while let Some(name) = pending.pop_front() {
        if name == ".." {
            // Only a link's target holds these; the user's path is free of them.
            folders.pop().ok_or_else(|| Error::OutOfBoundsLink { path: last_link.clone() })?;
            continue;
        }
        let folder = folders.last().map_or(root, |(_, oid)| *oid);
        let tree = repo.find_tree(folder).map_err(unreadable)?;
        let Some(entry) = tree.get_name(&name) else { return Ok(None) };
        let (kind, oid) = (EntryKind::of(&entry), entry.id());
        let here = join(&folders, &name);
        match kind {
            EntryKind::Tree => folders.push((name, oid)),
            EntryKind::Symlink if follow_last || !pending.is_empty() => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Error::LinkLoop { path: path.to_owned() });
                }
                let target = read_target(repo, oid, &here)?;
                for part in target.split('/').rev().filter(|part| !matches!(*part, "" | ".")) {
                    pending.push_front(part.to_owned());
                }
                last_link = here;
            }
            _ if pending.is_empty() => return Ok(Some(Found { path: here, kind, oid })),
            _ => return Ok(None),
        }
    }
    let oid = folders.last().map_or(root, |(_, oid)| *oid);
    let names: Vec<_> = folders.into_iter().map(|(name, _)| name).collect();
    Ok(Some(Found { path: names.join("/"), kind: EntryKind::Tree, oid }))
}

/// A link's target; an absolute one is out of bounds.
pub(crate) fn read_target(repo: &Repository, oid: Oid, link: &str) -> Result<String, Error> {
    let outside = || Error::OutOfBoundsLink { path: link.to_owned() };
    let odb = repo.odb().map_err(unreadable)?;
    let (size, kind) = odb.read_header(oid).map_err(unreadable)?;
    if size > MAX_TARGET || kind != ObjectType::Blob {
        return Err(outside());
    }
    let blob = odb.read(oid).map_err(unreadable)?;
    let target = String::from_utf8(blob.data().to_vec()).map_err(|_| outside())?;
    if target.starts_with('/') || target.contains('\0') { Err(outside()) } else { Ok(target) }
}

fn join(folders: &[(String, Oid)], name: &str) -> String {
    let mut path = String::new();
    for (folder, _) in folders {
        path.push_str(folder);
        path.push('/');
    }
    path + name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_path_never_leaves_the_root() {
        assert_eq!(components("./a//b/../c/").unwrap(), ["a", "c"]);
        assert_eq!(components("").unwrap(), Vec::<&str>::new());
        for path in ["/etc/passwd", "..", "a/../../b", "a\0b"] {
            assert!(components(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_links_text_tells_whether_it_stays_inside() {
        assert!(link_stays_inside("a/b/link", "../c"));
        assert!(link_stays_inside("a/link", ".."));
        assert!(link_stays_inside("link", "."));
        assert!(!link_stays_inside("a/link", "../../x"));
        assert!(!link_stays_inside("link", "/etc"));
    }
}
