//! Errors as clients of Argo CD know them: one told inside another, with the
//! names of its codes, and those of owners without what surrounds them.

use std::time::Duration;

use tonic::{Code, Request, Status};

pub(super) use crate::peers::told;

/// For answers from what an owner holds in memory, and for calls to a cluster.
pub(super) const SOON: Duration = Duration::from_secs(60);
/// For what reads a repository or renders.
pub(super) const RENDERED: Duration = Duration::from_secs(180);

/// A request to an owner that has so much time.
pub(super) fn within<T>(time: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(time);
    request
}

/// An error with what was being done before it; the code stays.
pub(super) fn wrap(doing: &str, status: &Status) -> Status {
    Status::new(status.code(), format!("{doing}: {}", text(status)))
}

/// An error as it is told inside another one.
pub(super) fn text(status: &Status) -> String {
    format!("rpc error: code = {} desc = {}", name(status.code()), status.message())
}

/// What is said of an application that is not there, or not for this caller who
/// may see others like it.
pub(super) fn not_found(name: &str) -> Status {
    Status::not_found(format!("applications.argoproj.io {name:?} not found"))
}

const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_inside_another_keeps_its_code_and_names_it() {
        let status = wrap("error updating application", &Status::invalid_argument("no"));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "error updating application: rpc error: code = InvalidArgument desc = no");
    }
}
