//! Reading one application, refreshed or not.

use argosy_proto::application::ApplicationQuery;
use argosy_tests::{config_map, refusal};
use serde_json::json;
use tonic::Code;

use super::case::{Case, message};

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_is_over_when_its_answer_comes() -> anyhow::Result<()> {
    let case = Case::new("refreshed").await?;
    let first = case.commit(&[("map.yaml", &config_map("map", "one"))])?;
    case.create(&case.app()).await?;
    let state = case.refreshed("normal").await?;
    assert_eq!((state.revision(), state.sync_status(), state.health()), (&*first, "OutOfSync", "Missing"));
    for kind in ["normal", "hard"] {
        let commit = case.commit(&[("map.yaml", &config_map("map", kind))])?;
        let state = case.refreshed(kind).await?;
        assert_eq!(state.revision(), commit, "{kind}");
        for left in ["refresh", "hydrate"] {
            let pointer = format!("/metadata/annotations/argocd.argoproj.io~1{left}");
            assert!(state.0.pointer(&pointer).is_none(), "{left} is left behind: {}", state.0["metadata"]);
        }
    }
    let commit = case.commit(&[("map.yaml", &config_map("map", "rest"))])?;
    let shown = case.api.get("/api/v1/applications/refreshed?refresh=hard").await?.ok()?;
    assert_eq!(shown["status"]["sync"]["revision"], commit);
    assert_eq!(shown["metadata"]["managedFields"], json!(null));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_without_telling_whether_it_is_there() -> anyhow::Result<()> {
    let case = Case::new("hidden").await?;
    let get = async |query| refusal(case.api.applications().get(message::<ApplicationQuery>(query)).await);
    assert_eq!(get(json!({"name": "hidden"})).await, (Code::PermissionDenied, "permission denied".to_owned()));
    let (code, words) = get(json!({"name": "hidden", "project": ["default"]})).await;
    assert_eq!(code, Code::NotFound, "{words}");
    assert_eq!(words, "applications.argoproj.io \"hidden\" not found");
    let (code, words) = get(json!({"name": "hidden", "project": ["a", "b"]})).await;
    assert_eq!(code, Code::InvalidArgument, "{words}");
    assert!(words.starts_with("multiple projects specified"), "{words}");
    let (code, _) = get(json!({"name": "hidden", "appNamespace": "kube-system"})).await;
    assert_eq!(code, Code::PermissionDenied);
    let reply = case.api.get("/api/v1/applications/hidden").await?;
    assert_eq!((reply.status, reply.refusal()), (403, (7, "permission denied".to_owned())));
    Ok(())
}
