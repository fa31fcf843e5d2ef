//! Files that a caller sends: a gzipped tar archive in pieces, checked and
//! unpacked into memory.
//!
//! Nothing is written to a disk. The archive is refused when it is larger than
//! the settings allow, packed or unpacked, when it is not what its checksum
//! says, and when a path or a link in it leads out of the tree.

use std::io::Read as _;

use argosy_proto::peer::files_part::Part;
use argosy_proto::peer::{ApplicationRef, FilesHeader, FilesPart};
use argosy_render::MemoryTree;
use argosy_render::tree::clean_path;
use sha2::{Digest as _, Sha256};
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;

/// Files and links of one archive.
const MOST_ENTRIES: usize = 100_000;

/// An archive that has arrived whole.
pub(super) struct Upload {
    header: FilesHeader,
    archive: Vec<u8>,
}

// === impl Upload ===

impl Upload {
    /// Receives an archive of at most so many bytes.
    pub(super) async fn receive(
        mut parts: impl Stream<Item = Result<FilesPart, Status>> + Unpin,
        most: u64,
    ) -> Result<Self, Status> {
        let first = parts.next().await.transpose()?.and_then(|part| part.part);
        let Some(Part::Header(header)) = first else {
            return Err(Status::invalid_argument("the first part must be the header"));
        };
        let mut archive: Vec<u8> = Vec::new();
        while let Some(part) = parts.next().await.transpose()? {
            let Some(Part::Chunk(chunk)) = part.part else {
                return Err(Status::invalid_argument("all parts after the header must be chunks"));
            };
            if (archive.len() + chunk.len()) as u64 > most {
                return Err(Status::invalid_argument(format!("file exceeded max size of {most} bytes")));
            }
            archive.extend_from_slice(&chunk);
        }
        let checksum = format!("{:x}", Sha256::digest(&archive));
        if !checksum.eq_ignore_ascii_case(&header.checksum) {
            let expected = &header.checksum;
            return Err(Status::invalid_argument(format!(
                "error validating the file's checksum: expected {expected}, got {checksum}"
            )));
        }
        Ok(Self { header, archive })
    }

    /// The application it is for.
    pub(super) fn application(&self) -> Option<&ApplicationRef> {
        self.header.application.as_ref()
    }

    /// The files, of at most so many bytes together. Blocks.
    pub(super) fn unpack(self, most: u64) -> Result<MemoryTree, Status> {
        let unreadable = |_| Status::invalid_argument("the archive is no gzipped tar, or is damaged");
        let bad = |path: &str| Status::invalid_argument(format!("illegal filepath in archive: {path:?}"));
        // Headers and padding count too: a bomb may be made of nothing else.
        let limited = flate2::read::GzDecoder::new(self.archive.as_slice()).take(most.saturating_add(1));
        let mut archive = tar::Archive::new(limited);
        let mut tree = MemoryTree::new();
        let (mut count, mut total) = (0usize, 0u64);
        for entry in archive.entries().map_err(unreadable)? {
            let mut entry = entry.map_err(unreadable)?;
            count += 1;
            total = total.saturating_add(entry.size());
            if count > MOST_ENTRIES || total > most {
                return Err(Status::invalid_argument(format!(
                    "the archive holds more than {MOST_ENTRIES} files or {most} bytes"
                )));
            }
            let named = entry.path().map_err(unreadable)?.to_string_lossy().into_owned();
            let path = clean_path(&named).map_err(|_| bad(&named))?;
            match entry.header().entry_type() {
                tar::EntryType::Directory | tar::EntryType::XGlobalHeader => {}
                _ if path.is_empty() => return Err(bad(&named)),
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    let mut content = Vec::new();
                    entry.read_to_end(&mut content).map_err(unreadable)?;
                    tree = tree.with_file(&path, content);
                }
                tar::EntryType::Symlink => {
                    let link = entry.link_name().map_err(unreadable)?;
                    let link = link.map(|l| l.to_string_lossy().into_owned()).unwrap_or_default();
                    if !stays_inside(&path, &link) {
                        return Err(Status::invalid_argument(format!(
                            "streamed files contains out-of-bounds symlinks. file: {path}"
                        )));
                    }
                    tree = tree.with_link(&path, &link);
                }
                _ => return Err(Status::invalid_argument(format!("{path:?} is neither a file nor a folder"))),
            }
        }
        Ok(tree)
    }
}

/// Whether a link leads to somewhere in the tree, going by its words.
fn stays_inside(path: &str, link: &str) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    !link.is_empty() && !link.starts_with('/') && clean_path(format!("{folder}/{link}").trim_start_matches('/')).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use argosy_render::Tree as _;
    use std::io::Write as _;

    const MOST: u64 = 1 << 20;

    fn archive(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        build(&mut builder);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&builder.into_inner().expect("a tar")).expect("packs");
        packed.finish().expect("a gzip")
    }

    fn entry(builder: &mut tar::Builder<Vec<u8>>, path: &str, kind: tar::EntryType, link: &str, content: &[u8]) {
        let mut header = tar::Header::new_ustar();
        // Written as it is: the builder itself refuses what an attacker would send.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, content).expect("appends");
    }

    fn file(path: &str, content: &[u8]) -> Vec<u8> {
        archive(|b| entry(b, path, tar::EntryType::Regular, "", content))
    }

    fn link(path: &str, target: &str) -> Vec<u8> {
        archive(|b| entry(b, path, tar::EntryType::Symlink, target, b""))
    }

    async fn sent(archive: Vec<u8>, checksum: Option<&str>, most: u64) -> Result<Upload, Status> {
        let checksum = checksum.map_or_else(|| format!("{:x}", Sha256::digest(&archive)), str::to_owned);
        let header = FilesHeader { checksum, application: None };
        let mut parts = vec![Ok(FilesPart { part: Some(Part::Header(header)) })];
        parts.extend(archive.chunks(100).map(|c| Ok(FilesPart { part: Some(Part::Chunk(c.to_vec())) })));
        Upload::receive(tokio_stream::iter(parts), most).await
    }

    #[tokio::test]
    async fn files_and_inner_links_arrive() {
        let packed = archive(|b| {
            entry(b, "./app/", tar::EntryType::Directory, "", b"");
            entry(b, "./app/a.yaml", tar::EntryType::Regular, "", b"kind: A");
            entry(b, "b.yaml", tar::EntryType::Symlink, "app/../app/a.yaml", b"");
        });
        let tree = sent(packed, None, MOST).await.expect("arrives").unpack(MOST).expect("unpacks");
        assert_eq!(tree.read("app/a.yaml", 100).expect("a file"), b"kind: A");
        assert_eq!(tree.read("b.yaml", 100).expect("a link"), b"kind: A");
    }

    #[tokio::test]
    async fn nothing_leaves_the_tree() {
        let absolute = file("/etc/passwd", b"x");
        for bad in [
            file("../x", b"x"),
            file("a/../../x", b"x"),
            absolute,
            link("a", "/etc/passwd"),
            link("a", "../x"),
            link("a/b", "../../x"),
            archive(|b| entry(b, "h", tar::EntryType::Link, "/etc/passwd", b"")),
            archive(|b| entry(b, "f", tar::EntryType::Fifo, "", b"")),
        ] {
            let upload = sent(bad, None, MOST).await.expect("arrives");
            assert_eq!(upload.unpack(MOST).expect_err("is refused").code(), tonic::Code::InvalidArgument);
        }
    }

    #[tokio::test]
    async fn an_archive_is_bounded_packed_and_unpacked() {
        let bomb = file("zeros", &vec![0; 4 << 20]);
        assert!(bomb.len() < 100_000, "it is small while it is packed");
        assert!(sent(bomb.clone(), None, 1000).await.is_err());
        let upload = sent(bomb, None, MOST).await.expect("arrives");
        assert!(upload.unpack(MOST).is_err());
    }

    #[tokio::test]
    async fn what_is_not_what_its_checksum_says_is_refused() {
        assert!(sent(file("a", b"x"), Some("00"), MOST).await.is_err());
        let noise = sent(b"no gzip".to_vec(), None, MOST).await.expect("arrives");
        assert!(noise.unpack(MOST).is_err());
        assert!(Upload::receive(tokio_stream::iter(Vec::new()), MOST).await.is_err());
    }
}
