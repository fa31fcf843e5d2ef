//! The real Helm against the control plane, as the administrator.

use std::process::{Output, Stdio};

use anyhow::Context;

use super::ControlPlane;

// === impl ControlPlane ===

impl ControlPlane {
    /// Runs Helm and waits for it.
    ///
    /// # Errors
    /// When it cannot be started; its own failure is in the output.
    pub fn helm(&self, args: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.layout.command("helm");
        // Its folders are below the home of the layout unless these say otherwise.
        for variable in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env_remove(variable);
        }
        command
            .env("KUBECONFIG", self.kubeconfig_path())
            .args(args)
            .stdin(Stdio::null())
            .output()
            .context("running helm")
    }
}
