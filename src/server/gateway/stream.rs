//! Streams of replies: JSON lines, server-sent events, or a file.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::hash::BuildHasher as _;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http::HeaderValue;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Serialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::fields::Fields;
use super::request::Incoming;
use super::{Download, StreamForm, metadata, reply};

/// How long an answer waits for its first message, which may be an error that
/// deserves a status of its own.
const FIRST_MESSAGE: Duration = Duration::from_millis(250);

type Replies<Rep> = Pin<Box<dyn Stream<Item = Result<Rep, Status>> + Send>>;

#[derive(Serialize)]
struct ResultChunk<'a, Rep> {
    result: &'a Rep,
}

#[derive(Serialize)]
struct ErrorChunk<'a> {
    error: StreamError<'a>,
}

/// The gateway's form of an error after the answer began.
#[derive(Serialize)]
struct StreamError<'a> {
    grpc_code: i32,
    http_code: u16,
    message: &'a str,
    http_status: &'a str,
}

/// The answer of a streaming method.
pub(super) async fn streamed<Rep, S>(
    replied: Result<tonic::Response<S>, Status>,
    form: StreamForm<Rep>,
    incoming: &Incoming,
    keep_alive: Duration,
) -> Response
where
    Rep: Serialize + Send + 'static,
    S: Stream<Item = Result<Rep, Status>> + Send + 'static,
{
    let (metadata, replies, _) = match replied {
        Ok(reply) => reply.into_parts(),
        Err(status) => return reply::error(&status),
    };
    let mut replies: Replies<Rep> = Box::pin(replies);
    let replies: Replies<Rep> = match timeout(FIRST_MESSAGE, replies.next()).await {
        Ok(Some(Err(status))) => return reply::error(&status),
        Ok(Some(first)) => Box::pin(stream::iter([first]).chain(replies)),
        Ok(None) => Box::pin(stream::empty()),
        Err(_) => replies,
    };
    if let Some(download) = form.download.filter(|_| incoming.query.get("download") == "true") {
        return file(replies, download, incoming, metadata);
    }
    let events = incoming.parts.headers.get(ACCEPT).is_some_and(|accept| accept == "text/event-stream");
    let writer = Writer {
        replies,
        events,
        subject: form.subject,
        fields: Fields::parse(incoming.query.get("fields")),
        seen: HashMap::new(),
        hashes: RandomState::new(),
        tick: events.then(|| ticks(keep_alive)),
        ended: false,
    };
    let chunks = stream::unfold(writer, async |mut writer| {
        writer.next().await.map(|chunk| (Ok::<_, Infallible>(chunk), writer))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers
        .insert(CONTENT_TYPE, HeaderValue::from_static(if events { "text/event-stream" } else { "application/json" }));
    if events {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    metadata::answer(metadata, headers);
    response
}

fn ticks(keep_alive: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + keep_alive, keep_alive);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Writes one stream.
struct Writer<Rep> {
    replies: Replies<Rep>,
    /// Server-sent events instead of lines.
    events: bool,
    subject: Option<fn(&Rep) -> String>,
    fields: Option<Fields>,
    /// Hashes of subjects and what was last written about them. Their keys are
    /// random, so that nobody can make two messages look the same.
    seen: HashMap<u64, u64>,
    hashes: RandomState,
    tick: Option<Interval>,
    ended: bool,
}

// === impl Writer ===

impl<Rep: Serialize> Writer<Rep> {
    async fn next(&mut self) -> Option<Bytes> {
        while !self.ended {
            let reply = tokio::select! {
                biased;
                reply = self.replies.next() => reply,
                () = next_tick(&mut self.tick) => return Some(Bytes::from_static(b":\n")),
            };
            match reply {
                None => self.ended = true,
                Some(Err(status)) => {
                    self.ended = true;
                    return Some(self.error(&status));
                }
                Some(Ok(reply)) => match self.chunk(&reply) {
                    Ok(None) => {}
                    Ok(Some(chunk)) => return Some(chunk),
                    Err(_) => {
                        self.ended = true;
                        return Some(self.error(&reply::unwritable()));
                    }
                },
            }
        }
        None
    }

    /// A message as it is written; `None` when it says nothing new.
    fn chunk(&mut self, reply: &Rep) -> Result<Option<Bytes>, serde_json::Error> {
        let mut json = serde_json::to_vec(&ResultChunk { result: reply })?;
        if let Some(fields) = &self.fields {
            json = fields.cut(&json)?;
        }
        if let Some(subject) = self.subject {
            let written = self.hashes.hash_one(&json);
            if self.seen.insert(self.hashes.hash_one(subject(reply)), written) == Some(written) {
                return Ok(None);
            }
        }
        Ok(Some(self.framed(json)))
    }

    fn error(&self, status: &Status) -> Bytes {
        let http = reply::http_status(status.code());
        let chunk = ErrorChunk {
            error: StreamError {
                grpc_code: status.code().into(),
                http_code: http.as_u16(),
                message: status.message(),
                http_status: http.canonical_reason().unwrap_or_default(),
            },
        };
        self.framed(serde_json::to_vec(&chunk).unwrap_or_default())
    }

    fn framed(&self, json: Vec<u8>) -> Bytes {
        if self.events { [b"data: ", &*json, b"\n\n"].concat().into() } else { [&*json, b"\n"].concat().into() }
    }
}

async fn next_tick(tick: &mut Option<Interval>) {
    match tick {
        Some(tick) => {
            tick.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// The stream as a file to save.
fn file<Rep: Send + 'static>(
    replies: Replies<Rep>,
    download: Download<Rep>,
    incoming: &Incoming,
    metadata: MetadataMap,
) -> Response {
    let lines = replies.scan(false, move |ended, reply| {
        let line = match reply {
            _ if *ended => None,
            Ok(reply) => (download.line)(&reply).map(|line| line + "\n"),
            Err(status) => {
                *ended = true;
                (status.code() != Code::Ok).then(|| status.message().to_owned())
            }
        };
        std::future::ready(line.map(Ok::<_, Infallible>))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let name = file_name(&(download.file_name)(&incoming.query));
    if let Ok(disposition) = HeaderValue::try_from(format!("attachment;filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    metadata::answer(metadata, headers);
    response
}

/// A name that ends neither the quotes nor the folder it is saved in.
fn file_name(name: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    name.chars().map(|character| if plain(character) { character } else { '_' }).collect()
}
