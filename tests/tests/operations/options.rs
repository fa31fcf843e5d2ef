//! Sync options.

use super::case::{Case, OPTIONS, PATIENCE, config_map, deployment, results, text};
use argosy_tests::App;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_applied_replaced_and_recreated_as_options_say() -> anyhow::Result<()> {
    let case = Case::new("modes").await?;
    let immutable = |text: &str| format!("{}immutable: true\n", config_map("immutable", text, &[]));
    case.commit(&[
        ("plain.yaml", &config_map("plain", "1", &[])),
        ("server.yaml", &config_map("server", "1", &[(OPTIONS, "ServerSideApply=true")])),
        ("replaced.yaml", &config_map("replaced", "1", &[(OPTIONS, "Replace=true")])),
        ("immutable.yaml", &immutable("1")),
    ])?;
    let app = case.app();
    app.apply(&case.client).await?;
    let state = case.sync(&app, json!({})).await?;
    let done = results(&state);
    assert!(done.iter().any(|r| r.ends_with("configmap/plain created")), "{done:?}");
    assert!(done.iter().any(|r| r.ends_with("configmap/server serverside-applied")), "{done:?}");
    let server = case.kubectl(&["get", "configmap", "server", "-o", "json", "--show-managed-fields"])?;
    let server: Value = serde_json::from_str(&server)?;
    let entry = &server["metadata"]["managedFields"][0];
    assert_eq!((text(entry, "/manager"), text(entry, "/operation")), ("argocd-controller", "Apply"));

    // A field that nobody wants: apply leaves it, replace does not.
    for name in ["plain", "replaced"] {
        case.kubectl(&["patch", "configmap", name, "--type=merge", "-p", r#"{"data":{"stray":"1"}}"#])?;
    }
    case.commit(&[
        ("plain.yaml", &config_map("plain", "2", &[])),
        ("server.yaml", &config_map("server", "2", &[(OPTIONS, "ServerSideApply=true")])),
        ("replaced.yaml", &config_map("replaced", "2", &[(OPTIONS, "Replace=true")])),
    ])?;
    let state = case.sync(&app, json!({})).await?;
    let done = results(&state);
    for line in ["configmap/plain configured", "configmap/replaced replaced", "configmap/immutable unchanged"] {
        assert!(done.iter().any(|r| r.ends_with(line)), "{line}: {done:?}");
    }
    assert_eq!(case.live("configmap", "plain")?["data"], json!({"text": "2", "stray": "1"}));
    assert_eq!(case.live("configmap", "replaced")?["data"], json!({"text": "2"}));
    assert_eq!(state.sync_status(), "Synced", "{:#}", state.0["status"]["resources"]);

    // What cannot be changed fails in the dry run, and is recreated by force.
    let before = case.live("configmap", "immutable")?;
    case.commit(&[("immutable.yaml", &immutable("2")), ("plain.yaml", &config_map("plain", "3", &[]))])?;
    let failed = case.sync(&app, json!({})).await?;
    assert_eq!(failed.phase(), "Failed");
    assert!(
        failed.message().starts_with("one or more objects failed to apply (dry run), reason: "),
        "{}",
        failed.message()
    );
    assert_eq!(case.live("configmap", "plain")?["data"]["text"], json!("2"), "nothing is applied when one is refused");
    let forced = case.sync(&app, json!({"syncStrategy": {"hook": {"force": true}}})).await?;
    assert_eq!(forced.phase(), "Succeeded", "{} {:?}", forced.message(), results(&forced));
    let after = case.live("configmap", "immutable")?;
    assert_eq!(after["data"]["text"], json!("2"));
    assert_ne!(text(&before, "/metadata/uid"), text(&after, "/metadata/uid"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_out_of_sync_is_applied_when_asked() -> anyhow::Result<()> {
    let case = Case::new("outofsync").await?;
    case.commit(&[("one.yaml", &config_map("one", "1", &[])), ("two.yaml", &config_map("two", "1", &[]))])?;
    let app = case.app();
    app.apply(&case.client).await?;
    case.sync(&app, json!({})).await?;
    case.commit(&[("two.yaml", &config_map("two", "2", &[]))])?;
    let state = case.sync(&app, json!({"syncOptions": ["ApplyOutOfSyncOnly=true"]})).await?;
    assert_eq!(results(&state).len(), 1, "{:?}", results(&state));
    assert_eq!(state.list("/status/history").len(), 2);
    assert_eq!(case.live("configmap", "two")?["data"]["text"], json!("2"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_made_with_its_labels_and_kept_up_to_date() -> anyhow::Result<()> {
    let case = Case::new("namespaces").await?;
    case.commit(&[("one.yaml", &config_map("one", "1", &[]))])?;
    let managed = json!({"labels": {"team": "a"}, "annotations": {"note": "n"}});
    let app = case
        .app()
        .into_namespace("made-on-demand")
        .automated()
        .sync_option("CreateNamespace=true")
        .set("/spec/syncPolicy/managedNamespaceMetadata", managed);
    app.apply(&case.client).await?;
    app.wait_until_deployed(&case.client, PATIENCE).await?;
    let namespace = case.live("namespace", "made-on-demand")?;
    assert_eq!((text(&namespace, "/metadata/labels/team"), text(&namespace, "/metadata/annotations/note")), ("a", "n"));
    let labels = json!({"spec": {"syncPolicy": {"managedNamespaceMetadata": {"labels": {"team": "b"}}}}});
    app.merge(&case.client, &labels).await?;
    case.sync(&app, json!({"syncOptions": ["CreateNamespace=true"]})).await?;
    assert_eq!(text(&case.live("namespace", "made-on-demand")?, "/metadata/labels/team"), "b");

    // Without it, a missing namespace is an error that is said.
    let other = App::new("namespaces-2").source(&case.repo.url_file(), "app", "HEAD").into_namespace("nowhere");
    other.apply(&case.client).await?;
    let state = case.sync(&other, json!({})).await?;
    assert_eq!(state.phase(), "Failed");
    assert!(state.message().contains("namespaces \"nowhere\" not found"), "{}", state.message());
    Ok(())
}

const CRD: &str = r#"apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.operations.example.com}
spec:
  group: operations.example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
"#;
const WIDGET: &str = "apiVersion: operations.example.com/v1\nkind: Widget\nmetadata: {name: widget}\nspec: {size: 1}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_and_its_object_come_in_one_sync() -> anyhow::Result<()> {
    let case = Case::new("definitions").await?;
    case.commit(&[("a.yaml", WIDGET), ("one.yaml", &config_map("one", "1", &[]))])?;
    let app = case.app();
    app.apply(&case.client).await?;
    let state = case.sync(&app, json!({})).await?;
    let missing = "The Kubernetes API could not find operations.example.com/Widget for requested resource definitions/widget. \
                   Make sure the \"Widget\" CRD is installed on the destination cluster.";
    assert_eq!(state.phase(), "Failed");
    assert_eq!(state.message(), format!("one or more synchronization tasks are not valid: {missing}"));
    assert!(case.get("configmap", "one")?.is_none());

    let state = case.sync(&app, json!({"syncOptions": ["SkipDryRunOnMissingResource=true"]})).await?;
    assert_eq!(state.phase(), "Failed");
    assert!(state.message().contains(missing), "{}", state.message());
    assert!(case.get("configmap", "one")?.is_some(), "the rest is applied");

    case.commit(&[("z-crd.yaml", CRD)])?;
    let state = case.sync(&app, json!({})).await?;
    assert_eq!(state.phase(), "Succeeded", "{} {:?}", state.message(), results(&state));
    assert!(case.get("widgets.operations.example.com", "widget")?.is_some());
    app.wait_for(&case.client, "Synced", PATIENCE, |s| s.sync_status() == "Synced").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ignored_fields_keep_their_live_values_in_a_sync() -> anyhow::Result<()> {
    let case = Case::new("respect").await?;
    case.commit(&[("web.yaml", &deployment("web", "0", "ready"))])?;
    let image = r#".spec.template.spec.containers[] | select(.name == "side") | .image"#;
    let ignored = json!([{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"], "jqPathExpressions": [image]}]);
    let app = case.app().set("/spec/ignoreDifferences", ignored);
    app.apply(&case.client).await?;
    case.sync(&app, json!({})).await?;
    let drift = r#"{"spec":{"replicas":3,"template":{"spec":{"containers":[{"name":"side","image":"injected"}]}}}}"#;
    case.kubectl(&["patch", "deployment", "web", "-p", drift])?;
    app.wait_for(&case.client, "Synced in spite of it", PATIENCE, |s| s.sync_status() == "Synced").await?;
    case.commit(&[("web.yaml", &deployment("web", "0", "ready").replace("main, image: none", "main, image: new"))])?;
    let state = case.sync(&app, json!({"syncOptions": ["RespectIgnoreDifferences=true"]})).await?;
    assert_eq!(state.phase(), "Succeeded", "{}", state.message());
    let web = case.live("deployment", "web")?;
    assert_eq!(web["spec"]["replicas"], json!(3));
    let images =
        |web: &Value| [0, 1].map(|i| text(web, &format!("/spec/template/spec/containers/{i}/image")).to_owned());
    assert_eq!(images(&web), ["new", "injected"]);
    assert_eq!(state.sync_status(), "Synced");

    let state = case.sync(&app, json!({})).await?;
    assert_eq!(state.phase(), "Succeeded", "{}", state.message());
    let web = case.live("deployment", "web")?;
    assert_eq!((web["spec"]["replicas"].clone(), images(&web)), (json!(1), ["new", "none"].map(str::to_owned)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_two_applications_fails_a_sync_that_forbids_it() -> anyhow::Result<()> {
    let case = Case::new("shared").await?;
    case.commit(&[("one.yaml", &config_map("one", "1", &[]))])?;
    let owner = case.app();
    owner.apply(&case.client).await?;
    case.sync(&owner, json!({})).await?;
    let other = App::new("shared-2").source(&case.repo.url_file(), "app", "HEAD").into_namespace("shared");
    other.apply(&case.client).await?;
    let warned = |s: &argosy_tests::AppState| s.conditions().iter().any(|(kind, _)| *kind == "SharedResourceWarning");
    let state = other.wait_for(&case.client, "warned", PATIENCE, warned).await?;
    let (_, warning) = state.conditions()[0];
    assert!(warning.starts_with("ConfigMap/one is part of applications argocd/shared-2 and shared"), "{warning}");
    let state = case.sync(&other, json!({"syncOptions": ["FailOnSharedResource=true"]})).await?;
    assert_eq!(state.phase(), "Failed");
    assert_eq!(state.message(), format!("Shared resource found: {warning}"));
    let id = case.live("configmap", "one")?;
    assert_eq!(text(&id, "/metadata/annotations/argocd.argoproj.io~1tracking-id"), "shared:/ConfigMap:shared/one");
    Ok(())
}
