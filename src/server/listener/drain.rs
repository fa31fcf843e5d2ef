//! Ends answers that are still open when the server stops, so that their clients
//! come back to another replica. An answer that has more to send sends it; one that
//! waits for something to happen ends.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status};

/// A body that ends when it has nothing to send and the server stops.
pub(super) struct Draining {
    inner: Body,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    /// gRPC ends with a status, which tells the client to try again.
    grpc: bool,
    ended: bool,
}

// === impl Draining ===

impl Draining {
    pub(super) fn new(inner: Body, stop: &CancellationToken, grpc: bool) -> Self {
        Self { inner, stop: Box::pin(stop.clone().cancelled_owned()), grpc, ended: false }
    }

    fn goodbye(&self) -> Option<Result<Frame<Bytes>, axum::Error>> {
        let mut trailers = http::HeaderMap::new();
        let status = Status::new(Code::Unavailable, "the server is shutting down");
        (self.grpc && status.add_header(&mut trailers).is_ok()).then(|| Ok(Frame::trailers(trailers)))
    }
}

impl hyper::body::Body for Draining {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.ended = frame.is_none();
            return Poll::Ready(frame);
        }
        if self.stop.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.ended = true;
        Poll::Ready(self.goodbye())
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
