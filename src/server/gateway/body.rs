//! Reading and refusing bodies.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use tokio::time::timeout;

/// How much of a refused body is read, so that its sender gets to read the refusal.
const DRAINED: usize = 16 << 20;
/// And for how long.
const DRAIN_TIME: Duration = Duration::from_secs(3);

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    TooLarge,
    TooSlow,
    Broken,
}

/// Reads a body of at most `limit` bytes that arrives within `time`.
pub(super) async fn read(body: Body, limit: usize, time: Duration) -> Result<Bytes, Unread> {
    let mut chunks = body.into_data_stream();
    let read = async {
        let mut all = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Unread::Broken)?;
            if all.len() + chunk.len() > limit {
                return Err(Unread::TooLarge);
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    };
    let read = timeout(time, read).await.unwrap_or(Err(Unread::TooSlow));
    if read == Err(Unread::TooLarge) {
        discard(chunks).await;
    }
    read
}

/// Takes the body of a refused request off the connection, within bounds.
pub(super) async fn drain(body: Body) {
    discard(body.into_data_stream()).await;
}

async fn discard(mut chunks: BodyDataStream) {
    let discard = async {
        let mut total = 0;
        while let Some(Ok(chunk)) = chunks.next().await {
            total += chunk.len();
            if total > DRAINED {
                break;
            }
        }
    };
    // What takes longer sees its connection closed.
    let _ = timeout(DRAIN_TIME, discard).await;
}
