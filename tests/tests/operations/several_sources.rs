//! Applications with more than one source.

use super::case::{Case, PATIENCE, config_map};
use argosy_tests::AppState;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn several_sources_are_one_deployment_and_are_rolled_back_together() -> anyhow::Result<()> {
    let case = Case::new("sources").await?;
    let other = case.second_repo()?;
    let first = case.commit(&[("one.yaml", &config_map("one", "1", &[]))])?;
    let other_first = other.commit(&[("map/two.yaml", &config_map("two", "1", &[]))])?;
    let sources = json!([
        {"repoURL": case.repo.url_file(), "path": "app", "targetRevision": "HEAD"},
        {"repoURL": other.url_file(), "path": "map", "targetRevision": "HEAD"},
    ]);
    let app = case.app().sources(sources.clone());
    app.apply(&case.client).await?;
    let state = case.sync(&app, json!({})).await?;
    assert_eq!(state.phase(), "Succeeded", "{}", state.message());
    assert_eq!(state.0.pointer("/status/sync/revisions"), Some(&json!([first, other_first])));
    assert_eq!(state.0.pointer("/status/sourceTypes"), Some(&json!(["Directory", "Directory"])));
    assert!(state.revision().is_empty() && state.0.pointer("/status/sync/comparedTo/sources") == Some(&sources));

    // A commit to either of them is news.
    let second = case.commit(&[("one.yaml", &config_map("one", "2", &[]))])?;
    let other_second = other.commit(&[("map/two.yaml", &config_map("two", "2", &[]))])?;
    app.refresh(&case.client, "normal").await?;
    let news = |s: &AppState| {
        s.sync_status() == "OutOfSync" && s.0.pointer("/status/sync/revisions") == Some(&json!([second, other_second]))
    };
    app.wait_for(&case.client, "out of sync with both", PATIENCE, news).await?;
    let state = case.sync(&app, json!({})).await?;
    assert_eq!((state.phase(), state.sync_status()), ("Succeeded", "Synced"), "{}", state.message());
    assert_eq!(case.live("configmap", "two")?["data"]["text"], json!("2"));
    let history = state.list("/status/history");
    let commits: Vec<_> = history.iter().map(|h| h["revisions"].clone()).collect();
    assert_eq!(commits, [json!([first, other_first]), json!([second, other_second])]);
    assert_eq!(history[0]["sources"], sources);

    // As the API's rollback asks for it.
    let rollback = json!({
        "revisions": history[0]["revisions"], "sources": history[0]["sources"], "source": {"repoURL": ""},
        "syncStrategy": {"apply": {}},
    });
    let state = case.sync(&app, rollback).await?;
    assert_eq!(state.phase(), "Succeeded", "{}", state.message());
    for name in ["one", "two"] {
        assert_eq!(case.live("configmap", name)?["data"]["text"], json!("1"), "{name}");
    }
    let result = state.0.pointer("/status/operationState/syncResult/revisions");
    assert_eq!(result, Some(&json!([first, other_first])));
    assert_eq!(state.list("/status/history").len(), 3);
    assert_eq!(state.sync_status(), "OutOfSync", "the target is the tip still");
    Ok(())
}
