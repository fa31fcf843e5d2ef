//! The chart's files, and Helm without a cluster.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use argosy_tests::TempFolder;
use argosy_tests::tools::{kubernetes_binaries, workspace};
use serde_json::Value;

/// The version of Kubernetes that is rendered for where there is no cluster to ask.
const KUBERNETES: &str = "--kube-version=1.36.0";

/// The chart's folder.
pub(crate) fn folder() -> PathBuf {
    workspace().join("helm/argosy")
}

/// A file of the chart.
pub(crate) fn read(name: &str) -> anyhow::Result<String> {
    let path = folder().join(name);
    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// Runs Helm without any cluster. Its standard output, or an error with what it said.
pub(crate) fn helm(args: &[&str]) -> anyhow::Result<String> {
    let home = TempFolder::new("helm")?;
    let mut command = Command::new(kubernetes_binaries()?.join("helm"));
    for variable in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
        command.env_remove(variable);
    }
    command.env("HOME", home.path()).env("KUBECONFIG", home.join("none")).args(args).stdin(Stdio::null());
    let output = command.output().context("running helm")?;
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    ensure!(output.status.success(), "helm {}: {}{}", args.join(" "), said[0], said[1]);
    Ok(said[0].clone())
}

/// What is made of values for a release `argosy` in a namespace.
pub(crate) fn template(namespace: &str, args: &[&str]) -> anyhow::Result<String> {
    let folder = folder();
    let chart = folder.to_str().context("the project's folder has a name that is not UTF-8")?;
    let mut all = vec!["template", "argosy", chart, "--namespace", namespace, KUBERNETES];
    all.extend(args);
    helm(&all)
}

/// The values that the chart is tried with: their names and paths.
pub(crate) fn examples() -> anyhow::Result<Vec<(String, String)>> {
    let folder = folder().join("ci");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry.context("reading an entry")?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix("-values.yaml"));
        let name = name.with_context(|| format!("{} is not named NAME-values.yaml", path.display()))?;
        all.push((name.to_owned(), path.to_str().context("UTF-8")?.to_owned()));
    }
    all.sort();
    Ok(all)
}

/// The documents of a text.
pub(crate) fn documents(text: &str) -> anyhow::Result<Vec<Value>> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).context("what Helm renders is YAML")?;
    Ok(all.into_iter().filter(|document| !document.is_null()).collect())
}
