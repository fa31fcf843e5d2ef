//! Syncs as clients ask for them.

use argosy_tests::{config_map, refusal};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;

use super::case::{Case, message, results};

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_is_asked_for_followed_to_its_end_and_remembered() -> anyhow::Result<()> {
    let case = Case::new("synced").await?;
    let first = case.commit(&[("map.yaml", &config_map("map", "one"))])?;
    case.create(&case.app()).await?;
    let asked = case.sync(json!({"infos": [{"name": "why", "value": "a test"}]})).await?;
    let operation = &asked.0["operation"];
    assert_eq!(operation["sync"]["revision"], first, "the revision is resolved");
    assert_eq!(operation["initiatedBy"], json!({"username": "admin"}));
    assert_eq!(operation["info"], json!([{"name": "why", "value": "a test"}]));
    assert!(asked.0.pointer("/status/operationState").is_none());
    let done = case.finished().await?;
    assert_eq!((done.phase(), done.sync_status(), done.revision()), ("Succeeded", "Synced", &*first));
    assert_eq!(done.message(), "successfully synced (all tasks run)");
    assert_eq!(results(&done), ["ConfigMap/map: Synced"]);
    assert_eq!(case.text("map")?, "one");
    let history = done.list("/status/history");
    assert_eq!((&history[0]["id"], &history[0]["revision"]), (&json!(0), &json!(first)));
    assert_eq!(history[0]["initiatedBy"]["username"], "admin");
    case.told(&format!("OperationStarted: admin initiated sync to {first}")).await?;

    // To a commit of another branch, through REST.
    let other = case.repo.change("other").write("app/map.yaml", config_map("map", "two")).commit()?;
    let body = json!({"revision": "other", "prune": false, "dryRun": false});
    let reply = case.api.send(Method::POST, "/api/v1/applications/synced/sync", &body).await?.ok()?;
    assert_eq!(reply["operation"]["sync"]["revision"], other);
    let done = case.finished().await?;
    assert_eq!((done.phase(), case.text("map")?.as_str()), ("Succeeded", "two"));
    assert_eq!(done.list("/status/history").len(), 2);
    assert_eq!(done.sync_status(), "OutOfSync", "it is compared with its own revision");
    let (code, words) = refusal(case.sync(json!({"revision": "no-branch"})).await);
    assert_eq!(code, Code::FailedPrecondition, "{words}");
    assert!(words.contains("unable to resolve 'no-branch' to a commit SHA"), "{words}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_changes_nothing_and_a_prune_takes_away_what_was_left() -> anyhow::Result<()> {
    let case = Case::new("pruned").await?;
    case.deployed(&[("a.yaml", &config_map("a", "1")), ("b.yaml", &config_map("b", "1"))]).await?;
    case.repo.change("main").remove("app/b.yaml").write("app/a.yaml", config_map("a", "2")).commit()?;
    let dry = case.synced(json!({"dryRun": true, "prune": true})).await?;
    assert_eq!((dry.phase(), case.text("a")?.as_str(), case.text("b")?.as_str()), ("Succeeded", "1", "1"));
    assert_eq!(dry.list("/status/history").len(), 1, "a dry run is not remembered");
    let kept = case.synced(json!({})).await?;
    assert_eq!((case.text("a")?.as_str(), case.text("b")?.as_str()), ("2", "1"));
    let needs = kept.resource("ConfigMap", "b").map(|r| r["requiresPruning"].clone());
    assert_eq!(needs, Some(json!(true)), "{}", kept.0["status"]["resources"]);
    case.synced(json!({"prune": true})).await?;
    assert!(!case.has("configmap", "b")?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_takes_resources_a_strategy_options_and_retries_as_asked() -> anyhow::Result<()> {
    let case = Case::new("chosen").await?;
    let hook =
        config_map("hook", "x").replace("name: hook", "name: hook\n  annotations: {argocd.argoproj.io/hook: PreSync}");
    case.commit(&[("a.yaml", &config_map("a", "1")), ("b.yaml", &config_map("b", "1")), ("hook.yaml", &hook)])?;
    case.create(&case.app().set("/spec/syncPolicy/syncOptions", json!(["Validate=false"]))).await?;
    let retry = json!({"limit": 2, "backoff": {"duration": "1s", "factor": 2, "maxDuration": "5s"}});
    let asked = case
        .sync(json!({"resources": [{"group": "", "kind": "ConfigMap", "name": "a"}], "retryStrategy": retry}))
        .await?;
    assert_eq!(asked.0["operation"]["retry"], retry);
    assert_eq!(asked.0["operation"]["sync"]["syncOptions"], json!(["Validate=false"]), "those of its policy");
    let partial = case.finished().await?;
    assert_eq!(results(&partial), ["ConfigMap/a: Synced"], "no hooks with a selection");
    assert!(!case.has("configmap", "b")? && !case.has("configmap", "hook")?);
    assert!(partial.list("/status/history").is_empty(), "what is synced in part is not remembered");
    case.told("OperationStarted: admin initiated partial sync to ").await?;

    let options = json!({"items": ["ServerSideApply=true"]});
    let asked = case.sync(json!({"strategy": {"apply": {}}, "syncOptions": options})).await?;
    assert_eq!(asked.0["operation"]["sync"]["syncOptions"], json!(["ServerSideApply=true"]));
    assert_eq!(asked.0["operation"]["sync"]["syncStrategy"], json!({"apply": {}}));
    let applied = case.finished().await?;
    assert_eq!(results(&applied), ["ConfigMap/a: Synced", "ConfigMap/b: Synced"], "no hooks with this strategy");
    let managers =
        case.kubectl(&["get", "configmap", "b", "--show-managed-fields", "-o", "jsonpath={.metadata.managedFields}"])?;
    assert!(managers.contains("\"operation\":\"Apply\""), "{managers}");

    let hooked = case.synced(json!({"strategy": {"hook": {"force": false}}})).await?;
    assert!(results(&hooked).iter().any(|line| line.starts_with("ConfigMap/hook")), "{:?}", results(&hooked));
    assert!(case.has("configmap", "hook")?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_of_the_caller_are_synced_instead_of_the_sources() -> anyhow::Result<()> {
    let case = Case::new("local").await?;
    case.deployed(&[("map.yaml", &config_map("map", "committed"))]).await?;
    let map = |text: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "data": {"text": text}})
            .to_string()
    };
    let asked = case.sync(json!({"manifests": [map("local")]})).await?;
    assert_eq!(asked.list("/operation/sync/manifests").len(), 1);
    let done = case.finished().await?;
    assert_eq!((done.phase(), case.text("map")?.as_str()), ("Succeeded", "local"), "{}", done.summary());
    assert_eq!(done.sync_status(), "OutOfSync");
    case.told("OperationStarted: admin initiated sync locally").await?;

    // Whoever may only sync may not bring manifests.
    let only_syncs =
        case.account("p, local, applications, get, */*, allow\np, local, applications, sync, */*, allow").await?;
    let request =
        case.request::<argosy_proto::application::ApplicationSyncRequest>(json!({"manifests": [map("theirs")]}));
    let (code, words) = refusal(only_syncs.applications().sync(request).await);
    assert_eq!(code, Code::PermissionDenied, "{words}");
    assert!(words.starts_with("permission denied: applications, override, default/local"), "{words}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_several_sources_is_synced_to_the_revision_asked_for_it() -> anyhow::Result<()> {
    let case = Case::new("several").await?;
    let first = case.commit(&[("a.yaml", &config_map("a", "1"))])?;
    let second = case.repo.change("main").write("second/b.yaml", config_map("b", "1")).commit()?;
    case.repo
        .change("main")
        .write("second/b.yaml", config_map("b", "2"))
        .write("app/a.yaml", config_map("a", "2"))
        .commit()?;
    let url = case.repo.url_file();
    let source = |path: &str| json!({"repoURL": url, "path": path, "targetRevision": "main"});
    case.create(&case.app().sources(json!([source("app"), source("second")]))).await?;
    let asked = case.sync(json!({"revisions": [second], "sourcePositions": [2]})).await?;
    assert_eq!(asked.0["operation"]["sync"]["revisions"][1], second);
    case.finished().await?;
    assert_eq!((case.text("a")?.as_str(), case.text("b")?.as_str()), ("2", "1"));
    let wrong = [
        (json!({"revisions": [first], "sourcePositions": [3]}), "source position is out of range"),
        (json!({"revisions": [first], "sourcePositions": [0]}), "source position is out of range"),
        (json!({"revisions": [first]}), "source positions and revisions"),
    ];
    for (more, words) in wrong {
        let (code, told) = refusal(case.sync(more).await);
        assert_eq!(code, Code::InvalidArgument, "{told}");
        assert!(told.contains(words), "{told}");
    }
    // Manifests of the sources at other revisions.
    let query: argosy_proto::application::ApplicationManifestQuery =
        case.request(json!({"revisions": [second, first], "sourcePositions": [2, 1]}));
    let manifests = case.api.applications().get_manifests(query).await?.into_inner().manifests;
    let texts: Vec<Value> =
        manifests.iter().map(|m| message::<Value>(serde_json::from_str(m).unwrap_or_default())).collect();
    assert_eq!(texts.iter().map(|m| m["data"]["text"].as_str()).collect::<Vec<_>>(), [Some("1"), Some("1")]);
    Ok(())
}
