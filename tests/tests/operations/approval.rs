//! Deletions that wait for a person.

use super::case::{Case, OPTIONS, PATIENCE, config_map};
use argosy_tests::poll_until;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_application_waits_for_approval_before_what_is_to_be_confirmed_goes() -> anyhow::Result<()> {
    let case = Case::new("approval").await?;
    case.commit(&[
        ("precious.yaml", &config_map("precious", "x", &[(OPTIONS, "Delete=confirm")])),
        ("plain.yaml", &config_map("plain", "x", &[])),
    ])?;
    let approve = |at: &str| json!({"metadata": {"annotations": {"argocd.argoproj.io/deletion-approved": at}}});
    let app = case.app().automated().cascade();
    app.apply(&case.client).await?;
    let state = app.wait_until_deployed(&case.client, PATIENCE).await?;
    let confirms = state.resource("ConfigMap", "precious").map(|r| r["requiresDeletionConfirmation"].clone());
    assert_eq!(confirms, Some(json!(true)), "{:#}", state.0["status"]["resources"]);
    // An approval of something before is none.
    app.merge(&case.client, &approve("2020-01-01T00:00:00Z")).await?;
    app.delete(&case.client).await?;
    case.until("it waits", || {
        let waits =
            |line: &str| line.contains("deletion waits for a person's approval") && line.contains("argocd/approval");
        Ok(case.argosy.log().lines().any(waits))
    })
    .await?;
    assert!(case.get("configmap", "precious")?.is_some() && case.get("configmap", "plain")?.is_some());
    let state = app.get(&case.client).await?.map(|s| s.text("/metadata/deletionTimestamp").to_owned());
    app.merge(&case.client, &approve(&state.unwrap_or_default())).await?;
    let gone = || async {
        anyhow::ensure!(app.get(&case.client).await?.is_none(), "it is there");
        Ok::<_, anyhow::Error>(())
    };
    poll_until(PATIENCE, gone).await.map_err(|reason| anyhow::anyhow!("it does not go: {reason}"))?;
    assert!(case.get("configmap", "precious")?.is_none() && case.get("configmap", "plain")?.is_none());
    Ok(())
}
