//! What the provider says of itself, kept: its addresses and its keys.
//!
//! Read when first needed, and again after a while, when a token names a key that
//! is not known, or when a signature is wrong (a provider without storage makes new
//! keys under old names). Whoever asks at the same time shares one reading, and
//! readings are rationed, so strangers with made-up tokens do not make this replica
//! flood the provider. While the provider is away what it said last stands for a day.

mod ration;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::Algorithm;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use self::ration::Ration;
use super::keys::{self, KeyError, KeySet};
use super::transport::{Transport, TransportError};

/// After which what was read is read again.
const FRESH: Duration = Duration::from_secs(15 * 60);
/// After which it no longer stands, even if the provider is away.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// See the module's page.
pub(crate) struct Provider {
    issuer: String,
    transport: Transport,
    known: ArcSwapOption<Known>,
    reading: Mutex<Ration>,
}

/// What was read at one moment.
pub(crate) struct Known {
    pub(crate) metadata: Metadata,
    pub(crate) algorithms: Vec<Algorithm>,
    keys: KeySet,
    at: Instant,
}

/// The document of discovery, as far as it is used.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct Metadata {
    issuer: String,
    #[serde(deserialize_with = "address")]
    pub(crate) authorization_endpoint: Url,
    #[serde(deserialize_with = "address")]
    pub(crate) token_endpoint: Url,
    #[serde(deserialize_with = "address")]
    jwks_uri: Url,
    #[serde(default)]
    pub(crate) scopes_supported: Vec<String>,
    #[serde(default)]
    response_types_supported: Vec<String>,
    #[serde(default)]
    id_token_signing_alg_values_supported: Vec<String>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    pub(crate) token_endpoint_auth_methods_supported: Vec<String>,
}

/// The provider cannot be known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    #[error("the provider cannot be asked")]
    Transport(#[from] TransportError),
    #[error("the provider answers {what} with {status}")]
    Status { what: &'static str, status: http::StatusCode },
    #[error("the provider's {what} cannot be read")]
    Document {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("the provider calls itself '{0}', not by the configured issuer")]
    Issuer(String),
    #[error("the provider's address of {0} is not https, though its issuer's is")]
    Plaintext(&'static str),
    #[error("the issuer is no address")]
    Address,
    #[error("the provider was asked too often within a short time")]
    Rationed,
    #[error("a token is not the provider's")]
    Key(#[from] KeyError),
}

// === impl Provider ===

impl Provider {
    pub(crate) fn new(issuer: &str, transport: Transport) -> Self {
        Self {
            issuer: issuer.to_owned(),
            transport,
            known: ArcSwapOption::empty(),
            reading: Mutex::new(Ration::new(Instant::now())),
        }
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// What the provider says of itself.
    ///
    /// # Errors
    /// When it cannot be asked and has not been for a day.
    pub(crate) async fn known(&self) -> Result<Arc<Known>, ProviderError> {
        let Some(known) = self.known.load_full() else { return self.read(None).await };
        if known.at.elapsed() < FRESH {
            return Ok(known);
        }
        match self.read(Some(&known)).await {
            Err(error) if known.at.elapsed() < STALE => {
                tracing::warn!(error = argosy_model::report(&error), "the provider is away; what it said last stands");
                Ok(known)
            }
            read => read,
        }
    }

    /// The claims of a token that the provider signed.
    ///
    /// # Errors
    /// When it did not, or cannot be asked for its keys.
    pub(crate) async fn verify(&self, token: &str) -> Result<Map<String, Value>, ProviderError> {
        let known = self.known().await?;
        let reason = match known.verify(token) {
            Ok(claims) => return Ok(claims),
            Err(reason @ (KeyError::UnknownKey | KeyError::Signature)) => reason,
            Err(other) => return Err(other.into()),
        };
        match self.read(Some(&known)).await {
            Ok(newer) => Ok(newer.verify(token)?),
            Err(error) => {
                tracing::debug!(error = argosy_model::report(&error), "the provider's keys could not be read again");
                Err(reason.into())
            }
        }
    }

    /// Reads anew, unless somebody has since `seen`.
    async fn read(&self, seen: Option<&Arc<Known>>) -> Result<Arc<Known>, ProviderError> {
        let mut ration = self.reading.lock().await;
        if let Some(known) = self.known.load_full()
            && seen.is_none_or(|seen| !Arc::ptr_eq(seen, &known))
        {
            return Ok(known);
        }
        if !ration.take(Instant::now()) {
            return Err(ProviderError::Rationed);
        }
        let known = Arc::new(self.fetch().await?);
        self.known.store(Some(known.clone()));
        Ok(known)
    }

    async fn fetch(&self) -> Result<Known, ProviderError> {
        let address = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let address = Url::parse(&address).map_err(|_| ProviderError::Address)?;
        let document = self.get("discovery", &address).await?;
        let unreadable = |what| move |source| ProviderError::Document { what, source };
        let metadata = Metadata::read(&document).map_err(unreadable("discovery document"))?;
        if metadata.issuer != self.issuer {
            return Err(ProviderError::Issuer(metadata.issuer));
        }
        metadata.check_transport(address.scheme())?;
        let document = self.get("keys", &metadata.jwks_uri).await?;
        let keys = KeySet::read(&document).map_err(unreadable("keys"))?;
        let algorithms = keys::algorithms(&metadata.id_token_signing_alg_values_supported);
        Ok(Known { metadata, algorithms, keys, at: Instant::now() })
    }

    async fn get(&self, what: &'static str, address: &Url) -> Result<Vec<u8>, ProviderError> {
        let answer = self.transport.get(address, None).await?;
        let status = answer.status;
        if status.is_success() { Ok(answer.body) } else { Err(ProviderError::Status { what, status }) }
    }
}

// === impl Known ===

impl Known {
    pub(crate) fn verify(&self, token: &str) -> Result<Map<String, Value>, KeyError> {
        self.keys.verify(token, &self.algorithms)
    }
}

// === impl Metadata ===

impl Metadata {
    fn read(document: &[u8]) -> Result<Self, serde_json::Error> {
        let mut fields: Map<String, Value> = serde_json::from_slice(document)?;
        fields.retain(|_, value| !value.is_null());
        serde_json::from_value(Value::Object(fields))
    }

    /// A provider that is spoken to in secret must not move a part of it into the open.
    fn check_transport(&self, scheme: &str) -> Result<(), ProviderError> {
        let endpoints =
            [("keys", &self.jwks_uri), ("tokens", &self.token_endpoint), ("sign-in", &self.authorization_endpoint)];
        for (what, endpoint) in endpoints {
            let is_fine = endpoint.scheme() == "https" || scheme == "http" && endpoint.scheme() == "http";
            if !is_fine {
                return Err(ProviderError::Plaintext(what));
            }
        }
        Ok(())
    }

    /// Whether it hands out codes; a provider that does not sends tokens through
    /// the browser.
    pub(crate) fn has_codes(&self) -> bool {
        self.response_types_supported.iter().any(|kind| kind == "code")
    }

    /// Whether codes can be bound to who asked for them.
    pub(crate) fn has_pkce(&self) -> bool {
        self.code_challenge_methods_supported.iter().any(|method| method == "S256")
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    Url::parse(&text).map_err(|_| D::Error::custom("an endpoint is not an address"))
}
