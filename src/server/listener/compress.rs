//! Gzip for HTTP answers. Every chunk is flushed as it comes, so that an answer that
//! trickles (a watch, a log) is as timely as an uncompressed one.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::{Body as _, Frame};

/// Answers below this many bytes are not worth it.
const WORTHWHILE: u64 = 256;

/// Whether the client reads gzip. Event streams are left alone, as in the reference.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let events = headers.get(ACCEPT).is_some_and(|accept| accept == "text/event-stream");
    !events && headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(names_gzip)
}

fn names_gzip(header: &str) -> bool {
    header.split(',').any(|part| {
        let mut parameters = part.split(';').map(str::trim);
        let gzip = parameters.next().is_some_and(|coding| coding.eq_ignore_ascii_case("gzip") || coding == "*");
        let refused = parameters.any(|parameter| {
            parameter.strip_prefix("q=").and_then(|quality| quality.parse::<f32>().ok()).is_some_and(|q| q <= 0.0)
        });
        gzip && !refused
    })
}

/// Compresses an answer that gains from it.
pub(super) fn answer(mut response: Response) -> Response {
    let headers = response.headers();
    let text = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let small = response.body().size_hint().exact().is_some_and(|size| size < WORTHWHILE);
    let taken = headers.contains_key(CONTENT_ENCODING) || headers.contains_key(CONTENT_RANGE);
    let bodiless = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if small || taken || bodiless || !gains(text) {
        return response;
    }
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    response.map(|body| Body::new(Gzip { inner: body, encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())) }))
}

/// Whether a content type is text of some kind.
fn gains(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let text = kind.starts_with("text/") && kind != "text/event-stream";
    text || kind.ends_with("json") || kind.ends_with("javascript") || kind.ends_with("xml")
}

/// A compressed body.
struct Gzip {
    inner: Body,
    /// `None` after the end.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

// === impl Gzip ===

impl Gzip {
    fn compress(&mut self, chunk: &[u8]) -> std::io::Result<Bytes> {
        let Some(encoder) = &mut self.encoder else { return Ok(Bytes::new()) };
        encoder.write_all(chunk)?;
        encoder.flush()?;
        Ok(Bytes::from(std::mem::take(encoder.get_mut())))
    }

    fn finish(&mut self) -> Option<std::io::Result<Bytes>> {
        self.encoder.take().map(|encoder| encoder.finish().map(Bytes::from))
    }
}

impl hyper::body::Body for Gzip {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.encoder.is_none() {
            return Poll::Ready(None);
        }
        let compressed = match std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(chunk) => Some(self.compress(&chunk)),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            },
            None => self.finish(),
        };
        Poll::Ready(compressed.map(|chunk| chunk.map(Frame::data).map_err(axum::Error::new)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_where_it_is_accepted_and_gains() {
        assert!(names_gzip("deflate, gzip;q=0.5"));
        assert!(names_gzip("*"));
        assert!(!names_gzip("gzip;q=0, br"));
        assert!(!names_gzip("identity"));
        assert!(gains("application/json; charset=utf-8"));
        assert!(!gains("text/event-stream"));
        assert!(!gains("image/png"));
    }
}
