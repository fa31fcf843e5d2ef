//! Marked secrets, and the search for them in texts.

use argosy_tests::{ApiClient, ApiReply};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::Value;

/// What marks a secret. Every place has a secret of its own.
const MARK: &str = "c4n4ry";

pub(crate) fn secret(place: &str) -> String {
    format!("{MARK}-{place}-password")
}

pub(crate) fn encoded(place: &str) -> String {
    STANDARD.encode(secret(place))
}

/// The mark as it may show: plain, and encoded at each of the three places that a
/// text can begin at.
pub(crate) fn marks() -> Vec<String> {
    let at = |before: usize| {
        let text = STANDARD.encode(format!("{}{MARK}", "\0".repeat(before)));
        // Letters that depend on what is before or after say nothing.
        text[(before * 8).div_ceil(6)..(before + MARK.len()) * 8 / 6].to_owned()
    };
    vec![MARK.to_owned(), at(0), at(1), at(2)]
}

/// What was looked at, and where a mark was found.
pub(crate) struct Search {
    pub(crate) marks: Vec<String>,
    pub(crate) looked: usize,
    pub(crate) found: Vec<String>,
}

// === impl Search ===

impl Search {
    pub(crate) fn look(&mut self, place: &str, text: &[u8]) {
        self.looked += 1;
        let text = String::from_utf8_lossy(text);
        for mark in &self.marks {
            if let Some(at) = text.find(mark) {
                let around: String =
                    text.chars().skip(text[..at].chars().count().saturating_sub(150)).take(250).collect();
                self.found.push(format!("{place}: …{around}…"));
                break;
            }
        }
    }

    pub(crate) async fn ask(
        &mut self,
        who: &str,
        client: &ApiClient,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<ApiReply> {
        let reply = match &body {
            Some(body) => client.send(method.clone(), path, body).await?,
            None => client.get(path).await?,
        };
        let headers = format!("{:?}", reply.headers);
        self.look(&format!("{who}: {method} {path}"), format!("{headers}{}", reply.text).as_bytes());
        Ok(reply)
    }
}
