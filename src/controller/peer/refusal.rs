//! Errors of clusters and repositories as gRPC statuses, in words for users.

use std::sync::Arc;

use argosy_cluster::Error;
use argosy_model::AppKey;
use tonic::{Code, Status};

use argosy_proto::peer::OWNER;

use crate::context::Shared;
use crate::repository::GenerateError;

/// What a cluster said about an object. Of a Secret only the kind of failure is
/// told: the words could repeat a value.
pub(super) fn of_cluster(doing: &str, error: &Error, secret: Option<&str>) -> Status {
    let code = code(error);
    match secret {
        Some(name) => Status::new(code, format!("{doing}: the cluster refuses it for Secret {name}")),
        None => Status::new(code, format!("{doing}: {}", argosy_model::report(error))),
    }
}

/// The gRPC code that Argo CD's clients expect for an API server's.
fn code(error: &Error) -> Code {
    match error {
        Error::Api(status) => match status.code {
            400 | 406 | 413 | 415 | 422 => Code::InvalidArgument,
            403 => Code::PermissionDenied,
            404 => Code::NotFound,
            405 => Code::Unimplemented,
            409 if error.is_already_exists() => Code::AlreadyExists,
            409 => Code::Aborted,
            // Not the caller's credential is refused, but the cluster's.
            _ => Code::Unavailable,
        },
        Error::UnknownKind(_) => Code::NotFound,
        Error::Manifest(_) | Error::Patch(_) | Error::Request(_) | Error::Config(_) => Code::InvalidArgument,
        Error::Unreachable(_) | Error::Closed | Error::Credential(_) | Error::Timeout(_) | Error::Waiting(_) => {
            Code::Unavailable
        }
        Error::Decode { .. } | Error::TooLarge(_) => Code::Internal,
    }
}

/// Declines what another replica is to be asked for, with its address. Nothing has
/// been done then, so the same can be asked there.
pub(super) fn unless_owned(shared: &Shared, server: &str) -> Result<(), Status> {
    declined(shared.directory.cluster_elsewhere(server), server)
}

/// The same for an application.
pub(super) fn unless_at_work(shared: &Shared, key: &AppKey, server: &str) -> Result<(), Status> {
    declined(shared.directory.application_elsewhere(key, server), server)
}

/// A stream ends because this replica does.
pub(super) fn ends() -> Status {
    Status::unavailable("the controller replica is shutting down")
}

fn declined(elsewhere: Option<Arc<str>>, server: &str) -> Result<(), Status> {
    let Some(address) = elsewhere else { return Ok(()) };
    let mut status = Status::unavailable(format!("the cluster {server:?} is another replica's"));
    if let Ok(address) = address.parse() {
        status.metadata_mut().insert(OWNER, address);
    }
    Err(status)
}

/// What came of asking a repository.
pub(super) fn of_repository(error: &GenerateError) -> Status {
    let code = if error.is_transient() { Code::Unavailable } else { Code::InvalidArgument };
    Status::new(code, error.to_string())
}
