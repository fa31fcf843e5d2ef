//! From what a user wrote as the target revision to a commit. Pure.

use git2::Oid;

use crate::Error;
use crate::constraint::{Constraint, Version};
use crate::refs::{HEADS, RemoteRefs, TAGS, parse_oid};

/// What a revision names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// A commit, and the full name of the ref that led to it, if any.
    Commit {
        /// 40 hexadecimal digits.
        sha: String,
        /// `refs/heads/main`, `refs/tags/v1.2.3`.
        reference: Option<String>,
    },
    /// The beginning of a commit's id, at least seven digits. Only the objects
    /// themselves can complete it: [`crate::Objects::complete`].
    Abbreviated(String),
}

// === impl Resolution ===

impl Resolution {
    fn named(oid: Oid, reference: impl Into<String>) -> Self {
        Self::Commit { sha: oid.to_string(), reference: Some(reference.into()) }
    }
}

/// Finds what `revision` names among `refs`. In this order: a full commit id is
/// itself; nothing or `HEAD` is `HEAD`; a branch; a tag; a ref by its full name;
/// a version constraint is the highest tag it admits; seven or more hexadecimal
/// digits are an abbreviated id. With a `tag_prefix`, a constraint looks only at
/// tags that begin with it, at what follows it.
///
/// # Errors
/// [`Error::Unresolved`].
pub fn resolve(refs: &RemoteRefs, revision: &str, tag_prefix: &str) -> Result<Resolution, Error> {
    let revision = revision.trim();
    if parse_oid(revision).is_some() {
        return Ok(Resolution::Commit { sha: revision.to_ascii_lowercase(), reference: None });
    }
    let found = if revision.is_empty() || revision == "HEAD" {
        refs.head.map(|oid| match &refs.head_target {
            Some(target) => Resolution::named(oid, target),
            None => Resolution::Commit { sha: oid.to_string(), reference: None },
        })
    } else {
        resolve_name(refs, revision)
            .or_else(|| resolve_constraint(refs, revision, tag_prefix))
            .or_else(|| resolve_abbreviated(revision))
    };
    found.ok_or_else(|| Error::Unresolved { revision: revision.to_owned() })
}

fn resolve_name(refs: &RemoteRefs, revision: &str) -> Option<Resolution> {
    [HEADS, TAGS, ""].iter().find_map(|prefix| {
        let name = format!("{prefix}{revision}");
        refs.commit_of(&name).map(|oid| Resolution::named(oid, name))
    })
}

/// A revision that is itself a version names that very tag, not a range.
fn resolve_constraint(refs: &RemoteRefs, revision: &str, tag_prefix: &str) -> Option<Resolution> {
    if Version::parse(revision).is_some() {
        return None;
    }
    let constraint = Constraint::parse(revision)?;
    let mut best: Option<(Version, &str, Oid)> = None;
    for (tag, oid) in refs.tags() {
        let Some(version) = tag.strip_prefix(tag_prefix).and_then(Version::parse) else { continue };
        if constraint.admits(&version) && best.as_ref().is_none_or(|(highest, ..)| version > *highest) {
            best = Some((version, tag, oid));
        }
    }
    best.map(|(_, tag, oid)| Resolution::named(oid, format!("{TAGS}{tag}")))
}

fn resolve_abbreviated(revision: &str) -> Option<Resolution> {
    let hex = (7..40).contains(&revision.len()) && revision.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| Resolution::Abbreviated(revision.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refs::RemoteRef;

    fn oid(n: u8) -> Oid {
        Oid::from_bytes(&[n; 20]).unwrap()
    }

    fn refs(names: &[(&str, u8)]) -> RemoteRefs {
        let mut refs = RemoteRefs::default();
        for (name, n) in names {
            refs.refs.insert((*name).to_owned(), RemoteRef { oid: oid(*n), peeled: None });
        }
        refs
    }

    fn sha(refs: &RemoteRefs, revision: &str, prefix: &str) -> Option<u8> {
        match resolve(refs, revision, prefix) {
            Ok(Resolution::Commit { sha, .. }) => Some(u8::from_str_radix(&sha[..2], 16).unwrap()),
            Ok(Resolution::Abbreviated(_)) => panic!("abbreviated"),
            Err(_) => None,
        }
    }

    #[test]
    fn exact_names_win_over_constraints_and_abbreviations() {
        let refs = refs(&[
            ("refs/heads/1.x", 1),
            ("refs/heads/main", 2),
            ("refs/heads/v9", 3),
            ("refs/pull/7/head", 4),
            ("refs/tags/deadbeef", 5),
            ("refs/tags/main", 6),
            ("refs/tags/v1.9.0", 7),
        ]);
        assert_eq!(sha(&refs, "1.x", ""), Some(1));
        assert_eq!(sha(&refs, "main", ""), Some(2), "a branch before a tag");
        assert_eq!(sha(&refs, "refs/tags/main", ""), Some(6));
        assert_eq!(sha(&refs, "refs/pull/7/head", ""), Some(4));
        assert_eq!(sha(&refs, "deadbeef", ""), Some(5));
        assert_eq!(sha(&refs, "1.*", ""), Some(7));
        assert_eq!(sha(&refs, "v1.9.0", ""), Some(7));
        assert_eq!(sha(&refs, "1.9.0", ""), None, "a version names its very tag");
        assert_eq!(sha(&refs, "v9", ""), Some(3));
    }

    #[test]
    fn annotated_tags_lead_to_their_commit() {
        let mut refs = refs(&[]);
        refs.refs.insert("refs/tags/v2.0.0".into(), RemoteRef { oid: oid(1), peeled: Some(oid(2)) });
        assert_eq!(sha(&refs, "v2.0.0", ""), Some(2));
        assert_eq!(sha(&refs, "^2", ""), Some(2));
    }

    #[test]
    fn a_tag_prefix_narrows_a_constraint_and_is_kept_in_the_name() {
        let refs = refs(&[("refs/tags/web-1.2.0", 1), ("refs/tags/api-1.9.0", 2), ("refs/tags/1.8.0", 3)]);
        assert_eq!(sha(&refs, "1.x", "web-"), Some(1));
        assert_eq!(sha(&refs, "1.x", ""), Some(3));
        let resolved = resolve(&refs, "~1.9", "api-").unwrap();
        assert_eq!(resolved, Resolution::named(oid(2), "refs/tags/api-1.9.0"));
    }

    #[test]
    fn nothing_is_head_and_ids_are_themselves() {
        let mut refs = refs(&[("refs/heads/trunk", 8)]);
        assert!(resolve(&refs, "HEAD", "").is_err());
        refs.head = Some(oid(8));
        refs.head_target = Some("refs/heads/trunk".into());
        assert_eq!(resolve(&refs, "", "").unwrap(), Resolution::named(oid(8), "refs/heads/trunk"));
        let full = "ABCDEF0123456789abcdef0123456789abcdef01";
        let expected = Resolution::Commit { sha: full.to_lowercase(), reference: None };
        assert_eq!(resolve(&refs, full, "").unwrap(), expected);
        assert_eq!(resolve(&refs, "1234567", "").unwrap(), Resolution::Abbreviated("1234567".into()));
        let error = resolve(&refs, "no-such", "").unwrap_err().to_string();
        assert_eq!(error, "unable to resolve 'no-such' to a commit SHA");
        assert!(resolve(&refs, "abc12", "").is_err(), "six digits or fewer are no id");
    }
}
