//! Live objects of an application: read, patched, deleted; what was told of them, and
//! links to where there is more.

use argosy_proto::application::{
    ApplicationResourceDeleteRequest, ApplicationResourceEventsQuery, ApplicationResourcePatchRequest,
    ApplicationResourceRequest, ResourcesQuery,
};
use argosy_tests::{config_map, eventually, refusal};
use serde_json::{Value, json};
use tonic::Code;

use super::case::{Case, PATIENCE, deployment, merged, message, soon};

pub(crate) const APPLICATION_LINKS: &str = "- title: Dashboard
  url: https://dash.example.com/{{.app.metadata.name}}?ns={{.app.spec.destination.namespace}}
  description: What it does
  icon.class: fa-chart
- url: https://plain.example.com
";
pub(crate) const RESOURCE_LINKS: &str = "- title: Logs
  url: https://logs.example.com/{{.resource.metadata.namespace}}/{{.resource.metadata.name}}
";

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {password: canary-4711}\n";

fn about(kind: &str, name: &str, more: Value) -> Value {
    let (group, kind) = kind.split_once('/').unwrap_or(("", kind));
    merged(json!({"namespace": "", "group": group, "version": "v1", "kind": kind, "resourceName": name}), more)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_read_patched_and_deleted_as_part_of_its_application() -> anyhow::Result<()> {
    let case = Case::new("live").await?;
    let files =
        [("map.yaml", &*config_map("map", "x")), ("key.yaml", SECRET), ("web.yaml", &deployment("web", "ready"))];
    case.deployed(&files).await?;
    case.kubectl(&["create", "configmap", "stranger"])?;
    let here = |kind: &str, name: &str, more: Value| about(kind, name, merged(json!({"namespace": "live"}), more));
    let get = async |fields: Value| {
        let request = case.request::<ApplicationResourceRequest>(fields);
        case.api.applications().get_resource(request).await.map(|answer| answer.into_inner().manifest)
    };
    let map: Value = serde_json::from_str(&get(here("ConfigMap", "map", json!({}))).await?)?;
    assert_eq!(map["data"]["text"], "x");
    let secret = get(here("Secret", "key", json!({}))).await?;
    assert!(!secret.contains("canary") && !secret.contains("Y2FuYXJ5") && secret.contains("++++++++"), "{secret}");
    let path = "/api/v1/applications/live/resource?namespace=live&resourceName=map&version=v1&kind=ConfigMap&group=";
    let shown = case.api.get(path).await?.ok()?;
    assert!(shown["manifest"].as_str().is_some_and(|m| m.contains("\"x\"")), "{shown}");
    let stranger = refusal(get(here("ConfigMap", "stranger", json!({}))).await);
    let words = "ConfigMap  stranger not found as part of application live";
    assert_eq!(stranger, (Code::InvalidArgument, words.to_owned()));

    let patch = async |kind: &str, text: &str| {
        let fields = here("ConfigMap", "map", json!({"patchType": kind, "patch": text}));
        let request = case.request::<ApplicationResourcePatchRequest>(fields);
        case.api.applications().patch_resource(request).await.map(|answer| answer.into_inner().manifest)
    };
    let patched = patch("application/merge-patch+json", r#"{"data":{"text":"y"}}"#).await?;
    assert!(patched.contains("\"y\""), "{patched}");
    patch("application/json-patch+json", r#"[{"op":"add","path":"/data/more","value":"z"}]"#).await?;
    patch("application/strategic-merge-patch+json", r#"{"data":{"third":"3"}}"#).await?;
    let data: Value = serde_json::from_str(&case.kubectl(&["get", "configmap", "map", "-o", "jsonpath={.data}"])?)?;
    assert_eq!(data, json!({"text": "y", "more": "z", "third": "3"}));
    for (kind, text) in
        [("application/merge-patch+json", "{"), ("text/plain", "{}"), ("application/apply-patch+yaml", "{}")]
    {
        assert_eq!(refusal(patch(kind, text).await).0, Code::InvalidArgument, "{kind}");
    }
    case.told("ResourceUpdated: admin patched resource /ConfigMap 'map'").await?;

    let delete = async |name: &str, more: Value| {
        let request = case.request::<ApplicationResourceDeleteRequest>(here("apps/Deployment", name, more));
        case.api.applications().delete_resource(request).await
    };
    delete("web", json!({"orphan": true})).await?;
    soon("the Deployment gone", || Ok(!case.has("deployment", "web")?)).await?;
    assert!(!case.kubectl(&["get", "replicasets", "-o", "name"])?.is_empty(), "what it owned stays");
    refusal(delete("web", json!({})).await);
    case.told("ResourceDeleted: admin deleted resource apps/Deployment 'web'").await?;
    let path =
        "/api/v1/applications/live/resource?namespace=live&resourceName=map&version=v1&kind=ConfigMap&force=true";
    assert_eq!(case.api.delete(path).await?.ok()?, json!({}));
    soon("the ConfigMap gone", || Ok(!case.has("configmap", "map")?)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn to_touch_an_object_takes_a_permission_that_names_it() -> anyhow::Result<()> {
    let case = Case::new("fine").await?;
    case.deployed(&[("a.yaml", &config_map("a", "x")), ("b.yaml", &config_map("b", "x"))]).await?;
    let policy = "p, fine, applications, get, default/fine, allow\np, fine, applications, update, default/fine, allow\n\
                  p, fine, applications, update//ConfigMap/fine/a, default/fine, allow";
    let somebody = case.account(policy).await?;
    let patch = async |name: &str| {
        let fields = json!({"namespace": "fine", "patch": r#"{"data":{"text":"y"}}"#, "patchType": "application/merge-patch+json"});
        let request = case.request::<ApplicationResourcePatchRequest>(about("ConfigMap", name, fields));
        somebody.applications().patch_resource(request).await
    };
    eventually(PATIENCE, || patch("a")).await;
    assert_eq!(case.text("a")?, "y");
    // Nor is it enough to be allowed to change the application.
    assert_eq!(refusal(patch("b").await).0, Code::PermissionDenied);
    assert_eq!(case.text("b")?, "x");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_links_of_an_application_and_its_objects_are_listed() -> anyhow::Result<()> {
    let case = Case::new("told").await?;
    case.deployed(&[("web.yaml", &deployment("web", "ready"))]).await?;
    eventually(PATIENCE, || async {
        let own = case.api.get("/api/v1/applications/told/events").await?.ok()?;
        let reasons: Vec<_> = own["items"].as_array().into_iter().flatten().map(|e| e["reason"].clone()).collect();
        for reason in ["ResourceCreated", "OperationStarted", "OperationCompleted"] {
            anyhow::ensure!(reasons.contains(&json!(reason)), "no {reason} in {reasons:?}");
        }
        Ok::<_, anyhow::Error>(())
    })
    .await;
    let query = message::<ResourcesQuery>(json!({"applicationName": "told"}));
    let tree = case.api.applications().resource_tree(query).await?.into_inner();
    let web = tree.nodes.iter().filter_map(|n| n.resource_ref.as_ref()).find(|r| r.kind == "Deployment");
    let uid = web.map(|r| r.uid.clone()).unwrap_or_default();
    eventually(PATIENCE, || async {
        let fields = json!({"resourceNamespace": "told", "resourceName": "web", "resourceUID": uid});
        let query = case.request::<ApplicationResourceEventsQuery>(fields);
        let list = case.api.applications().list_resource_events(query).await?.into_inner();
        anyhow::ensure!(list.items.iter().any(|e| e.reason == "ScalingReplicaSet"), "{:?}", list.items);
        Ok::<_, anyhow::Error>(())
    })
    .await;
    let fields = json!({"resourceNamespace": "told", "resourceName": "other", "resourceUID": "x"});
    let query = case.request::<ApplicationResourceEventsQuery>(fields);
    let (code, words) = refusal(case.api.applications().list_resource_events(query).await);
    assert_eq!((code, &*words), (Code::InvalidArgument, "other not found as part of application told"));

    let links = case.api.get("/api/v1/applications/told/links").await?.ok()?;
    let dashboard = json!({"title": "Dashboard", "url": "https://dash.example.com/told?ns=told",
        "description": "What it does", "iconClass": "fa-chart"});
    assert_eq!(links["items"][0], dashboard);
    assert_eq!(links["items"][1]["url"], "https://plain.example.com");
    let path = "/api/v1/applications/told/resource/links?namespace=told&resourceName=web&version=v1&kind=Deployment&group=apps";
    let links = case.api.get(path).await?.ok()?;
    assert_eq!(links["items"][0]["url"], "https://logs.example.com/told/web");
    Ok(())
}
