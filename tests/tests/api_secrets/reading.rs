//! Everything that can be read is read, in each encoding.

use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_proto::application::{
    ApplicationManifestQuery, ApplicationQuery, ApplicationResourceRequest, ApplicationServerSideDiffQuery,
    ResourcesQuery,
};
use argosy_proto::cluster::ClusterQuery;
use argosy_proto::project::ProjectQuery;
use argosy_proto::repocreds::RepoCredsQuery;
use argosy_proto::repository::RepoQuery;
use argosy_proto::v1alpha1::ResourceDiff;
use argosy_tests::ApiClient;
use futures::StreamExt;
use prost::Message;
use reqwest::Method;
use serde_json::json;

use super::declared::{Case, broken_url};
use super::search::{Search, encoded};

/// How long a stream is read that goes on for ever.
const STREAMED: Duration = Duration::from_secs(1);

pub(crate) fn escaped(text: &str) -> String {
    text.replace('/', "%2F").replace(':', "%3A").replace('@', "%40")
}

pub(crate) async fn read(case: &Case, search: &mut Search, who: &str, client: &ApiClient) -> anyhow::Result<()> {
    let object = "namespace=default&resourceName=hidden&version=v1&kind=Secret&group=";
    let mut paths: Vec<String> = [
        "account",
        "account/admin",
        "applicationsets",
        "certificates",
        "clusters",
        "clusters/https%3A%2F%2F127.0.0.1%3A1",
        "clusters/broken?id.type=name",
        "gpgkeys",
        "notifications/services",
        "notifications/templates",
        "notifications/triggers",
        "projects",
        "projects/team",
        "projects/team/detailed",
        "projects/team/events",
        "projects/team/globalprojects",
        "projects/team/links",
        "projects/team/syncwindows",
        "repocreds",
        "repositories",
        "repositories?forceRefresh=true",
        "session/userinfo",
        "settings",
        "settings/plugins",
        "write-repocreds",
        "write-repositories",
        "applications",
        "applications?fields=items.spec,items.status",
    ]
    .map(str::to_owned)
    .into();
    for name in ["hidden", "mangled", "broken", "far"] {
        paths.push(format!("applications/{name}"));
        paths.push(format!("applications/{name}?refresh=hard"));
        for part in
            ["events", "links", "managed-resources", "manifests", "resource-tree", "syncwindows", "logs?follow=false"]
        {
            paths.push(format!("applications/{name}/{part}"));
        }
        paths.push(format!("applications/{name}/manifests?revision={}&noCache=true", case.commit));
        paths.push(format!("applications/{name}/revisions/{}/metadata", case.commit));
        for part in ["resource", "resource/actions", "resource/links"] {
            paths.push(format!("applications/{name}/{part}?{object}"));
        }
    }
    let good = case.repo.url_https();
    for url in [&good, &good.replace("private", "no"), &broken_url(), "https://127.0.0.1:1/repo-all"] {
        let path = format!("repositories/{}", escaped(url));
        for rest in [
            "?appProject=team",
            "?appProject=team&forceRefresh=true",
            "/refs?appProject=team",
            "/helmcharts?appProject=team",
        ] {
            paths.push(format!("{path}{rest}"));
        }
        paths.push(format!("{path}/apps?appName=hidden&appProject=team"));
    }
    for path in paths {
        search.ask(who, client, Method::GET, &format!("/api/v1/{path}"), None).await.with_context(|| path.clone())?;
    }
    let masked = client.get("/api/v1/applications/hidden/managed-resources").await?.ok()?.to_string();
    assert!(masked.contains("++++++++") && masked.contains("hidden"), "the Secret is shown, with masks: {masked}");
    for url in [&good, &broken_url()] {
        let body = json!({"source": {"repoURL": url, "path": "app", "targetRevision": "HEAD"}, "appName": "hidden", "appProject": "team"});
        let path = format!("/api/v1/repositories/{}/appdetails", escaped(url));
        search.ask(who, client, Method::POST, &path, Some(body)).await?;
    }
    Ok(())
}

/// The same in the other encoding: fields that JSON leaves out would show here.
pub(crate) async fn read_in_grpc(
    case: &Case,
    search: &mut Search,
    who: &str,
    client: &ApiClient,
) -> anyhow::Result<()> {
    let app = ApplicationQuery { name: Some("hidden".into()), ..Default::default() };
    let resources = ResourcesQuery { application_name: "hidden".into(), ..Default::default() };
    let manifests = ApplicationManifestQuery { name: "hidden".into(), ..Default::default() };
    let mut object =
        ApplicationResourceRequest { name: "hidden".into(), resource_name: "hidden".into(), ..Default::default() };
    (object.version, object.kind, object.namespace) = ("v1".into(), "Secret".into(), Some("default".into()));
    let state = |place: &str| {
        let data = json!({"password": encoded(place)});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hidden", "namespace": "default"}, "data": data}).to_string()
    };
    let live = ResourceDiff {
        kind: "Secret".into(),
        namespace: "default".into(),
        name: "hidden".into(),
        live_state: state("diff-live"),
        ..Default::default()
    };
    let diff = ApplicationServerSideDiffQuery {
        app_name: "hidden".into(),
        live_resources: vec![live],
        target_manifests: vec![state("diff-target")],
        ..Default::default()
    };
    let project = ProjectQuery { name: "team".into() };
    let repository =
        |url: String| RepoQuery { repo: url, app_project: "team".into(), ..Default::default() }.encode_to_vec();
    for (rpc, message) in [
        ("application.ApplicationService/List", ApplicationQuery::default().encode_to_vec()),
        ("application.ApplicationService/Get", app.encode_to_vec()),
        ("application.ApplicationService/ManagedResources", resources.encode_to_vec()),
        ("application.ApplicationService/ResourceTree", resources.encode_to_vec()),
        ("application.ApplicationService/GetManifests", manifests.encode_to_vec()),
        ("application.ApplicationService/GetResource", object.encode_to_vec()),
        ("application.ApplicationService/ServerSideDiff", diff.encode_to_vec()),
        ("cluster.ClusterService/List", Vec::new()),
        ("cluster.ClusterService/Get", ClusterQuery { name: "broken".into(), ..Default::default() }.encode_to_vec()),
        ("cluster.SettingsService/Get", Vec::new()),
        ("project.ProjectService/GetDetailedProject", project.encode_to_vec()),
        ("repocreds.RepoCredsService/ListRepositoryCredentials", RepoCredsQuery::default().encode_to_vec()),
        ("repository.RepositoryService/ListRepositories", Vec::new()),
        ("repository.RepositoryService/Get", repository(case.repo.url_https())),
        ("repository.RepositoryService/Get", repository(broken_url())),
        ("repository.RepositoryService/ListRefs", repository(broken_url())),
    ] {
        let reply = client.web(rpc, &message).await.with_context(|| rpc.to_owned())?;
        search.look(&format!("{who}: {rpc}"), &reply.messages.concat());
        search.look(&format!("{who}: the status of {rpc}"), reply.message.as_bytes());
    }
    Ok(())
}

pub(crate) async fn stream(search: &mut Search, who: &str, client: &ApiClient) -> anyhow::Result<()> {
    for path in ["/api/v1/stream/applications", "/api/v1/stream/applications/hidden/resource-tree"] {
        let response = client.rest(Method::GET, path).header("accept", "text/event-stream").send().await?;
        let (mut body, mut told) = (response.bytes_stream(), Vec::new());
        let read = async {
            while let Some(Ok(chunk)) = body.next().await {
                told.extend_from_slice(&chunk);
            }
        };
        // It goes on for ever; what is there comes at once.
        let _ = tokio::time::timeout(STREAMED, read).await;
        ensure!(!told.is_empty(), "{path} tells nothing");
        search.look(&format!("{who}: {path}"), &told);
    }
    Ok(())
}
