//! How often an Application is written.

use std::collections::BTreeSet;

use super::case::{Case, PATIENCE, config_map};
use futures::StreamExt as _;
use kube::api::{Api, DynamicObject, WatchEvent, WatchParams};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_automated_sync_is_two_writes_and_a_comparison_without_news_is_none() -> anyhow::Result<()> {
    let case = Case::new("writes").await?;
    case.commit(&[("one.yaml", &config_map("one", "1", &[]))])?;
    let app = case.app().self_heal();
    let api: Api<DynamicObject> = Api::namespaced_with(
        case.client.clone(),
        "argocd",
        &argosy_tests::application::resource("Application", "applications"),
    );
    let params = WatchParams::default().fields(&format!("metadata.name={}", case.name)).timeout(120);
    let mut watch = api.watch(&params, "0").await?.boxed();
    app.apply(&case.client).await?;
    app.wait_until_deployed(&case.client, PATIENCE).await?;
    // Drift that is ignored is compared and says nothing new.
    case.kubectl(&["annotate", "configmap", "one", "note=1"])?;
    case.kubectl(&["annotate", "configmap", "one", "note=2", "--overwrite"])?;
    // The mark is the last version; all before it are counted.
    app.merge(&case.client, &json!({"metadata": {"labels": {"mark": "1"}}})).await?;
    let mut versions = BTreeSet::new();
    let mut seen: Vec<Value> = Vec::new();
    while let Some(event) = watch.next().await {
        let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event? else { continue };
        if object.metadata.labels.as_ref().is_some_and(|l| l.contains_key("mark")) {
            break;
        }
        versions.insert(object.metadata.resource_version.clone());
        seen.push(object.data["status"].clone());
    }
    // One is the creation.
    assert!(versions.len() <= 3, "{} versions: {seen:#?}", versions.len());
    let version = |s: argosy_tests::AppState| s.text("/metadata/resourceVersion").to_owned();
    let before = app.get(&case.client).await?.map(version);

    // A refresh that is asked for is answered in one write.
    app.refresh(&case.client, "normal").await?;
    let refreshed =
        |s: &argosy_tests::AppState| s.0.pointer("/metadata/annotations/argocd.argoproj.io~1refresh").is_none();
    let state = app.wait_for(&case.client, "refreshed", PATIENCE, refreshed).await?;
    assert_ne!(before, Some(version(state)));
    Ok(())
}
