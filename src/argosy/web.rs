//! The metrics listener of every role: `/metrics` and `/healthz`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Buckets of a reconciliation, in seconds, as Argo CD's dashboards expect them.
const RECONCILE_SECONDS: &[f64] = &[0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0];
/// Buckets of requests to clusters and repositories, in seconds.
const REQUEST_SECONDS: &[f64] = &[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0];

/// What a role says about itself when it is asked.
pub(crate) trait Vitals: Send + Sync + 'static {
    /// Metrics that are read off the state at the time of asking, as text.
    fn exposition(&self) -> String;

    /// Whether the role does its work; else what is wrong.
    ///
    /// # Errors
    /// What is wrong, in words for an operator.
    fn health(&self) -> Result<(), String>;
}

/// Installs the process-wide recorder of counters and histograms.
///
/// # Errors
/// When one is installed already.
pub(crate) fn install_recorder() -> anyhow::Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets(REQUEST_SECONDS)?
        .set_buckets_for_metric(Matcher::Full("argocd_app_reconcile".to_owned()), RECONCILE_SECONDS)?
        .install_recorder()
        .context("cannot install the metrics recorder")
}

/// Takes the address of metrics and health.
///
/// # Errors
/// When it cannot be listened on.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another with --metrics-address"))
}

/// Serves metrics and health until the token is cancelled.
///
/// # Errors
/// When the listener fails.
pub(crate) async fn serve(
    listener: TcpListener,
    recorder: PrometheusHandle,
    vitals: Arc<dyn Vitals>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let health = vitals.clone();
    let app = Router::new()
        .route("/metrics", get(move || metrics(recorder.clone(), vitals.clone())))
        .route("/healthz", get(move || healthz(health.clone())));
    tracing::info!(address = %listener.local_addr()?, "serving metrics and health");
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
        .context("the metrics listener failed")
}

async fn metrics(recorder: PrometheusHandle, vitals: Arc<dyn Vitals>) -> impl IntoResponse {
    // Asking for the state also brings gauges of the recorder up to date.
    let state = vitals.exposition();
    recorder.run_upkeep();
    let mut text = recorder.render();
    text.push_str(&state);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn healthz(vitals: Arc<dyn Vitals>) -> impl IntoResponse {
    match vitals.health() {
        Ok(()) => (StatusCode::OK, "ok".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}
