//! Requests to the provider: bounded in time and size, never led elsewhere.
//!
//! A redirection is followed within one origin only, so that no secret and no
//! question of ours reaches an address that nobody has configured. Errors carry no
//! address, for codes and tokens are in some.

use std::time::Duration;

use argosy_home::Settings;
use argosy_model::Secret;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder};
use url::Url;

use super::config::Config;
use super::dex::{DexAddress, DexError, Trust};

/// Until the connection stands.
const CONNECTED: Duration = Duration::from_secs(10);
/// Until the answer is complete.
const ANSWERED: Duration = Duration::from_secs(20);
/// Until the next piece of an answer that is passed on.
const SILENT: Duration = Duration::from_secs(60);
/// Redirections within one origin.
const REDIRECTIONS: usize = 3;
/// Longest answer, in bytes: documents of keys with certificates, and groups.
const LONGEST: usize = 1 << 20;

/// The way to one provider.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    client: Client,
    /// Where requests go, whatever host they name.
    dex: Option<Url>,
}

/// What the provider said.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

/// The provider cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("a client for the provider cannot be made")]
    Client(#[source] reqwest::Error),
    #[error(transparent)]
    Dex(#[from] DexError),
    #[error("the provider does not answer")]
    Unreachable(#[source] reqwest::Error),
    #[error("the answer of the provider is longer than {LONGEST} bytes")]
    TooLong,
}

// === impl Transport ===

impl Transport {
    /// For the provider of a configuration.
    ///
    /// # Errors
    /// When the certificates to be trusted cannot be used.
    pub(crate) fn new(config: &Config, dex: &DexAddress, settings: &Settings) -> Result<Self, TransportError> {
        if config.is_dex {
            let client = dex_client(dex, settings)?.timeout(ANSWERED).build().map_err(TransportError::Client)?;
            return Ok(Self { client, dex: Some(dex.url.clone()) });
        }
        let mut builder = Client::builder().connect_timeout(CONNECTED).timeout(ANSWERED).redirect(within_origin());
        match Certificate::from_pem_bundle(config.root_ca.as_bytes()) {
            Ok(authorities) if !authorities.is_empty() => builder = builder.tls_certs_only(authorities),
            _ if config.root_ca.trim().is_empty() => {}
            _ => tracing::warn!("rootCA of oidc.config has no certificate and is left out"),
        }
        if config.insecure {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        Ok(Self { client: builder.build().map_err(TransportError::Client)?, dex: None })
    }

    /// Asks, with a bearer token where there is one.
    ///
    /// # Errors
    /// When there is no answer, or too long a one.
    pub(crate) async fn get(&self, url: &Url, bearer: Option<&Secret<String>>) -> Result<Answer, TransportError> {
        let request = self.client.get(self.place(url)).header(ACCEPT, "application/json");
        send(match bearer {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        })
        .await
    }

    /// Sends a form, with a name and a password where there are some.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn post(
        &self,
        url: &Url,
        form: String,
        basic: Option<(&str, &str)>,
    ) -> Result<Answer, TransportError> {
        let request = self.client.post(self.place(url)).header(ACCEPT, "application/json");
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        send(match basic {
            Some((name, password)) => request.basic_auth(name, Some(password)),
            None => request,
        })
        .await
    }

    /// Where a request really goes.
    fn place(&self, url: &Url) -> Url {
        let Some(dex) = &self.dex else { return url.clone() };
        let mut place = dex.clone();
        place.set_path(url.path());
        place.set_query(url.query());
        place
    }
}

/// A client that passes requests of others on to Dex, answers of any length included.
///
/// # Errors
/// When the certificate to be trusted cannot be used.
pub(crate) fn passing_on(dex: &DexAddress, settings: &Settings) -> Result<Client, TransportError> {
    dex_client(dex, settings)?.read_timeout(SILENT).redirect(Policy::none()).build().map_err(TransportError::Client)
}

fn dex_client(dex: &DexAddress, settings: &Settings) -> Result<ClientBuilder, TransportError> {
    // Dex is a neighbour; no proxy leads to it.
    let builder = Client::builder().connect_timeout(CONNECTED).no_proxy().redirect(within_origin());
    Ok(match dex.pinned_tls(settings)? {
        Some(tls) => builder.tls_backend_preconfigured(tls),
        None => builder.tls_danger_accept_invalid_certs(dex.trust == Trust::Any),
    })
}

fn within_origin() -> Policy {
    Policy::custom(|attempt: Attempt<'_>| {
        let same = attempt.previous().last().is_some_and(|from| from.origin() == attempt.url().origin());
        if same && attempt.previous().len() <= REDIRECTIONS { attempt.follow() } else { attempt.stop() }
    })
}

async fn send(request: RequestBuilder) -> Result<Answer, TransportError> {
    let unreachable = |error: reqwest::Error| TransportError::Unreachable(error.without_url());
    let mut response = request.send().await.map_err(unreachable)?;
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        if body.len() + piece.len() > LONGEST {
            return Err(TransportError::TooLong);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer { status: response.status(), content_type, body })
}
