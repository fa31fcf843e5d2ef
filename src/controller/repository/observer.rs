//! Git requests as metrics, under the names of Argo CD's repo server.

use argosy_git::{Observer, Request, RequestKind};
use metrics::{counter, histogram};

/// Counts and times every request to a remote.
pub(super) struct GitMetrics;

// === impl GitMetrics ===

impl Observer for GitMetrics {
    fn on_request(&self, request: &Request<'_>) {
        let repo = request.repo.to_owned();
        let kind = request.kind.as_str();
        counter!("argocd_git_request_total", "repo" => repo.clone(), "request_type" => kind).increment(1);
        histogram!("argocd_git_request_duration_seconds", "repo" => repo.clone(), "request_type" => kind)
            .record(request.duration.as_secs_f64());
        if request.failed {
            let revision = request.revision.to_owned();
            match request.kind {
                RequestKind::Fetch => {
                    counter!("argocd_git_fetch_fail_total", "repo" => repo, "revision" => revision).increment(1);
                }
                RequestKind::LsRemote => {
                    counter!("argocd_git_lsremote_fail_total", "repo" => repo, "revision" => revision).increment(1);
                }
            }
        }
    }
}
