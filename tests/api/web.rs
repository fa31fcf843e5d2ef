//! gRPC-web, as browsers and the command line behind a proxy speak it: frames in
//! the body of a POST, the status in a last frame.

use anyhow::{Context, ensure};
use reqwest::Method;

use super::client::ApiClient;

/// Marks the frame of the trailers.
const TRAILERS: u8 = 0x80;

/// An answer in gRPC-web.
#[derive(Clone, Debug, Default)]
pub struct WebReply {
    /// `grpc-status`, from the trailers or the headers; `None` when it is missing.
    pub code: Option<i32>,
    /// `grpc-message`, percent-encoded as it came.
    pub message: String,
    /// The messages.
    pub messages: Vec<Vec<u8>>,
}

// === impl WebReply ===

impl WebReply {
    /// Reads as many whole frames as there are.
    ///
    /// # Errors
    /// When the trailers are no text.
    pub fn read(headers: &http::HeaderMap, mut body: &[u8]) -> anyhow::Result<Self> {
        let mut reply = Self::default();
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        reply.note("grpc-status", header("grpc-status").unwrap_or_default());
        reply.note("grpc-message", header("grpc-message").unwrap_or_default());
        while let Some((flag, frame, rest)) = next_frame(body) {
            body = rest;
            if flag & TRAILERS == 0 {
                reply.messages.push(frame.to_vec());
                continue;
            }
            for line in std::str::from_utf8(frame).context("reading trailers")?.lines() {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                reply.note(name.trim(), value.trim());
            }
        }
        Ok(reply)
    }

    fn note(&mut self, name: &str, value: &str) {
        match name.to_ascii_lowercase().as_str() {
            "grpc-status" => self.code = value.parse().ok().or(self.code),
            "grpc-message" if !value.is_empty() => value.clone_into(&mut self.message),
            _ => {}
        }
    }
}

/// Flag, content and rest; `None` when there is no whole frame.
fn next_frame(body: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = body.split_at_checked(5)?;
    let length = u32::from_be_bytes(head[1..].try_into().ok()?);
    let (frame, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((head[0], frame, rest))
}

/// A message in its frame.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a test's messages are small");
    [&[0][..], &length.to_be_bytes(), message].concat()
}

// === impl ApiClient ===

impl ApiClient {
    /// The request of a gRPC-web call, by `package.Service/Method`, with an encoded
    /// message.
    pub fn web_request(&self, rpc: &str, message: &[u8]) -> reqwest::RequestBuilder {
        let request = self.http.request(Method::POST, format!("{}/{rpc}", self.base));
        let request = request.header("content-type", "application/grpc-web+proto").body(frame(message));
        if self.token().is_empty() { request } else { request.header("token", self.token()) }
    }

    /// A gRPC-web call whose answer ends.
    ///
    /// # Errors
    /// When there is no answer, or it is none in gRPC-web.
    pub async fn web(&self, rpc: &str, message: &[u8]) -> anyhow::Result<WebReply> {
        let response = self.web_request(rpc, message).send().await.context("asking in gRPC-web")?;
        ensure!(response.status() == 200, "status {}", response.status());
        let headers = response.headers().clone();
        WebReply::read(&headers, &response.bytes().await.context("reading an answer")?)
    }
}
