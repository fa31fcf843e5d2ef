//! The API server goes away and comes back.

#[path = "support/world.rs"]
#[expect(dead_code, reason = "shared with the other tests, which use all of it")]
mod world;

use argosy_model::AppKey;
use argosy_tests::{ControlPlane, Options, eventually};
use world::{DEADLINE, app, apply, home, install, until_known};

#[tokio::test(flavor = "multi_thread")]
async fn watches_go_on_after_the_api_server_was_away() {
    let mut plane = ControlPlane::start(Options::default()).await.expect("a control plane");
    install(&plane).await;
    let namespace = plane.namespace("restart").await.expect("a namespace");
    apply(&plane, &app(&namespace, "before"));
    apply(&plane, &app(&namespace, "doomed"));
    let home = home(plane.client().await.expect("a client"), &namespace).await;
    let mut settings = home.settings_changes();
    assert_eq!(home.apps().len(), 2);
    plane.stop_apiserver();
    plane.restart_apiserver().await.expect("it starts again");
    apply(&plane, &app(&namespace, "after"));
    plane.kubectl_text(&["delete", "applications.argoproj.io", "doomed", "-n", &namespace]).expect("deleted");
    let data = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"installationID": "new"},
        "metadata": {"name": "argocd-cm", "namespace": namespace}});
    apply(&plane, &data);
    until_known(&home, &AppKey::new(&namespace, "after")).await;
    eventually(DEADLINE, || async { if home.apps().len() == 2 { Ok(()) } else { Err("doomed is still there") } }).await;
    let wanted = settings.wait_for(|s| s.tracking.installation_id == "new");
    tokio::time::timeout(DEADLINE, wanted).await.expect("in time").expect("open");
}
