//! Questions to providers. What they answer is read, and never repeated.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use argosy_model::innermost;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Time for one answer; a metadata service that is not there answers nothing.
const ANSWER: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(3);

/// The client of all questions.
///
/// # Errors
/// [`Error::Credential`].
pub(super) fn client() -> Result<reqwest::Client> {
    static CLIENT: OnceLock<Option<reqwest::Client>> = OnceLock::new();
    let make = || {
        let builder = reqwest::Client::builder().timeout(ANSWER).connect_timeout(CONNECT);
        builder.redirect(reqwest::redirect::Policy::none()).build().ok()
    };
    CLIENT.get_or_init(make).clone().ok_or_else(|| Error::Credential("no HTTP client can be made".to_owned()))
}

/// A POST of a form.
///
/// # Errors
/// As [`client`].
pub(super) fn post(url: &str, form: &[(&str, &str)]) -> Result<reqwest::RequestBuilder> {
    let body = form.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>();
    let request = client()?.post(url).header("Content-Type", "application/x-www-form-urlencoded");
    Ok(request.body(body.join("&")))
}

/// Percent-encodes all but the unreserved characters.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Sends a question; the answer's text.
///
/// # Errors
/// [`Error::Credential`] with the kind of failure.
pub(super) async fn text(what: &str, request: reqwest::RequestBuilder) -> Result<String> {
    // The URL may hold a signature, the answer a token.
    let failed = |error: reqwest::Error| Error::Credential(format!("{what}: {}", innermost(&error.without_url())));
    let response = request.send().await.map_err(failed)?;
    let status = response.status();
    if !status.is_success() {
        return Err(Error::Credential(format!("{what} answered {status}")));
    }
    response.text().await.map_err(failed)
}

/// As [`text`], read as JSON.
///
/// # Errors
/// As [`text`], and when it is not what was expected.
pub(super) async fn json<T: DeserializeOwned>(what: &str, request: reqwest::RequestBuilder) -> Result<T> {
    let text = text(what, request).await?;
    // serde's message may quote the answer.
    serde_json::from_str(&text).map_err(|_| Error::Credential(format!("{what} gave an unexpected answer")))
}
