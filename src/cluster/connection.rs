//! The way to one cluster.
//!
//! All requests pass [`Connection::send`]: budget, timeout, retry of what may be
//! retried, metrics, errors made safe. The clients stand behind an [`ArcSwap`]:
//! [`Connection::swap`] proves a new credential and puts it in place; requests
//! under way end on the old one, watches are told and move over by themselves.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::budget::{Budget, Permit, Priority};
use crate::call::Call;
use crate::config::ClusterConfig;
use crate::error::{ApiStatus, Error, Result, from_kube};
use crate::transport::{self, Lanes};

/// Largest answer read into memory, in bytes: a page of 500 large objects.
const LARGEST_ANSWER: usize = 512 << 20;
/// Attempts at a request that may be repeated.
const ATTEMPTS: u32 = 5;
/// Least time between two questions to an exec plugin.
const RENEWAL: Duration = Duration::from_secs(30);
/// Attempts of a whole call, waits included.
const PATIENCE: Duration = Duration::from_secs(60);

/// A handle on one cluster; clones share clients, budget and credential.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
    acting_as: Option<Arc<Impersonation>>,
}

struct Shared {
    server: String,
    host: String,
    lanes: ArcSwap<Lanes>,
    generation: watch::Sender<u64>,
    budget: Arc<Budget>,
    seed: u64,
    /// When the credential was last put in place.
    renewed: tokio::sync::Mutex<Option<Instant>>,
}

/// Whom to be in the cluster's eyes.
#[derive(Debug)]
pub(crate) struct Impersonation {
    pub(crate) user: String,
    pub(crate) groups: Vec<String>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) etag: Option<String>,
    /// Texts of `Warning` headers.
    pub(crate) warnings: Vec<String>,
    pub(crate) body: Bytes,
}

/// The API server's version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServerVersion {
    /// Major number.
    pub major: String,
    /// Minor number, sometimes with a `+`.
    pub minor: String,
    /// Full version, such as `v1.36.3+k3s1`.
    pub git_version: String,
}

// === impl Connection ===

impl Connection {
    /// Makes the clients for a cluster; whether it can be reached shows with the
    /// first request. `seed` spreads retries.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Credential`].
    pub async fn connect(config: &ClusterConfig, budget: Arc<Budget>, seed: u64) -> Result<Self> {
        let lanes = Lanes::build(config.to_kube()?).await?;
        let host = lanes.config.cluster_url.authority().map(ToString::to_string).unwrap_or_default();
        let shared = Shared {
            server: config.server.clone(),
            host,
            lanes: ArcSwap::from_pointee(lanes),
            generation: watch::Sender::new(0),
            budget,
            seed,
            renewed: tokio::sync::Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), acting_as: None })
    }

    /// Proves a new configuration against the cluster, then works with it. On an
    /// error the old one stays in place.
    ///
    /// # Errors
    /// As [`Self::connect`], and whatever the cluster says to the new identity.
    pub async fn swap(&self, config: &ClusterConfig) -> Result<()> {
        let lanes = Lanes::build(config.to_kube()?).await?;
        let response = tokio::time::timeout(Duration::from_secs(15), lanes.calls.send(proof()?))
            .await
            .map_err(|_| Error::Timeout(Duration::from_secs(15)))?
            .map_err(|e| from_kube(&e))?;
        match response.status() {
            StatusCode::UNAUTHORIZED => return Err(Error::Credential("the cluster refuses it".to_owned())),
            status if status.is_server_error() => {
                read(response).await?;
            }
            // 403 and 404 too: somebody we are, whether or not we may ask who.
            _ => {}
        }
        self.put(lanes).await;
        Ok(())
    }

    async fn put(&self, lanes: Lanes) {
        *self.shared.renewed.lock().await = Some(Instant::now());
        self.shared.lanes.store(Arc::new(lanes));
        self.shared.generation.send_modify(|generation| *generation += 1);
    }

    /// After a 401: asks the exec plugin for another credential, unless it was
    /// asked a moment ago. kube does so itself only for tokens that say when
    /// they end. True when there is a new one.
    async fn renew(&self) -> Result<bool> {
        let lanes = self.shared.lanes.load_full();
        let recently = |at: Instant| at.elapsed() < RENEWAL;
        if lanes.config.auth_info.exec.is_none() || self.shared.renewed.lock().await.is_some_and(recently) {
            return Ok(false);
        }
        self.put(Lanes::build(lanes.config.clone()).await?).await;
        Ok(true)
    }

    /// The same cluster, as somebody else. There is no way back to the own
    /// identity from the handle returned.
    #[must_use]
    pub fn acting_as(&self, user: &str, groups: &[String]) -> Self {
        let identity = Impersonation { user: user.to_owned(), groups: groups.to_vec() };
        Self { shared: self.shared.clone(), acting_as: Some(Arc::new(identity)) }
    }

    /// The service account `system:serviceaccount:<namespace>:<name>`, as sync
    /// impersonation names it.
    #[must_use]
    pub fn acting_as_service_account(&self, namespace: &str, name: &str) -> Self {
        self.acting_as(&format!("system:serviceaccount:{namespace}:{name}"), &[])
    }

    /// The server URL as configured: the cluster's identity.
    pub fn server(&self) -> &str {
        &self.shared.server
    }

    /// The budget every request comes out of.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.shared.budget
    }

    /// A client for calls this crate does not offer, acting as this handle acts.
    /// Requests sent through it are outside the budget.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn kube(&self) -> Result<kube::Client> {
        match &self.acting_as {
            None => Ok(self.shared.lanes.load().calls.clone()),
            Some(_) => self.upgradable().await,
        }
    }

    /// A client whose connections can be upgraded, for exec, attach and
    /// port-forward, acting as this handle acts.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn upgradable(&self) -> Result<kube::Client> {
        let mut config = self.shared.lanes.load().config.clone();
        if let Some(identity) = &self.acting_as {
            config.auth_info.impersonate = Some(identity.user.clone());
            config.auth_info.impersonate_groups = Some(identity.groups.clone());
        }
        transport::upgradable(config).await
    }

    /// Counts credentials put in place by [`Self::swap`].
    pub fn generation(&self) -> watch::Receiver<u64> {
        self.shared.generation.subscribe()
    }

    /// Asks for the server's version; also the cheapest proof that it answers.
    ///
    /// # Errors
    /// Whatever stands between here and the cluster.
    pub async fn server_version(&self) -> Result<ServerVersion> {
        self.json("version", Call::get("/version", Priority::Interactive).within(Duration::from_secs(15))).await
    }

    pub(crate) fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// Sends a call and reads the answer as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, what: &'static str, call: Call) -> Result<T> {
        let reply = self.send(&call).await?;
        serde_json::from_slice(&reply.body).map_err(|source| Error::Decode { what, source })
    }

    /// Sends a call, repeating it where that is safe: always after a 429 (the
    /// server did nothing), for reads also when the server was not there.
    pub(crate) async fn send(&self, call: &Call) -> Result<Reply> {
        let started = Instant::now();
        let mut backoff =
            Backoff::new(Duration::from_millis(200), Duration::from_secs(8), self.shared.seed ^ started_seed(call));
        let mut attempt = 1;
        loop {
            let error = match self.attempt(call).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let refused = error.code() == Some(429);
            let renewed = error.code() == Some(401) && self.renew().await?;
            let repeat = refused || renewed || (call.method == Method::GET && error.is_transient());
            if !repeat || attempt == ATTEMPTS || started.elapsed() > PATIENCE {
                return Err(error);
            }
            attempt += 1;
            let asked = retry_after(&error);
            if refused {
                self.shared.budget.pause(asked.unwrap_or(Duration::from_secs(1)));
            }
            let (host, method) = (self.shared.host.clone(), call.method.to_string());
            let code = error.code().map(|c| c.to_string()).unwrap_or_default();
            metrics::counter!("argocd_kubectl_request_retries_total", "host" => host, "method" => method, "code" => code)
                .increment(1);
            tokio::time::sleep(backoff.wait(asked)).await;
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Reply> {
        let permit = self.permit(call).await;
        let started = Instant::now();
        let lanes = self.shared.lanes.load_full();
        let request = call.request(self.acting_as.as_deref())?;
        let whole = async {
            let response = lanes.calls.send(request).await.map_err(|e| from_kube(&e))?;
            read(response).await
        };
        let result = tokio::time::timeout(call.timeout, whole).await.unwrap_or(Err(Error::Timeout(call.timeout)));
        drop(permit);
        self.measure(call, started, &result);
        result
    }

    /// Opens a stream whose end is not waited for. `lane` spreads streams over
    /// connections. The permit is given back once the answer has begun.
    pub(crate) async fn open(&self, call: &Call, lane: usize) -> Result<Response<Body>> {
        let permit = self.permit(call).await;
        let started = Instant::now();
        let lanes = self.shared.lanes.load_full();
        let lane = &lanes.watches[(lane / transport::WATCHES_PER_LANE) % lanes.watches.len()];
        let request = call.request(self.acting_as.as_deref())?;
        let begun = async {
            let response = lane.client().await?.send(request).await.map_err(|e| from_kube(&e))?;
            if response.status().is_success() {
                Ok(response)
            } else {
                Err(read(response).await.err().unwrap_or_else(cut_short))
            }
        };
        let result = tokio::time::timeout(call.timeout, begun).await.unwrap_or(Err(Error::Timeout(call.timeout)));
        drop(permit);
        match &result {
            Err(error) if error.code() == Some(429) => {
                self.shared.budget.pause(retry_after(error).unwrap_or(Duration::from_secs(1)));
            }
            // The caller tries again, with the new one.
            Err(error) if error.code() == Some(401) => {
                self.renew().await?;
            }
            _ => {}
        }
        self.count(call, started, result.as_ref().map(Response::status).map_err(|e| e.code()));
        result
    }

    async fn permit(&self, call: &Call) -> Permit {
        let asked = Instant::now();
        let permit = self.shared.budget.acquire(call.priority).await;
        let (host, verb) = (self.shared.host.clone(), call.method.to_string());
        metrics::histogram!("argocd_kubectl_rate_limiter_duration_seconds", "host" => host, "verb" => verb)
            .record(asked.elapsed().as_secs_f64());
        permit
    }

    fn measure(&self, call: &Call, started: Instant, result: &Result<Reply>) {
        self.count(call, started, result.as_ref().map(|r| r.status).map_err(Error::code));
        let (host, method) = (self.shared.host.clone(), call.method.to_string());
        metrics::histogram!("argocd_kubectl_request_size_bytes", "host" => host.clone(), "method" => method.clone())
            .record(call.body.len() as f64);
        if let Ok(reply) = result {
            metrics::histogram!("argocd_kubectl_response_size_bytes", "host" => host, "method" => method)
                .record(reply.body.len() as f64);
        }
    }

    fn count(&self, call: &Call, started: Instant, code: std::result::Result<StatusCode, Option<u16>>) {
        let code = match code {
            Ok(code) => code.as_str().to_owned(),
            Err(Some(code)) => code.to_string(),
            Err(None) => "<error>".to_owned(),
        };
        let (host, method) = (self.shared.host.clone(), call.method.to_string());
        metrics::counter!("argocd_kubectl_requests_total", "host" => host.clone(), "method" => method.clone(), "code" => code)
            .increment(1);
        metrics::histogram!("argocd_kubectl_request_duration_seconds", "host" => host, "verb" => method)
            .record(started.elapsed().as_secs_f64());
    }
}

/// Asks the cluster who we are: needs no permission beyond being somebody.
fn proof() -> Result<http::Request<Body>> {
    let review = serde_json::json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    Call::write(Method::POST, path, crate::call::JSON, &review).request(None)
}

pub(crate) async fn read(response: Response<Body>) -> Result<Reply> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|e| too_large_or(&*e))?.to_bytes();
    let header = |name| parts.headers.get(name).and_then(|v| v.to_str().ok());
    if !parts.status.is_success() && parts.status != StatusCode::NOT_MODIFIED {
        let retry_after = header(header::RETRY_AFTER).and_then(|s| s.parse().ok()).map(Duration::from_secs);
        return Err(Error::Api(ApiStatus::read(parts.status.as_u16(), retry_after, &body)));
    }
    let warnings = parts.headers.get_all(header::WARNING).iter().filter_map(|v| warning(v.to_str().ok()?)).collect();
    Ok(Reply { status: parts.status, etag: header(header::ETAG).map(str::to_owned), warnings, body })
}

fn too_large_or(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Error {
    if error.is::<http_body_util::LengthLimitError>() { Error::TooLarge(LARGEST_ANSWER) } else { from_kube(error) }
}

/// An error answer without a body that says so.
pub(crate) fn cut_short() -> Error {
    Error::Unreachable("the answer was cut short".to_owned())
}

/// The text of `299 - "text"`.
fn warning(header: &str) -> Option<String> {
    let quoted = header.splitn(3, ' ').nth(2)?;
    let text = quoted.strip_prefix('"')?.strip_suffix('"')?;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

fn retry_after(error: &Error) -> Option<Duration> {
    match error {
        Error::Api(status) => status.retry_after,
        _ => None,
    }
}

/// Different paths retry at different moments.
fn started_seed(call: &Call) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    call.path.hash(&mut hasher);
    hasher.finish()
}

impl Reply {
    /// The answer as a JSON value.
    pub(crate) fn value(&self, what: &'static str) -> Result<Value> {
        serde_json::from_slice(&self.body).map_err(|source| Error::Decode { what, source })
    }
}
