//! Length-prefixed packets and the side bands inside them.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, BufReader};

/// Reads packets off a stream, up to a total number of bytes.
pub(crate) struct PacketReader {
    source: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    buffer: Vec<u8>,
    remaining: u64,
    limit: u64,
}

/// One packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    Data(&'a [u8]),
    Flush,
    Delimiter,
    ResponseEnd,
}

/// One packet of text, without its newline.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Text(&'a str),
    /// Flush, delimiter or end of response.
    Boundary,
}

/// Why a conversation cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the stream broke")]
    Io(#[source] io::Error),
    /// The other end stopped before its message was complete.
    #[error("the stream ended early")]
    Ended,
    #[error("{0}")]
    Malformed(&'static str),
    #[error("more than {0} bytes")]
    TooLarge(u64),
    /// The server's own words.
    #[error("{0}")]
    Remote(String),
}

// === impl PacketReader ===

impl PacketReader {
    pub(crate) fn new(source: impl AsyncRead + Send + Unpin + 'static, limit: u64) -> Self {
        let source: Box<dyn AsyncRead + Send + Unpin> = Box::new(source);
        Self { source: BufReader::with_capacity(64 << 10, source), buffer: Vec::new(), remaining: limit, limit }
    }

    pub(crate) async fn next(&mut self) -> Result<Packet<'_>, WireError> {
        let mut prefix = [0; 4];
        self.fill(&mut prefix).await?;
        let length = std::str::from_utf8(&prefix)
            .ok()
            .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|hex| usize::from_str_radix(hex, 16).ok())
            .ok_or(WireError::Malformed("a packet has no length"))?;
        match length {
            0 => return Ok(Packet::Flush),
            1 => return Ok(Packet::Delimiter),
            2 => return Ok(Packet::ResponseEnd),
            3 => return Err(WireError::Malformed("a packet has an impossible length")),
            _ => {}
        }
        let left = self.remaining.checked_sub(length as u64);
        self.remaining = left.ok_or(WireError::TooLarge(self.limit))?;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(length - 4, 0);
        let filled = self.fill(&mut buffer).await;
        self.buffer = buffer;
        filled.map(|()| Packet::Data(&self.buffer))
    }

    /// The next packet as a line of text. A server's `ERR` becomes an error.
    pub(crate) async fn line(&mut self) -> Result<Line<'_>, WireError> {
        let Packet::Data(data) = self.next().await? else { return Ok(Line::Boundary) };
        let data = data.strip_suffix(b"\n").unwrap_or(data);
        let text = std::str::from_utf8(data).map_err(|_| WireError::Malformed("a line is not UTF-8"))?;
        match text.strip_prefix("ERR ") {
            Some(message) => Err(WireError::Remote(message.to_owned())),
            None => Ok(Line::Text(text)),
        }
    }

    /// Passes what comes over side band 1 to `sink` until the flush packet.
    pub(crate) async fn side_band<E: From<WireError>>(
        &mut self,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            match self.next().await? {
                Packet::Data([1, data @ ..]) => sink(data)?,
                Packet::Data([2, ..] | []) => {}
                Packet::Data([3, message @ ..]) => {
                    return Err(WireError::Remote(String::from_utf8_lossy(message).into_owned()).into());
                }
                Packet::Data(_) => return Err(WireError::Malformed("an unknown side band").into()),
                Packet::Flush | Packet::ResponseEnd => return Ok(()),
                Packet::Delimiter => return Err(WireError::Malformed("a delimiter inside a pack").into()),
            }
        }
    }

    async fn fill(&mut self, buffer: &mut [u8]) -> Result<(), WireError> {
        self.source.read_exact(buffer).await.map(|_| ()).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => WireError::Ended,
            _ => WireError::Io(error),
        })
    }
}

/// Appends one packet of text.
pub(crate) fn write_line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(format!("{:04x}{text}", text.len() + 4).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &'static [u8], limit: u64) -> PacketReader {
        PacketReader::new(bytes, limit)
    }

    #[tokio::test]
    async fn packets_are_read_one_by_one() {
        let mut packets = reader(b"0009hello0000000100020004000fERR no entry\n", 100);
        assert_eq!(packets.next().await.unwrap(), Packet::Data(b"hello"));
        assert_eq!(packets.next().await.unwrap(), Packet::Flush);
        assert_eq!(packets.next().await.unwrap(), Packet::Delimiter);
        assert_eq!(packets.next().await.unwrap(), Packet::ResponseEnd);
        assert_eq!(packets.next().await.unwrap(), Packet::Data(b""));
        assert!(matches!(packets.line().await, Err(WireError::Remote(m)) if m == "no entr"));
    }

    #[tokio::test]
    async fn hostile_streams_end_in_errors() {
        assert!(matches!(reader(b"", 9).next().await, Err(WireError::Ended)));
        assert!(matches!(reader(b"00ffx", 999).next().await, Err(WireError::Ended)));
        assert!(matches!(reader(b"+123", 9).next().await, Err(WireError::Malformed(_))));
        assert!(matches!(reader(b"0003", 9).next().await, Err(WireError::Malformed(_))));
        assert!(matches!(reader(b"0009hello", 8).next().await, Err(WireError::TooLarge(8))));
        assert!(matches!(reader(b"0006\xff\xfe", 9).line().await, Err(WireError::Malformed(_))));
    }

    #[tokio::test]
    async fn side_bands_are_taken_apart() {
        let mut taken = Vec::new();
        let mut sink = |data: &[u8]| -> Result<(), WireError> {
            taken.extend_from_slice(data);
            Ok(())
        };
        reader(b"0007\x01ab000b\x02progre0006\x01c0000", 99).side_band(&mut sink).await.unwrap();
        let error = reader(b"0009\x03oops0000", 99).side_band(&mut sink).await.unwrap_err();
        assert!(matches!(error, WireError::Remote(m) if m == "oops"));
        assert_eq!(taken, b"abc");
    }
}
