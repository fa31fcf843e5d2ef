//! Argosy's own objects on a control plane: definitions, namespace, project.

use std::path::Path;

use anyhow::Context;

use crate::control_plane::ControlPlane;

/// The namespace Argosy's objects live in.
pub const NAMESPACE: &str = "argocd";

const PROJECT: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: default, namespace: argocd}
spec:
  sourceRepos: ["*"]
  destinations: [{server: "*", namespace: "*"}]
  clusterResourceWhitelist: [{group: "*", kind: "*"}]
"#;

impl ControlPlane {
    /// Installs what a person would before starting the controller.
    ///
    /// # Errors
    /// When the API server refuses something.
    pub async fn install(&self) -> anyhow::Result<()> {
        let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/crds");
        let crds = crds.to_str().context("the project's folder has a name that is not UTF-8")?;
        self.kubectl_text(&["apply", "--server-side", "-f", crds])?;
        self.kubectl_text(&["wait", "--for=condition=Established", "--timeout=30s", "-f", crds])?;
        self.kubectl_text(&["create", "namespace", NAMESPACE])?;
        self.apply_yaml(PROJECT)?;
        Ok(())
    }
}
