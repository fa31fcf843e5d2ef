//! How a cluster is reached and as whom.
//!
//! Read from a cluster Secret as Argo CD writes it, from the pod's own service
//! account, or from a kubeconfig. Credentials are [`Secret`]s from here to the
//! header they end in; errors name fields, never values.

mod declared;

use std::collections::BTreeMap;
use std::sync::Arc;

use argosy_model::{Secret, names};
use serde_json::json;

use crate::cloud::Surroundings;
use crate::error::{Error, Result};
use crate::transport::Reach;

pub use declared::{Aws, Declared, Exec, Tls};

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
    /// What makes cloud providers' tokens; without it, their command is run.
    surroundings: Option<Arc<Surroundings>>,
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
        Ok(Self {
            server,
            name,
            namespaces,
            cluster_resources: text("clusterResources")? == "true",
            credential,
            surroundings: None,
        })
    }

    /// The cluster this process runs in.
    pub fn in_cluster() -> Self {
        Self {
            server: names::IN_CLUSTER_SERVER.to_owned(),
            name: names::IN_CLUSTER_NAME.to_owned(),
            namespaces: Vec::new(),
            cluster_resources: false,
            credential: Credential::InCluster,
            surroundings: None,
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
            surroundings: None,
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

    /// The same, with cloud providers' tokens made in this process.
    #[must_use]
    pub fn within(self, surroundings: &Arc<Surroundings>) -> Self {
        Self { surroundings: Some(surroundings.clone()), ..self }
    }

    /// What our own clients need to connect.
    ///
    /// # Errors
    /// As [`Self::to_kube`].
    pub(crate) fn reach(&self) -> Result<Reach> {
        let mut config = self.to_kube()?;
        let cloud = match (&self.credential, &self.surroundings) {
            (Credential::Declared(declared), Some(surroundings)) => declared.cloud(surroundings),
            _ => None,
        };
        if cloud.is_some() {
            config.auth_info.exec = None;
        }
        Ok(Reach { config, cloud })
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
