//! Syncs that are refused before they begin.

use argosy_tests::{config_map, refusal};
use serde_json::json;
use tonic::Code;

use super::case::{Case, deployment};

#[tokio::test(flavor = "multi_thread")]
async fn what_syncs_itself_stays_at_its_own_revision() -> anyhow::Result<()> {
    let case = Case::new("auto").await?;
    let first = case.commit(&[("map.yaml", &config_map("map", "one"))])?;
    case.create(&case.app().automated()).await?;
    case.until("synced by itself", |s| s.is_deployed() && s.revision() == first).await?;
    case.repo.change("other").write("app/map.yaml", config_map("map", "other")).commit()?;
    let (code, words) = refusal(case.sync(json!({"revision": "other"})).await);
    assert_eq!((code, &*words), (Code::FailedPrecondition, "Cannot sync to other: auto-sync currently set to HEAD"));
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}}).to_string();
    let (code, words) = refusal(case.sync(json!({"manifests": [manifest]})).await);
    let expected = "cannot use local sync when Automatic Sync Policy is enabled unless for dry run";
    assert_eq!((code, &*words), (Code::FailedPrecondition, expected));
    let dry = case.synced(json!({"revision": "other", "dryRun": true})).await?;
    assert_eq!((dry.phase(), case.text("map")?.as_str()), ("Succeeded", "one"));
    let own = case.synced(json!({"revision": "HEAD"})).await?;
    assert_eq!(own.phase(), "Succeeded");
    let rollback = case.request::<argosy_proto::application::ApplicationRollbackRequest>(json!({"id": 0}));
    let refused = refusal(case.api.applications().rollback(rollback).await);
    let words = "rollback cannot be initiated when auto-sync is enabled";
    assert_eq!(refused, (Code::FailedPrecondition, words.to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_operation_at_a_time_and_it_can_be_ended() -> anyhow::Result<()> {
    let case = Case::new("running").await?;
    let terminate = || async {
        let request = case.request::<argosy_proto::application::OperationTerminateRequest>(json!({}));
        case.api.applications().terminate_operation(request).await
    };
    // It waits in its first wave for a Pod that is never ready.
    let web = deployment("web", "never-ready")
        .replace("{name: web}", "{name: web, annotations: {argocd.argoproj.io/sync-wave: '-1'}}");
    case.commit(&[("web.yaml", &web), ("map.yaml", &config_map("map", "x"))])?;
    case.create(&case.app()).await?;
    let nothing = refusal(terminate().await);
    let words = "Unable to terminate operation. No operation is in progress";
    assert_eq!(nothing, (Code::InvalidArgument, words.to_owned()));
    case.sync(json!({})).await?;
    case.until("waiting", |s| s.phase() == "Running" && s.message().contains("waiting for healthy state")).await?;
    let (code, words) = refusal(case.sync(json!({})).await);
    assert_eq!(code, Code::FailedPrecondition, "{words}");
    assert!(words.contains("another operation is already in progress"), "{words}");
    terminate().await?;
    let ended = case.finished().await?;
    assert_eq!((ended.phase(), ended.message()), ("Failed", "Operation terminated"));
    assert!(!case.has("configmap", "map")?);
    case.told("ResourceUpdated: admin terminated running operation").await?;

    // Through REST; the application may be asked for a sync again.
    case.sync(json!({})).await?;
    case.until("running again", |s| s.phase() == "Running").await?;
    assert_eq!(case.api.delete("/api/v1/applications/running/operation").await?.ok()?, json!({}));
    assert_eq!(case.finished().await?.phase(), "Failed");
    let reply = case.api.delete("/api/v1/applications/running/operation").await?;
    assert_eq!((reply.status, reply.refusal().0), (400, 3));
    Ok(())
}
