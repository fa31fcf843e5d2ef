//! What the https server was asked.

use std::sync::{Mutex, PoisonError};

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Opening a fetch or an `ls-remote`: the references or the capabilities.
    Advertise,
    /// Objects, or with protocol 2 also the list of references.
    UploadPack,
    /// Anything else: pushes, plain files.
    Other,
}

/// One answered https request.
#[derive(Clone, Debug)]
pub struct GitRequest {
    /// The repository's name, without `.git`.
    pub repo: String,
    /// What it was for.
    pub service: Service,
    /// Whether it came with an `Authorization` header.
    pub with_credentials: bool,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The status it was answered with; 0 when it hung until the client left.
    pub status: u16,
}

/// The list of requests, in the order of arrival.
#[derive(Default)]
pub(super) struct Journal {
    requests: Mutex<Vec<GitRequest>>,
}

// === impl GitRequest ===

impl GitRequest {
    pub(super) fn read<B>(request: &http::Request<B>) -> Self {
        let path = request.uri().path().trim_start_matches('/');
        let (repo, rest) = path.split_once(".git/").unwrap_or((path, ""));
        let service = match (rest, request.uri().query().unwrap_or("")) {
            ("info/refs", query) if query.contains("git-upload-pack") => Service::Advertise,
            ("git-upload-pack", _) => Service::UploadPack,
            _ => Service::Other,
        };
        let header = |name| request.headers().get(name).and_then(|v| v.to_str().ok());
        Self {
            repo: repo.to_owned(),
            service,
            with_credentials: header(http::header::AUTHORIZATION).is_some(),
            user_agent: header(http::header::USER_AGENT).unwrap_or("").to_owned(),
            status: 0,
        }
    }
}

// === impl Journal ===

impl Journal {
    /// Enters a request and returns its place, for the answer.
    pub(super) fn enter(&self, request: GitRequest) -> usize {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push(request);
        requests.len() - 1
    }

    pub(super) fn answered(&self, place: usize, status: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(request) = requests.get_mut(place) {
            request.status = status;
        }
    }

    pub(super) fn all(&self) -> Vec<GitRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
