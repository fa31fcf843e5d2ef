//! Actions of resources: those that come with Argosy and those of the settings.

use argosy_proto::application::{ApplicationResourceRequest, ResourceActionRunRequest, ResourceActionRunRequestV2};
use argosy_tests::{config_map, eventually, refusal};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;

use super::case::{Case, PATIENCE, deployment, merged};

/// Actions of ConfigMaps: one with a parameter, one that makes another object.
pub(crate) const ACTIONS: &str = r#"
discovery.lua: |
  local actions = {}
  actions["say"] = {["params"] = {{["name"] = "text"}}, ["displayName"] = "Say something"}
  actions["copy"] = {["disabled"] = obj.data.text == "x"}
  return actions
definitions:
- name: say
  action.lua: |
    obj.data.text = actionParams["text"]
    return obj
- name: copy
  action.lua: |
    local copy = {apiVersion = "v1", kind = "ConfigMap", data = obj.data}
    copy.metadata = {name = obj.metadata.name .. "-copy", namespace = obj.metadata.namespace}
    return {{operation = "create", resource = copy}}
"#;

fn map(more: Value) -> Value {
    merged(
        json!({"namespace": "acted", "group": "", "version": "v1", "kind": "ConfigMap", "resourceName": "map"}),
        more,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_are_listed_and_run_with_their_parameters() -> anyhow::Result<()> {
    let case = Case::new("acted").await?;
    case.deployed(&[("map.yaml", &config_map("map", "x")), ("web.yaml", &deployment("web", "ready"))]).await?;
    let request = case.request::<ApplicationResourceRequest>(map(json!({})));
    let actions = case.api.applications().list_resource_actions(request).await?.into_inner().actions;
    let shown: Vec<_> = actions.iter().map(|a| (&*a.name, a.disabled, &*a.display_name)).collect();
    assert_eq!(shown, [("copy", true, ""), ("say", false, "Say something")]);
    assert_eq!(actions[1].params[0].name, "text");

    let run = async |fields: Value| {
        let request = case.request::<ResourceActionRunRequestV2>(fields);
        case.api.applications().run_resource_action_v2(request).await
    };
    run(map(json!({"action": "say", "resourceActionParameters": [{"name": "text", "value": "hello"}]}))).await?;
    assert_eq!(case.text("map")?, "hello");
    run(map(json!({"action": "copy"}))).await?;
    assert_eq!(case.text("map-copy")?, "hello");
    let (code, words) = refusal(run(map(json!({"action": "copy"}))).await);
    assert_eq!(code, Code::AlreadyExists, "{words}");
    assert_eq!(refusal(run(map(json!({"action": "shout"}))).await).0, Code::NotFound);
    case.told("ResourceActionRan: admin ran action say on resource /ConfigMap/map").await?;

    // Built-in ones, by the older request and through REST.
    let query = "namespace=acted&resourceName=web&version=v1&kind=Deployment&group=apps";
    let path = format!("/api/v1/applications/acted/resource/actions?{query}");
    let reply = case.api.get(&path).await?.ok()?;
    let names: Vec<_> = reply["actions"].as_array().into_iter().flatten().map(|a| a["name"].clone()).collect();
    assert!(names.contains(&json!("restart")), "{reply}");
    let fields = json!({"namespace": "acted", "group": "apps", "version": "v1", "kind": "Deployment", "resourceName": "web", "action": "restart"});
    case.api.applications().run_resource_action(case.request::<ResourceActionRunRequest>(fields.clone())).await?;
    let annotations =
        case.kubectl(&["get", "deployment", "web", "-o", "jsonpath={.spec.template.metadata.annotations}"])?;
    assert!(annotations.contains("kubectl.kubernetes.io/restartedAt"), "{annotations}");
    let parameters = json!([{"name": "replicas", "value": "2"}]);
    let body = merged(fields, json!({"action": "scale", "resourceActionParameters": parameters}));
    let path = "/api/v1/applications/acted/resource/actions/v2";
    assert_eq!(case.api.send(Method::POST, path, &body).await?.ok()?, json!({}));
    assert_eq!(case.kubectl(&["get", "deployment", "web", "-o", "jsonpath={.spec.replicas}"])?, "2");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_takes_a_permission_of_its_own() -> anyhow::Result<()> {
    let case = Case::new("actor").await?;
    case.deployed(&[("map.yaml", &config_map("map", "y"))]).await?;
    let policy = "p, actor, applications, get, default/actor, allow\np, actor, applications, action//ConfigMap/say, default/actor, allow";
    let actor = case.account(policy).await?;
    let run = async |fields: Value| {
        let request = case.request::<ResourceActionRunRequestV2>(map(merged(json!({"namespace": "actor"}), fields)));
        actor.applications().run_resource_action_v2(request).await
    };
    let say = json!({"action": "say", "resourceActionParameters": [{"name": "text", "value": "mine"}]});
    eventually(PATIENCE, || run(say.clone())).await;
    assert_eq!(case.text("map")?, "mine");
    assert_eq!(refusal(run(json!({"action": "copy"})).await).0, Code::PermissionDenied);
    assert!(!case.has("configmap", "map-copy")?);
    Ok(())
}
