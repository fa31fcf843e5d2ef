//! A whole installation for one test program: control plane, running controller
//! and Git host, and the words for what a person changes about it.

use std::fmt::Write as _;

use anyhow::Context;
use serde_json::json;

use crate::argosy::Argosy;
use crate::control_plane::{ControlPlane, Options};
use crate::git_server::GitServer;

/// See the module's page.
pub struct World {
    // Dropped in this order: the controller before what it works on.
    /// The running controller.
    pub argosy: Argosy,
    /// The cluster it runs in.
    pub plane: ControlPlane,
    /// A Git host that asks for no credentials.
    pub git: GitServer,
}

// === impl World ===

impl World {
    /// Starts everything, with these entries in `argocd-cm`.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start(options: Options, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let plane = ControlPlane::start(options).await?;
        plane.install().await?;
        plane.set_config("argocd-cm", settings)?;
        let argosy = Argosy::controller(&plane).start().await?;
        Ok(Self { argosy, plane, git: GitServer::start()? })
    }
}

impl ControlPlane {
    /// Sets entries of one of the settings' ConfigMaps; the others stay.
    ///
    /// # Errors
    /// When the API server refuses.
    pub fn set_config(&self, name: &str, entries: &[(&str, &str)]) -> anyhow::Result<()> {
        let data: serde_json::Map<_, _> = entries.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        if self.kubectl(&["-n", "argocd", "get", "configmap", name])?.status.success() {
            let patch = json!({"data": data}).to_string();
            self.kubectl_text(&["-n", "argocd", "patch", "configmap", name, "--type=merge", "-p", &patch])?;
        } else {
            let object = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "data": data,
                "metadata": {"name": name, "namespace": "argocd", "labels": {"app.kubernetes.io/part-of": "argocd"}},
            });
            self.apply_yaml(&object.to_string())?;
        }
        Ok(())
    }

    /// Declares a repository, a credential template or a cluster: a Secret of
    /// this type with these fields, in place of the one before.
    ///
    /// # Errors
    /// When the API server refuses.
    pub fn declare(&self, kind: &str, name: &str, fields: &[(&str, &str)]) -> anyhow::Result<()> {
        let data: serde_json::Map<_, _> = fields.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "stringData": data,
            "metadata": {"name": name, "namespace": "argocd", "labels": {"argocd.argoproj.io/secret-type": kind}},
        });
        self.apply_yaml(&object.to_string())?;
        Ok(())
    }

    /// A field of a ConfigMap's data; an error while there is none.
    ///
    /// # Errors
    /// When there is no such ConfigMap.
    pub async fn config_map_text(&self, namespace: &str, name: &str) -> anyhow::Result<String> {
        let client = self.client().await?;
        let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> = kube::Api::namespaced(client, namespace);
        let map = maps.get(name).await.context("reading a ConfigMap")?;
        map.data.and_then(|data| data.get("text").cloned()).context("the ConfigMap has no text")
    }
}

/// A ConfigMap's manifest with one field `text`.
pub fn config_map(name: &str, text: &str) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  text: {}\n",
        serde_json::Value::from(text)
    );
    out
}
