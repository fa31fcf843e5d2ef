//! Every row of the contract's table of services answers, in each protocol.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use argosy_tests::api::WebReply;
use argosy_tests::tools;
use reqwest::Method;
use serde_json::json;

use super::Case;

/// Streams go on for ever; their answer begins within this.
const BEGINS: Duration = Duration::from_secs(10);

/// A row of the table.
struct Rpc {
    /// `package.Service/Method`.
    name: String,
    streams: bool,
    /// Method and path with its variables.
    rest: Option<(Method, String)>,
}

/// Those of services that an API replica has: a plugin's are the plugin's.
fn table() -> anyhow::Result<Vec<Rpc>> {
    let table = std::fs::read_to_string(tools::workspace().join("proto/contract/services.tsv"))?;
    let rows = table.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    let mut rpcs = Vec::new();
    for row in rows.filter(|row| row[0] != "plugin") {
        let (method, path) = (row.get(5).copied().unwrap_or_default(), row.get(6).copied().unwrap_or_default());
        let rest = if path.is_empty() { None } else { Some((Method::from_bytes(method.as_bytes())?, path.to_owned())) };
        let name = format!("{}.{}/{}", row[0], row[1], row[2]);
        rpcs.push(Rpc { name, streams: row[4].starts_with("stream "), rest });
    }
    Ok(rpcs)
}

/// A path with something in the place of each variable.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_of_the_contract_answers_in_grpc_and_rest() -> anyhow::Result<()> {
    let mut case = Case::start().await?;
    let rpcs = table()?;
    assert!(rpcs.len() > 100, "{} rows", rpcs.len());
    let mut missing = Vec::new();
    for rpc in &rpcs {
        let request = case.admin.web_request(&rpc.name, &[]);
        let response = tokio::time::timeout(BEGINS, request.send()).await.with_context(|| rpc.name.clone())??;
        let headers = response.headers().clone();
        let begun = if rpc.streams { Vec::new() } else { response.bytes().await?.to_vec() };
        let reply = WebReply::read(&headers, &begun)?;
        if reply.message.contains("unknown%20")
            || reply.message.contains("unknown service")
            || reply.message.contains("unknown method")
        {
            missing.push(format!("{}: {}", rpc.name, reply.message));
        }
        let Some((method, path)) = &rpc.rest else { continue };
        let request = case.admin.rest(method.clone(), &filled(path)).header("content-type", "application/json");
        let response = tokio::time::timeout(BEGINS, request.send()).await.with_context(|| rpc.name.clone())??;
        let status = response.status().as_u16();
        let text = if rpc.streams { String::new() } else { response.text().await? };
        if status == 405 || status == 404 && text.contains("\"Not Found\"") || status == 500 {
            missing.push(format!("{} at {method} {path}: {status} {text}", rpc.name));
        }
    }
    assert!(missing.is_empty(), "these do not answer:\n{}", missing.join("\n"));
    case.is_unharmed()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_has_every_path_of_the_contract() -> anyhow::Result<()> {
    let case = Case::start().await?;
    let reply = case.anybody.get("/swagger.json").await?;
    let document = reply.ok()?;
    assert_eq!(document["swagger"], "2.0");
    let paths = document["paths"].as_object().context("paths")?;
    let wanted: BTreeSet<_> = table()?
        .into_iter()
        .filter_map(|rpc| rpc.rest)
        .collect::<Vec<_>>()
        .into_iter()
        .map(|(method, path)| (path.replace("=**", ""), method.as_str().to_ascii_lowercase()))
        .collect();
    for (path, method) in wanted {
        let operation = &paths.get(&path).with_context(|| format!("no {path}"))?[&method];
        assert!(operation.is_object(), "no {method} {path}");
    }
    let page = case.anybody.get("/swagger-ui").await?;
    assert_eq!((page.status, page.header("x-frame-options")), (200, "DENY"));

    // And where nothing is, it says so in the gateway's form.
    let nothing = json!({"error": "Not Found", "code": 5, "message": "Not Found"});
    let reply = case.admin.get("/api/v1/nothing").await?;
    assert_eq!((reply.status, reply.json()), (404, nothing));
    let reply = case.admin.delete("/api/v1/projects").await?;
    assert_eq!((reply.status, reply.refusal().0), (405, 12));
    let unknown = case.admin.web("application.ApplicationService/Nothing", &[]).await?;
    assert_eq!(unknown.code, Some(12));
    assert!(unknown.message.contains("Nothing"), "{}", unknown.message);
    Ok(())
}
