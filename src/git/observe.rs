//! What the caller's metrics want to know about the network, told through a
//! trait so that this crate registers none.

use std::time::Duration;

/// Told of every request to a remote. Called on the thread that made it.
pub trait Observer: Send + Sync {
    /// One listing or fetch ended.
    fn on_request(&self, request: &Request<'_>);
}

/// One finished request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The repository, without credentials.
    pub repo: &'a str,
    /// What was asked.
    pub kind: RequestKind,
    /// Commit that was wanted first; empty for a listing.
    pub revision: &'a str,
    /// From connecting to the end.
    pub duration: Duration,
    /// Whether it failed.
    pub failed: bool,
}

/// The two kinds of request, named as in the `request_type` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// `ls-remote`
    LsRemote,
    /// `fetch`
    Fetch,
}

// === impl RequestKind ===

impl RequestKind {
    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LsRemote => "ls-remote",
            Self::Fetch => "fetch",
        }
    }
}
