//! Calls to whichever endpoint of etcd answers.
//!
//! One endpoint is used until it fails; then everybody goes on with the next.
//! Every attempt has a deadline, and what is called must bear being repeated: an
//! attempt whose answer was lost may have taken effect. What etcd itself
//! refuses is not tried elsewhere.

use std::sync::PoisonError;
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Error as EtcdError, Identity, TlsOptions};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

use crate::error::{BoxError, Error};
use crate::etcd::options::{AccessSource, EtcdOptions, EtcdTls, EtcdUser};

/// Until a connection stands.
const CONNECTED: Duration = Duration::from_secs(2);

/// etcd refuses pings more often than every 5 s.
const PINGED: Duration = Duration::from_secs(6);

/// Between two rounds over all endpoints.
const PAUSE: Duration = Duration::from_millis(200);

/// See the module's page.
pub(crate) struct Connection {
    endpoints: Vec<Endpoint>,
    /// Without what gives access.
    options: ConnectOptions,
    access: std::sync::Mutex<(Option<EtcdTls>, Option<EtcdUser>)>,
    source: Option<AccessSource>,
    /// Index of the endpoint in use.
    current: watch::Sender<usize>,
    /// Until one attempt is given up: several fit into a lease.
    attempt: Duration,
}

struct Endpoint {
    address: String,
    client: Mutex<Option<Client>>,
}

/// Why a call did not come through.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("no endpoint of etcd answers")]
    Silent,
    #[error("etcd is full and takes no writes (alarm NOSPACE): raise its quota, or compact, defragment and disarm it")]
    Full,
    #[error("etcd refuses the credentials or the permissions of this replica: {0}")]
    Forbidden(String),
    #[error("etcd does not know the lease")]
    LeaseGone,
    #[error("another replica is a member under the name {0}")]
    NameTaken(String),
    #[error("etcd: {0}")]
    Etcd(#[from] EtcdError),
}

enum Verdict {
    /// Another endpoint, or a later attempt, may do.
    Elsewhere,
    /// The client's token is over: a new client signs in again.
    SignInAgain,
    Final(CallError),
}

// === impl Connection ===

impl Connection {
    pub(crate) fn new(options: &EtcdOptions) -> Result<Self, Error> {
        let attempt = (options.lease / 6).clamp(Duration::from_millis(500), Duration::from_secs(3));
        let connect = ConnectOptions::new()
            .with_connect_timeout(CONNECTED.min(attempt))
            .with_keep_alive(PINGED, attempt)
            .with_keep_alive_while_idle(true)
            .with_tcp_keepalive(PINGED)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if options.endpoints.is_empty() {
            return Err(backend("used")("no endpoint of etcd was named".into()));
        }
        let endpoints = options.endpoints.iter();
        let endpoints = endpoints.map(|address| Endpoint { address: address.clone(), client: Mutex::default() });
        Ok(Self {
            endpoints: endpoints.collect(),
            options: connect,
            access: std::sync::Mutex::new((options.tls.clone(), options.user.clone())),
            source: options.access.clone(),
            current: watch::Sender::new(0),
            attempt,
        })
    }

    fn options(&self) -> ConnectOptions {
        let access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        with_access(self.options.clone(), access.0.as_ref(), access.1.as_ref())
    }

    /// Reads what gives access anew; whether it is other than it was. Then all clients are
    /// made anew, for each connects and signs in with what it was made with.
    async fn renew_access(&self) -> bool {
        let has_changed = match self.source.as_ref().map(AccessSource::read) {
            Some(Ok(read)) => {
                let mut access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::replace(&mut *access, read.clone()) != read
            }
            Some(Err(error)) => {
                tracing::warn!(error, "what gives access to etcd cannot be read; going on as before");
                false
            }
            None => false,
        };
        if has_changed {
            tracing::info!("what gives access to etcd has changed");
            for index in 0..self.endpoints.len() {
                self.forget(index).await;
            }
        }
        has_changed
    }

    /// Until one attempt is given up.
    pub(crate) fn attempt(&self) -> Duration {
        self.attempt
    }

    /// Which endpoint is in use, for streams that should follow.
    pub(crate) fn current(&self) -> watch::Receiver<usize> {
        self.current.subscribe()
    }

    /// Calls one endpoint after the other until one answers or `until` has passed.
    pub(crate) async fn call<T, F, Fut>(&self, until: Instant, request: F) -> Result<T, CallError>
    where
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, EtcdError>>,
    {
        let mut tried = 0;
        loop {
            let index = *self.current.borrow();
            let verdict = match self.once(index, &request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let (verdict, reason) = verdict;
            match verdict {
                // It may be good with what gives access by now.
                Verdict::Final(CallError::Forbidden(_)) if tried == 0 && self.renew_access().await => {}
                Verdict::Final(error) => return Err(error),
                Verdict::SignInAgain => self.forget(index).await,
                Verdict::Elsewhere => {
                    self.turn_from(index, &reason);
                    self.renew_access().await;
                }
            }
            tried += 1;
            if Instant::now() >= until {
                return Err(CallError::Silent);
            }
            if tried % self.endpoints.len() == 0 {
                sleep(PAUSE).await;
            }
        }
    }

    async fn once<T, F, Fut>(&self, index: usize, request: &F) -> Result<T, (Verdict, String)>
    where
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, EtcdError>>,
    {
        let attempt = async { request(self.client(index).await?).await };
        match timeout(self.attempt, attempt).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let reason = error.to_string();
                Err((judge(error), reason))
            }
            Err(_) => Err((Verdict::Elsewhere, format!("no answer within {:?}", self.attempt))),
        }
    }

    /// A client of one endpoint; it connects when it is first used.
    pub(crate) async fn client(&self, index: usize) -> Result<Client, EtcdError> {
        let endpoint = &self.endpoints[index];
        let mut client = endpoint.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let fresh = Client::connect([endpoint.address.as_str()], Some(self.options())).await?;
        *client = Some(fresh.clone());
        Ok(fresh)
    }

    /// Makes the next caller connect and sign in anew.
    pub(crate) async fn forget(&self, index: usize) {
        self.endpoints[index].client.lock().await.take();
    }

    /// Goes on with the next endpoint, unless somebody has done so already.
    pub(crate) fn turn_from(&self, index: usize, reason: &str) {
        let next = (index + 1) % self.endpoints.len();
        let turned = self.current.send_if_modified(|current| {
            let is_ours = *current == index && next != index;
            if is_ours {
                *current = next;
            }
            is_ours
        });
        if turned {
            let (from, to) = (&self.endpoints[index].address, &self.endpoints[next].address);
            tracing::warn!(from, to, reason, "an endpoint of etcd does not answer; going on with the next");
        }
    }
}

fn with_access(options: ConnectOptions, tls: Option<&EtcdTls>, user: Option<&EtcdUser>) -> ConnectOptions {
    let options = match tls {
        None => options,
        Some(tls) => {
            let config = TlsOptions::new().ca_certificate(Certificate::from_pem(&tls.authority));
            let identity = tls.identity.as_ref().map(|(certificate, key)| Identity::from_pem(certificate, key));
            options.with_tls(match identity {
                Some(identity) => config.identity(identity),
                None => config,
            })
        }
    };
    match user {
        Some(user) => options.with_user(&user.name, &user.password),
        None => options,
    }
}

fn judge(error: EtcdError) -> Verdict {
    let EtcdError::GRpcStatus(status) = &error else {
        return match &error {
            EtcdError::LeaseKeepAliveError(words) if words.contains("not found") => {
                Verdict::Final(CallError::LeaseGone)
            }
            EtcdError::InvalidArgs(_) | EtcdError::InvalidUri(_) | EtcdError::InvalidMetadataValue(_) => {
                Verdict::Final(error.into())
            }
            _ => Verdict::Elsewhere,
        };
    };
    let words = status.message();
    match status.code() {
        Code::ResourceExhausted if words.contains("space exceeded") => Verdict::Final(CallError::Full),
        Code::NotFound if words.contains("lease") => Verdict::Final(CallError::LeaseGone),
        Code::Unauthenticated => Verdict::SignInAgain,
        Code::PermissionDenied => Verdict::Final(CallError::Forbidden(words.to_owned())),
        Code::InvalidArgument if words.contains("authentication failed") => {
            Verdict::Final(CallError::Forbidden(words.to_owned()))
        }
        // A policy or a password changed since the token was made.
        Code::InvalidArgument if words.contains("revision of auth store is old") => Verdict::SignInAgain,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange | Code::NotFound | Code::AlreadyExists => {
            Verdict::Final(error.into())
        }
        _ => Verdict::Elsewhere,
    }
}

/// An error of what keeps the fleet's state.
pub(crate) fn backend(operation: &'static str) -> impl Fn(BoxError) -> Error {
    move |source| Error::Backend { operation, source }
}

impl CallError {
    pub(crate) fn while_being(self, operation: &'static str) -> Error {
        Error::Backend { operation, source: Box::new(self) }
    }
}
