//! The list of host keys: read, and changed line by line.
//!
//! Comments, empty lines, lines that are marked (`@cert-authority`, `@revoked`)
//! and lines that make no sense are nobody's entries: they are neither shown nor
//! changed. Names that are hashed are entries like others, by their hash.

use argosy_proto::v1alpha1::RepositoryCertificate;

use super::SSH;
use super::host_key::{self, HostKey};

/// A line that has a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Names, as they stand there.
    pub(super) host: &'a str,
    /// Algorithm.
    pub(super) sub_type: &'a str,
    /// The key in base64, and a comment perhaps.
    pub(super) data: &'a str,
}

/// There is another key, and nobody said that it may be replaced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key for '{host}' (subtype: '{sub_type}') already exists, and upsert was not specified")]
pub(super) struct Exists {
    host: String,
    sub_type: String,
}

// === impl Entry ===

impl<'a> Entry<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let line = line.trim();
        if line.starts_with(['#', '@']) {
            return None;
        }
        let (host, rest) = line.split_once([' ', '\t'])?;
        let (sub_type, data) = rest.trim_start().split_once([' ', '\t'])?;
        Some(Self { host, sub_type, data: data.trim_start() })
    }

    fn is_of(&self, key: &HostKey) -> bool {
        self.host == key.host && self.sub_type == key.sub_type
    }

    /// The entry as clients see it in lists.
    pub(super) fn described(&self) -> RepositoryCertificate {
        // A key that is broken has no fingerprint.
        let fingerprint = host_key::read(self.data).map(|key| key.fingerprint).unwrap_or_default();
        RepositoryCertificate { cert_info: format!("SHA256:{fingerprint}"), ..self.named() }
    }

    /// The entry with its key.
    pub(super) fn whole(&self) -> RepositoryCertificate {
        RepositoryCertificate { cert_data: self.data.as_bytes().to_vec(), ..self.named() }
    }

    fn named(&self) -> RepositoryCertificate {
        RepositoryCertificate {
            server_name: self.host.to_owned(),
            cert_type: SSH.to_owned(),
            cert_sub_type: self.sub_type.to_owned(),
            ..Default::default()
        }
    }
}

/// The entries of a list.
pub(super) fn entries(list: &str) -> impl Iterator<Item = Entry<'_>> {
    list.lines().filter_map(Entry::read)
}

/// The list with the key in it; `None` where it is there already.
///
/// # Errors
/// [`Exists`], where the host has another key of this type.
pub(super) fn with_key(list: &str, key: &HostKey, upsert: bool) -> Result<Option<String>, Exists> {
    let mut of_host = entries(list).filter(|entry| entry.is_of(key)).peekable();
    let is_known = of_host.peek().is_some();
    if of_host.any(|entry| host_key::first_word(entry.data) == key.key()) {
        return Ok(None);
    }
    if is_known && !upsert {
        return Err(Exists { host: key.host.clone(), sub_type: key.sub_type.clone() });
    }
    let line = format!("{} {} {}\n", key.host, key.sub_type, key.data);
    let mut changed = String::with_capacity(list.len() + line.len() + 1);
    let mut written = false;
    for old in list.split_inclusive('\n') {
        if !written && Entry::read(old).is_some_and(|entry| entry.is_of(key)) {
            changed.push_str(&line);
            written = true;
        } else {
            changed.push_str(old);
        }
    }
    if !written {
        if !changed.is_empty() && !changed.ends_with('\n') {
            changed.push('\n');
        }
        changed.push_str(&line);
    }
    Ok(Some(changed))
}

/// The list without the entries that are selected, and those.
pub(super) fn without<'a>(list: &'a str, selects: impl Fn(&Entry<'a>) -> bool) -> (String, Vec<Entry<'a>>) {
    let mut removed = Vec::new();
    let mut kept = String::with_capacity(list.len());
    for line in list.split_inclusive('\n') {
        match Entry::read(line).filter(&selects) {
            Some(entry) => removed.push(entry),
            None => kept.push_str(line),
        }
    }
    (kept, removed)
}

#[cfg(test)]
mod tests {
    use super::super::host_key::tests::{GITHUB, GITHUB_FINGERPRINT};
    use super::*;

    fn key(host: &str, data: &str) -> HostKey {
        HostKey {
            host: host.to_owned(),
            sub_type: "ssh-ed25519".to_owned(),
            data: data.to_owned(),
            fingerprint: String::new(),
        }
    }

    fn list() -> String {
        format!(
            "# ours\r\n\n@cert-authority *.example.com ssh-rsa AAAA\na.com,b.com ssh-rsa AAAB comment here\n|1|x/y=|z= ssh-ed25519 AAAC\n  [c.com]:22\tssh-ed25519   {GITHUB}\nnonsense"
        )
    }

    #[test]
    fn comments_and_marked_lines_are_no_entries_and_hashed_names_are() {
        let list = list();
        let hosts: Vec<_> = entries(&list).map(|entry| (entry.host, entry.sub_type, entry.data)).collect();
        assert_eq!(
            hosts,
            [
                ("a.com,b.com", "ssh-rsa", "AAAB comment here"),
                ("|1|x/y=|z=", "ssh-ed25519", "AAAC"),
                ("[c.com]:22", "ssh-ed25519", GITHUB),
            ]
        );
    }

    #[test]
    fn entries_are_described_by_their_fingerprint() {
        let list = list();
        let described: Vec<_> = entries(&list).map(|entry| entry.described()).collect();
        assert_eq!(described[2].cert_info, format!("SHA256:{GITHUB_FINGERPRINT}"));
        assert_eq!(described[0].cert_info, "SHA256:");
        assert!(described.iter().all(|certificate| certificate.cert_data.is_empty()));
    }

    #[test]
    fn a_new_key_is_added_and_everything_else_stays() {
        let list = list();
        let changed = with_key(&list, &key("d.com", GITHUB), false).unwrap().unwrap();
        assert_eq!(changed, format!("{list}\nd.com ssh-ed25519 {GITHUB}\n"));
        assert_eq!(with_key("", &key("d.com", "AA"), false).unwrap().unwrap(), "d.com ssh-ed25519 AA\n");
    }

    #[test]
    fn a_key_that_is_there_changes_nothing() {
        assert_eq!(with_key(&list(), &key("[c.com]:22", &format!("{GITHUB} other comment")), false), Ok(None));
    }

    #[test]
    fn another_key_of_the_host_is_replaced_only_when_asked_for() {
        let list = list();
        let refused = with_key(&list, &key("[c.com]:22", "AAAD"), false).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "key for '[c.com]:22' (subtype: 'ssh-ed25519') already exists, and upsert was not specified"
        );
        let changed = with_key(&list, &key("[c.com]:22", "AAAD"), true).unwrap().unwrap();
        assert_eq!(
            changed,
            list.replace(&format!("  [c.com]:22\tssh-ed25519   {GITHUB}"), "[c.com]:22 ssh-ed25519 AAAD")
        );
    }

    #[test]
    fn what_is_removed_is_what_was_selected() {
        let list = list();
        let (kept, removed) = without(&list, |entry| entry.sub_type == "ssh-ed25519");
        assert_eq!(removed.len(), 2);
        assert_eq!(removed[0].whole().cert_data, b"AAAC".as_slice());
        assert_eq!(
            kept,
            "# ours\r\n\n@cert-authority *.example.com ssh-rsa AAAA\na.com,b.com ssh-rsa AAAB comment here\nnonsense"
        );
    }
}
