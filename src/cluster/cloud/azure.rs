//! AKS: an access token of Entra ID for the server application of all clusters.

use argosy_model::Secret;
use serde::{Deserialize, Deserializer};

use super::{Cloud, Token, from_now, http, read};
use crate::error::{Error, Result};

/// The application that every AKS cluster with managed Entra ID integration trusts.
const SERVER: &str = "6dae42f8-4368-4678-94ff-3960e28e3630";

/// For which server application to sign in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Login {
    /// Empty for that of all clusters.
    pub(crate) server: String,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(deserialize_with = "number")]
    expires_in: u64,
}

// === impl Login ===

impl Login {
    /// Signs in as `AAD_LOGIN_METHOD` says: `workloadidentity`, `spn` or `msi`;
    /// without it, as what is set suggests.
    pub(super) async fn token(&self, cloud: &Cloud) -> Result<Token> {
        let server = if self.server.is_empty() { SERVER } else { &self.server };
        let method = cloud.variable("AAD_LOGIN_METHOD").unwrap_or_else(|| {
            if cloud.variable("AZURE_FEDERATED_TOKEN_FILE").is_some() {
                "workloadidentity"
            } else if secret(cloud).is_some() {
                "spn"
            } else {
                "msi"
            }
        });
        let answer: Answer = match method {
            "workloadidentity" => {
                let file = cloud.required("AZURE_FEDERATED_TOKEN_FILE")?;
                let assertion = read("federated token", file).await?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                let form = [("client_assertion_type", kind), ("client_assertion", assertion.expose())];
                sign_in(cloud, server, &form).await?
            }
            "spn" => {
                let secret = secret(cloud).ok_or_else(|| {
                    Error::Credential("the environment variable AZURE_CLIENT_SECRET is not set".to_owned())
                })?;
                sign_in(cloud, server, &[("client_secret", secret)]).await?
            }
            "msi" => {
                let base = cloud.variable("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or("http://169.254.169.254");
                let url = format!("{}/metadata/identity/oauth2/token", base.trim_end_matches('/'));
                let mut query = vec![("api-version", "2018-02-01"), ("resource", server)];
                query.extend(client_id(cloud).map(|id| ("client_id", id)));
                let request = http::client()?.get(with_query(&url, &query)).header("Metadata", "true");
                http::json("the machine's managed identity", request).await?
            }
            other => return Err(Error::Credential(format!("the Azure login method {other:?} is not supported"))),
        };
        Ok(Token { expires: from_now(cloud.now(), answer.expires_in), text: Secret::new(answer.access_token) })
    }
}

async fn sign_in(cloud: &Cloud, server: &str, proof: &[(&str, &str)]) -> Result<Answer> {
    let tenant = cloud.required("AZURE_TENANT_ID")?;
    let client = client_id(cloud)
        .ok_or_else(|| Error::Credential("the environment variable AZURE_CLIENT_ID is not set".to_owned()))?;
    let authority = cloud.variable("AZURE_AUTHORITY_HOST").unwrap_or_else(|| authority(cloud)).trim_end_matches('/');
    let scope = format!("{server}/.default");
    let mut form = vec![("grant_type", "client_credentials"), ("client_id", client), ("scope", &*scope)];
    form.extend(proof);
    let request = http::post(&format!("{authority}/{tenant}/oauth2/v2.0/token"), &form)?;
    http::json("Entra ID", request).await
}

/// Where a national cloud signs in.
fn authority(cloud: &Cloud) -> &'static str {
    match cloud.variable("AAD_ENVIRONMENT_NAME").unwrap_or_default().to_lowercase().as_str() {
        "azurechinacloud" => "https://login.chinacloudapi.cn",
        "azureusgovernment" | "azureusgovernmentcloud" => "https://login.microsoftonline.us",
        _ => "https://login.microsoftonline.com",
    }
}

fn client_id(cloud: &Cloud) -> Option<&str> {
    cloud.variable("AAD_SERVICE_PRINCIPAL_CLIENT_ID").or_else(|| cloud.variable("AZURE_CLIENT_ID"))
}

fn secret(cloud: &Cloud) -> Option<&str> {
    cloud.variable("AAD_SERVICE_PRINCIPAL_CLIENT_SECRET").or_else(|| cloud.variable("AZURE_CLIENT_SECRET"))
}

fn with_query(url: &str, query: &[(&str, &str)]) -> String {
    let query = query.iter().map(|(name, value)| format!("{name}={}", http::encode(value))).collect::<Vec<_>>();
    format!("{url}?{}", query.join("&"))
}

/// Entra ID writes a number, the machine's service a text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u64),
        Text(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Number(number) => Ok(number),
        Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}
