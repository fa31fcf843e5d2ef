//! What can go wrong with a cluster, in words that are safe to show.
//!
//! Sources are kept only where their text cannot carry a credential: what kube
//! or an exec plugin says is reduced to a kind of failure first.

use std::time::Duration;

use argosy_model::innermost;
use serde::Deserialize;

/// Shorthand used throughout the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed dealing with a cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A cluster's configuration cannot be used; says which field and why, never its value.
    #[error("cluster configuration: {0}")]
    Config(String),
    /// The API server answered with an error.
    #[error("{0}")]
    Api(ApiStatus),
    /// The request did not get an answer.
    #[error("cannot reach the cluster: {0}")]
    Unreachable(String),
    /// The credential could not be obtained (exec plugin, token file).
    #[error("cannot obtain the cluster's credential: {0}")]
    Credential(String),
    /// The connection was given up meanwhile: its cluster was taken out or away.
    #[error("the connection to the cluster has been closed")]
    Closed,
    /// No answer in time.
    #[error("no answer from the cluster within {0:?}")]
    Timeout(Duration),
    /// The answer is not what the protocol promises.
    #[error("unexpected answer from the cluster to {what}")]
    Decode {
        /// What was asked for.
        what: &'static str,
        /// The parser's complaint: a position and a kind of mistake.
        #[source]
        source: serde_json::Error,
    },
    /// The answer is larger than this program accepts, in bytes.
    #[error("the cluster's answer is larger than {0} bytes")]
    TooLarge(usize),
    /// A request could not be put together, for instance from a name with forbidden characters.
    #[error("cannot form the request")]
    Request(#[source] http::Error),
    /// The cluster does not serve the kind, with what to do about it.
    #[error("{0}")]
    UnknownKind(String),
    /// The manifest cannot be applied as it stands.
    #[error("{0}")]
    Manifest(String),
    /// The patch could not be computed.
    #[error("cannot compute the patch: {0}")]
    Patch(String),
    /// Something was waited for in vain.
    #[error("timed out waiting for {0}")]
    Waiting(String),
}

/// The API server's `Status`: its code, its reason, its words.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct ApiStatus {
    /// HTTP code.
    pub code: u16,
    /// Machine-readable reason, such as `AlreadyExists`.
    pub reason: String,
    /// For people. Already free of Secret values.
    pub message: String,
    /// How long the server asks to be left alone.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

// === impl Error ===

impl Error {
    /// The HTTP code, where the API server answered.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api(status) => Some(status.code),
            _ => None,
        }
    }

    /// The API server's reason, or `""`.
    pub fn reason(&self) -> &str {
        match self {
            Self::Api(status) => &status.reason,
            _ => "",
        }
    }

    /// The object or the path does not exist.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Somebody changed the object meanwhile, or a precondition failed.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409) && self.reason() != "AlreadyExists"
    }

    /// The object is there already.
    pub fn is_already_exists(&self) -> bool {
        self.reason() == "AlreadyExists"
    }

    /// The object does not pass validation.
    pub fn is_invalid(&self) -> bool {
        self.code() == Some(422)
    }

    /// The history asked for is gone: list again.
    pub fn is_expired(&self) -> bool {
        self.code() == Some(410) || matches!(self.reason(), "Expired" | "Gone")
    }

    /// Whether the same request may well succeed a little later, because the
    /// cluster is unreachable, overloaded or restarting.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Api(status) => matches!(status.code, 429 | 502 | 503 | 504) || status.reason == "ServerTimeout",
            Self::Unreachable(_) | Self::Timeout(_) => true,
            _ => false,
        }
    }
}

// === impl ApiStatus ===

impl std::fmt::Display for ApiStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.message.is_empty() {
            write!(f, "the server answered {} {}", self.code, self.reason)
        } else {
            f.write_str(&self.message)
        }
    }
}

impl ApiStatus {
    /// Reads an error body. What is not a `Status` (a proxy's page, say) is
    /// dropped: it may hold anything.
    pub(crate) fn read(code: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let mut status: Self = serde_json::from_slice(body).unwrap_or_default();
        status.code = code;
        status.retry_after = retry_after;
        status
    }
}

/// Reduces kube's error to ours, keeping only text that cannot hold a secret.
pub(crate) fn from_kube(error: &(dyn std::error::Error + 'static)) -> Error {
    let mut cause = Some(error);
    while let Some(e) = cause {
        if let Some(auth) = e.downcast_ref::<kube::client::AuthError>() {
            return Error::Credential(describe_auth(auth));
        }
        // From the maker of cloud tokens, which is a layer of the client.
        if let Some(Error::Credential(text)) = e.downcast_ref::<Error>() {
            return Error::Credential(text.clone());
        }
        if let Some(kube::Error::Auth(auth)) = e.downcast_ref::<kube::Error>() {
            return Error::Credential(describe_auth(auth));
        }
        cause = e.source();
    }
    match error.downcast_ref::<kube::Error>() {
        // These print the proxy's URL, which may carry a password.
        Some(kube::Error::ProxyProtocolUnsupported { .. } | kube::Error::ProxyProtocolDisabled { .. }) => {
            Error::Config("the proxy's protocol is not supported".to_owned())
        }
        Some(kube::Error::RustlsTls(e)) => Error::Config(format!("TLS settings: {e}")),
        _ => Error::Unreachable(innermost(error)),
    }
}

fn describe_auth(error: &kube::client::AuthError) -> String {
    use kube::client::AuthError as A;
    match error {
        A::AuthExecStart(e) => format!("the exec command cannot be started: {e}"),
        A::AuthExecRun { out, .. } => format!("the exec command failed ({})", out.status),
        A::ReadTokenFile(e, path) => format!("token file {}: {e}", path.display()),
        A::InvalidBearerToken(_) => "the bearer token holds forbidden characters".to_owned(),
        A::InvalidBasicAuth(_) => "user name or password holds forbidden characters".to_owned(),
        A::MalformedTokenExpirationDate(_) => "the exec command gave a malformed expiry".to_owned(),
        A::AuthExecParse(_) => "the exec command's output is not an ExecCredential".to_owned(),
        _ => "the exec command gave no usable credential".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_page_of_a_proxy_is_not_repeated() {
        let status = ApiStatus::read(502, None, b"<html>token=abc</html>");
        assert_eq!(Error::Api(status).to_string(), "the server answered 502 ");
    }
}
