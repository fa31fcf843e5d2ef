//! The refs of a repository: as a remote lists them, and as the mirror keeps
//! them in one `packed-refs` file that is replaced whole, so that a reader sees
//! the refs before a fetch or those after it, never a mixture.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use git2::Oid;

/// All refs of a repository at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteRefs {
    /// What `HEAD` points at, `refs/heads/main`; `None` when it is detached or
    /// the server does not say.
    pub head_target: Option<String>,
    /// The commit of `HEAD`; `None` in an empty repository.
    pub head: Option<Oid>,
    /// By full name, `refs/heads/..`, `refs/tags/..` and others.
    pub refs: BTreeMap<String, RemoteRef>,
}

/// What one ref points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteRef {
    /// The object: a commit, or the tag object of an annotated tag.
    pub oid: Oid,
    /// For an annotated tag, what it finally names.
    pub peeled: Option<Oid>,
}

pub(crate) const HEADS: &str = "refs/heads/";
pub(crate) const TAGS: &str = "refs/tags/";

// === impl RemoteRef ===

impl RemoteRef {
    /// The commit, through an annotated tag.
    pub fn commit(&self) -> Oid {
        self.peeled.unwrap_or(self.oid)
    }
}

// === impl RemoteRefs ===

impl RemoteRefs {
    /// Branches by short name, with their commit.
    pub fn branches(&self) -> impl Iterator<Item = (&str, Oid)> {
        self.below(HEADS)
    }

    /// Tags by short name, with the commit they name.
    pub fn tags(&self) -> impl Iterator<Item = (&str, Oid)> {
        self.below(TAGS)
    }

    fn below<'a>(&'a self, prefix: &'static str) -> impl Iterator<Item = (&'a str, Oid)> {
        self.refs
            .range(prefix.to_owned()..)
            .map_while(move |(name, target)| name.strip_prefix(prefix).map(|short| (short, target.commit())))
    }

    /// The commit of a ref by its full name.
    pub fn commit_of(&self, full_name: &str) -> Option<Oid> {
        self.refs.get(full_name).map(RemoteRef::commit)
    }

    /// The same without refs a mirror does not follow.
    pub(crate) fn mirrored(&self) -> Self {
        let mut copy = self.clone();
        copy.refs.retain(|name, _| name.starts_with(HEADS) || name.starts_with(TAGS));
        copy
    }

    /// The text of a `packed-refs` file.
    pub(crate) fn to_packed(&self) -> String {
        let mut text = String::from("# pack-refs with: peeled fully-peeled sorted \n");
        for (name, target) in &self.refs {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{} {name}", target.oid);
            if let Some(peeled) = target.peeled {
                let _ = writeln!(text, "^{peeled}");
            }
        }
        text
    }

    /// Reads what [`Self::to_packed`] wrote; `None` when it is damaged.
    pub(crate) fn from_packed(text: &str) -> Option<BTreeMap<String, RemoteRef>> {
        let mut refs = BTreeMap::<String, RemoteRef>::new();
        let mut last: Option<String> = None;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(peeled) = line.strip_prefix('^') {
                refs.get_mut(last.as_ref()?)?.peeled = Some(parse_oid(peeled)?);
                continue;
            }
            let (oid, name) = line.split_once(' ')?;
            refs.insert(name.to_owned(), RemoteRef { oid: parse_oid(oid)?, peeled: None });
            last = Some(name.to_owned());
        }
        Some(refs)
    }
}

/// A full SHA-1 in hexadecimal, nothing shorter.
pub(crate) fn parse_oid(text: &str) -> Option<Oid> {
    let full = text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    full.then(|| Oid::from_str(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_refs_come_back_as_they_were_written() {
        let oid = |n: u8| Oid::from_bytes(&[n; 20]).unwrap();
        let mut refs = RemoteRefs::default();
        refs.refs.insert("refs/heads/main".into(), RemoteRef { oid: oid(1), peeled: None });
        refs.refs.insert("refs/tags/v1".into(), RemoteRef { oid: oid(2), peeled: Some(oid(1)) });
        assert_eq!(RemoteRefs::from_packed(&refs.to_packed()), Some(refs.refs.clone()));
        assert_eq!(refs.tags().collect::<Vec<_>>(), [("v1", oid(1))]);
        assert_eq!(refs.branches().collect::<Vec<_>>(), [("main", oid(1))]);
        assert_eq!(RemoteRefs::from_packed("rubbish"), None);
        assert_eq!(RemoteRefs::from_packed("^00"), None);
    }
}
