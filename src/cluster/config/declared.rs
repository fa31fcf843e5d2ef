//! The JSON in a cluster Secret's `config`, as Argo CD writes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use argosy_model::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cloud::{Cloud, Surroundings};
use crate::error::{Error, Result};

/// The JSON in a cluster Secret's `config`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Declared {
    /// Basic authentication.
    pub username: String,
    #[serde(deserialize_with = "secret")]
    password: Secret<String>,
    #[serde(deserialize_with = "secret")]
    bearer_token: Secret<String>,
    /// Trust and client certificate.
    #[serde(rename = "tlsClientConfig")]
    pub tls: Tls,
    /// Token from AWS IAM.
    #[serde(rename = "awsAuthConfig")]
    pub aws: Option<Aws>,
    /// Credential from a command.
    #[serde(rename = "execProviderConfig")]
    pub exec: Option<Exec>,
    /// Whether answers are asked for uncompressed.
    pub disable_compression: bool,
    #[serde(deserialize_with = "secret")]
    proxy_url: Secret<String>,
}

/// Trust and client certificate of a [`Declared`] credential.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Tls {
    /// Accepts any server certificate.
    pub insecure: bool,
    /// Name expected in the server's certificate, where it differs from the URL's.
    pub server_name: String,
    cert_data: String,
    #[serde(deserialize_with = "secret")]
    key_data: Secret<String>,
    ca_data: String,
}

/// AWS IAM authentication.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Aws {
    /// EKS cluster name.
    pub cluster_name: String,
    /// Role to assume, may be empty.
    #[serde(rename = "roleARN")]
    pub role_arn: String,
    /// Profile to use, may be empty.
    pub profile: String,
}

/// A credential plugin.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Exec {
    /// Program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    env: BTreeMap<String, SecretText>,
    /// `client.authentication.k8s.io/…`.
    pub api_version: String,
    /// What to tell people when the program is missing.
    pub install_hint: String,
    /// Whether the plugin gets the cluster's address and trust.
    pub provide_cluster_info: bool,
    /// Given to the plugin with the cluster's address.
    pub config: Option<Value>,
}

#[derive(Clone, Debug, Default)]
struct SecretText(Secret<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        secret(deserializer).map(Self)
    }
}

/// The program that `awsAuthConfig` stands for, and that people name for other providers.
const CLOUD_COMMAND: &str = "argocd-k8s-auth";

// === impl Declared ===

impl Declared {
    pub(super) fn is_empty(&self) -> bool {
        self.username.is_empty()
            && self.bearer_token.expose().is_empty()
            && self.tls.cert_data.is_empty()
            && self.aws.is_none()
            && self.exec.is_none()
    }

    pub(super) fn to_kube(&self, server: &str) -> Result<kube::Config> {
        // A query only tells clusters with one address apart; it is no part of the path.
        let address = server.split('?').next().unwrap_or(server);
        let url: http::Uri = address.parse().map_err(|_| Error::Config("server is not a URL".to_owned()))?;
        let mut config = kube::Config::new(url);
        config.accept_invalid_certs = self.tls.insecure;
        config.tls_server_name = Some(self.tls.server_name.clone()).filter(|n| !n.is_empty());
        config.disable_compression = self.disable_compression;
        if !self.tls.ca_data.is_empty() && !self.tls.insecure {
            config.root_cert = Some(certificates(&self.tls.ca_data)?);
        }
        let proxy = self.proxy_url.expose();
        if !proxy.is_empty() {
            config.proxy_url = Some(proxy.parse().map_err(|_| Error::Config("proxyUrl is not a URL".to_owned()))?);
        }
        let unusable = |_| Error::Config("config does not form a credential".to_owned());
        config.auth_info = serde_json::from_value(self.identity()).map_err(unusable)?;
        if let (Some(exec), Some(plugin)) = (&self.exec, &mut config.auth_info.exec)
            && exec.provide_cluster_info
        {
            plugin.cluster = Some(serde_json::from_value(exec.cluster(self, address)).map_err(unusable)?);
        }
        Ok(config)
    }

    /// The provider whose tokens these are, where it is known how to make them.
    pub(super) fn cloud(&self, surroundings: &Arc<Surroundings>) -> Option<Cloud> {
        if let Some(aws) = &self.aws {
            let identity = Cloud::identity(&aws.arguments())?;
            return Some(Cloud::new(identity, surroundings.clone(), BTreeMap::new()));
        }
        let exec = self.exec.as_ref()?;
        let name = std::path::Path::new(&exec.command).file_name().and_then(|name| name.to_str());
        if name != Some(CLOUD_COMMAND) {
            return None;
        }
        let variables = exec.env.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
        Some(Cloud::new(Cloud::identity(&exec.args)?, surroundings.clone(), variables))
    }

    /// The user entry a kubeconfig would have.
    fn identity(&self) -> Value {
        let mut user = json!({});
        if !self.tls.cert_data.is_empty() {
            user["client-certificate-data"] = json!(self.tls.cert_data);
            user["client-key-data"] = json!(self.tls.key_data.expose());
        }
        if let Some(aws) = &self.aws {
            user["exec"] = aws.exec();
        } else if let Some(exec) = &self.exec {
            user["exec"] = exec.exec();
        } else if !self.bearer_token.expose().is_empty() {
            user["token"] = json!(self.bearer_token.expose());
        } else if !self.username.is_empty() {
            user["username"] = json!(self.username);
            user["password"] = json!(self.password.expose());
        }
        user
    }
}

// === impl Aws ===

impl Aws {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["aws", "--cluster-name", &self.cluster_name];
        if !self.role_arn.is_empty() {
            arguments.extend(["--role-arn", &self.role_arn]);
        }
        if !self.profile.is_empty() {
            arguments.extend(["--profile", &self.profile]);
        }
        arguments.into_iter().map(str::to_owned).collect()
    }

    fn exec(&self) -> Value {
        json!({"apiVersion": "client.authentication.k8s.io/v1beta1", "command": CLOUD_COMMAND, "args": self.arguments(),
               "interactiveMode": "Never"})
    }
}

// === impl Exec ===

impl Exec {
    fn exec(&self) -> Value {
        let env: Vec<Value> =
            self.env.iter().map(|(name, value)| json!({"name": name, "value": value.0.expose()})).collect();
        json!({"apiVersion": self.api_version, "command": self.command, "args": self.args, "env": env,
               "interactiveMode": "Never", "provideClusterInfo": self.provide_cluster_info})
    }

    /// What the plugin is told of the cluster, where it asks.
    fn cluster(&self, declared: &Declared, server: &str) -> Value {
        let mut cluster = json!({"server": server, "config": self.config});
        if declared.tls.insecure {
            cluster["insecure-skip-tls-verify"] = json!(true);
        } else if !declared.tls.ca_data.is_empty() {
            cluster["certificate-authority-data"] = json!(declared.tls.ca_data);
        }
        if !declared.tls.server_name.is_empty() {
            cluster["tls-server-name"] = json!(declared.tls.server_name);
        }
        cluster
    }
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Secret<String>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| Secret::new(text.unwrap_or_default()))
}

/// The DER certificates in base64-encoded PEM.
fn certificates(data: &str) -> Result<Vec<Vec<u8>>> {
    use rustls::pki_types::pem::PemObject;
    let invalid = |why: &str| Error::Config(format!("tlsClientConfig.caData {why}"));
    let pem = STANDARD.decode(data.trim()).map_err(|_| invalid("is not base64"))?;
    let certificates: Vec<Vec<u8>> = rustls::pki_types::CertificateDer::pem_slice_iter(&pem)
        .map(|c| c.map(|c| c.as_ref().to_vec()))
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| invalid("is not PEM"))?;
    if certificates.is_empty() { Err(invalid("holds no certificate")) } else { Ok(certificates) }
}
