//! What can go wrong with the home cluster.

use std::time::Duration;

use argosy_model::innermost;
use serde::Deserialize;

/// Shorthand used throughout the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed dealing with the home cluster's API.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object.
    #[error("{0}")]
    NotFound(String),
    /// Somebody changed the object since the version that was given.
    #[error("{0}")]
    Conflict(String),
    /// There is such an object already.
    #[error("{0}")]
    AlreadyExists(String),
    /// It cannot be done as things are; says why, in words for users.
    #[error("{0}")]
    Rejected(String),
    /// The object would be larger than the API server or etcd takes.
    #[error("{0}")]
    TooLarge(String),
    /// This identity may not do that.
    #[error("{0}")]
    Forbidden(String),
    /// The history asked for is gone: list again.
    #[error("{0}")]
    Expired(String),
    /// Any other answer that is not a success.
    #[error("{message}")]
    Api {
        /// HTTP code.
        code: u16,
        /// The server's words, or the code where it had none.
        message: String,
        /// How long the server asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// No answer.
    #[error("cannot reach the home cluster: {0}")]
    Unreachable(String),
    /// No answer, or no more of it, in time.
    #[error("no answer from the home cluster within {0:?}")]
    Timeout(Duration),
    /// The answer is not what the protocol promises.
    #[error("unexpected answer to {what}")]
    Decode {
        /// What was asked for.
        what: &'static str,
        /// The parser's complaint.
        #[source]
        source: serde_json::Error,
    },
    /// An object has no JSON form: raw JSON in it is none.
    #[error("cannot write {what} as JSON")]
    Encode {
        /// What was to be written.
        what: &'static str,
        /// The serializer's complaint.
        #[source]
        source: serde_json::Error,
    },
    /// The stream ended or grew beyond its bound before it said what it had to.
    #[error("the watch ended early: {0}")]
    Stream(&'static str),
    /// The request could not be put together.
    #[error("cannot form the request")]
    Request(#[source] http::Error),
}

/// Kubernetes' `Status`, as far as it is read.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) code: u16,
    reason: String,
    message: String,
}

/// What etcd and the API server say when an object is too big for them.
const TOO_LARGE: &[&str] =
    &["etcdserver: request is too large", "trying to send message larger than max", "Request entity too large"];

// === impl Error ===

impl Error {
    /// From an answer that is not a success. A body that is no `Status` (a
    /// proxy's page, say) is left out: it may hold anything.
    pub(crate) fn from_answer(code: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let status: Status = serde_json::from_slice(body).unwrap_or_default();
        Self::from_status(Status { code, ..status }, retry_after)
    }

    pub(crate) fn from_status(status: Status, retry_after: Option<Duration>) -> Self {
        let Status { code, reason, message } = status;
        let message = if message.is_empty() { format!("the home cluster answered {code} {reason}") } else { message };
        if code == 413 || TOO_LARGE.iter().any(|words| message.contains(words)) {
            return Self::TooLarge(message);
        }
        match code {
            404 => Self::NotFound(message),
            409 if reason == "AlreadyExists" => Self::AlreadyExists(message),
            409 => Self::Conflict(message),
            403 => Self::Forbidden(message),
            410 => Self::Expired(message),
            _ if matches!(&*reason, "Expired" | "Gone") => Self::Expired(message),
            _ => Self::Api { code, message, retry_after },
        }
    }

    /// Whether the same request may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Api { code, .. } => *code == 429 || *code >= 500,
            Self::Unreachable(_) | Self::Timeout(_) => true,
            _ => false,
        }
    }

    /// How long the server asked to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Api { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the server does not understand what was asked for.
    pub(crate) fn is_unsupported(&self) -> bool {
        matches!(self, Self::Api { code: 400 | 405 | 422, .. })
    }
}

/// Names the deepest cause: `Connection refused` says more than `client error`.
pub(crate) fn unreachable(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::Unreachable(innermost(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, reason: &str, message: &str) -> Error {
        let body = serde_json::json!({"kind": "Status", "code": code, "reason": reason, "message": message});
        Error::from_answer(code, None, body.to_string().as_bytes())
    }

    #[test]
    fn answers_are_told_apart_by_what_a_caller_does_next() {
        assert!(matches!(answer(404, "NotFound", "gone"), Error::NotFound(_)));
        assert!(matches!(answer(409, "Conflict", "changed"), Error::Conflict(_)));
        assert!(matches!(answer(409, "AlreadyExists", "there"), Error::AlreadyExists(_)));
        assert!(matches!(answer(403, "Forbidden", "no"), Error::Forbidden(_)));
        assert!(matches!(answer(410, "Expired", "too old resource version"), Error::Expired(_)));
        assert!(matches!(answer(413, "RequestEntityTooLarge", "limit is 3145728"), Error::TooLarge(_)));
        assert!(matches!(answer(500, "", "etcdserver: request is too large"), Error::TooLarge(_)));
        assert!(answer(429, "TooManyRequests", "slow down").is_transient());
        assert!(!answer(422, "Invalid", "bad").is_transient());
    }

    #[test]
    fn a_proxys_error_page_is_not_repeated() {
        let error = Error::from_answer(502, None, b"<html>token=abc</html>");
        assert_eq!(error.to_string(), "the home cluster answered 502 ");
    }
}
