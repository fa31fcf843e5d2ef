//! The real kubectl against the control plane, as the administrator.

use std::io::Write;
use std::process::{Output, Stdio};

use anyhow::{Context, bail};

use super::ControlPlane;

// === impl ControlPlane ===

impl ControlPlane {
    /// Runs kubectl and waits for it.
    ///
    /// # Errors
    /// When it cannot be started; its own failure is in the output.
    pub fn kubectl(&self, args: &[&str]) -> anyhow::Result<Output> {
        self.kubectl_with(args, "")
    }

    /// What kubectl prints.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub fn kubectl_text(&self, args: &[&str]) -> anyhow::Result<String> {
        text(args, &self.kubectl(args)?)
    }

    /// Applies documents on the server's side, as the field manager `kubectl`,
    /// and returns what kubectl said.
    ///
    /// # Errors
    /// When kubectl fails, with what it said.
    pub fn apply_yaml(&self, documents: &str) -> anyhow::Result<String> {
        let args = ["apply", "--server-side", "--force-conflicts", "--filename", "-"];
        text(&args, &self.kubectl_with(&args, documents)?)
    }

    fn kubectl_with(&self, args: &[&str], stdin: &str) -> anyhow::Result<Output> {
        let mut child = self
            .layout
            .command("kubectl")
            .env("KUBECONFIG", self.kubeconfig_path())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting kubectl")?;
        let mut pipe = child.stdin.take().context("kubectl was started with a pipe")?;
        // It may end before it has read all: its own words say more than the broken pipe.
        drop(pipe.write_all(stdin.as_bytes()));
        drop(pipe);
        child.wait_with_output().context("waiting for kubectl")
    }
}

fn text(args: &[&str], output: &Output) -> anyhow::Result<String> {
    if !output.status.success() {
        bail!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
