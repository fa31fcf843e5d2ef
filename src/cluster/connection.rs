//! The way to one cluster.
//!
//! All requests pass [`Connection::send`]: budget, timeout, retry of what may be
//! retried, metrics, errors made safe. The clients stand behind an [`ArcSwapOption`]:
//! [`Connection::swap`] proves a new credential and puts it in place; requests
//! under way end on the old one, watches are told and move over by themselves.
//! A request that the cluster refuses to authenticate is repeated once with a
//! newer credential, waiting for one where somebody [sees to
//! that](Connection::refusals). [`Connection::close`] ends everything at once.

mod renewal;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::{Method, Response, StatusCode};
use kube::client::Body;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::budget::{Budget, Permit, Priority};
use crate::call::Call;
use crate::config::ClusterConfig;
use crate::error::{Error, Result, from_kube};
use crate::stream::Stream;
use crate::transport::{self, Lanes};

pub use renewal::Draining;
pub(crate) use reply::{Reply, cut_short, read};

/// Attempts at a request that may be repeated.
const ATTEMPTS: u32 = 5;
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
    /// `None` once closed.
    lanes: ArcSwapOption<Lanes>,
    generation: watch::Sender<u64>,
    budget: Arc<Budget>,
    seed: u64,
    /// When the credential was last put in place.
    renewed: tokio::sync::Mutex<Option<Instant>>,
    /// The latest generation the cluster has refused to authenticate.
    refused: watch::Sender<Option<u64>>,
    /// Writes that were forbidden, counted, and how many of these were looked into.
    forbidden: watch::Sender<u64>,
    cleared: watch::Sender<u64>,
    closed: CancellationToken,
}

/// Whom to be in the cluster's eyes.
#[derive(Debug)]
pub(crate) struct Impersonation {
    pub(crate) user: String,
    pub(crate) groups: Vec<String>,
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
        let lanes = Lanes::build(config.reach()?).await?;
        let host = lanes.reach.config.cluster_url.authority().map(ToString::to_string).unwrap_or_default();
        let shared = Shared {
            server: config.server.clone(),
            host,
            lanes: ArcSwapOption::from_pointee(lanes),
            generation: watch::Sender::new(0),
            budget,
            seed,
            renewed: tokio::sync::Mutex::default(),
            refused: watch::Sender::default(),
            forbidden: watch::Sender::default(),
            cleared: watch::Sender::default(),
            closed: CancellationToken::new(),
        };
        Ok(Self { shared: Arc::new(shared), acting_as: None })
    }

    /// Ends everything at once, for all clones: requests and streams under way are
    /// cut off, further ones fail, clients given out are out of reach and end with
    /// their owners.
    pub fn close(&self) {
        self.shared.closed.cancel();
        self.shared.lanes.store(None);
    }

    fn lanes(&self) -> Result<Arc<Lanes>> {
        self.shared.lanes.load_full().ok_or(Error::Closed)
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.is_cancelled()
    }

    /// Returns when the connection is closed.
    pub async fn closed(&self) {
        self.shared.closed.cancelled().await;
    }

    /// # Errors
    /// [`Error::Closed`], or those of the work.
    pub(crate) async fn unless_closed<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.shared.closed.cancelled() => Err(Error::Closed),
            done = work => done,
        }
    }

    /// A body that ends with an error when the connection is closed.
    pub(crate) fn guard(&self, body: Body) -> Stream {
        Stream { body, closed: self.shared.closed.clone() }
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
            None => Ok(self.lanes()?.calls.clone()),
            Some(_) => self.upgradable().await,
        }
    }

    /// A client whose connections can be upgraded, for exec, attach and
    /// port-forward, acting as this handle acts.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn upgradable(&self) -> Result<kube::Client> {
        let lanes = self.lanes()?;
        let mut config = lanes.reach.config.clone();
        if let Some(identity) = &self.acting_as {
            config.auth_info.impersonate = Some(identity.user.clone());
            config.auth_info.impersonate_groups = Some(identity.groups.clone());
        }
        transport::upgradable(config, lanes.tokens.as_ref()).await
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
        self.unless_closed(self.send_open(call)).await
    }

    async fn send_open(&self, call: &Call) -> Result<Reply> {
        let started = Instant::now();
        let mut backoff =
            Backoff::new(Duration::from_millis(200), Duration::from_secs(8), self.shared.seed ^ started_seed(call));
        let (mut attempt, mut unknown) = (1, false);
        loop {
            let generation = *self.shared.generation.borrow();
            let error = match self.attempt(call).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let refused = error.code() == Some(429);
            let unauthenticated = error.code() == Some(401);
            if error.code() == Some(403) && call.method != Method::GET {
                self.await_clearance().await;
            }
            let renewed = unauthenticated && !std::mem::replace(&mut unknown, true) && self.renew(generation).await?;
            if renewed && attempt < ATTEMPTS {
                attempt += 1;
                continue;
            }
            let repeat = refused || (call.method == Method::GET && error.is_transient());
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
        let lanes = self.lanes()?;
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
    pub(crate) async fn open(&self, call: &Call, lane: usize) -> Result<Response<Stream>> {
        let response = self.unless_closed(self.begin(call, lane)).await?;
        Ok(response.map(|body| self.guard(body)))
    }

    async fn begin(&self, call: &Call, lane: usize) -> Result<Response<Body>> {
        let generation = *self.shared.generation.borrow();
        let permit = self.permit(call).await;
        let started = Instant::now();
        let lanes = self.lanes()?;
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
                self.renew(generation).await?;
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
