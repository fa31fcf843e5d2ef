//! The embedded kinds are those of the API server of the harness.
//!
//! `ARGOSY_WRITE=1` makes `kinds/builtin.json.gz` anew; otherwise this says when
//! it is out of date.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use anyhow::Context;
use argosy_tests::ControlPlane;
use kube::client::Body;
use serde_json::{Value, json};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

async fn get(client: &kube::Client, path: &str, accept: &str) -> anyhow::Result<Value> {
    let request = http::Request::get(path).header("accept", accept).body(Body::empty())?;
    let bytes = client.send(request).await?.into_body().collect_bytes().await?;
    serde_json::from_slice(&bytes).with_context(|| format!("reading {path}"))
}

/// Whether a path of the index is a group's version: `api/v1`, `apis/apps/v1`.
fn is_version(path: &str) -> bool {
    path == "api/v1" || (path.starts_with("apis/") && path.matches('/').count() == 2)
}

async fn document(client: &kube::Client) -> anyhow::Result<Value> {
    let mut groups = Vec::new();
    for path in ["/api", "/apis"] {
        let discovery = get(client, path, AGGREGATED).await?;
        for group in discovery["items"].as_array().context("discovery has items")? {
            let name = group["metadata"].get("name").cloned().unwrap_or_else(|| "".into());
            groups.push(json!({"name": name, "versions": group["versions"]}));
        }
    }
    let index = get(client, "/openapi/v3", "application/json").await?;
    let (mut documents, mut definitions) = (BTreeMap::new(), BTreeMap::new());
    for (path, entry) in
        index["paths"].as_object().context("the index has paths")?.iter().filter(|(p, _)| is_version(p))
    {
        let url = entry["serverRelativeURL"].as_str().context("entries have URLs")?;
        let document = get(client, url, "application/json").await?;
        let schemas = document["components"]["schemas"].as_object().context("documents have schemas")?;
        documents.insert(path.clone(), schemas.keys().cloned().collect::<Vec<_>>());
        definitions.extend(schemas.clone());
    }
    Ok(json!({"groups": groups, "documents": documents, "definitions": definitions}))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_kinds_are_those_of_the_api_server() -> anyhow::Result<()> {
    let plane = ControlPlane::start_as(argosy_tests::Kind::Real, argosy_tests::Options::default()).await?;
    let made = document(&plane.client().await?).await?;
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("kinds/builtin.json.gz");
    if std::env::var_os("ARGOSY_WRITE").is_some() {
        let mut encoder = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::best());
        encoder.write_all(made.to_string().as_bytes())?;
        std::fs::write(&file, encoder.finish()?)?;
        return Ok(());
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(&file)?).read_to_string(&mut text)?;
    let embedded: Value = serde_json::from_str(&text)?;
    for part in ["groups", "documents", "definitions"] {
        anyhow::ensure!(made[part] == embedded[part], "{part} differ: run this test with ARGOSY_WRITE=1");
    }
    Ok(())
}
