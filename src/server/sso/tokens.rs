//! Trading codes and refresh tokens for tokens at the provider.

use std::path::Path;

use argosy_model::Secret;
use http::StatusCode;
use serde::Deserialize;
use url::form_urlencoded;

use super::config::Config;
use super::provider::{Provider, ProviderError};
use super::transport::{Answer, TransportError};

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What the provider gave.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) id_token: Secret<String>,
    pub(crate) access_token: Option<Secret<String>>,
    pub(crate) refresh_token: Option<Secret<String>>,
}

/// The provider gave nothing. The text is fit for users: it names no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokensError {
    #[error("the provider is not known")]
    Provider(#[from] ProviderError),
    #[error("the provider cannot be asked for tokens")]
    Transport(#[from] TransportError),
    #[error("the file of the federated token cannot be read")]
    FederatedToken(#[source] std::io::Error),
    #[error("failed to get token: the provider answers {status} {error}")]
    Refused { status: StatusCode, error: String },
    #[error("failed to get token: the answer of the provider cannot be read")]
    Unreadable,
    #[error("no id_token in token response")]
    NoIdToken,
}

#[derive(Deserialize)]
struct Given {
    id_token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
}

#[derive(Default, Deserialize)]
struct Refusal {
    error: Option<String>,
}

/// How the client proves itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    Basic,
    Form,
}

/// Redeems a code.
///
/// # Errors
/// [`TokensError`].
pub(crate) async fn redeem(
    provider: &Provider,
    config: &Config,
    code: &str,
    redirect_uri: &str,
    verifier: Option<Secret<&str>>,
) -> Result<Tokens, TokensError> {
    let mut fields = vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect_uri)];
    if let Some(verifier) = &verifier {
        fields.push(("code_verifier", verifier.expose()));
    }
    ask(provider, config, &fields).await
}

/// Trades a refresh token in. The answer may have another one, which then is the
/// only good one.
///
/// # Errors
/// [`TokensError`].
pub(crate) async fn refresh(
    provider: &Provider,
    config: &Config,
    token: &Secret<String>,
) -> Result<Tokens, TokensError> {
    ask(provider, config, &[("grant_type", "refresh_token"), ("refresh_token", token.expose())]).await
}

async fn ask(provider: &Provider, config: &Config, fields: &[(&str, &str)]) -> Result<Tokens, TokensError> {
    let known = provider.known().await?;
    let endpoint = &known.metadata.token_endpoint;
    let assertion = match &config.federated_token {
        Some(file) => Some(read_assertion(file).await?),
        None => None,
    };
    let announced = &known.metadata.token_endpoint_auth_methods_supported;
    let proofs = proofs(announced, config, assertion.is_some());
    let mut last = None;
    for proof in proofs {
        let (form, basic) = request(*proof, config, fields, assertion.as_ref());
        let basic = basic.as_ref().map(|(name, password)| (name.as_str(), password.expose().as_str()));
        let answer = provider.transport().post(endpoint, form, basic).await?;
        match read(&answer) {
            // Perhaps it wants the secret in the other place.
            Err(error @ TokensError::Refused { .. }) if is_about_client(&error) => last = Some(error),
            outcome => return outcome,
        }
    }
    Err(last.unwrap_or(TokensError::Unreadable))
}

/// In which ways to try. A provider that does not say which it understands is tried
/// with both.
fn proofs(announced: &[String], config: &Config, has_assertion: bool) -> &'static [Proof] {
    let has = |method: &str| announced.iter().any(|one| one == method);
    if has_assertion || config.client_secret.expose().is_empty() {
        return &[Proof::Form];
    }
    match (has("client_secret_basic"), has("client_secret_post")) {
        (true, _) => &[Proof::Basic],
        (false, true) => &[Proof::Form],
        (false, false) => &[Proof::Basic, Proof::Form],
    }
}

/// The form, and the name and password beside it.
fn request(
    proof: Proof,
    config: &Config,
    fields: &[(&str, &str)],
    assertion: Option<&Secret<String>>,
) -> (String, Option<(String, Secret<String>)>) {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    let secret = config.client_secret.expose();
    if proof == Proof::Basic {
        // Both are encoded as in a form before they are joined.
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        return (form.finish(), Some((encode(&config.client_id), Secret::new(encode(secret)))));
    }
    form.append_pair("client_id", &config.client_id);
    if let Some(assertion) = assertion {
        form.append_pair("client_assertion_type", ASSERTION).append_pair("client_assertion", assertion.expose());
    } else if !secret.is_empty() {
        form.append_pair("client_secret", secret);
    }
    (form.finish(), None)
}

fn read(answer: &Answer) -> Result<Tokens, TokensError> {
    if !answer.status.is_success() {
        let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
        // A code of the protocol; other texts may repeat what was sent.
        let is_code = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let error = refusal.error.filter(|error| error.len() <= 64 && error.bytes().all(is_code)).unwrap_or_default();
        return Err(TokensError::Refused { status: answer.status, error });
    }
    let given: Given = serde_json::from_slice(&answer.body).map_err(|_| TokensError::Unreadable)?;
    let some = |token: Option<String>| token.filter(|token| !token.is_empty()).map(Secret::new);
    Ok(Tokens {
        id_token: some(given.id_token).ok_or(TokensError::NoIdToken)?,
        access_token: some(given.access_token),
        refresh_token: some(given.refresh_token),
    })
}

fn is_about_client(error: &TokensError) -> bool {
    let TokensError::Refused { status, error } = error else { return false };
    *status == StatusCode::UNAUTHORIZED || error == "invalid_client"
}

/// Kubernetes renews the file, so it is read each time.
async fn read_assertion(file: &Path) -> Result<Secret<String>, TokensError> {
    let text = tokio::fs::read_to_string(file).await.map_err(TokensError::FederatedToken)?;
    Ok(Secret::new(text.trim().to_owned()))
}
