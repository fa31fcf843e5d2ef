//! Single sign-on: an OpenID provider that is set in `oidc.config`, or Dex.
//!
//! [`Sso`] follows the settings: an edit of the provider's configuration counts from
//! the next request on, and one that changes nothing about it keeps the keys that
//! were learnt. [`Sso::verify`] says who shows a provider's token, [`Sso::renew`]
//! replaces one that is about to end. How browsers come by one is in
//! [`crate::auth_routes`].
//!
//! Promises. The provider is known by its address and certificate before anything it
//! says counts; exactly its issuer, its keys and its algorithms are accepted. Every
//! question to it is bounded in time and size, and strangers cannot make this
//! replica ask more than a few. No code, token or secret is in a log or an error.
//! Lost in a crash: what was learnt from the provider, which is asked again.

pub(crate) mod addresses;
pub(crate) mod client;
mod config;
pub(crate) mod dex;
pub mod dex_config;
pub(crate) mod flow;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod keys;
pub(crate) mod provider;
mod renew;
pub(crate) mod sessions;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;
pub(crate) mod transport;
mod turns;
mod user_info;

use std::sync::{Arc, Mutex, PoisonError};

use argosy_auth::identity::Identity;
use argosy_auth::oidc::ClaimsError;
use argosy_auth::token::SigningKey;
use argosy_home::{Clock, Home, Settings};
use jiff::Timestamp;

use self::client::Client;
use self::config::{Config, ConfigError};
use self::dex::{DexAddress, DexError};
use self::sessions::{Session, SessionId};
use self::tokens::Tokens;
use self::transport::{Transport, TransportError};
use crate::options::ServerOptions;
use crate::shared::Random;

/// See the module's page. Clones share everything.
#[derive(Clone)]
pub(crate) struct Sso {
    state: Arc<State>,
}

struct State {
    home: Home,
    clock: Clock,
    random: Random,
    options: ServerOptions,
    current: Mutex<Option<Current>>,
}

/// What follows from one version of the settings.
struct Current {
    settings: Arc<Settings>,
    client: Option<Arc<Client>>,
}

/// Single sign-on cannot be set up.
#[derive(Debug, thiserror::Error)]
enum SetUpError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Dex(#[from] DexError),
    #[error(transparent)]
    Transport(#[from] TransportError),
}

// === impl Sso ===

impl Sso {
    pub(crate) fn new(home: Home, clock: Clock, random: Random, options: &ServerOptions) -> Self {
        let state = State { home, clock, random, options: options.clone(), current: Mutex::default() };
        Self { state: Arc::new(state) }
    }

    /// The provider as it is set now; `None` where there is none, or none that can
    /// be used.
    pub(crate) fn client(&self) -> Option<Arc<Client>> {
        let settings = self.state.home.settings();
        // Nothing is done under this lock that a panic could leave half done.
        let mut current = self.state.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = current.as_ref().filter(|current| Arc::ptr_eq(&current.settings, &settings)) {
            return current.client.clone();
        }
        let previous = current.take().and_then(|current| current.client);
        let client = set_up(&settings, &self.state.options, previous).unwrap_or_else(|error| {
            tracing::error!(error = argosy_model::report(&error), "single sign-on is switched off");
            None
        });
        *current = Some(Current { settings, client: client.clone() });
        client
    }

    /// Who shows this token of the provider.
    ///
    /// # Errors
    /// What to tell the client; why, is in the log.
    pub(crate) async fn verify(&self, token: &str) -> Result<Identity, String> {
        let refuse = || ClaimsError::CLIENT_MESSAGE.to_owned();
        let client = self.client().ok_or_else(refuse)?;
        let now = self.now();
        let mut identity = client.identify(token, now).await.map_err(|error| {
            tracing::debug!(error = argosy_model::report(&error), "a token of single sign-on is refused");
            refuse()
        })?;
        if let Some(user_info) = &client.config.user_info {
            let access_token = |id: &SessionId| self.session(id).and_then(|session| session.access_token());
            let put = client.groups.put(&mut identity, user_info, &client.provider, access_token, now);
            put.await.map_err(|error| {
                tracing::warn!(error = argosy_model::report(&error), "the groups of a user are not known");
                "invalid session: error fetching user info endpoint".to_owned()
            })?;
        }
        Ok(identity)
    }

    /// Keeps what of a new sign-in is needed later.
    ///
    /// # Errors
    /// When the document of all replicas cannot be written.
    pub(crate) async fn remember(
        &self,
        client: &Client,
        identity: &Identity,
        tokens: Tokens,
    ) -> Result<(), argosy_home::Error> {
        let id = SessionId::of(&identity.claims);
        client.groups.forget(&id);
        client.refreshed.forget(&id);
        let wants_refresh = !client.config.refresh_before.is_zero() && tokens.refresh_token.is_some();
        if !wants_refresh && client.config.user_info.is_none() {
            return Ok(());
        }
        let Tokens { id_token, access_token, refresh_token } = tokens;
        let access_token = access_token.filter(|_| client.config.user_info.is_some());
        let refresh_token = refresh_token.filter(|_| wants_refresh);
        let started = self.now().as_second();
        let session = Session::new(started, self.session_end(started)).with(access_token, refresh_token, &id_token);
        self.keep(&id, session).await
    }

    /// Forgets what was kept of an identity's sign-in.
    ///
    /// # Errors
    /// When the document of all replicas cannot be written.
    pub(crate) async fn forget(&self, identity: &Identity) -> Result<(), argosy_home::Error> {
        let id = SessionId::of(&identity.claims);
        if let Some(client) = self.client() {
            client.groups.forget(&id);
            client.refreshed.forget(&id);
        }
        sessions::forget(&self.state.home, &id).await
    }

    fn session(&self, id: &SessionId) -> Option<Session> {
        sessions::find(&self.state.home, id, &self.key()?, self.now())
    }

    async fn keep(&self, id: &SessionId, session: Session) -> Result<(), argosy_home::Error> {
        let Some(key) = self.key() else { return Ok(()) };
        let mut nonce = [0; 12];
        (self.state.random)(&mut nonce);
        sessions::keep(&self.state.home, id, session, &key, nonce, self.now()).await
    }

    /// When a session that started then ends for good, in seconds since 1970.
    fn session_end(&self, started: i64) -> i64 {
        let lifetime = self.state.home.settings().api.session_duration.as_secs();
        started.saturating_add(i64::try_from(lifetime).unwrap_or(i64::MAX))
    }

    fn key(&self) -> Option<SigningKey> {
        let settings = self.state.home.settings();
        SigningKey::new(settings.secret("server.secretkey")?.expose().as_bytes()).ok()
    }

    fn now(&self) -> Timestamp {
        (self.state.clock)()
    }
}

fn set_up(
    settings: &Settings,
    options: &ServerOptions,
    previous: Option<Arc<Client>>,
) -> Result<Option<Arc<Client>>, SetUpError> {
    let Some(config) = Config::read(settings)? else { return Ok(None) };
    if let Some(previous) = previous.filter(|previous| previous.config == config) {
        return Ok(Some(previous));
    }
    let transport = Transport::new(&config, &DexAddress::new(options)?, settings)?;
    Ok(Some(Arc::new(Client::new(config, transport))))
}
