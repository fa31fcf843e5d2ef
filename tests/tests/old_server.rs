//! Clusters whose API servers know neither aggregated discovery nor streamed
//! lists are deployed to like any other.

use argosy_tests::{ApiFault, ApiProxy, App, AppState, Options, PATIENCE, World, config_map, eventually};

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.old.example.com}
spec:
  group: old.example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
"#;

const WIDGET: &str = "apiVersion: old.example.com/v1\nkind: Widget\nmetadata: {name: widget}\nspec: {size: 1}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_years_ago_is_discovered_watched_and_deployed_to() -> anyhow::Result<()> {
    let world = World::start(Options { controller_manager: true, ..Options::default() }, &[]).await?;
    let client = world.plane.client().await?;
    let proxy = ApiProxy::start(&world.plane).await?;
    proxy.fail(ApiFault::Old);
    let url = proxy.url();
    world.plane.declare("cluster", "cluster-old", &[("name", "old"), ("server", &url), ("config", "{}")])?;
    let repo = world.git.repo("old")?;
    repo.commit(&[("crd.yaml", DEFINITION), ("widget.yaml", WIDGET), ("map.yaml", &config_map("one", "1"))])?;
    let app = App::new("old")
        .source(&repo.url_file(), ".", "HEAD")
        .set("/spec/destination/server", url.as_str().into())
        .into_namespace("old")
        .prune()
        .self_heal()
        .sync_option("CreateNamespace=true");
    app.apply(&client).await?;
    let state = app.wait_until_deployed(&client, PATIENCE).await?;
    assert!(state.resource("Widget", "widget").is_some(), "{:#}", state.0["status"]["resources"]);
    // Its watches work, of kinds that were just defined too.
    world.plane.kubectl_text(&["-n", "old", "delete", "widgets.old.example.com", "widget"])?;
    let healed = |s: &AppState| s.is_deployed() && s.phase() == "Succeeded" && s.list("/status/history").len() == 1;
    eventually(PATIENCE, || async {
        world.plane.kubectl_text(&["-n", "old", "get", "widgets.old.example.com", "widget"])
    })
    .await;
    app.wait_for(&client, "healed", PATIENCE, healed).await?;
    // And what git gives up is pruned.
    repo.change("main").remove("widget.yaml").commit()?;
    app.refresh(&client, "normal").await?;
    eventually(PATIENCE, || async {
        let left = world.plane.kubectl_text(&["-n", "old", "get", "widgets.old.example.com", "-o", "name"])?;
        anyhow::ensure!(left.is_empty(), "{left}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    Ok(())
}
