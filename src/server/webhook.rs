//! Webhooks of Git hosts: POST `/api/webhook`.
//!
//! A delivery is believed in one thing only, that a repository may have changed;
//! then the owner of that repository polls it at once. So a forged delivery costs
//! at most a poll that would have come anyway, and of a thousand deliveries for
//! one repository one poll comes ([`polls`]). Where a secret is set, a delivery
//! without its proof is refused before a byte of it is parsed. Sizes are bounded;
//! nothing in a payload is ever made into a pattern.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod payload;
mod polls;
mod provider;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::any;
use http_body_util::{BodyExt as _, Limited};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::shared::Shared;
use payload::Delivery;
use polls::Polls;
use provider::{Provider, Unproven};

/// Deliveries whose bodies are in memory at once beyond those that are worked on.
const WAITING: usize = 64;
/// Until a delivery has arrived.
const PATIENCE: Duration = Duration::from_secs(30);

struct Webhooks {
    shared: Arc<Shared>,
    polls: Polls,
    /// Bodies in memory.
    room: Semaphore,
}

/// The routes of webhooks.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    let room = Semaphore::new(shared.options.webhook_parallelism.max(1) + WAITING);
    let webhooks = Webhooks { polls: Polls::start(shared.peers.clone()), shared, room };
    Router::new().route("/api/webhook", any(deliver)).with_state(Arc::new(webhooks))
}

async fn deliver(
    State(webhooks): State<Arc<Webhooks>>,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> (StatusCode, String) {
    let Some(provider) = Provider::of(&headers) else {
        return refuse(StatusCode::BAD_REQUEST, "Unknown webhook event");
    };
    if method != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "Webhook processing failed");
    }
    let Ok(_room) = webhooks.room.try_acquire() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "Queue is full, discarding webhook payload");
    };
    metrics::gauge!("argocd_webhook_handlers_in_flight").increment(1);
    let answer = webhooks.take(provider, &headers, body).await;
    metrics::gauge!("argocd_webhook_handlers_in_flight").decrement(1);
    answer
}

// === impl Webhooks ===

impl Webhooks {
    async fn take(&self, provider: Provider, headers: &HeaderMap, body: Body) -> (StatusCode, String) {
        let settings = self.shared.home.settings();
        let megabytes = settings.general.webhook_max_payload_mb;
        let most = usize::try_from(megabytes).unwrap_or(usize::MAX).saturating_mul(1 << 20);
        // Who sends slowly must not keep room from others.
        let Ok(Ok(body)) = timeout(PATIENCE, Limited::new(body, most).collect()).await else {
            return refuse(StatusCode::BAD_REQUEST, &unreadable(megabytes));
        };
        let body = body.to_bytes();
        if let Err(Unproven) = provider.verify(headers, &body, &settings.webhooks) {
            tracing::warn!(?provider, security = 4, "a webhook delivery without proof of its sender was refused");
            return refuse(StatusCode::UNAUTHORIZED, "Unauthorized");
        }
        match payload::parse(provider, headers, &body) {
            Ok(Delivery::Push { urls }) => {
                for url in urls {
                    metrics::counter!("argocd_webhook_requests_total", "repo" => self.label(&url)).increment(1);
                    tracing::info!(?provider, url = crate::redact::address(&url), "a webhook tells of a push");
                    self.polls.ask(url);
                }
                (StatusCode::OK, String::new())
            }
            Ok(Delivery::Other) => (StatusCode::OK, String::new()),
            Err(payload::Malformed) => refuse(StatusCode::BAD_REQUEST, &unreadable(megabytes)),
        }
    }

    /// The repository as a metric names it: strangers must not be able to make up
    /// labels without end.
    fn label(&self, url: &str) -> String {
        let known = self.shared.home.repositories();
        let same = |declared: &&Arc<argosy_home::RepoCredentials>| argosy_model::git_url::same(&declared.url, url);
        known
            .declared()
            .iter()
            .find(same)
            .map_or_else(|| "other".to_owned(), |declared| crate::redact::address(&declared.url))
    }
}

fn refuse(status: StatusCode, message: &str) -> (StatusCode, String) {
    (status, message.to_owned())
}

fn unreadable(megabytes: u64) -> String {
    format!("Webhook processing failed: payload must be valid JSON under {megabytes} MB")
}
