//! Tokens of cloud providers, made in this process.
//!
//! Argo CD's `awsAuthConfig`, and its command `argocd-k8s-auth` in an
//! `execProviderConfig`, mean one of these; the command itself is not needed.
//!
//! | file | whose token |
//! | --- | --- |
//! | [`aws`] | EKS: a presigned question to STS, and where the key to sign with is from |
//! | [`gcp`] | GKE: an access token of the application default credentials |
//! | [`azure`] | AKS: an access token of Entra ID |
//!
//! A token is fetched with the first request and again shortly before it ends;
//! while the provider is away, one that still holds goes on being used. What a
//! token is made with is looked for where the providers' own programs look: in
//! environment variables, which a Secret's `env` may add to, in files, and from
//! the machine's metadata service.
//!
//! Errors say which step failed and with which code, never what was answered.

mod aws;
mod azure;
mod gcp;
mod http;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderValue, Request, header};
use argosy_model::Secret;
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use tokio::sync::Mutex;

use crate::error::{Error, Result};

/// A token is not used for the last minute of its life.
const SPARE: SignedDuration = SignedDuration::from_secs(60);
/// Least time between attempts while a token still holds.
const AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// What this process has around it: the time, its environment, and the keys that
/// were got so far. Share one, so that a thousand clusters ask for a key once.
pub struct Surroundings {
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    variables: HashMap<String, String>,
    keys: Mutex<HashMap<String, aws::Keys>>,
}

/// Who to be at which provider.
#[derive(Clone)]
pub(crate) enum Identity {
    Aws(aws::Eks),
    Azure(azure::Login),
    Gcp,
}

/// An identity, and what it finds itself in.
#[derive(Clone)]
pub(crate) struct Cloud {
    pub(crate) identity: Identity,
    surroundings: Arc<Surroundings>,
    /// What the Secret adds to the environment.
    variables: Arc<BTreeMap<String, Secret<String>>>,
}

/// A token and when it ends.
struct Token {
    text: Secret<String>,
    expires: Timestamp,
}

/// The current token of one credential.
#[derive(Clone)]
pub(crate) struct Tokens {
    cloud: Cloud,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    tried: Option<Timestamp>,
}

// === impl Surroundings ===

impl Surroundings {
    /// Surroundings with a clock and the environment's variables.
    pub fn new(clock: Arc<dyn Fn() -> Timestamp + Send + Sync>, variables: HashMap<String, String>) -> Arc<Self> {
        Arc::new(Self { clock, variables, keys: Mutex::default() })
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surroundings")
    }
}

// === impl Cloud ===

impl Cloud {
    pub(crate) fn new(
        identity: Identity,
        surroundings: Arc<Surroundings>,
        variables: BTreeMap<String, Secret<String>>,
    ) -> Self {
        Self { identity, surroundings, variables: Arc::new(variables) }
    }

    /// What `argocd-k8s-auth` with these arguments stands for; `None` for a
    /// command that is not ours to understand.
    pub(crate) fn identity(arguments: &[String]) -> Option<Identity> {
        let (kind, rest) = arguments.split_first()?;
        let flag = |name: &str| {
            let long = format!("--{name}");
            let joined = rest.iter().find_map(|argument| argument.strip_prefix(&format!("{long}=")).map(str::to_owned));
            joined.or_else(|| rest.iter().skip_while(|argument| **argument != long).nth(1).cloned()).unwrap_or_default()
        };
        match kind.as_str() {
            "aws" => Some(Identity::Aws(aws::Eks {
                cluster: flag("cluster-name"),
                role: flag("role-arn"),
                profile: flag("profile"),
            })),
            "azure" => Some(Identity::Azure(azure::Login { server: flag("server-id") })),
            "gcp" => Some(Identity::Gcp),
            _ => None,
        }
    }

    fn now(&self) -> Timestamp {
        (self.surroundings.clock)()
    }

    /// An environment variable that is set and not empty.
    fn variable(&self, name: &str) -> Option<&str> {
        let own = self.variables.get(name).map(|value| value.expose().as_str());
        own.or_else(|| self.surroundings.variables.get(name).map(String::as_str)).filter(|text| !text.is_empty())
    }

    fn required(&self, name: &str) -> Result<&str> {
        self.variable(name).ok_or_else(|| Error::Credential(format!("the environment variable {name} is not set")))
    }

    /// A file below the home folder.
    fn at_home(&self, path: &str) -> Option<std::path::PathBuf> {
        Some(std::path::Path::new(self.variable("HOME")?).join(path))
    }

    async fn token(&self) -> Result<Token> {
        match &self.identity {
            Identity::Aws(eks) => eks.token(self).await,
            Identity::Azure(login) => login.token(self).await,
            Identity::Gcp => gcp::token(self).await,
        }
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cloud")
    }
}

// === impl Tokens ===

impl Tokens {
    pub(crate) fn new(cloud: Cloud) -> Self {
        Self { cloud, state: Arc::default() }
    }

    /// A token that holds for a while yet.
    ///
    /// # Errors
    /// [`Error::Credential`] when none can be got and none still holds.
    pub(crate) async fn current(&self) -> Result<Secret<String>> {
        let mut state = self.state.lock().await;
        let now = self.cloud.now();
        let holds = |token: &&Token, spare: SignedDuration| token.expires.duration_since(now) > spare;
        let is_early = state.tried.is_some_and(|tried| now.duration_since(tried).abs() < AGAIN);
        if let Some(token) =
            state.token.as_ref().filter(|t| holds(t, SPARE) || (is_early && holds(t, SignedDuration::ZERO)))
        {
            return Ok(token.text.clone());
        }
        state.tried = Some(now);
        match self.cloud.token().await {
            Ok(token) => {
                let text = token.text.clone();
                state.token = Some(token);
                Ok(text)
            }
            Err(error) => match state.token.as_ref().filter(|token| holds(token, SignedDuration::ZERO)) {
                Some(token) => {
                    tracing::warn!(%error, "a cloud token could not be fetched; the one before still holds");
                    Ok(token.text.clone())
                }
                None => Err(error),
            },
        }
    }

    /// Adds the token to a request.
    ///
    /// # Errors
    /// As [`Self::current`].
    pub(crate) async fn authorize(&self, mut request: Request<Body>) -> Result<Request<Body>> {
        let token = self.current().await?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))
            .map_err(|_| Error::Credential("the provider's token holds forbidden characters".to_owned()))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        Ok(request)
    }
}

/// So many seconds from now.
fn from_now(now: Timestamp, seconds: u64) -> Timestamp {
    now.checked_add(Duration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// A file's text, without the blanks around it.
async fn read(what: &str, path: impl AsRef<std::path::Path>) -> Result<Secret<String>> {
    let text = tokio::fs::read_to_string(path.as_ref()).await;
    let text = text.map_err(|error| Error::Credential(format!("{what} {}: {error}", path.as_ref().display())))?;
    Ok(Secret::new(text.trim().to_owned()))
}

#[cfg(test)]
mod tests;
