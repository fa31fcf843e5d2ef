//! Watches: what they begin with, what they tell, and when they end.

use anyhow::Context;
use argosy_proto::account::UpdatePasswordRequest;
use argosy_proto::application::{ApplicationDeleteRequest, ApplicationPatchRequest, ApplicationQuery, ResourcesQuery};
use argosy_proto::v1alpha1::ApplicationWatchEvent;
use argosy_tests::{config_map, eventually};
use futures::StreamExt as _;
use serde_json::json;
use tonic::{Code, Status, Streaming};

use super::case::{Case, PATIENCE, message, next};

fn told(event: &ApplicationWatchEvent) -> (&str, &str) {
    let metadata = event.application.as_ref().and_then(|app| app.metadata.as_ref());
    (&event.r#type, metadata.map_or("", |m| &m.name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_begins_with_what_is_there_and_tells_what_comes_changes_and_goes() -> anyhow::Result<()> {
    let case = Case::new("watched").await?;
    case.commit(&[("map.yaml", &config_map("map", "x"))])?;
    let labelled = |name: &str| case.named(name).set("/metadata/labels", json!({"set": "watched"}));
    case.create(&labelled("watched-a")).await?;
    let selector = json!({"selector": "set=watched"});
    let mut events = case.watch(selector.clone()).await?;
    assert_eq!(told(&next(&mut events).await?), ("ADDED", "watched-a"));
    case.create(&labelled("watched-b")).await?;
    let is = async |events: &mut _, wanted: (&str, &str)| {
        // The controller writes statuses meanwhile.
        loop {
            let event = next(events).await?;
            if told(&event) == wanted {
                return anyhow::Ok(event);
            }
            assert_eq!(event.r#type, "MODIFIED", "{:?} before {wanted:?}", told(&event));
        }
    };
    is(&mut events, ("ADDED", "watched-b")).await?;
    let patch =
        json!({"name": "watched-a", "patchType": "merge", "patch": r#"{"metadata":{"labels":{"seen":"yes"}}}"#});
    let patched = case.api.applications().patch(message::<ApplicationPatchRequest>(patch)).await?.into_inner();
    let patched: u64 = patched.metadata.context("metadata")?.resource_version.parse()?;
    loop {
        let event = is(&mut events, ("MODIFIED", "watched-a")).await?;
        let metadata = event.application.and_then(|app| app.metadata).context("metadata")?;
        if metadata.labels.contains_key("seen") {
            break;
        }
    }

    // From a version on, only what came later; of one application its state in any case.
    let mut later = case.watch(json!({"selector": "set=watched", "resourceVersion": patched.to_string()})).await?;
    let known = message::<ApplicationQuery>(json!({"name": "watched-b"}));
    let known = case.api.applications().get(known).await?.into_inner().metadata.context("metadata")?.resource_version;
    let mut alone = case.watch(json!({"name": "watched-b", "resourceVersion": known})).await?;
    assert_eq!(told(&next(&mut alone).await?).1, "watched-b");
    let delete = json!({"name": "watched-b", "cascade": false});
    case.api.applications().delete(message::<ApplicationDeleteRequest>(delete)).await?;
    for stream in [&mut events, &mut alone] {
        is(stream, ("DELETED", "watched-b")).await?;
    }
    loop {
        let event = next(&mut later).await?;
        if event.r#type == "DELETED" {
            assert_eq!(told(&event).1, "watched-b");
            break;
        }
        // It begins with what the controller wrote since, not with the version given.
        let least = patched + u64::from(event.r#type == "ADDED");
        let metadata = event.application.and_then(|app| app.metadata).context("metadata")?;
        assert!(metadata.resource_version.parse::<u64>()? >= least, "{} was known", metadata.name);
    }
    let begin = next(&mut case.watch(selector).await?).await?;
    assert_eq!(told(&begin), ("ADDED", "watched-a"), "what is gone is no longer told of");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_read_a_watch_as_events_and_other_clients_as_lines() -> anyhow::Result<()> {
    let case = Case::new("streamed").await?;
    case.commit(&[("map.yaml", &config_map("map", "x"))])?;
    case.create(&case.app()).await?;
    let added = json!({"result": {"type": "ADDED", "application": {"metadata": {"name": "streamed"}}}});
    let events = "/api/v1/stream/applications?name=streamed&fields=result.type,result.application.metadata.name";
    let trees = "/api/v1/stream/applications/streamed/resource-tree?fields=result.nodes.kind";
    let tree = json!({"result": {"nodes": [{"kind": "ConfigMap"}]}});
    for (accept, start, path, wanted) in [
        ("text/event-stream", "data: ", events, &added),
        ("application/json", "", events, &added),
        ("text/event-stream", "data: ", trees, &tree),
    ] {
        let request = case.api.rest(reqwest::Method::GET, path).header("accept", accept);
        let response = request.send().await?.error_for_status()?;
        let kind = response.headers()["content-type"].to_str()?.to_owned();
        assert!(kind.starts_with(accept), "{kind}");
        let mut body = response.bytes_stream();
        let mut text = String::new();
        while !text.contains('\n') {
            let part = tokio::time::timeout(PATIENCE, body.next()).await?.context("the stream ended")??;
            text.push_str(&String::from_utf8_lossy(&part));
        }
        let line = text.lines().next().and_then(|line| line.strip_prefix(start)).context("a line")?;
        let event: serde_json::Value = serde_json::from_str(line)?;
        assert_eq!(event, *wanted, "{text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_reader_may_no_longer_read() -> anyhow::Result<()> {
    let case = Case::new("reader").await?;
    case.deployed(&[("map.yaml", &config_map("map", "x"))]).await?;
    let reader = case.account("p, reader, applications, get, default/reader, allow").await?;
    let query = || message::<ApplicationQuery>(json!({"name": "reader"}));
    eventually(PATIENCE, || async { reader.applications().get(query()).await.map_err(anyhow::Error::from) }).await;
    let mut trees =
        reader.applications().watch_resource_tree(case_tree()).await.context("watching the tree")?.into_inner();
    next(&mut trees).await?;
    let mut events = reader.applications().watch(query()).await.context("watching")?.into_inner();
    assert_eq!(told(&next(&mut events).await?), ("ADDED", "reader"));

    case.policy("")?;
    let status = end(&mut trees, |_| ()).await?;
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "permission denied"));
    // The other stays for what may be permitted again, and is told nothing.
    let mut own = case.watch(json!({"name": "reader"})).await?;
    let patch = json!({"patchType": "merge", "patch": r#"{"metadata":{"labels":{"secret":"yes"}}}"#});
    case.api.applications().patch(case.request::<ApplicationPatchRequest>(patch)).await?;
    while !is_secret(&next(&mut own).await?) {}

    // It ends with the session.
    let request = UpdatePasswordRequest {
        name: case.name.clone(),
        new_password: "another-horse-8".to_owned(),
        current_password: case.world.plane.admin_password().await?,
    };
    case.api.accounts().update_password(request).await?;
    let status = end(&mut events, |event| assert!(!is_secret(&event), "it may no longer be read")).await?;
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    Ok(())
}

fn is_secret(event: &ApplicationWatchEvent) -> bool {
    let metadata = event.application.as_ref().and_then(|app| app.metadata.as_ref());
    metadata.is_some_and(|metadata| metadata.labels.contains_key("secret"))
}

/// Reads a stream to its end and returns the reason.
async fn end<T>(stream: &mut Streaming<T>, on_item: impl Fn(T)) -> anyhow::Result<Status> {
    let ended = async {
        loop {
            match stream.message().await {
                Ok(Some(item)) => on_item(item),
                Ok(None) => anyhow::bail!("it ended without a reason"),
                Err(status) => return Ok(status),
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.context("it does not end")?
}

fn case_tree() -> ResourcesQuery {
    message(json!({"applicationName": "reader"}))
}
