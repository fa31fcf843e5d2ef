//! `argosy sandbox` as a person uses it: one command, a line to copy, and a cluster
//! that is there again the next day.
#![expect(clippy::unwrap_used, reason = "in the tests' own functions an unwrap is an assertion too")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_tests::process::Process;
use argosy_tests::{PATIENCE, TempFolder, tools};

fn sandbox(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(tools::argosy_binary().unwrap());
    command.arg("sandbox").args(args).current_dir(folder).env("HOME", folder).env_remove("KUBECONFIG");
    command
}

/// Starts it and waits for the line to copy; returns the file that it names.
async fn start(folder: &Path, args: &[&str], log: &str) -> anyhow::Result<(Process, String)> {
    let mut process = Process::start("sandbox", sandbox(folder, args), &folder.join(log))?;
    let path = process.log_path().to_owned();
    let named = process.wait_until("saying where it is", PATIENCE, || async {
        let text = std::fs::read_to_string(&path)?;
        let line = text.lines().find_map(|line| line.trim().strip_prefix("export KUBECONFIG="));
        line.map(str::to_owned).context("there is no line to copy")
    });
    let kubeconfig = named.await?;
    Ok((process, kubeconfig))
}

fn kubectl(folder: &Path, kubeconfig: &str, args: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(tools::kubernetes_binaries()?.join("kubectl"));
    let output = command.args(args).env("HOME", folder).env("KUBECONFIG", kubeconfig).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_in_a_folder_is_the_same_the_next_time() -> anyhow::Result<()> {
    let folder = TempFolder::new("sandbox")?;
    let folder = folder.path();
    let (mut process, kubeconfig) = start(folder, &["--data-dir", "kept"], "first").await?;
    assert_eq!(Path::new(&kubeconfig), folder.join("kept/kubeconfig"), "it is right in every folder");
    assert_eq!(Path::new(&kubeconfig).metadata()?.permissions().mode() & 0o777, 0o600);
    kubectl(folder, &kubeconfig, &["create", "namespace", "team"])?;
    kubectl(folder, &kubeconfig, &["create", "deployment", "web", "--image=nginx", "-n", "team"])?;
    kubectl(folder, &kubeconfig, &["rollout", "status", "deployment/web", "-n", "team", "--timeout=60s"])?;
    let copy = folder.join("copy");
    std::fs::copy(&kubeconfig, &copy)?;
    let status = process.stop(Duration::from_secs(20));
    assert_eq!(status.code(), Some(0), "{}", process.log());

    let (mut process, _) = start(folder, &["--data-dir", "kept"], "second").await?;
    let pods = kubectl(folder, copy.to_str().context("a path")?, &["get", "pods", "-n", "team"])?;
    assert!(pods.contains("1/1") && pods.contains("Running"), "{pods}");
    // A kill is no harm either.
    process.kill();
    let (_process, _) = start(folder, &["--data-dir", "kept"], "third").await?;
    kubectl(folder, &kubeconfig, &["get", "namespace", "team"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_in_memory_needs_a_place_for_its_kubeconfig_and_says_what_it_cannot_use() -> anyhow::Result<()> {
    let folder = TempFolder::new("sandbox")?;
    let said = |args: &[&str]| {
        let output = sandbox(folder.path(), args).output()?;
        ensure!(!output.status.success(), "it runs");
        Ok::<_, anyhow::Error>(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let missing = said(&[])?;
    assert!(missing.contains("--kubeconfig <KUBECONFIG>"), "{missing}");
    folder.write("tokens", "a-secret,guest\n")?;
    let unusable = said(&["--kubeconfig", "k", "--token-auth-file", "tokens"])?;
    assert!(unusable.contains("line 1 does not have a token, a user name and a uid"), "{unusable}");
    assert!(!unusable.contains("a-secret"), "{unusable}");
    let unusable = said(&["--kubeconfig", "k", "--client-ca-file", "tokens"])?;
    assert!(unusable.contains("no PEM of certificates"), "{unusable}");
    let unusable = said(&["--kubeconfig", "k", "--pod-outcome", "a=b:rest"])?;
    assert!(unusable.contains("the outcome is none of fail, crash"), "{unusable}");

    let (_process, kubeconfig) = start(folder.path(), &["--kubeconfig", "own file", "--no-node"], "log").await?;
    let kubeconfig = kubeconfig.trim_matches('\'');
    assert_eq!(Path::new(kubeconfig), folder.join("own file"));
    assert_eq!(kubectl(folder.path(), kubeconfig, &["get", "nodes", "-o", "name"])?, "");
    Ok(())
}
