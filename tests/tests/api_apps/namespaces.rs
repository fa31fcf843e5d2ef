//! Applications outside the home namespace, where the installation and their project
//! let them be.

use argosy_proto::application::{ApplicationCreateRequest, ApplicationQuery};
use argosy_tests::{App, config_map, eventually, refusal};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;

use super::case::{Case, PATIENCE, is_finished, message, state};

async fn create(case: &Case, app: &App) -> Result<Value, tonic::Status> {
    let request = message::<ApplicationCreateRequest>(json!({"application": app.manifest()}));
    Ok(state(&case.api.applications().create(request).await?.into_inner()).0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_has_applications_in_its_own_namespace() -> anyhow::Result<()> {
    let case = Case::new("team-own").await?;
    case.world.plane.kubectl_text(&["create", "namespace", "outside"])?;
    case.commit(&[("map.yaml", &config_map("map", "x"))])?;
    case.project(json!({"sourceNamespaces": ["team-own", "outside"]}))?;
    let app = case.app().in_namespace("team-own").project("team-own");
    let words = |project: &str| format!("app is not allowed in project {project:?}, or the project does not exist");
    let refused = refusal(create(&case, &app.clone().project("default")).await);
    assert_eq!(refused, (Code::InvalidArgument, words("default")));
    let refused = refusal(create(&case, &app.clone().in_namespace("outside")).await);
    assert_eq!(refused, (Code::PermissionDenied, "namespace 'outside' is not permitted".to_owned()));

    let made = create(&case, &app).await?;
    assert_eq!(made["metadata"]["namespace"], "team-own");
    // The same name at home is another application.
    case.create(&case.app()).await?;
    let named = json!({"name": "team-own", "appNamespace": "team-own"});
    let body = json!({"appNamespace": "team-own"});
    case.api.send(Method::POST, "/api/v1/applications/team-own/sync", &body).await?.ok()?;
    let done = eventually(PATIENCE, || async {
        let found = case.api.applications().get(message::<ApplicationQuery>(named.clone())).await?;
        let found = state(&found.into_inner());
        anyhow::ensure!(is_finished(&found), "{}", found.summary());
        Ok::<_, anyhow::Error>(found)
    })
    .await;
    assert_eq!((done.phase(), case.text("map")?.as_str()), ("Succeeded", "x"));
    let id = "jsonpath={.metadata.annotations.argocd\\.argoproj\\.io/tracking-id}";
    assert_eq!(case.kubectl(&["get", "configmap", "map", "-o", id])?, "team-own_team-own:/ConfigMap:team-own/map");
    let at_home = case.get().await?;
    assert!(at_home.0.pointer("/status/operationState").is_none(), "{}", at_home.summary());

    let path = "/api/v1/applications/team-own/resource-tree?appNamespace=team-own";
    assert_eq!(case.api.get(path).await?.ok()?["nodes"][0]["name"], "map");
    let list = case.api.get("/api/v1/applications?appNamespace=team-own").await?.ok()?;
    let places: Vec<_> = list["items"].as_array().into_iter().flatten().map(|a| &a["metadata"]["namespace"]).collect();
    assert_eq!(places, ["team-own"]);
    let mut events = case.watch(json!({"appNamespace": "team-own"})).await?;
    super::case::next(&mut events).await?;
    case.api.delete("/api/v1/applications/team-own?appNamespace=team-own&cascade=true").await?.ok()?;
    while super::case::next(&mut events).await?.r#type != "DELETED" {}
    assert!(!case.has("configmap", "map")?);
    case.get().await?;

    // Permissions name the namespace of an application that is not at home.
    let reader = case.account("p, team-own, applications, get, team-own/team-own/*, allow").await?;
    create(&case, &app).await?;
    eventually(PATIENCE, || async {
        reader.applications().get(message::<ApplicationQuery>(named.clone())).await.map_err(anyhow::Error::from)
    })
    .await;
    let at_home = message::<ApplicationQuery>(json!({"name": "team-own"}));
    assert_eq!(refusal(reader.applications().get(at_home).await).0, Code::PermissionDenied);
    Ok(())
}
