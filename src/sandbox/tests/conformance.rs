//! The sandbox answers as a real API server does: every step of `conformance/*.txt`
//! is sent to both, and the answers agree once times, uids, versions and whatever
//! else cannot be equal are taken out. Neither has controllers behind it.
//!
//! `ARGOSY_CASES=word` runs the cases whose file or name has the word.

#[path = "conformance/cases.rs"]
mod cases;
#[path = "conformance/exchange.rs"]
mod exchange;
mod support;

use std::fmt::Write as _;

use anyhow::Context;
use argosy_sandbox::controllers::Surroundings;
use argosy_sandbox::identity::TokenKeys;
use argosy_sandbox::lifecycle::{Bootstrap, bootstrap};
use argosy_sandbox::serve::{Sandbox, SandboxOptions};
use argosy_tests::ControlPlane;
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::cases::Case;
use crate::exchange::Client;

/// Cases that run at the same time.
const AT_ONCE: usize = 6;

/// A sandbox with everything around the API but no controllers.
async fn start() -> anyhow::Result<Sandbox> {
    let surroundings = Surroundings::new(TokenKeys::generate()?, Vec::new());
    let sandbox = Sandbox::start(SandboxOptions { hooks: surroundings.hooks(), ..support::options() }).await?;
    let what = Bootstrap {
        node: None,
        user_facing_roles: true,
        version: argosy_sandbox::kinds::KUBERNETES_VERSION.to_owned(),
        address: sandbox.address(),
    };
    bootstrap(sandbox.store(), sandbox.stamps(), &what)?;
    Ok(sandbox)
}

/// How the answers to a case differ; empty when they do not.
async fn compare(case: &Case, real: &Client, ours: &Client) -> anyhow::Result<String> {
    let mut report = String::new();
    let create = format!("POST /api/v1/namespaces {}", json!({"metadata": {"name": case.namespace}}));
    for client in [real, ours] {
        client.begin().send(&create).await?;
    }
    let (mut real, mut ours) = (real.begin(), ours.begin());
    for step in &case.steps {
        if let Some(path) = step.strip_prefix("AWAIT ") {
            // A definition is served a moment after it was accepted.
            for conversation in [&mut real, &mut ours] {
                conversation.wait_for(path).await?;
            }
            continue;
        }
        let wanted = real.send(step).await.with_context(|| format!("{}: {step}", case.name))?;
        let got = ours.send(step).await.with_context(|| format!("{}: {step}", case.name))?;
        if wanted == got {
            continue;
        }
        writeln!(report, "{step}")?;
        if (wanted.code, &wanted.warnings, &wanted.media) != (got.code, &got.warnings, &got.media) {
            writeln!(report, "  wanted {} {} {:?}", wanted.code, wanted.media, wanted.warnings)?;
            writeln!(report, "  got    {} {} {:?}", got.code, got.media, got.warnings)?;
        }
        if wanted.code == got.code {
            support::differences("", &wanted.body, &got.body, &mut report);
        } else {
            writeln!(report, "  wanted {}\n  got    {}", gist(&wanted.body), gist(&got.body))?;
        }
    }
    Ok(report)
}

/// What an answer says: the sentence of a refusal, or all of it.
fn gist(body: &Value) -> &Value {
    body.get("message").unwrap_or(body)
}

/// The same, where a case that cannot be sent is one that differs.
async fn compared(case: &Case, real: &Client, ours: &Client) -> String {
    compare(case, real, ours).await.unwrap_or_else(|error| format!("{error:#}\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_answers_as_a_real_api_server_does() -> anyhow::Result<()> {
    let plane = ControlPlane::start_as(argosy_tests::Kind::Real, argosy_tests::Options::default()).await?;
    let sandbox = start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, sandbox.kubeconfig("admin", &["system:masters"])?)?;
    let (real, ours) = (Client::new(plane.client().await?), Client::new(plane.client_for(&file).await?));
    let wanted = std::env::var("ARGOSY_CASES").unwrap_or_default();
    let all = cases::read()?;
    let chosen = || all.iter().filter(|case| case.is_about(&wanted));
    let mut reports = Vec::new();
    // What a server says about all of itself comes before anything is added to it.
    for case in chosen().filter(|case| case.is_alone) {
        reports.push((case, compared(case, &real, &ours).await));
    }
    let others = futures::stream::iter(chosen().filter(|case| !case.is_alone))
        .map(|case| {
            let (real, ours) = (&real, &ours);
            async move { (case, compared(case, real, ours).await) }
        })
        .buffered(AT_ONCE);
    let mut others = std::pin::pin!(others);
    while let Some(other) = others.next().await {
        reports.push(other);
    }
    let differing: Vec<String> = reports
        .iter()
        .filter(|(_, report)| !report.is_empty())
        .map(|(case, report)| format!("--- {} ({})\n{report}", case.name, case.file))
        .collect();
    anyhow::ensure!(
        differing.is_empty(),
        "{} of {} cases differ\n{}",
        differing.len(),
        reports.len(),
        differing.concat()
    );
    Ok(())
}
