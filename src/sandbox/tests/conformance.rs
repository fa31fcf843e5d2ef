//! The sandbox answers as a real API server does: every line of
//! `conformance.txt` is sent to both, and the answers agree once times, uids,
//! versions and whatever else cannot be equal are taken out.
//!
//! `ARGOSY_CASES=word` runs the cases whose name has the word.

mod support;

use std::fmt::Write as _;

use anyhow::Context;
use argosy_tests::ControlPlane;
use kube::client::Body;
use serde_json::{Value, json};

const CASES: &str = include_str!("conformance.txt");

struct Case<'a> {
    name: &'a str,
    steps: Vec<&'a str>,
}

fn cases() -> Vec<Case<'static>> {
    let wanted = std::env::var("ARGOSY_CASES").unwrap_or_default();
    let mut cases: Vec<Case<'static>> = Vec::new();
    for line in CASES.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match (line.strip_prefix("# "), cases.last_mut()) {
            (Some(name), _) => cases.push(Case { name, steps: Vec::new() }),
            (None, Some(case)) => case.steps.push(line),
            (None, None) => panic!("the first line is no name: {line}"),
        }
    }
    cases.retain(|case| case.name.contains(&wanted));
    cases
}

#[derive(Debug, PartialEq)]
struct Reply {
    code: u16,
    warnings: Vec<String>,
    body: Value,
}

async fn send(client: &kube::Client, namespace: &str, step: &str) -> anyhow::Result<Reply> {
    let step = step.replace("NS", namespace);
    let mut words = step.splitn(3, ' ');
    let (how, path) = (words.next().context("a method")?, words.next().context("a path")?);
    let body = words.next().unwrap_or("").to_owned();
    let (method, kind) = how.split_once('/').unwrap_or((how, "json"));
    let mut accept = "application/json";
    let media = match kind {
        "json" => "application/json",
        "yaml" => "application/yaml",
        "jsonpatch" => "application/json-patch+json",
        "merge" => "application/merge-patch+json",
        "strategic" => "application/strategic-merge-patch+json",
        "apply" => "application/apply-patch+yaml",
        "proto" => "application/vnd.kubernetes.unknown",
        "meta" => {
            accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
            "application/json"
        }
        "metaone" => {
            accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
            "application/json"
        }
        other => anyhow::bail!("no such media type: {other}"),
    };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", media)
        .header("accept", accept)
        .header("user-agent", "conformance/1")
        .body(Body::from(body.into_bytes()))?;
    let response = client.send(request).await?;
    let code = response.status().as_u16();
    let warnings = response.headers().get_all("warning").iter();
    let warnings = warnings.map(|w| String::from_utf8_lossy(w.as_bytes()).into_owned()).collect();
    let bytes = response.into_body().collect_bytes().await?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let body = match serde_json::from_str(&text) {
        Ok(value) => value,
        // A watch: a line for each event.
        Err(_) => {
            let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
            lines.map_or(Value::String(text), Value::Array)
        }
    };
    Ok(Reply { code, warnings, body: support::normalize(body) })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_answers_as_a_real_api_server_does() -> anyhow::Result<()> {
    let plane = ControlPlane::start(argosy_tests::Options::default()).await?;
    let real = plane.client().await?;
    let sandbox = support::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, sandbox.kubeconfig("admin", &["system:masters"])?)?;
    let ours = plane.client_for(&file).await?;
    let (mut report, mut failed, mut total) = (String::new(), 0, 0);
    for (i, case) in cases().iter().enumerate() {
        total += 1;
        let namespace = format!("case-{i}");
        let create = format!("POST /api/v1/namespaces {}", json!({"metadata": {"name": namespace}}));
        send(&real, "", &create).await?;
        send(&ours, "", &create).await?;
        for step in &case.steps {
            if let Some(path) = step.strip_prefix("AWAIT ") {
                // A definition is served a moment after it was accepted.
                for client in [&real, &ours] {
                    let (get, namespace) = (format!("GET {path}"), &namespace);
                    argosy_tests::eventually(argosy_tests::PATIENCE, || async {
                        let code = send(client, namespace, &get).await?.code;
                        anyhow::ensure!(code == 200, "it answers {code}");
                        Ok(())
                    })
                    .await;
                }
                continue;
            }
            let wanted = send(&real, &namespace, step).await.with_context(|| format!("{}: {step}", case.name))?;
            let got = send(&ours, &namespace, step).await.with_context(|| format!("{}: {step}", case.name))?;
            if wanted != got {
                failed += 1;
                writeln!(report, "--- {}\n{step}", case.name)?;
                if wanted.code != got.code || wanted.warnings != got.warnings {
                    writeln!(
                        report,
                        "  wanted {} {:?}\n  got    {} {:?}",
                        wanted.code, wanted.warnings, got.code, got.warnings
                    )?;
                }
                support::differences("", &wanted.body, &got.body, &mut report);
                break;
            }
        }
    }
    anyhow::ensure!(failed == 0, "{failed} of {total} cases differ\n{report}");
    Ok(())
}
