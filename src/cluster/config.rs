//! How a cluster is reached and as whom.
//!
//! Read from a cluster Secret as Argo CD writes it, from the pod's own service
//! account, or from a kubeconfig. Credentials are [`Secret`]s from here to the
//! header they end in; errors name fields, never values.

use std::collections::BTreeMap;

use argosy_model::{Secret, names};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// One cluster, as configured.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// API server URL as written, its identity in Argo CD: kept verbatim, query and all.
    pub server: String,
    /// Display name.
    pub name: String,
    /// Namespaces to look at; empty means all.
    pub namespaces: Vec<String>,
    /// Whether cluster-scoped objects are looked at although `namespaces` is set.
    pub cluster_resources: bool,
    /// Where the credential comes from.
    pub credential: Credential,
}

/// Where address, trust and identity come from.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The `config` field of a cluster Secret.
    Declared(Box<Declared>),
    /// The pod's service account.
    InCluster,
    /// A kubeconfig, already resolved to one context.
    Resolved(Box<kube::Config>),
}

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

/// The program Argo CD's `awsAuthConfig` stands for.
const AWS_COMMAND: &str = "argocd-k8s-auth";

// === impl ClusterConfig ===

impl ClusterConfig {
    /// From the decoded `data` of a cluster Secret. A Secret without `config`
    /// for the in-cluster address means the pod's own service account.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn from_secret(data: &BTreeMap<String, Vec<u8>>) -> Result<Self> {
        let text = |field: &str| -> Result<String> {
            let bytes = data.get(field).map(Vec::as_slice).unwrap_or_default();
            let text = std::str::from_utf8(bytes).map_err(|_| Error::Config(format!("{field} is not UTF-8")))?;
            Ok(text.trim().to_owned())
        };
        let server = text("server")?.trim_end_matches('/').to_owned();
        if server.is_empty() {
            return Err(Error::Config("server is missing".to_owned()));
        }
        let namespaces =
            text("namespaces")?.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect();
        let config = data.get("config").map(Vec::as_slice).unwrap_or_default();
        let declared = !config.iter().all(u8::is_ascii_whitespace);
        let credential = if declared {
            let declared: Declared = serde_json::from_slice(config).map_err(|e| unreadable(&e))?;
            if server == names::IN_CLUSTER_SERVER && declared.is_empty() {
                Credential::InCluster
            } else {
                Credential::Declared(Box::new(declared))
            }
        } else if server == names::IN_CLUSTER_SERVER {
            Credential::InCluster
        } else {
            Credential::Declared(Box::default())
        };
        let name = Some(text("name")?).filter(|n| !n.is_empty()).unwrap_or_else(|| server.clone());
        Ok(Self { server, name, namespaces, cluster_resources: text("clusterResources")? == "true", credential })
    }

    /// The cluster this process runs in.
    pub fn in_cluster() -> Self {
        Self {
            server: names::IN_CLUSTER_SERVER.to_owned(),
            name: names::IN_CLUSTER_NAME.to_owned(),
            namespaces: Vec::new(),
            cluster_resources: false,
            credential: Credential::InCluster,
        }
    }

    /// A kubeconfig's context: the named one, else the current one.
    ///
    /// # Errors
    /// [`Error::Config`] when the file cannot be read or has no such context.
    pub async fn from_kubeconfig(path: Option<&std::path::Path>, context: Option<&str>) -> Result<Self> {
        let options = kube::config::KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
        // The parser's errors quote the file, which holds credentials: say only which file.
        let resolved = match path {
            Some(path) => {
                let shown = path.display();
                let file = kube::config::Kubeconfig::read_from(path)
                    .map_err(|_| Error::Config(format!("kubeconfig {shown} cannot be read")))?;
                kube::Config::from_custom_kubeconfig(file, &options).await
            }
            None => kube::Config::from_kubeconfig(&options).await,
        };
        let resolved = resolved.map_err(|_| Error::Config("the kubeconfig has no usable context".to_owned()))?;
        Ok(Self::from_kube(resolved, context.unwrap_or("kubeconfig")))
    }

    /// A connection made up elsewhere.
    pub fn from_kube(config: kube::Config, name: &str) -> Self {
        Self {
            server: config.cluster_url.to_string().trim_end_matches('/').to_owned(),
            name: name.to_owned(),
            namespaces: Vec::new(),
            cluster_resources: false,
            credential: Credential::Resolved(Box::new(config)),
        }
    }

    /// The same cluster, reached in the same way, as the bearer of a token.
    ///
    /// # Errors
    /// As [`Self::to_kube`], and [`Error::Config`] for a connection that already
    /// acts as somebody else.
    pub fn with_token(&self, token: &Secret<String>) -> Result<Self> {
        let mut config = self.anonymous()?;
        let unusable = |_| Error::Config("the token does not form a credential".to_owned());
        config.auth_info = serde_json::from_value(json!({"token": token.expose()})).map_err(unusable)?;
        Ok(Self { credential: Credential::Resolved(Box::new(config)), ..self.clone() })
    }

    /// The same cluster, reached in the same way, as nobody.
    ///
    /// # Errors
    /// As [`Self::with_token`].
    pub(crate) fn anonymous(&self) -> Result<kube::Config> {
        let mut config = self.to_kube()?;
        if config.auth_info.impersonate.is_some() {
            return Err(Error::Config("the credential acts as somebody else".to_owned()));
        }
        config.auth_info = kube::config::AuthInfo::default();
        Ok(config)
    }

    /// Whether the cluster is looked at one namespace at a time.
    pub fn is_namespaced(&self) -> bool {
        !self.namespaces.is_empty()
    }

    /// What kube needs to connect.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field that cannot be used.
    pub fn to_kube(&self) -> Result<kube::Config> {
        let mut config = match &self.credential {
            Credential::Resolved(config) => (**config).clone(),
            Credential::InCluster => {
                kube::Config::incluster().map_err(|e| Error::Config(format!("in-cluster credential: {e}")))?
            }
            Credential::Declared(declared) => declared.to_kube(&self.server)?,
        };
        // Retrying is done here, within the budget.
        config.default_retry = false;
        Ok(config)
    }
}

// === impl Declared ===

impl Declared {
    fn is_empty(&self) -> bool {
        self.username.is_empty()
            && self.bearer_token.expose().is_empty()
            && self.tls.cert_data.is_empty()
            && self.aws.is_none()
            && self.exec.is_none()
    }

    fn to_kube(&self, server: &str) -> Result<kube::Config> {
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
    fn exec(&self) -> Value {
        let mut args = vec!["aws", "--cluster-name", &self.cluster_name];
        if !self.role_arn.is_empty() {
            args.extend(["--role-arn", &self.role_arn]);
        }
        if !self.profile.is_empty() {
            args.extend(["--profile", &self.profile]);
        }
        json!({"apiVersion": "client.authentication.k8s.io/v1beta1", "command": AWS_COMMAND, "args": args,
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

/// serde's message may quote the offending value: keep its position only.
fn unreadable(error: &serde_json::Error) -> Error {
    Error::Config(format!("config is not readable JSON (line {}, column {})", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_secret_of_argo_cd_reads_as_it_was_meant() {
        let config = ClusterConfig::from_secret(&data(&[
            ("server", "https://1.2.3.4:6443/base?shard=0"),
            ("name", "prod"),
            ("namespaces", "a, b,"),
            ("clusterResources", "true"),
            ("config", r#"{"bearerToken":"t0ken","tlsClientConfig":{"insecure":true,"serverName":"k8s"}}"#),
        ]))
        .expect("reads");
        assert_eq!(config.namespaces, ["a", "b"]);
        assert!(config.cluster_resources);
        let kube = config.to_kube().expect("converts");
        assert_eq!(kube.cluster_url.to_string(), "https://1.2.3.4:6443/base");
        assert!(kube.accept_invalid_certs);
        assert_eq!(kube.tls_server_name.as_deref(), Some("k8s"));
        assert!(kube.auth_info.token.is_some());
    }

    #[test]
    fn no_error_and_no_debug_text_carries_a_credential() {
        let canary = "canary-credential";
        let good = format!(
            r#"{{"bearerToken":"{canary}","password":"{canary}","proxyUrl":"http://u:{canary}@p:1",
                "execProviderConfig":{{"command":"x","env":{{"TOKEN":"{canary}"}}}},"tlsClientConfig":{{"keyData":"{canary}"}}}}"#
        );
        let config = ClusterConfig::from_secret(&data(&[("server", "https://s"), ("config", &good)])).expect("reads");
        assert!(!format!("{config:?}").contains(canary));
        for bad in [format!("{{\"bearerToken\": [\"{canary}\"]}}"), format!("{{\"{canary}"), canary.to_owned()] {
            let error = ClusterConfig::from_secret(&data(&[("server", "https://s"), ("config", &bad)]))
                .expect_err("is not readable");
            assert!(!format!("{error} {error:?}").contains(canary), "{error:?}");
        }
    }

    #[test]
    fn aws_and_exec_become_commands() {
        let aws = r#"{"awsAuthConfig":{"clusterName":"c","roleARN":"arn:x"}}"#;
        let config = ClusterConfig::from_secret(&data(&[("server", "https://s"), ("config", aws)])).expect("reads");
        let exec = config.to_kube().expect("converts").auth_info.exec.expect("has a command");
        assert_eq!(exec.command.as_deref(), Some("argocd-k8s-auth"));
        assert_eq!(exec.args.expect("args"), ["aws", "--cluster-name", "c", "--role-arn", "arn:x"]);
    }

    #[test]
    fn the_in_cluster_address_without_a_credential_means_the_pods_own() {
        let config = ClusterConfig::from_secret(&data(&[("server", names::IN_CLUSTER_SERVER), ("config", "{}")]));
        assert!(matches!(config.expect("reads").credential, Credential::InCluster));
    }
}
