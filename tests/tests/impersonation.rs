//! With impersonation, a tenant's sync is done as the tenant's own service
//! account: what that may not do fails in the API server's words, whatever the
//! controller may do.

use anyhow::Context;
use argosy_tests::{App, AppState, Options, PATIENCE, World, config_map, poll_until};
use serde_json::json;

const PROJECT: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: team, namespace: argocd}
spec:
  sourceRepos: ["*"]
  destinations: [{server: "*", namespace: "*"}]
  clusterResourceWhitelist: [{group: "*", kind: "*"}]
  destinationServiceAccounts:
  - {server: "https://kubernetes.default.svc", namespace: team, defaultServiceAccount: deployer}
  - {server: "*", namespace: "elsewhere-*", defaultServiceAccount: "team:deployer"}
"#;

const RIGHTS: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: team}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: deployer, namespace: team}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, create, patch, update]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: deployer, namespace: team}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}
subjects: [{kind: ServiceAccount, name: deployer, namespace: team}]
"#;

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: forbidden}\nstringData: {k: v}\n";

async fn sync(app: &App, client: &kube::Client, prune: bool) -> anyhow::Result<AppState> {
    let before = app.get(client).await?.context("it is there")?.text("/status/operationState/startedAt").to_owned();
    app.sync(client, json!({"prune": prune})).await?;
    let ended = |s: &AppState| {
        s.0.get("operation").is_none() && s.phase() != "Running" && s.text("/status/operationState/startedAt") != before
    };
    app.wait_for(client, "done with its sync", PATIENCE, ended).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_may_do_what_its_service_account_may_and_no_more() -> anyhow::Result<()> {
    let world = World::start(Options::default(), &[("application.sync.impersonation.enabled", "true")]).await?;
    let (plane, client) = (&world.plane, world.plane.client().await?);
    for namespace in ["team", "elsewhere-1", "nobodys"] {
        plane.kubectl_text(&["create", "namespace", namespace])?;
    }
    plane.apply_yaml(RIGHTS)?;
    plane.apply_yaml(PROJECT)?;
    let repo = world.git.repo("team")?;
    repo.commit(&[("map.yaml", &config_map("allowed", "1"))])?;
    let app = |name: &str, namespace: &str| {
        App::new(name).project("team").source(&repo.url_file(), ".", "HEAD").into_namespace(namespace)
    };

    let own = app("own", "team");
    own.apply(&client).await?;
    let state = sync(&own, &client, false).await?;
    assert_eq!(state.phase(), "Succeeded", "{}", state.summary());
    assert_eq!(plane.config_map_text("team", "allowed").await?, "1");

    // Another kind, and deleting, are not for it.
    repo.commit(&[("secret.yaml", SECRET)])?;
    let state = sync(&own, &client, false).await?;
    assert_eq!(state.phase(), "Failed", "{}", state.summary());
    let refused = "secrets is forbidden: User \"system:serviceaccount:team:deployer\" cannot create resource \"secrets\" in API group \"\" in the namespace \"team\"";
    assert!(state.message().contains(refused), "{}", state.message());
    repo.change("main").remove("secret.yaml").remove("map.yaml").write("README", "nothing").commit()?;
    let state = sync(&own, &client, true).await?;
    assert_eq!(state.phase(), "Failed", "{}", state.summary());
    let results = state.0["status"]["operationState"]["syncResult"].to_string();
    let refused = "User \\\"system:serviceaccount:team:deployer\\\" cannot delete resource \\\"configmaps\\\"";
    assert!(results.contains(refused), "{results}");
    assert_eq!(plane.config_map_text("team", "allowed").await?, "1");

    // The same account elsewhere has no rights at all.
    repo.change("main").write("map.yaml", config_map("allowed", "2")).commit()?;
    let elsewhere = app("elsewhere", "elsewhere-1");
    elsewhere.apply(&client).await?;
    let state = sync(&elsewhere, &client, false).await?;
    assert_eq!(state.phase(), "Failed", "{}", state.summary());
    assert!(state.message().contains("User \"system:serviceaccount:team:deployer\" cannot"), "{}", state.message());

    // Without an account nothing is done in the controller's own name.
    let nobodys = app("nobodys", "nobodys");
    nobodys.apply(&client).await?;
    let state = sync(&nobodys, &client, false).await?;
    let missing =
        "no matching service account found for destination server https://kubernetes.default.svc and namespace nobodys";
    assert_eq!(state.phase(), "Error", "{}", state.summary());
    assert!(state.message().contains(missing), "{}", state.message());
    assert!(plane.config_map_text("nobodys", "allowed").await.is_err());

    // Unless that is allowed, which takes effect without a restart.
    plane.set_config("argocd-cm", &[("application.sync.impersonation.enforced", "false")])?;
    poll_until(PATIENCE, || async {
        let state = sync(&nobodys, &client, false).await?;
        anyhow::ensure!(state.phase() == "Succeeded", "{}", state.summary());
        Ok::<_, anyhow::Error>(())
    })
    .await
    .map_err(anyhow::Error::msg)?;
    assert_eq!(plane.config_map_text("nobodys", "allowed").await?, "2");
    Ok(())
}
