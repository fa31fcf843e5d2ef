//! Who may what is decided, and refused, as a real API server does it: every line of
//! `permissions.txt` is asked of both.
//!
//! `USER METHOD PATH BODY` is sent as that user; `? USER GROUPS VERBS TARGET NAMESPACE`
//! is a SubjectAccessReview for each verb, where the target is a path or
//! `resource.group/subresource:name`. `NS` is the case's own namespace.

#[path = "support/inhabited.rs"]
mod inhabited;
mod support;

use std::fmt::Write as _;

use anyhow::Context;
use argosy_tests::ControlPlane;
use kube::client::Body;
use serde_json::{Value, json};

const CASES: &str = include_str!("permissions.txt");

/// One request: as whom, and what.
struct Ask {
    user: String,
    method: String,
    path: String,
    body: String,
}

fn asks(line: &str) -> anyhow::Result<Vec<Ask>> {
    let Some(review) = line.strip_prefix("? ") else {
        let mut words = line.splitn(4, ' ').map(str::to_owned);
        let mut word = || words.next().context("a word is missing");
        return Ok(vec![Ask { user: word()?, method: word()?, path: word()?, body: word().unwrap_or_default() }]);
    };
    let words: Vec<&str> = review.split(' ').collect();
    let [user, groups, verbs, target, namespace] = words[..] else { anyhow::bail!("five words: {line}") };
    let groups: Vec<&str> = groups.split(',').filter(|group| *group != "-").collect();
    let reviews = verbs.split(',').map(|verb| {
        let mut spec = json!({"user": user, "groups": groups});
        if target.starts_with('/') {
            spec["nonResourceAttributes"] = json!({"verb": verb, "path": target});
        } else {
            let (target, name) = target.split_once(':').unwrap_or((target, ""));
            let (target, subresource) = target.split_once('/').unwrap_or((target, ""));
            let (resource, group) = target.split_once('.').unwrap_or((target, ""));
            let namespace = if namespace == "-" { "" } else { namespace };
            spec["resourceAttributes"] = json!({"verb": verb, "group": group, "resource": resource,
                "subresource": subresource, "name": name, "namespace": namespace});
        }
        let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec});
        Ask {
            user: "admin".to_owned(),
            method: "POST".to_owned(),
            path: "/apis/authorization.k8s.io/v1/subjectaccessreviews".to_owned(),
            body: body.to_string(),
        }
    });
    Ok(reviews.collect())
}

/// What is compared of an answer: all of a refusal, the status of a review, the code of others.
async fn send(client: &kube::Client, ask: &Ask) -> anyhow::Result<(u16, Value)> {
    let media = if ask.method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let mut request = http::Request::builder()
        .method(ask.method.as_str())
        .uri(&ask.path)
        .header("content-type", media)
        .header("accept", "application/json");
    request = match ask.user.as_str() {
        "admin" => request,
        "group" => request.header("impersonate-group", "ops"),
        user => request.header("impersonate-user", user),
    };
    let response = client.send(request.body(Body::from(ask.body.clone().into_bytes()))?).await?;
    let code = response.status().as_u16();
    let bytes = response.into_body().collect_bytes().await?;
    let value: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let is_review = value["kind"].as_str().is_some_and(|kind| kind.ends_with("Review"));
    let shown = match code {
        ..400 if is_review => value["status"].clone(),
        ..400 => Value::Null,
        _ => value,
    };
    Ok((code, support::normalize(shown)))
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_are_those_of_a_real_api_server() -> anyhow::Result<()> {
    let plane = ControlPlane::start_as(
        argosy_tests::Kind::Real,
        argosy_tests::Options { controller_manager: true, ..Default::default() },
    )
    .await?;
    let real = plane.client().await?;
    let cluster = inhabited::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, cluster.admin_kubeconfig()?)?;
    let ours = plane.client_for(&file).await?;
    for client in [&real, &ours] {
        let request =
            || http::Request::get("/apis/rbac.authorization.k8s.io/v1/clusterroles/admin").body(Body::empty());
        argosy_tests::eventually(argosy_tests::PATIENCE, async || {
            let bytes = client.send(request()?).await?.into_body().collect_bytes().await?;
            anyhow::ensure!(bytes.windows(12).any(|part| part == b"rolebindings"), "not yet");
            anyhow::Ok(())
        })
        .await;
    }
    let (mut report, mut total, mut namespace) = (String::new(), 0, String::new());
    for line in CASES.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("# ") {
            namespace = format!("case-{total}");
            let body = json!({"metadata": {"name": namespace}}).to_string();
            let (user, method, path) = ("admin".to_owned(), "POST".to_owned(), "/api/v1/namespaces".to_owned());
            let create = Ask { user, method, path, body };
            send(&real, &create).await?;
            send(&ours, &create).await?;
            continue;
        }
        for ask in asks(&line.replace("NS", &namespace))? {
            total += 1;
            let (wanted, got) = (send(&real, &ask).await?, send(&ours, &ask).await?);
            if wanted != got {
                writeln!(report, "--- {} {} {} {}", ask.user, ask.method, ask.path, ask.body)?;
                writeln!(report, "  wanted {} {}\n  got    {} {}", wanted.0, wanted.1, got.0, got.1)?;
            }
        }
    }
    anyhow::ensure!(report.is_empty(), "of {total} answers some differ\n{report}");
    Ok(())
}
