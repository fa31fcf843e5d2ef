//! Errors of the home cluster as clients of the API read them.

use argosy_home::Error;
use tonic::{Code, Status};

/// The status for a failed dealing with the home cluster: codes as the
/// reference maps those of Kubernetes.
pub(crate) fn from_home(error: &Error) -> Status {
    let code = match error {
        Error::NotFound(_) => Code::NotFound,
        Error::AlreadyExists(_) => Code::AlreadyExists,
        Error::Conflict(_) => Code::Aborted,
        Error::TooLarge(_) | Error::Rejected(_) => Code::InvalidArgument,
        Error::Forbidden(_) => Code::PermissionDenied,
        Error::Api { code, .. } => match code {
            400 => Code::FailedPrecondition,
            401 => Code::Unauthenticated,
            422 => Code::InvalidArgument,
            405 | 501 => Code::Unimplemented,
            429 => Code::ResourceExhausted,
            503 => Code::Unavailable,
            504 => Code::DeadlineExceeded,
            _ => Code::Internal,
        },
        Error::Expired(_) | Error::Unreachable(_) => Code::Unavailable,
        Error::Timeout(_) => Code::DeadlineExceeded,
        _ => Code::Internal,
    };
    Status::new(code, error.to_string())
}

/// Why an edit of an object was not made: the edit's own refusal, or the home
/// cluster's.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The edit's.
    Status(Box<Status>),
    /// The home cluster's.
    Home(Error),
}

// === impl Refusal ===

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Home(error)
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Status(status) => *status,
            Refusal::Home(error) => from_home(&error),
        }
    }
}
