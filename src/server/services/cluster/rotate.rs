//! Giving a cluster a new token: the same service account gets a second one, it
//! is tried and stored, and only then is the old one deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use argosy_cluster::{Budget, BudgetConfig, ClusterConfig as Config, Connection};
use argosy_home::ClusterSecret;
use argosy_proto::cluster::{ClusterQuery, ClusterResponse};
use argosy_proto::v1alpha1::{Cluster, ClusterConfig};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::core::v1::{ObjectReference, Secret, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde::Deserialize;
use tokio::time::Instant;
use tonic::Status;

use super::Service;
use crate::caller::Caller;
use crate::permission::action;
use crate::status::from_home;

/// How long the cluster gets to make a token, and how often it is asked.
const MADE_WITHIN: Duration = Duration::from_secs(30);
const ASKED_EVERY: Duration = Duration::from_millis(500);

/// What the token of a service account says of itself.
#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    secret: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    account: String,
}

// === impl Service ===

impl Service {
    pub(super) async fn rotate(&self, caller: &Caller, query: &ClusterQuery) -> Result<ClusterResponse, Status> {
        for known in self.all(caller, query, action::UPDATE)? {
            self.rotate_one(&known).await?;
            tracing::info!(server = known.server, by = caller.username(), "the token of a cluster was rotated");
        }
        Ok(ClusterResponse {})
    }

    async fn rotate_one(&self, known: &ClusterSecret) -> Result<(), Status> {
        let cluster = known.to_cluster();
        let config = cluster.config.clone().unwrap_or_default();
        if config.bearer_token.is_empty() {
            let words = format!("Cluster '{}' does not use bearer token authentication", known.server);
            return Err(Status::invalid_argument(words));
        }
        let claims = parse(&config.bearer_token)?;
        let client = connect(known).await?;
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &claims.namespace);
        let (name, token) = make(&secrets, &claims).await?;
        let config = ClusterConfig { bearer_token: token, tls_client_config: without_certificate(&config), ..config };
        let rotated = Cluster { config: Some(config), ..cluster };
        // The old token stays until the new one is proven and stored.
        self.reach(&rotated).await?;
        self.shared.home.update_cluster(&rotated).await.map_err(|e| from_home(&e))?;
        repoint(&Api::namespaced(client, &claims.namespace), &claims, &name).await?;
        match secrets.delete(&claims.secret, &DeleteParams::default()).await {
            Err(kube::Error::Api(gone)) if gone.code == 404 => Ok(()),
            other => other.map(drop).map_err(|error| failed("delete the old token", &error)),
        }
    }
}

/// The claims of a token that names the Secret it is kept in. Nothing is proven
/// by them; the cluster decides.
fn parse(token: &str) -> Result<Claims, Status> {
    let body = token.split('.').nth(1).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(body.trim_end_matches('=')).unwrap_or_default();
    serde_json::from_slice(&bytes)
        .map_err(|_| Status::invalid_argument("the cluster's token is not that of a service account kept in a Secret"))
}

async fn connect(known: &ClusterSecret) -> Result<kube::Client, Status> {
    let data = BTreeMap::from([
        ("server".to_owned(), known.server.clone().into_bytes()),
        ("name".to_owned(), known.name.clone().into_bytes()),
        ("config".to_owned(), known.config.expose().clone().into_bytes()),
    ]);
    let unreachable = |error: argosy_cluster::Error| Status::unavailable(format!("cannot reach the cluster: {error}"));
    let config = Config::from_secret(&data).map_err(unreachable)?;
    let connection =
        Connection::connect(&config, Budget::new(BudgetConfig::default()), 0).await.map_err(unreachable)?;
    connection.kube().await.map_err(unreachable)
}

/// Makes a Secret for a further token and waits until the cluster has filled it.
async fn make(secrets: &Api<Secret>, claims: &Claims) -> Result<(String, String), Status> {
    let old = secrets.get(&claims.secret).await.map_err(|error| failed("read the old token", &error))?;
    let base = claims.secret.rsplit_once('-').map_or("", |(base, _)| base);
    let mut wanted = Secret { type_: Some("kubernetes.io/service-account-token".to_owned()), ..Default::default() };
    wanted.metadata.generate_name = Some(format!("{base}-"));
    wanted.metadata.annotations = old.metadata.annotations;
    let made = secrets.create(&PostParams::default(), &wanted).await;
    let name = made.map_err(|error| failed("make a new token", &error))?.metadata.name.unwrap_or_default();
    let deadline = Instant::now() + MADE_WITHIN;
    loop {
        let secret = secrets.get(&name).await.map_err(|error| failed("read the new token", &error))?;
        let token = secret.data.as_ref().and_then(|data| data.get("token"));
        if let Some(token) = token.and_then(|bytes| String::from_utf8(bytes.0.clone()).ok()) {
            return Ok((name, token));
        }
        if Instant::now() > deadline {
            return Err(Status::deadline_exceeded("timed out waiting for secret to generate new token"));
        }
        tokio::time::sleep(ASKED_EVERY).await;
    }
}

/// The account lists the new Secret instead of the old one.
async fn repoint(accounts: &Api<ServiceAccount>, claims: &Claims, name: &str) -> Result<(), Status> {
    let mut account = accounts.get(&claims.account).await.map_err(|error| failed("read the account", &error))?;
    let listed = account.secrets.get_or_insert_default();
    listed.retain(|secret| secret.name.as_deref() != Some(&claims.secret));
    if !listed.iter().any(|secret| secret.name.as_deref() == Some(name)) {
        listed.push(ObjectReference { name: Some(name.to_owned()), ..Default::default() });
    }
    let replaced = accounts.replace(&claims.account, &PostParams::default(), &account).await;
    replaced.map(drop).map_err(|error| failed("change the account", &error))
}

fn without_certificate(config: &ClusterConfig) -> Option<argosy_proto::v1alpha1::TlsClientConfig> {
    let tls = config.tls_client_config.clone()?;
    Some(argosy_proto::v1alpha1::TlsClientConfig { cert_data: Vec::new(), key_data: Vec::new(), ..tls })
}

fn failed(what: &str, error: &kube::Error) -> Status {
    let reason = match error {
        kube::Error::Api(status) => status.message.clone(),
        _ => "the cluster cannot be reached".to_owned(),
    };
    Status::failed_precondition(format!("failed to {what}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_names_no_secret_is_refused_without_being_repeated() {
        for token in ["canary", "a.b.c", "e30.e30.e30"] {
            let error = parse(token).err().unwrap();
            assert!(!error.message().contains(token), "{error}");
        }
    }
}
