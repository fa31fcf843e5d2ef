//! What a server says first: its capabilities, and with version 0 all its refs.

use git2::Oid;

use super::packet::{Line, PacketReader, WireError};
use crate::refs::parse_oid;

/// A server's opening words.
#[derive(Debug, Default)]
pub(crate) struct Advertisement {
    /// Version 2: refs are listed on request and several requests may follow.
    pub v2: bool,
    pub capabilities: Vec<String>,
    /// Version 0 only.
    pub refs: Vec<AdvertisedRef>,
}

/// One ref as listed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AdvertisedRef {
    pub name: String,
    pub oid: Oid,
    pub peeled: Option<Oid>,
    pub symref: Option<String>,
}

// === impl Advertisement ===

impl Advertisement {
    /// Reads it. Over HTTP a banner comes before it.
    pub(crate) async fn read(reader: &mut PacketReader) -> Result<Self, WireError> {
        let mut this = Self::default();
        loop {
            match reader.line().await? {
                Line::Text(text) if text.starts_with("# service=") => {
                    if reader.line().await? != Line::Boundary {
                        return Err(WireError::Malformed("the banner has no end"));
                    }
                }
                Line::Text("version 2") => this.v2 = true,
                Line::Text("version 1") => {}
                Line::Text(text) if this.v2 => this.capabilities.push(text.to_owned()),
                Line::Text(text) => this.read_ref(text)?,
                Line::Boundary => break,
            }
        }
        if this.capability("object-format").is_some_and(|format| format != "sha1") {
            return Err(WireError::Malformed("the repository uses SHA-256 objects, which are not supported"));
        }
        this.note_symrefs();
        Ok(this)
    }

    /// The value of a capability; empty for one without a value.
    pub(crate) fn capability(&self, name: &str) -> Option<&str> {
        self.capabilities.iter().find_map(|capability| {
            let rest = capability.strip_prefix(name)?;
            if rest.is_empty() { Some("") } else { rest.strip_prefix('=') }
        })
    }

    fn read_ref(&mut self, text: &str) -> Result<(), WireError> {
        let (text, capabilities) = text.split_once('\0').unwrap_or((text, ""));
        self.capabilities.extend(capabilities.split_whitespace().map(str::to_owned));
        let malformed = WireError::Malformed("the server did not list refs");
        let Some((oid, name)) = text.split_once(' ').and_then(|(oid, name)| Some((parse_oid(oid)?, name))) else {
            // `shallow <id>` lines follow the refs of a shallow repository.
            let shallow = text.starts_with("shallow ");
            return Err(if shallow { WireError::Malformed("the repository is a shallow clone") } else { malformed });
        };
        match (name.strip_suffix("^{}"), self.refs.last_mut()) {
            // The whole listing of an empty repository.
            (Some("capabilities"), _) => {}
            (Some(tag), Some(last)) if last.name == tag => last.peeled = Some(oid),
            (Some(_), _) => return Err(malformed),
            (None, _) => self.refs.push(AdvertisedRef { name: name.to_owned(), oid, peeled: None, symref: None }),
        }
        Ok(())
    }

    fn note_symrefs(&mut self) {
        for capability in &self.capabilities {
            let symref = capability.strip_prefix("symref=").and_then(|s| s.split_once(':'));
            let Some((name, target)) = symref else { continue };
            if let Some(found) = self.refs.iter_mut().find(|r| r.name == name) {
                found.symref = Some(target.to_owned());
            }
        }
    }
}

/// Reads the answer to a version 2 `ls-refs`.
pub(crate) async fn read_refs(reader: &mut PacketReader) -> Result<Vec<AdvertisedRef>, WireError> {
    let mut refs = Vec::new();
    while let Line::Text(text) = reader.line().await? {
        let mut words = text.split(' ');
        let (oid, name) = (words.next().unwrap_or_default(), words.next());
        if oid == "unborn" {
            continue;
        }
        let (Some(oid), Some(name)) = (parse_oid(oid), name) else {
            return Err(WireError::Malformed("the server did not list refs"));
        };
        let mut entry = AdvertisedRef { name: name.to_owned(), oid, peeled: None, symref: None };
        for attribute in words {
            if let Some(target) = attribute.strip_prefix("symref-target:") {
                entry.symref = Some(target.to_owned());
            } else if let Some(peeled) = attribute.strip_prefix("peeled:") {
                entry.peeled = Some(parse_oid(peeled).ok_or(WireError::Malformed("a peeled id is no id"))?);
            }
        }
        refs.push(entry);
    }
    Ok(refs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::packet::write_line;

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    fn reader(lines: &[&str]) -> PacketReader {
        let mut bytes = Vec::new();
        for line in lines {
            match *line {
                "FLUSH" => bytes.extend_from_slice(b"0000"),
                text => write_line(&mut bytes, text),
            }
        }
        PacketReader::new(std::io::Cursor::new(bytes), 1 << 20)
    }

    #[tokio::test]
    async fn a_version_0_advertisement_gives_refs_peeled_tags_and_head() {
        let head = format!("{A} HEAD\0multi_ack side-band-64k symref=HEAD:refs/heads/main agent=git/2\n");
        let (main, tag, peeled) =
            (format!("{A} refs/heads/main\n"), format!("{B} refs/tags/v1\n"), format!("{A} refs/tags/v1^{{}}\n"));
        let mut reader = reader(&["# service=git-upload-pack\n", "FLUSH", &head, &main, &tag, &peeled, "FLUSH"]);
        let read = Advertisement::read(&mut reader).await.unwrap();
        assert!(!read.v2);
        assert_eq!(read.capability("side-band-64k"), Some(""));
        assert_eq!(read.capability("agent"), Some("git/2"));
        assert_eq!(read.capability("side-band"), None);
        assert_eq!(read.refs[0].symref.as_deref(), Some("refs/heads/main"));
        assert_eq!(read.refs[2].peeled, parse_oid(A));
        assert_eq!(read.refs.len(), 3);
    }

    #[tokio::test]
    async fn an_empty_repository_has_no_refs() {
        let zero = format!("{} capabilities^{{}}\0side-band-64k", "0".repeat(40));
        assert!(Advertisement::read(&mut reader(&[&zero, "FLUSH"])).await.unwrap().refs.is_empty());
    }

    #[tokio::test]
    async fn version_2_lists_refs_on_request() {
        let mut greeting = reader(&["version 2\n", "ls-refs=unborn\n", "fetch=shallow", "FLUSH"]);
        assert!(Advertisement::read(&mut greeting).await.unwrap().v2);
        let (head, tag) = (format!("{A} HEAD symref-target:refs/heads/x"), format!("{B} refs/tags/v1 peeled:{A}\n"));
        let refs = read_refs(&mut reader(&[&head, &tag, "FLUSH"])).await.unwrap();
        assert_eq!(refs[0].symref.as_deref(), Some("refs/heads/x"));
        assert_eq!(refs[1].peeled, parse_oid(A));
    }

    #[tokio::test]
    async fn what_is_no_git_server_is_recognised() {
        assert!(Advertisement::read(&mut reader(&["<html>", "FLUSH"])).await.is_err());
        let sha256 = Advertisement::read(&mut reader(&["version 2", "object-format=sha256", "FLUSH"])).await;
        assert!(sha256.unwrap_err().to_string().contains("SHA-256"));
    }
}
