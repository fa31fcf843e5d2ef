//! Errors of an apply, made safe and made useful.

use argosy_model::{Gvk, ResourceKey};

use super::{Applier, ApplyTask, Known};
use crate::error::{ApiStatus, Error};
use crate::redact;

/// What the API server says of a path it does not serve.
pub(super) const UNKNOWN_PATH: &str = "the server could not find the requested resource";

/// kube-apiserver's bound on all annotations together shows as this.
const TOO_LONG: &str = "Too long: ";

pub(super) async fn explain(error: Error, applier: &Applier, task: &ApplyTask<'_>) -> Error {
    let Error::Api(status) = error else { return error };
    let mut status = masked(status, task);
    if status.code == 404 && status.message == UNKNOWN_PATH {
        // The catalog is behind: the kind is gone, or served in another version.
        let gvk = Gvk::of(task.target);
        if applier.discovery.refresh().await.is_ok()
            && let Err(unknown) = applier.discovery.catalog().resolve(&gvk, &ResourceKey::of(task.target))
        {
            return unknown;
        }
    }
    if status.message.contains("metadata.annotations: ") && status.message.contains(TOO_LONG) {
        status.message.push_str(
            ". The manifest does not fit into the last-applied annotation: use the sync option \
             ServerSideApply=true or Replace=true for it.",
        );
    }
    Error::Api(status)
}

fn masked(mut status: ApiStatus, task: &ApplyTask<'_>) -> ApiStatus {
    if redact::is_sensitive(task.target) {
        status.message = redact::mask(&status.message, task.target);
        if let Known::Present(live) = &task.live {
            status.message = redact::mask(&status.message, live);
        }
    }
    status
}
