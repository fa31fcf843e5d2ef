//! Whether the replica lives, for probes and for gRPC clients.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;
use tonic_health::pb::health_server::{Health, HealthServer};

use crate::shared::Shared;

/// How long the home cluster gets to answer a full check.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Probe {
    full: Option<String>,
}

/// gRPC's own health service: the replica answers, so it serves.
pub(super) fn service() -> HealthServer<impl Health> {
    tonic_health::server::health_reporter().1
}

/// What somebody reads who opens the address in a browser.
const GREETING: &str = "This is the API of Argosy.\n\n\
    Sign in with the command line:  argocd login <this address> --username admin\n\
    Read what REST can do:          /swagger-ui\n";

/// `/healthz`; with `?full=true` the home cluster is asked, too. And a word at `/`.
pub(super) fn routes(shared: Arc<Shared>) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/", get(|| async { GREETING })).with_state(shared)
}

async fn healthz(State(shared): State<Arc<Shared>>, Query(probe): Query<Probe>) -> (StatusCode, String) {
    if probe.full.as_deref() != Some("true") {
        return (StatusCode::OK, "ok".to_owned());
    }
    match tokio::time::timeout(PATIENCE, shared.home.ping()).await {
        Ok(Ok(())) => (StatusCode::OK, "ok".to_owned()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the home cluster does not answer a health check");
            (StatusCode::SERVICE_UNAVAILABLE, "the home cluster cannot be read".to_owned())
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the home cluster does not answer".to_owned()),
    }
}
