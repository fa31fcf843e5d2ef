//! A provider of single sign-on (OpenID Connect) for tests, over http or https.
//!
//! Whoever comes to sign in is let in at once, as the user that the test has chosen.
//! Codes, their proofs (PKCE), secrets of clients and refresh tokens are checked as a
//! strict provider does, and used once. A test makes it lie: claims of the next
//! tokens can be replaced, keys rotated, and tokens forged in every way.

mod keys;
mod routes;
mod serve;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::certificates::{Authority, install_crypto};

pub use keys::{Kind, SigningKey, forge, unsigned};

/// Name of the one client it knows.
pub const CLIENT_ID: &str = "argosy";
/// That client's secret, to be looked for where it must not be.
pub const CLIENT_SECRET: &str = "canary-client-secret";

/// A running provider; ends when dropped.
pub struct OpenId {
    issuer: String,
    authority: Option<Authority>,
    state: Arc<Mutex<State>>,
    _server: AbortOnDropHandle<()>,
}

/// What a provider is and was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Readings of the discovery document.
    pub discovery: usize,
    /// Requests for tokens that were granted.
    pub tokens: usize,
    /// Requests for tokens that were refused.
    pub refused: usize,
    /// Questions about a user.
    pub user_info: usize,
}

struct State {
    issuer: String,
    keys: Vec<SigningKey>,
    /// Claims of whoever signs in next.
    user: Map<String, Value>,
    /// Replace claims of the next tokens; null takes one away.
    lies: Map<String, Value>,
    /// Replace fields of the discovery document; null takes one away.
    metadata: Map<String, Value>,
    user_info: Map<String, Value>,
    lifetime: i64,
    codes: HashMap<String, Grant>,
    refresh: HashMap<String, Map<String, Value>>,
    access: HashMap<String, String>,
    /// Of codes and tokens.
    count: usize,
    asked: Asked,
}

/// What a code stands for.
struct Grant {
    claims: Map<String, Value>,
    redirect_uri: String,
    challenge: Option<String>,
}

// === impl OpenId ===

impl OpenId {
    /// Starts one on a free port of 127.0.0.1, over http.
    ///
    /// # Errors
    /// When there is no port or no key.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(None).await
    }

    /// The same over https, with a certificate of an authority that nobody trusts yet.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_tls() -> anyhow::Result<Self> {
        Self::start_with(Some(Authority::new("argosy test provider authority")?)).await
    }

    async fn start_with(authority: Option<Authority>) -> anyhow::Result<Self> {
        install_crypto();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let scheme = if authority.is_some() { "https" } else { "http" };
        let issuer = format!("{scheme}://127.0.0.1:{}", listener.local_addr()?.port());
        let state = Arc::new(Mutex::new(State::new(&issuer)?));
        let acceptor = authority.as_ref().map(serve::acceptor).transpose()?;
        let server = tokio::spawn(serve::serve(listener, acceptor, routes::router(state.clone())));
        Ok(Self { issuer, authority, state, _server: AbortOnDropHandle::new(server) })
    }

    /// Its name, which is its address.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The authority of its certificate, PEM; `None` over http.
    pub fn root_ca(&self) -> Option<&str> {
        self.authority.as_ref().map(Authority::certificate_pem)
    }

    /// The value of `oidc.config` for it, but for `clientSecret: $oidc.clientSecret`,
    /// which is to be put into `argocd-secret`; `more` is YAML of further fields.
    pub fn config(&self, more: &str) -> String {
        format!(
            "name: Test\nissuer: {}\nclientID: {CLIENT_ID}\nclientSecret: $oidc.clientSecret\n{more}\n",
            self.issuer
        )
    }

    /// Who signs in next: claims beside those that every token has.
    pub fn user(&self, claims: Value) {
        self.lock().user = object(claims);
    }

    /// Replaces claims of all tokens from now on; null takes one away.
    pub fn lie(&self, claims: Value) {
        self.lock().lies = object(claims);
    }

    /// Replaces fields of the discovery document; null takes one away.
    pub fn announce(&self, fields: Value) {
        self.lock().metadata = object(fields);
    }

    /// What it says of the user when asked with an access token, beside the subject.
    pub fn tell(&self, claims: Value) {
        self.lock().user_info = object(claims);
    }

    /// How long tokens from now on last, in seconds; less than zero is ended already.
    pub fn lifetime(&self, seconds: i64) {
        self.lock().lifetime = seconds;
    }

    /// Replaces its key: tokens of the old one no longer count.
    ///
    /// # Errors
    /// When no key can be generated.
    pub fn rotate(&self, kind: Kind) -> anyhow::Result<()> {
        let mut state = self.lock();
        let name = format!("key-{}", state.next());
        state.keys = vec![SigningKey::new(&name, kind)?];
        Ok(())
    }

    /// The key that it signs with.
    pub fn key(&self) -> SigningKey {
        self.lock().signing_key().clone()
    }

    /// A token with these claims over the usual ones, as it would sign it.
    pub fn token(&self, claims: Value) -> String {
        let mut state = self.lock();
        let claims = state.claims(object(claims));
        state.signing_key().sign(&claims)
    }

    /// The claims that such a token has.
    pub fn claims(&self, claims: Value) -> Value {
        Value::Object(self.lock().claims(object(claims)))
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Asked {
        self.lock().asked
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

// === impl State ===

impl State {
    fn new(issuer: &str) -> anyhow::Result<Self> {
        let user = json!({"sub": "alice-id", "email": "alice@example.com", "groups": ["devs"]});
        Ok(Self {
            issuer: issuer.to_owned(),
            keys: vec![SigningKey::new("key-0", Kind::Rsa)?],
            user: object(user),
            lies: Map::new(),
            metadata: Map::new(),
            user_info: Map::new(),
            lifetime: 3600,
            codes: HashMap::new(),
            refresh: HashMap::new(),
            access: HashMap::new(),
            count: 0,
            asked: Asked::default(),
        })
    }

    fn next(&mut self) -> usize {
        self.count += 1;
        self.count
    }

    fn signing_key(&self) -> &SigningKey {
        self.keys.last().expect("there is a key from the start")
    }

    /// All claims of a token whose own ones are these.
    fn claims(&mut self, own: Map<String, Value>) -> Map<String, Value> {
        let now = now();
        let mut claims = object(json!({
            "iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + self.lifetime,
            "jti": format!("jti-{}", self.next()),
        }));
        claims.extend(self.user.clone());
        claims.extend(own);
        claims.extend(self.lies.clone());
        claims.retain(|_, value| !value.is_null());
        claims
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("claims are fields, not {other}"),
    }
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the provider is a process of its own and lives in real time")]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
