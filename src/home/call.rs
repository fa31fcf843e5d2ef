//! One request to the home cluster's API: put together out of encoded parts,
//! sent under a deadline, tried again while that may help.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::BodyExt;
use kube::client::{Body, Client};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::backoff::Backoff;
use crate::error::{Error, Result, unreachable};

/// Time for one answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);
/// Time for a write and its retries. Shorter than a lease, so that a writer that
/// has lost its ownership does not write long after.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// A request.
pub(crate) struct Call {
    method: Method,
    path: String,
    content_type: &'static str,
    body: Bytes,
}

/// A path and query, built of parts that are encoded as they are added.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    text: String,
    has_query: bool,
}

// === impl Call ===

impl Call {
    pub(crate) fn get(path: Path) -> Self {
        Self { method: Method::GET, path: path.text, content_type: JSON, body: Bytes::new() }
    }

    pub(crate) fn create(path: Path, body: &Value) -> Self {
        Self { method: Method::POST, path: path.text, content_type: JSON, body: body.to_string().into() }
    }

    /// Puts the object in place of the one there; with a version in it, only of that one.
    pub(crate) fn replace(path: Path, body: &Value) -> Self {
        Self { method: Method::PUT, path: path.text, content_type: JSON, body: body.to_string().into() }
    }

    /// `options` are Kubernetes' `DeleteOptions`.
    pub(crate) fn delete(path: Path, options: &Value) -> Self {
        Self { method: Method::DELETE, path: path.text, content_type: JSON, body: options.to_string().into() }
    }

    pub(crate) fn merge_patch(path: Path, body: &Value) -> Self {
        Self { method: Method::PATCH, path: path.text, content_type: MERGE_PATCH, body: body.to_string().into() }
    }

    /// Sends it once and hands the body over unread. Anything but success is an error.
    pub(crate) async fn open(&self, client: &Client) -> Result<Body> {
        let mut request = Request::builder().method(&self.method).uri(&self.path).header(header::ACCEPT, JSON);
        if !self.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, self.content_type);
        }
        let request = request.body(Body::from(self.body.to_vec())).map_err(Error::Request)?;
        let response = timeout(ANSWER, client.send(request)).await.map_err(|_| Error::Timeout(ANSWER))?;
        let response = response.map_err(|e| unreachable(&e))?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let (code, after) = (response.status().as_u16(), retry_after(&response));
        Err(Error::from_answer(code, after, &collect(response.into_body()).await?))
    }

    /// Sends it once and reads the answer.
    pub(crate) async fn send(&self, client: &Client) -> Result<Bytes> {
        collect(self.open(client).await?).await
    }

    /// Sends it until it succeeds, fails for good, or `patience` is over.
    pub(crate) async fn send_with_retries(&self, client: &Client, patience: Duration, seed: u64) -> Result<Bytes> {
        let end = Instant::now() + patience;
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2), seed);
        loop {
            let error = match tokio::time::timeout_at(end, self.send(client)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => return Err(Error::Timeout(patience)),
            };
            let wait = backoff.wait(error.retry_after());
            if !error.is_transient() || Instant::now() + wait > end {
                return Err(error);
            }
            tracing::debug!(%error, ?wait, method = %self.method, path = %self.path, "trying again");
            sleep(wait).await;
        }
    }
}

// === impl Path ===

impl Path {
    /// A path that is known to be clean, such as `/api/v1`.
    pub(crate) fn new(clean: impl Into<String>) -> Self {
        Self { text: clean.into(), has_query: false }
    }

    pub(crate) fn segment(mut self, part: &str) -> Self {
        self.text.push('/');
        encode(part, &mut self.text);
        self
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.text.push_str(name);
        self.text.push('=');
        encode(value, &mut self.text);
        self
    }
}

/// Percent-encodes all but the unreserved characters.
fn encode(part: &str, out: &mut String) {
    use std::fmt::Write as _;
    // A segment of dots alone would be resolved away on the path.
    let dots = !part.is_empty() && part.bytes().all(|b| b == b'.');
    for byte in part.bytes() {
        if !dots && (byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')) {
            out.push(byte as char);
        } else {
            // Writing into a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

async fn collect(body: Body) -> Result<Bytes> {
    let read = timeout(ANSWER, body.collect()).await.map_err(|_| Error::Timeout(ANSWER))?;
    Ok(read.map_err(|e| unreachable(&e))?.to_bytes())
}

fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    text.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_segment() {
        let path = Path::new("/api/v1/namespaces").segment("../x?y#z").segment("..").query("continue", "a=&b");
        assert_eq!(path.text, "/api/v1/namespaces/..%2Fx%3Fy%23z/%2E%2E?continue=a%3D%26b");
    }
}
