//! One operation right after another.

use super::case::{Case, HOOK, PATIENCE, config_map, job};
use argosy_tests::AppState;

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_operation_is_told_also_when_the_next_one_waits_for_it() -> anyhow::Result<()> {
    let case = Case::new("succession").await?;
    let hook = |pod: &str| job("name: after", &[(HOOK, "PostSync")], pod);
    let first = case.commit(&[("one.yaml", &config_map("one", "1", &[])), ("after.yaml", &hook("never-ready"))])?;
    let app = case.app().automated();
    app.apply(&case.client).await?;
    let waits = |s: &AppState| s.message().contains("waiting for completion of hook");
    app.wait_for(&case.client, "waiting for its hook", PATIENCE, waits).await?;
    let second = case.commit(&[("one.yaml", &config_map("one", "2", &[])), ("after.yaml", &hook("ready"))])?;
    app.refresh(&case.client, "normal").await?;
    let knows = |s: &AppState| s.revision() == second && s.phase() == "Running";
    app.wait_for(&case.client, "aware of the second commit", PATIENCE, knows).await?;
    case.kubectl(&["label", "pod", "--all", "argosy.test/pod=ready", "--overwrite"])?;
    let deployed = |s: &AppState| s.is_deployed() && s.list("/status/history").len() == 2;
    app.wait_for(&case.client, "deployed twice", PATIENCE, deployed).await?;
    for commit in [&first, &second] {
        let told = format!("OperationCompleted: Sync operation to {commit} succeeded");
        case.until("its end is told", || Ok(case.events()?.contains(&told))).await?;
    }
    Ok(())
}
