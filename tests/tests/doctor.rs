//! `argosy admin doctor`: what it says of clusters that are well, that lack rights, and
//! that are away.

use std::process::{Command, Output};

use anyhow::{Context, ensure};
use argosy_tests::{ControlPlane, Options, tools};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

fn doctor(plane: &ControlPlane, more: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(tools::argosy_binary()?);
    command.args(["admin", "doctor", "--namespace", "argocd"]).arg("--kubeconfig").arg(plane.kubeconfig_path());
    Ok(command.args(more).env_remove("KUBECONFIG").output()?)
}

fn declare(plane: &ControlPlane, name: &str, server: &str, token: &str) -> anyhow::Result<()> {
    let authority = STANDARD.encode(plane.authority_pem());
    let config = json!({"bearerToken": token, "tlsClientConfig": {"caData": authority}}).to_string();
    plane.declare("cluster", name, &[("name", name), ("server", server), ("config", &config)])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_of_each_cluster_what_is_missing() -> anyhow::Result<()> {
    let plane = ControlPlane::start(Options::default()).await?;
    plane.install().await?;
    let rbac = tools::workspace().join("config/rbac");
    for file in ["account.yaml", "reader.yaml", "fence-token.yaml"] {
        let path = rbac.join(file).display().to_string();
        plane.kubectl_text(&["apply", "--server-side", "-f", &path])?;
    }
    let token = plane.service_account_token("argosy-system", "argosy")?;
    declare(&plane, "reader", &plane.url(), &token)?;
    declare(&plane, "stranger", &format!("{}?x=1", plane.url()), "canary-of-a-token")?;

    let output = doctor(&plane, &["-o", "json"])?;
    let (text, errors) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    ensure!(!output.status.success() && errors.contains("1 of 3 clusters cannot be worked on"), "{errors}");
    ensure!(!text.contains("canary") && !errors.contains("canary") && !text.contains(&token), "a token is shown");
    let found: Vec<Value> = serde_json::from_str(&text)?;
    let of = |name: &str| found.iter().find(|one| one["name"] == name).with_context(|| format!("{name} in {text}"));
    let reader = of("reader")?;
    assert_eq!(reader["identity"], "system:serviceaccount:argosy-system:argosy");
    assert_eq!(reader["reading"]["scope"], "everything");
    assert_eq!(reader["writing"]["scope"], "partial");
    let lacks = reader["writing"]["lacks"].as_array().context("a list")?;
    ensure!(lacks.contains(&json!("create deployments in the cluster")), "{lacks:?}");
    assert_eq!(reader["fence"]["lacksForToken"], json!([]));
    ensure!(reader["fence"]["lacksForBinding"].as_array().is_some_and(|lacks| !lacks.is_empty()), "{reader}");
    let own = of("in-cluster")?;
    assert_eq!((&own["reading"]["scope"], &own["writing"]["scope"]), (&json!("everything"), &json!("everything")));
    ensure!(of("stranger")?["error"].is_string());

    let output = doctor(&plane, &["reader"])?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success() && !text.contains("stranger"), "{text}");
    for line in ["everything may be read", "not everything may be changed", "the fence token can be had"] {
        ensure!(text.contains(line), "{line:?} is missing in {text}");
    }
    let output = doctor(&plane, &["nobody"])?;
    ensure!(String::from_utf8(output.stderr)?.contains("no cluster is declared under the name or address \"nobody\""));
    Ok(())
}
