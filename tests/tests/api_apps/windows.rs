//! Sync windows as clients see them and run into them.

use argosy_proto::application::ApplicationSyncWindowsQuery;
use argosy_tests::{config_map, eventually, refusal};
use serde_json::json;
use tonic::Code;

use super::case::{Case, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_denies_is_shown_and_keeps_people_from_syncing() -> anyhow::Result<()> {
    let case = Case::new("windows").await?;
    let open = json!({"kind": "allow", "schedule": "0 0 30 2 *", "duration": "1h", "namespaces": ["other"]});
    let deny = |manual: bool| {
        let window = json!({"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["*"], "manualSync": manual});
        case.project(json!({"syncWindows": [window, open]}))
    };
    deny(false)?;
    case.commit(&[("map.yaml", &config_map("map", "x"))])?;
    // The API hears of the project by its watch.
    eventually(PATIENCE, || async { case.create(&case.app().project("windows")).await }).await;
    let blocked = "cannot sync: blocked by sync window";
    assert_eq!(refusal(case.sync(json!({})).await), (Code::PermissionDenied, blocked.to_owned()));
    assert_eq!(refusal(case.sync(json!({"dryRun": true})).await).0, Code::PermissionDenied);
    let query = case.request::<ApplicationSyncWindowsQuery>(json!({}));
    let state = case.api.applications().get_application_sync_windows(query).await?.into_inner();
    assert_eq!((state.can_sync, state.active_windows.len(), state.assigned_windows.len()), (false, 1, 1));
    assert_eq!((&*state.active_windows[0].kind, &*state.active_windows[0].schedule), ("deny", "* * * * *"));

    deny(true)?;
    // The project's watch tells of it.
    let shown = eventually(PATIENCE, || async {
        let shown = case.api.get("/api/v1/applications/windows/syncwindows").await?.ok()?;
        anyhow::ensure!(shown["canSync"] == json!(true), "{shown}");
        Ok::<_, anyhow::Error>(shown)
    })
    .await;
    assert_eq!(shown["activeWindows"][0]["manualSync"], json!(true));
    assert_eq!(case.synced(json!({})).await?.phase(), "Succeeded");
    assert!(case.has("configmap", "map")?);
    Ok(())
}
