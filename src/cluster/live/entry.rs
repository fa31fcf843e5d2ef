//! What is kept of one object. Sizes matter here: there may be a hundred
//! thousand of these in a cluster, and most belong to nobody we serve.

use std::sync::Arc;

use super::summary::NodeSummary;

/// An object's uid. Nearly all are UUIDs, kept in 16 bytes instead of 36.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Uid {
    /// Not given.
    #[default]
    None,
    Uuid([u8; 16]),
    Text(Arc<str>),
}

/// Whom an object belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// By its owner reference.
    Uid(Uid),
    /// By inference, an object in the same namespace: index of the kind, and name.
    Named(u32, Arc<str>),
    /// A PersistentVolumeClaim that may have been made from a template of this
    /// StatefulSet; the template tells.
    Claim(u32, Arc<str>),
}

/// One object in the index.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: Arc<str>,
    pub(crate) uid: Uid,
    pub(crate) kind: u32,
    pub(crate) namespace: u32,
    /// `resourceVersion`, 0 where it is not a number: always believed.
    pub(crate) version: u64,
    /// Seconds since 1970, or `i64::MIN`.
    pub(crate) created: i64,
    pub(crate) owners: Box<[Owner]>,
    /// Instance name of the application the object says it belongs to.
    pub(crate) claimed: Option<Arc<str>>,
    pub(crate) extra: Option<Box<Extra>>,
    /// The listing that last confirmed the object.
    pub(crate) epoch: u32,
    pub(crate) deleting: bool,
    pub(crate) self_referenced: bool,
}

/// What only some objects have.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    pub(crate) summary: Option<Arc<NodeSummary>>,
    /// The object as JSON text: a fifth of what a parsed tree takes.
    pub(crate) full: Option<Arc<[u8]>>,
    /// Of the full object, less what does not count as a change.
    pub(crate) hash: u64,
}

// === impl Uid ===

impl Uid {
    pub(crate) fn parse(text: &str) -> Self {
        if text.is_empty() {
            return Self::None;
        }
        match parse_uuid(text.as_bytes()) {
            Some(bytes) => Self::Uuid(bytes),
            None => Self::Text(text.into()),
        }
    }
}

impl std::fmt::Display for Uid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Text(text) => f.write_str(text),
            Self::Uuid(bytes) => {
                for (i, byte) in bytes.iter().enumerate() {
                    if matches!(i, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

/// Lower-case canonical form only: another spelling must come out as it went in.
fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 {
        return None;
    }
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let (mut out, mut at) = ([0; 16], 0);
    for (i, byte) in out.iter_mut().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            if text[at] != b'-' {
                return None;
            }
            at += 1;
        }
        *byte = digit(text[at])? << 4 | digit(text[at + 1])?;
        at += 2;
    }
    Some(out)
}

// === impl Entry ===

/// What an allocation costs beside its content, in bytes, with glibc's allocator.
const ALLOCATION: usize = 16;
/// Counts of an `Arc`.
const COUNTS: usize = 16;

impl Entry {
    /// Bytes on the heap that belong to this entry alone, and those of its full object.
    pub(crate) fn heap_bytes(&self) -> (usize, usize) {
        let mut bytes = ALLOCATION + COUNTS + self.name.len();
        if !self.owners.is_empty() {
            bytes += ALLOCATION + std::mem::size_of_val(&*self.owners);
        }
        let mut full = 0;
        if let Some(extra) = &self.extra {
            bytes += ALLOCATION + size_of::<Extra>();
            bytes += extra.summary.as_ref().map_or(0, |s| ALLOCATION + COUNTS + s.bytes());
            full = extra.full.as_ref().map_or(0, |f| ALLOCATION + COUNTS + f.len());
        }
        (bytes, full)
    }

    pub(crate) fn summary(&self) -> Option<&Arc<NodeSummary>> {
        self.extra.as_ref()?.summary.as_ref()
    }

    pub(crate) fn full(&self) -> Option<&Arc<[u8]>> {
        self.extra.as_ref()?.full.as_ref()
    }

    pub(crate) fn hash(&self) -> u64 {
        self.extra.as_ref().map_or(0, |e| e.hash)
    }

    /// The application whose root this object is: objects with owners are
    /// parts of what their owners belong to, whatever they carry.
    pub(crate) fn root_of(&self) -> Option<&Arc<str>> {
        self.claimed.as_ref().filter(|_| self.owners.is_empty())
    }

    /// Whether somebody who has seen this object would see a difference in the other.
    pub(crate) fn looks_like(&self, other: &Self) -> bool {
        self.uid == other.uid
            && self.deleting == other.deleting
            && self.self_referenced == other.self_referenced
            && self.claimed == other.claimed
            && self.owners == other.owners
            && self.summary() == other.summary()
            && match (self.full(), other.full()) {
                (Some(_), None) => true,
                // Whether it changed since that version, nobody can tell.
                (None, Some(_)) => self.version == other.version,
                _ => self.hash() == other.hash(),
            }
    }

    /// Forgets the whole object.
    pub(crate) fn let_go(&mut self) {
        let Some(extra) = &mut self.extra else { return };
        (extra.full, extra.hash) = (None, 0);
        if extra.summary.is_none() {
            self.extra = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_come_out_as_they_went_in() {
        for text in ["0c9d3f0e-1b2a-4c3d-8e4f-5a6b7c8d9e0f", "0C9D3F0E-1B2A-4C3D-8E4F-5A6B7C8D9E0F", "odd", ""] {
            assert_eq!(Uid::parse(text).to_string(), text);
        }
        assert!(matches!(Uid::parse("0c9d3f0e-1b2a-4c3d-8e4f-5a6b7c8d9e0f"), Uid::Uuid(_)));
    }

    #[test]
    fn an_entry_stays_small() {
        assert!(size_of::<Entry>() <= 136, "{}", size_of::<Entry>());
    }
}
