//! A tree in memory: for tests, and for manifests that are sent rather than read.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::{Entry, EntryKind, Tree, TreeError};

/// Links followed before a chain counts as closed; Linux's own limit.
const MAX_LINKS: usize = 40;

/// Files and links by path.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    nodes: BTreeMap<String, Node>,
}

#[derive(Debug, Clone)]
enum Node {
    File(Vec<u8>),
    Link(String),
}

// === impl MemoryTree ===

impl MemoryTree {
    /// A tree without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a file more, at a clean path.
    #[must_use]
    pub fn with_file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.nodes.insert(path.to_owned(), Node::File(content.into()));
        self
    }

    /// With a symbolic link more, whose target is relative to its directory.
    #[must_use]
    pub fn with_link(mut self, path: &str, target: &str) -> Self {
        self.nodes.insert(path.to_owned(), Node::Link(target.to_owned()));
        self
    }

    fn below<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let start = prefix.clone();
        self.nodes.range(start..).take_while(move |(p, _)| p.starts_with(&prefix)).map(|(p, node)| (p.as_str(), node))
    }

    fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || self.below(path).next().is_some()
    }

    fn directory_id(&self, path: &str) -> String {
        let mut hash = Sha256::new();
        for (p, node) in self.below(path) {
            hash.update(super::relative(path, p));
            hash.update([0]);
            hash.update(node.id());
        }
        format!("{:x}", hash.finalize())
    }

    /// Follows every link on the way to `path`.
    fn resolve(&self, path: &str) -> Result<&Node, TreeError> {
        let mut pending: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let (mut at, mut links): (Vec<String>, usize) = (Vec::new(), 0);
        while let Some(name) = pending.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." if at.pop().is_none() => return Err(TreeError::OutOfBounds { path: path.to_owned() }),
                ".." => continue,
                _ => at.push(name),
            }
            let Some(Node::Link(target)) = self.nodes.get(&at.join("/")) else { continue };
            links += 1;
            if links > MAX_LINKS {
                return Err(TreeError::TooManyLinks { path: path.to_owned() });
            }
            if target.starts_with('/') {
                return Err(TreeError::OutOfBounds { path: path.to_owned() });
            }
            at.pop();
            pending.extend(target.split('/').rev().map(str::to_owned));
        }
        let resolved = at.join("/");
        match self.nodes.get(&resolved) {
            Some(node) => Ok(node),
            None if self.is_directory(&resolved) => Err(TreeError::NotAFile { path: path.to_owned() }),
            None => Err(TreeError::NotFound { path: path.to_owned() }),
        }
    }
}

impl Node {
    fn id(&self) -> String {
        let (kind, bytes) = match self {
            Self::File(content) => (b'f', content.as_slice()),
            Self::Link(target) => (b'l', target.as_bytes()),
        };
        format!("{:x}", Sha256::new().chain_update([kind]).chain_update(bytes).finalize())
    }

    fn entry(&self, path: &str) -> Entry {
        let (kind, size) = match self {
            Self::File(content) => (EntryKind::File, content.len()),
            Self::Link(target) => (EntryKind::Symlink, target.len()),
        };
        Entry { path: path.to_owned(), kind, id: self.id(), size: size as u64 }
    }
}

impl Tree for MemoryTree {
    fn tree_id(&self, path: &str) -> Result<Option<String>, TreeError> {
        if self.nodes.contains_key(path) {
            return Err(TreeError::NotADirectory { path: path.to_owned() });
        }
        Ok(self.is_directory(path).then(|| self.directory_id(path)))
    }

    fn list(&self, path: &str, recursive: bool) -> Result<Vec<Entry>, TreeError> {
        if self.tree_id(path)?.is_none() {
            return Err(TreeError::NotFound { path: path.to_owned() });
        }
        let mut entries: Vec<Entry> = Vec::new();
        for (p, node) in self.below(path) {
            let names = super::relative(path, p);
            if recursive || !names.contains('/') {
                entries.push(node.entry(p));
                continue;
            }
            let directory = &p[..p.len() - names.len() + names.find('/').unwrap_or(0)];
            if entries.last().is_none_or(|e| e.path != directory) {
                let id = self.directory_id(directory);
                entries.push(Entry { path: directory.to_owned(), kind: EntryKind::Directory, id, size: 0 });
            }
        }
        Ok(entries)
    }

    fn read(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, TreeError> {
        match self.resolve(path)? {
            Node::File(content) if content.len() as u64 > max_bytes => {
                Err(TreeError::TooBig { path: path.to_owned(), max_bytes })
            }
            Node::File(content) => Ok(content.clone()),
            Node::Link(_) => Err(TreeError::TooManyLinks { path: path.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_and_refused_outside() {
        let tree = MemoryTree::new()
            .with_file("shared/x.yaml", "x")
            .with_link("app/in.yaml", "../shared/x.yaml")
            .with_link("app/dir", "../shared")
            .with_link("app/out.yaml", "../../etc/passwd")
            .with_link("app/abs.yaml", "/etc/passwd")
            .with_link("app/loop.yaml", "loop.yaml");
        assert_eq!(tree.read("app/in.yaml", 9).expect("inside"), b"x");
        assert_eq!(tree.read("app/dir/x.yaml", 9).expect("inside"), b"x");
        assert!(matches!(tree.read("app/dir", 9), Err(TreeError::NotAFile { .. })));
        assert!(matches!(tree.read("app/out.yaml", 9), Err(TreeError::OutOfBounds { .. })));
        assert!(matches!(tree.read("app/abs.yaml", 9), Err(TreeError::OutOfBounds { .. })));
        assert!(matches!(tree.read("app/loop.yaml", 9), Err(TreeError::TooManyLinks { .. })));
        assert!(matches!(tree.read("app/in.yaml", 0), Err(TreeError::TooBig { .. })));
    }

    #[test]
    fn equal_content_has_equal_ids_wherever_it_lies() {
        let tree = MemoryTree::new().with_file("a/x", "1").with_file("b/x", "1").with_file("c/x", "2");
        assert_eq!(tree.tree_id("a").expect("id"), tree.tree_id("b").expect("id"));
        assert_ne!(tree.tree_id("a").expect("id"), tree.tree_id("c").expect("id"));
        assert_eq!(tree.tree_id("d").expect("id"), None);
    }
}
