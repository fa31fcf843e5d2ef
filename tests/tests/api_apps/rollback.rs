//! Going back to what was deployed before.

use argosy_proto::application::{ApplicationRollbackRequest, RevisionMetadataQuery};
use argosy_tests::{config_map, refusal};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::case::{Case, state};

async fn rollback(case: &Case, more: Value) -> Result<argosy_tests::AppState, Status> {
    let request = case.request::<ApplicationRollbackRequest>(more);
    Ok(state(&case.api.applications().rollback(request).await?.into_inner()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_deploys_an_entry_of_the_history_again() -> anyhow::Result<()> {
    let case = Case::new("back").await?;
    let first = case.commit(&[("map.yaml", &config_map("map", "one"))])?;
    case.create(&case.app()).await?;
    case.synced(json!({})).await?;
    let message = "Second\n\nWith more.";
    let second = case.repo.change("main").message(message).write("app/map.yaml", config_map("map", "two"));
    let second = second.write("app/more.yaml", config_map("more", "x")).commit()?;
    case.repo.tag("v2", &second)?;
    let state = case.synced(json!({})).await?;
    let ids: Vec<_> = state.list("/status/history").iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!(ids, [json!(0), json!(1)]);

    let asked = rollback(&case, json!({"id": 0, "prune": true})).await?;
    let sync = &asked.0["operation"]["sync"];
    assert_eq!((&sync["revision"], &sync["prune"]), (&json!(first), &json!(true)));
    assert_eq!(sync["syncStrategy"], json!({"apply": {}}));
    assert_eq!(sync["source"]["path"], "app");
    let done = case.finished().await?;
    assert_eq!((done.phase(), case.text("map")?.as_str()), ("Succeeded", "one"));
    assert!(!case.has("configmap", "more")?, "pruned");
    assert_eq!(done.list("/status/history").len(), 3);
    case.told("OperationStarted: admin initiated rollback to 0").await?;
    let reply = case.api.send(Method::POST, "/api/v1/applications/back/rollback", &json!({"id": 1})).await?.ok()?;
    assert_eq!(reply["operation"]["sync"]["revision"], second);
    case.finished().await?;
    let unknown = refusal(rollback(&case, json!({"id": 99})).await);
    let words = "application argocd/back does not have deployment with id 99";
    assert_eq!(unknown, (Code::InvalidArgument, words.to_owned()));

    // What is known of the commits that were deployed.
    let query: RevisionMetadataQuery = case.request(json!({"revision": second}));
    let metadata = case.api.applications().revision_metadata(query).await?.into_inner();
    assert_eq!((&*metadata.author, &*metadata.message), ("Test Author <author@example.com>", message));
    assert_eq!(metadata.tags, ["v2"]);
    let path = format!("/api/v1/applications/back/revisions/{first}/metadata?versionId=0&sourceIndex=0");
    let shown = case.api.get(&path).await?.ok()?;
    assert_eq!((&shown["message"], &shown["date"]), (&json!("change"), &json!("2026-01-01T00:00:00Z")));
    let query: RevisionMetadataQuery = case.request(json!({"revision": second, "sourceIndex": 1}));
    let (code, words) = refusal(case.api.applications().revision_metadata(query).await);
    assert_eq!(code, Code::InvalidArgument, "{words}");
    assert!(words.ends_with("source index 1 not found because there is only 1 source"), "{words}");
    let chart = case.api.get(&format!("/api/v1/applications/back/revisions/{first}/chartdetails")).await?;
    assert_eq!(chart.refusal().1, "no chart found for application: back");
    Ok(())
}
