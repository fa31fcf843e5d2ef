//! Manifests as they would be: at a revision, or from files that the caller has.

use anyhow::Context;
use argosy_proto::application::FileChunk;
use argosy_proto::application::application_manifest_query_with_files_wrapper::Part;
use argosy_proto::application::{ApplicationManifestQuery, ApplicationManifestQueryWithFilesWrapper};
use argosy_proto::repository::ManifestResponse;
use argosy_tests::{config_map, refusal};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tonic::{Code, Status};

use super::case::{Case, message};

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {password: canary-4711}\n";

async fn at(case: &Case, more: Value) -> Result<ManifestResponse, Status> {
    let query = case.request::<ApplicationManifestQuery>(more);
    case.api.applications().get_manifests(query).await.map(tonic::Response::into_inner)
}

fn objects(answer: &ManifestResponse) -> anyhow::Result<Vec<Value>> {
    answer.manifests.iter().map(|text| serde_json::from_str(text).context("a manifest")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_rendered_at_the_revision_asked_for() -> anyhow::Result<()> {
    let case = Case::new("manifests").await?;
    let first = case.commit(&[("map.yaml", &config_map("map", "one")), ("key.yaml", SECRET)])?;
    case.repo.change("main").write("app/map.yaml", config_map("map", "two")).commit()?;
    case.create(&case.app()).await?;
    for (more, text) in
        [(json!({}), "two"), (json!({"revision": first}), "one"), (json!({"revision": "HEAD", "noCache": true}), "two")]
    {
        let answer = at(&case, more).await?;
        assert!(!format!("{answer:?}").contains("canary") && !format!("{answer:?}").contains("Y2FuYXJ5"), "{answer:?}");
        let map = objects(&answer)?.into_iter().find(|o| o["kind"] == "ConfigMap").context("a ConfigMap")?;
        assert_eq!(map["data"]["text"], text);
        let id = &map["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"];
        assert_eq!(id, "manifests:/ConfigMap:manifests/map");
    }
    let reply = case.api.get(&format!("/api/v1/applications/manifests/manifests?revision={first}")).await?.ok()?;
    assert_eq!(reply["manifests"].as_array().map(Vec::len), Some(2));
    let (code, words) = refusal(at(&case, json!({"revision": "no-branch"})).await);
    assert_eq!(code, Code::InvalidArgument, "{words}");
    assert!(words.contains("error generating manifests: ") && words.contains("no-branch"), "{words}");
    let nameless = refusal(at(&case, json!({"name": ""})).await);
    assert_eq!(nameless, (Code::InvalidArgument, "invalid request: application name is missing".to_owned()));
    Ok(())
}

/// A gzipped tar archive of files, as the command line sends a folder.
fn archive(files: &[(&str, &str)]) -> anyhow::Result<Vec<u8>> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut archive = tar::Builder::new(gzip);
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content.as_bytes()).context("packing")?;
    }
    archive.into_inner().context("packing")?.finish().context("packing")
}

async fn of_files(case: &Case, archive: &[u8], checksum: &str) -> Result<ManifestResponse, Status> {
    let query = message(json!({"name": case.name, "checksum": checksum}));
    let chunks = archive.chunks(100).map(|part| Part::Chunk(FileChunk { chunk: part.to_vec() }));
    let parts: Vec<_> = std::iter::once(Part::Query(query))
        .chain(chunks)
        .map(|part| ApplicationManifestQueryWithFilesWrapper { part: Some(part) })
        .collect();
    let answer = case.api.applications().get_manifests_with_files(futures::stream::iter(parts)).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_caller_are_rendered_in_place_of_the_repositorys() -> anyhow::Result<()> {
    let case = Case::new("files").await?;
    case.commit(&[("map.yaml", &config_map("map", "committed"))])?;
    case.create(&case.app()).await?;
    let packed = archive(&[
        ("app/map.yaml", &config_map("map", "local")),
        ("other/map.yaml", "not rendered"),
        ("app/key.yaml", SECRET),
    ])?;
    let checksum = format!("{:x}", Sha256::digest(&packed));
    let answer = of_files(&case, &packed, &checksum).await?;
    assert!(!format!("{answer:?}").contains("canary"), "{answer:?}");
    let map = objects(&answer)?.into_iter().find(|o| o["kind"] == "ConfigMap").context("a ConfigMap")?;
    assert_eq!((&map["data"]["text"], answer.manifests.len()), (&json!("local"), 2));
    let (code, words) = refusal(of_files(&case, &packed[..packed.len() - 1], &checksum).await);
    assert_eq!(code, Code::InvalidArgument, "{words}");
    assert!(words.contains("checksum"), "{words}");
    let damaged = b"no archive at all";
    let (code, _) = refusal(of_files(&case, damaged, &format!("{:x}", Sha256::digest(damaged))).await);
    assert_eq!(code, Code::InvalidArgument);
    Ok(())
}
