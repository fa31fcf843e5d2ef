//! Kubeconfig files: who talks to the control plane, and how it is proven.
//! They are written as JSON, which is YAML too.

use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use super::components::ADMIN_KUBECONFIG;
use super::{ControlPlane, start};
use crate::certificates::{Identity, install_crypto};

/// A client for a kubeconfig file.
pub(super) async fn client(path: &Path) -> anyhow::Result<kube::Client> {
    install_crypto();
    let file = Kubeconfig::read_from(path).with_context(|| format!("reading {}", path.display()))?;
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    kube::Client::try_from(config.context("resolving a kubeconfig")?).context("making a Kubernetes client")
}

/// The user entry of somebody with a client certificate.
pub(super) fn certificate_user(identity: &Identity) -> Value {
    json!({
        "client-certificate-data": STANDARD.encode(&identity.certificate_pem),
        "client-key-data": STANDARD.encode(&identity.key_pem),
    })
}

/// The authority that a kubeconfig trusts and the certificate its user shows.
pub(super) fn read_identity(path: &Path) -> anyhow::Result<(String, Identity)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let file: Value = serde_saphyr::from_str(&text).context("a kubeconfig is YAML")?;
    let pem = |pointer: &str| -> anyhow::Result<String> {
        let encoded = file.pointer(pointer).and_then(Value::as_str);
        let bytes = STANDARD.decode(encoded.with_context(|| format!("the kubeconfig has no {pointer}"))?)?;
        String::from_utf8(bytes).with_context(|| format!("{pointer} is no PEM"))
    };
    let identity = Identity {
        certificate_pem: pem("/users/0/user/client-certificate-data")?,
        key_pem: pem("/users/0/user/client-key-data")?,
    };
    Ok((pem("/clusters/0/cluster/certificate-authority-data")?, identity))
}

/// The whole file.
pub(super) fn document(url: &str, authority_pem: &str, user: &Value) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {
            "server": url, "certificate-authority-data": STANDARD.encode(authority_pem)}}],
        "users": [{"name": "test", "user": user}],
    })
    .to_string()
}

// === impl ControlPlane ===

impl ControlPlane {
    /// The administrator's kubeconfig: a client certificate of the group `system:masters`.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.layout.folder.join(ADMIN_KUBECONFIG)
    }

    /// The administrator's client certificate.
    pub fn admin_identity(&self) -> &Identity {
        &self.admin
    }

    /// A new kubeconfig for a bearer token.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig_for_token(&self, token: &str) -> anyhow::Result<PathBuf> {
        self.write_kubeconfig(&json!({"token": token}))
    }

    /// A new kubeconfig for a user with a client certificate, of one group at most.
    ///
    /// # Errors
    /// When the certificate or the file cannot be made.
    pub fn kubeconfig_for_user(&self, user: &str, group: Option<&str>) -> anyhow::Result<PathBuf> {
        self.write_kubeconfig(&certificate_user(&self.authority.sign_client(user, group)?))
    }

    /// The token of [`super::GUEST`], which may do nothing.
    pub fn guest_token(&self) -> &str {
        &self.guest_token
    }

    /// A token of a service account, valid for an hour.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn service_account_token(&self, namespace: &str, name: &str) -> anyhow::Result<String> {
        let token = self.kubectl_text(&["create", "token", name, "--namespace", namespace])?;
        Ok(token.trim().to_owned())
    }

    fn write_kubeconfig(&self, user: &Value) -> anyhow::Result<PathBuf> {
        let document = document(&self.url(), self.authority_pem(), user);
        self.layout.folder.write(&self.next_kubeconfig_name(), document)
    }
}

/// A token nobody else knows; random, since the API server listens on a port
/// that other users of the machine reach.
pub(super) fn random_token() -> anyhow::Result<String> {
    let mut bytes = [0; 24];
    start::random_bytes(&mut bytes)?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}
