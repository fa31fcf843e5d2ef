//! What `argosy up` does for a person without a cluster: from nothing to a deployed
//! sample, a new commit, and a start after a crash.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_tests::certificates::install_crypto;
use argosy_tests::process::Process;
use argosy_tests::{ControlPlane, Options, TempFolder, tools};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;

/// A deployment takes seconds; a busy machine may take longer.
const DEPLOYED_WITHIN: Duration = Duration::from_secs(120);

struct Up {
    folder: TempFolder,
    starts: usize,
    process: Process,
}

// === impl Up ===

impl Up {
    fn start() -> anyhow::Result<Self> {
        let folder = TempFolder::new("up")?;
        let process = launch(&folder, 1)?;
        Ok(Self { folder, starts: 1, process })
    }

    /// Kills it as a crash would, and starts it again on what it left.
    fn start_again(&mut self) -> anyhow::Result<()> {
        self.process.kill();
        self.starts += 1;
        self.process = launch(&self.folder, self.starts)?;
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Waits until it has said a text so many times since it was started last.
    async fn says(&mut self, text: &str, times: usize) -> anyhow::Result<()> {
        let output = output(&self.folder, self.starts);
        let said = self.process.wait_until(text, DEPLOYED_WITHIN, || async {
            let said = std::fs::read_to_string(&output).context("reading what it said")?;
            ensure!(said.matches(text).count() >= times, "it has not said {text:?} {times} times");
            Ok(())
        });
        said.await
    }

    /// What stands behind a word of the summary.
    fn told(&self, word: &str) -> anyhow::Result<String> {
        let line = self.process.log().lines().find_map(|line| line.trim().strip_prefix(word).map(str::to_owned));
        let line = line.with_context(|| format!("no line begins with {word}"))?;
        Ok(line.split_whitespace().next().unwrap_or("").to_owned())
    }

    async fn deployment(&self, name: &str) -> anyhow::Result<Deployment> {
        let file = Kubeconfig::read_from(self.data().join("kubeconfig")).context("reading the kubeconfig")?;
        let options = KubeConfigOptions { context: Some("sandbox".to_owned()), ..KubeConfigOptions::default() };
        let config = kube::Config::from_custom_kubeconfig(file, &options).await.context("using the kubeconfig")?;
        let client = kube::Client::try_from(config).context("making a client")?;
        Api::namespaced(client, "guestbook").get(name).await.with_context(|| format!("reading the Deployment {name}"))
    }

    /// Signs in over the API and gives the names of the applications it lists.
    async fn applications(&self, password: &str) -> anyhow::Result<Vec<String>> {
        let address = self.told("address")?;
        let http = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().build()?;
        let body = json!({"username": "admin", "password": password}).to_string();
        let sign_in = http.post(format!("{address}/api/v1/session")).header("content-type", "application/json");
        let session: serde_json::Value =
            serde_json::from_slice(&sign_in.body(body).send().await?.error_for_status()?.bytes().await?)?;
        let list = http.get(format!("{address}/api/v1/applications"));
        let list = list.bearer_auth(session["token"].as_str().context("a token")?).send().await?;
        let list: serde_json::Value = serde_json::from_slice(&list.error_for_status()?.bytes().await?)?;
        let items = list["items"].as_array().context("a list")?.iter();
        Ok(items.map(|app| app["metadata"]["name"].as_str().unwrap_or("").to_owned()).collect())
    }
}

fn output(folder: &TempFolder, start: usize) -> PathBuf {
    folder.join(format!("start-{start}"))
}

fn launch(folder: &TempFolder, start: usize) -> anyhow::Result<Process> {
    let mut command = Command::new(tools::argosy_binary()?);
    command.args(["up", "--port", "0", "--data-dir"]).arg(folder.join("data"));
    // Nothing of the person's own settings decides a test, nor is their cluster touched.
    command.env("HOME", folder.path()).env("KUBECONFIG", folder.join("nobody's")).env_remove("ARGOSY_DATA_DIR");
    Process::start("argosy up", command, &output(folder, start))
}

fn commit(work_tree: &Path, file: &str, from: &str, to: &str) -> anyhow::Result<()> {
    let path = work_tree.join(file);
    let text = std::fs::read_to_string(&path).context("reading a manifest")?;
    ensure!(text.contains(from), "{file} has no {from:?}");
    std::fs::write(&path, text.replace(from, to)).context("writing a manifest")?;
    let status = Command::new("git").arg("-C").arg(work_tree).args(["commit", "--quiet", "-am", "A change"]).status();
    ensure!(status.context("starting git")?.success(), "git refuses");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_a_deployed_sample_and_back_after_a_crash() -> anyhow::Result<()> {
    install_crypto();
    let mut up = Up::start()?;
    up.says("is deployed: Synced and Healthy.", 1).await?;
    let frontend = up.deployment("guestbook-frontend").await?;
    assert_eq!(frontend.status.and_then(|status| status.ready_replicas), Some(2));
    let (password, kubeconfig) = (up.told("password")?, std::fs::read_to_string(up.data().join("kubeconfig"))?);
    assert_eq!(up.applications(&password).await?, ["guestbook"]);

    commit(&up.data().join("guestbook"), "40-frontend.yaml", "replicas: 2", "replicas: 3")?;
    up.says("is deployed: Synced and Healthy.", 2).await?;
    assert_eq!(up.deployment("guestbook-frontend").await?.spec.and_then(|spec| spec.replicas), Some(3));

    let addresses = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| line.contains("server:"))
            .map(|line| line.split(',').next().unwrap_or("").to_owned())
            .collect()
    };
    up.start_again()?;
    up.says("is deployed: Synced and Healthy.", 1).await?;
    assert!(!up.process.log().contains(&password), "the password is shown once");
    assert_eq!(up.applications(&password).await?, ["guestbook"]);
    assert_eq!(addresses(&std::fs::read_to_string(up.data().join("kubeconfig"))?), addresses(&kubeconfig));
    assert_eq!(up.deployment("guestbook-frontend").await?.spec.and_then(|spec| spec.replicas), Some(3));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_of_ones_own_it_stays_out_of_the_way_of_argo_cd() -> anyhow::Result<()> {
    let plane = ControlPlane::start(Options { pods_become_ready: true, ..Options::default() }).await?;
    let folder = TempFolder::new("up-real")?;
    let up = || -> anyhow::Result<Command> {
        let mut command = Command::new(tools::argosy_binary()?);
        command.args(["up", "--once", "--sample", "--port", "0", "--kubeconfig"]).arg(plane.kubeconfig_path());
        command.arg("--data-dir").arg(folder.join("data")).env("HOME", folder.path()).env_remove("ARGOSY_DATA_DIR");
        Ok(command)
    };
    plane.kubectl_text(&["create", "namespace", "argocd"])?;
    plane.kubectl_text(&["-n", "argocd", "create", "deployment", "argocd-application-controller", "--image=x"])?;
    let refused = up()?.output().context("starting argosy up")?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && words.contains("scale Deployment argocd-application-controller"), "{words}");
    ensure!(
        plane.kubectl_text(&["get", "customresourcedefinitions", "-o", "name"])?.is_empty(),
        "it has changed nothing"
    );

    plane.kubectl_text(&["-n", "argocd", "scale", "deployment", "argocd-application-controller", "--replicas=0"])?;
    let done = up()?.output().context("starting argosy up")?;
    let text = String::from_utf8_lossy(&done.stdout);
    ensure!(done.status.success(), "{text}\n{}", String::from_utf8_lossy(&done.stderr));
    ensure!(text.contains("is deployed: Synced and Healthy."), "{text}");
    let ready =
        ["-n", "guestbook", "get", "deployment", "guestbook-frontend", "-o", "jsonpath={.status.readyReplicas}"];
    ensure!(plane.kubectl_text(&ready)? == "2", "its Pods are ready");
    Ok(())
}

#[test]
fn it_ends_by_itself_when_it_is_only_to_deploy_the_sample() -> anyhow::Result<()> {
    let folder = TempFolder::new("up-once")?;
    let mut command = Command::new(tools::argosy_binary()?);
    command.args(["up", "--once", "--port", "0", "--data-dir"]).arg(folder.join("data")).env("HOME", folder.path());
    let output = command.env_remove("ARGOSY_DATA_DIR").output().context("starting argosy up")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for expected in [
        "Deployment/guestbook-frontend            Synced       Healthy",
        "is deployed: Synced and Healthy.",
        "Argosy has ended.",
    ] {
        ensure!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    Ok(())
}
