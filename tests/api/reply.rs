//! Answers, whatever their status.

use anyhow::{Context, anyhow};
use serde_json::Value;
use tonic::{Code, Status};

/// An HTTP answer that was read to its end.
#[derive(Clone, Debug)]
pub struct ApiReply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: http::HeaderMap,
    /// Its body.
    pub text: String,
}

// === impl ApiReply ===

impl ApiReply {
    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// When there is none.
    pub async fn of(request: reqwest::RequestBuilder) -> anyhow::Result<Self> {
        let response = request.send().await.context("asking the API")?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.context("reading an answer")?;
        Ok(Self { status, headers, text: String::from_utf8_lossy(&body).into_owned() })
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// A header's text, `""` when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON of an answer that must be 200.
    ///
    /// # Errors
    /// When the status is another.
    pub fn ok(&self) -> anyhow::Result<Value> {
        match self.status {
            200 => Ok(self.json()),
            status => Err(anyhow!("status {status}: {}", self.text)),
        }
    }

    /// The code and message of a refusal in the gateway's form, `(0, "")` when it
    /// is none.
    pub fn refusal(&self) -> (i64, String) {
        let body = self.json();
        let message = body["message"].as_str().unwrap_or_default();
        (body["code"].as_i64().unwrap_or_default(), message.to_owned())
    }
}

/// Code and message of a call that must have been refused.
///
/// # Panics
/// When it succeeded.
pub fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    match answer {
        Err(status) => (status.code(), status.message().to_owned()),
        Ok(answer) => panic!("this should have been refused, but the answer is {answer:?}"),
    }
}
