//! Answers, read whole.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde_json::Value;

use crate::error::{ApiStatus, Error, Result, from_kube};

/// Largest answer read into memory, in bytes: a page of 500 large objects.
const LARGEST_ANSWER: usize = 512 << 20;

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) etag: Option<String>,
    /// Texts of `Warning` headers.
    pub(crate) warnings: Vec<String>,
    pub(crate) body: Bytes,
}

// === impl Reply ===

impl Reply {
    /// The answer as a JSON value.
    pub(crate) fn value(&self, what: &'static str) -> Result<Value> {
        serde_json::from_slice(&self.body).map_err(|source| Error::Decode { what, source })
    }
}

/// Reads an answer whole.
///
/// # Errors
/// [`Error::Api`] for what is no success, and what breaks off.
pub(crate) async fn read(response: Response<Body>) -> Result<Reply> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|e| too_large_or(&*e))?.to_bytes();
    let header = |name| parts.headers.get(name).and_then(|v| v.to_str().ok());
    if !parts.status.is_success() && parts.status != StatusCode::NOT_MODIFIED {
        let retry_after = header(header::RETRY_AFTER).and_then(|s| s.parse().ok()).map(Duration::from_secs);
        return Err(Error::Api(ApiStatus::read(parts.status.as_u16(), retry_after, &body)));
    }
    let warnings = parts.headers.get_all(header::WARNING).iter().filter_map(|v| warning(v.to_str().ok()?)).collect();
    Ok(Reply { status: parts.status, etag: header(header::ETAG).map(str::to_owned), warnings, body })
}

fn too_large_or(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Error {
    if error.is::<http_body_util::LengthLimitError>() { Error::TooLarge(LARGEST_ANSWER) } else { from_kube(error) }
}

/// An error answer without a body that says so.
pub(crate) fn cut_short() -> Error {
    Error::Unreachable("the answer was cut short".to_owned())
}

/// The text of `299 - "text"`.
fn warning(header: &str) -> Option<String> {
    let quoted = header.splitn(3, ' ').nth(2)?;
    let text = quoted.strip_prefix('"')?.strip_suffix('"')?;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}
