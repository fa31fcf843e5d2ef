//! Deleting applications, with and without what they have deployed.

use argosy_proto::application::ApplicationDeleteRequest;
use argosy_tests::{config_map, refusal};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::case::{Case, deployment, next, soon};

async fn delete(case: &Case, more: Value) -> Result<(), Status> {
    case.api.applications().delete(case.request::<ApplicationDeleteRequest>(more)).await.map(drop)
}

fn is_gone(case: &Case) -> anyhow::Result<bool> {
    let left =
        case.world.plane.kubectl_text(&["-n", "argocd", "get", "application", &case.name, "--ignore-not-found"])?;
    Ok(left.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_takes_the_resources_along_unless_it_is_told_not_to() -> anyhow::Result<()> {
    let case = Case::new("deleted").await?;
    case.deployed(&[("map.yaml", &config_map("map", "x"))]).await?;
    delete(&case, json!({"cascade": false})).await?;
    soon("gone without a trace", || is_gone(&case)).await?;
    assert_eq!(case.text("map")?, "x", "its resources stay");
    case.told("ResourceDeleted: admin deleted application").await?;

    case.create(&case.app()).await?;
    case.synced(json!({})).await?;
    let mut events = case.watch(json!({"name": "deleted"})).await?;
    next(&mut events).await?;
    delete(&case, json!({})).await?;
    while next(&mut events).await?.r#type != "DELETED" {}
    assert!(!case.has("configmap", "map")?, "its resources went first");
    assert!(is_gone(&case)?);

    let (code, words) = refusal(delete(&case, json!({})).await);
    assert_eq!((code, &*words), (Code::PermissionDenied, "permission denied"));
    let (code, _) = refusal(delete(&case, json!({"project": "default"})).await);
    assert_eq!(code, Code::NotFound);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_of_a_deletion_is_written_as_its_finalizer() -> anyhow::Result<()> {
    let case = Case::new("policies").await?;
    case.commit(&[("web.yaml", &deployment("web", "ready"))])?;
    case.create(&case.app()).await?;
    for (more, words) in [
        (json!({"propagationPolicy": "sideways"}), "invalid propagation policy: sideways"),
        (
            json!({"propagationPolicy": "foreground", "cascade": false}),
            "cannot set propagation policy when cascading is disabled",
        ),
    ] {
        assert_eq!(refusal(delete(&case, more).await), (Code::InvalidArgument, words.to_owned()));
    }
    for (policy, finalizer) in [
        ("foreground", "resources-finalizer.argocd.argoproj.io/foreground"),
        ("background", "resources-finalizer.argocd.argoproj.io/background"),
    ] {
        // Somebody else's finalizer holds it, so that there is time to look.
        let held = case.app().set("/metadata/finalizers", json!(["example.com/held"]));
        held.apply(&case.client).await?;
        case.synced(json!({})).await?;
        let mut events = case.watch(json!({"name": "policies"})).await?;
        let path = format!("/api/v1/applications/policies?cascade=true&propagationPolicy={policy}");
        assert_eq!(case.api.delete(&path).await?.ok()?, json!({}));
        let mut wanted = false;
        while !wanted {
            let metadata = next(&mut events).await?.application.and_then(|app| app.metadata).unwrap_or_default();
            wanted = metadata.finalizers == ["example.com/held", finalizer];
        }
        soon("the Deployment gone", || Ok(!case.has("deployment", "web")?)).await?;
        let (code, words) = refusal(case.sync(json!({})).await);
        assert_eq!(code, Code::FailedPrecondition, "{words}");
        assert!(words.ends_with("application is deleting"), "{words}");
        held.merge(&case.client, &json!({"metadata": {"finalizers": null}})).await?;
        soon("gone", || is_gone(&case)).await?;
    }
    Ok(())
}
