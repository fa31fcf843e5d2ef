//! What a client says: list your refs, give me a pack.

use git2::Oid;

use super::advertisement::Advertisement;
use super::packet::{Line, PacketReader, WireError, write_line};

/// Sent as agent; servers look for a leading `git/`.
pub(crate) const AGENT: &str = concat!("git/2.0-argosy-", env!("CARGO_PKG_VERSION"));

const DELIMITER: &[u8] = b"0001";
const FLUSH: &[u8] = b"0000";

/// A version 2 request for the refs under `prefixes`.
pub(crate) fn list_refs(server: &Advertisement, prefixes: &[&str]) -> Vec<u8> {
    let mut out = command(server, "ls-refs");
    write_line(&mut out, "peel\n");
    write_line(&mut out, "symrefs\n");
    for prefix in prefixes {
        write_line(&mut out, &format!("ref-prefix {prefix}\n"));
    }
    out.extend_from_slice(FLUSH);
    out
}

/// A request for a pack with everything `wants` reach and `haves` do not.
pub(crate) fn fetch_pack(server: &Advertisement, wants: &[Oid], haves: &[Oid]) -> Result<Vec<u8>, WireError> {
    if server.v2 {
        let mut out = command(server, "fetch");
        for option in ["thin-pack\n", "ofs-delta\n", "no-progress\n"] {
            write_line(&mut out, option);
        }
        for want in wants {
            write_line(&mut out, &format!("want {want}\n"));
        }
        write_haves(&mut out, haves);
        out.extend_from_slice(FLUSH);
        return Ok(out);
    }
    if server.capability("side-band-64k").is_none() {
        return Err(WireError::Malformed("the server has no side-band-64k"));
    }
    let options: Vec<_> = ["multi_ack_detailed", "side-band-64k", "thin-pack", "ofs-delta", "no-progress"]
        .into_iter()
        .filter(|name| server.capability(name).is_some())
        .collect();
    let mut options = options.join(" ");
    if server.capability("agent").is_some() {
        options = format!("{options} agent={AGENT}");
    }
    let mut out = Vec::new();
    for (index, want) in wants.iter().enumerate() {
        let options = if index == 0 { format!(" {options}") } else { String::new() };
        write_line(&mut out, &format!("want {want}{options}\n"));
    }
    out.extend_from_slice(FLUSH);
    write_haves(&mut out, haves);
    Ok(out)
}

/// Reads the answer to [`fetch_pack`] up to where the side bands begin.
pub(crate) async fn read_until_pack(reader: &mut PacketReader, v2: bool) -> Result<(), WireError> {
    loop {
        match reader.line().await? {
            Line::Text("packfile") if v2 => return Ok(()),
            Line::Text("NAK") if !v2 => return Ok(()),
            Line::Text(text) if text.starts_with("shallow ") => {
                return Err(WireError::Malformed("the repository is a shallow clone"));
            }
            Line::Text(text) if !v2 && text.starts_with("ACK ") => {
                // `ACK <id> common` and `ready` precede the final, bare `ACK <id>`.
                if text.split(' ').count() == 2 {
                    return Ok(());
                }
            }
            Line::Text(_) | Line::Boundary if v2 => {}
            _ => return Err(WireError::Malformed("an answer to a fetch makes no sense")),
        }
    }
}

fn command(server: &Advertisement, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_line(&mut out, &format!("command={name}\n"));
    if server.capability("agent").is_some() {
        write_line(&mut out, &format!("agent={AGENT}\n"));
    }
    if server.capability("object-format").is_some() {
        write_line(&mut out, "object-format=sha1\n");
    }
    out.extend_from_slice(DELIMITER);
    out
}

fn write_haves(out: &mut Vec<u8>, haves: &[Oid]) {
    for have in haves {
        write_line(out, &format!("have {have}\n"));
    }
    write_line(out, "done\n");
}
