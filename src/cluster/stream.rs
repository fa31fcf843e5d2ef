//! Reads a body line by line without copying lines out of the buffer, and cuts
//! one off.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::client::Body;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result, from_kube};

/// Longest line accepted, in bytes: above etcd's own bound for an object (1.5
/// MiB by default, raised by some) in JSON.
const LONGEST_LINE: usize = 64 << 20;

/// A response body that fails as soon as its connection is closed.
pub(crate) struct Stream {
    pub(crate) body: Body,
    pub(crate) closed: CancellationToken,
}

/// The lines of a response body, in the batches they arrive in.
pub(crate) struct Lines {
    body: Stream,
    pending: BytesMut,
    /// How much of `pending` is known to hold no line end.
    searched: usize,
}

// === impl Stream ===

impl Stream {
    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = tokio::select! {
                biased;
                () = self.closed.cancelled() => return Err(Error::Closed),
                frame = self.body.frame() => frame,
            };
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(from_kube(&error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

// === impl Lines ===

impl Lines {
    pub(crate) fn new(body: Stream) -> Self {
        Self { body, pending: BytesMut::new(), searched: 0 }
    }

    /// All complete lines at hand, waiting for at least one; `None` at the end
    /// of the body. What is left without a line end is dropped: it is a message
    /// cut short.
    pub(crate) async fn next_batch(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(end) = memchr::memrchr(b'\n', &self.pending[self.searched..]) {
                let batch = self.pending.split_to(self.searched + end + 1).freeze();
                self.searched = 0;
                return Ok(Some(batch));
            }
            self.searched = self.pending.len();
            if self.searched > LONGEST_LINE {
                return Err(Error::TooLarge(LONGEST_LINE));
            }
            match self.body.next().await? {
                None => return Ok(None),
                Some(data) => self.pending.extend_from_slice(&data),
            }
        }
    }
}

/// The lines of one batch, empty ones left out.
pub(crate) fn split(batch: &[u8]) -> impl Iterator<Item = &[u8]> {
    batch.split(|b| *b == b'\n').filter(|line| !line.is_empty())
}
