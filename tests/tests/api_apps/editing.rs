//! Changing applications: whole, their specification, or by a patch.

use argosy_proto::application::{ApplicationPatchRequest, ApplicationUpdateRequest, ApplicationUpdateSpecRequest};
use argosy_tests::{AppState, config_map, refusal};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;

use super::case::{Case, merged, message, state};

async fn patch(case: &Case, kind: &str, patch: Value) -> Result<AppState, tonic::Status> {
    let request = case.request::<ApplicationPatchRequest>(json!({"patchType": kind, "patch": patch.to_string()}));
    Ok(state(&case.api.applications().patch(request).await?.into_inner()))
}

/// What the cluster has in a field that no version of the types knows.
fn unknown(case: &Case) -> anyhow::Result<String> {
    let path = "jsonpath={.spec.ofALaterVersion.kept}";
    case.world.plane.kubectl_text(&["-n", "argocd", "get", "application", &case.name, "-o", path])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_change_an_application_keeps_what_it_does_not_name() -> anyhow::Result<()> {
    let case = Case::new("edited").await?;
    case.commit(&[("map.yaml", &config_map("map", "x"))])?;
    let later = json!({"kept": "yes"});
    let app = case.app().set("/spec/ofALaterVersion", later).set("/metadata/labels", json!({"a": "1"}));
    app.apply(&case.client).await?;
    let mut shown = case.get().await?;
    assert_eq!(unknown(&case)?, "yes");

    let changed = patch(&case, "merge", json!({"spec": {"revisionHistoryLimit": 3}})).await?;
    assert_eq!(changed.0["spec"]["revisionHistoryLimit"], 3);
    let operations = json!([
        {"op": "add", "path": "/metadata/labels/b", "value": "2"},
        {"op": "replace", "path": "/spec/revisionHistoryLimit", "value": 4},
    ]);
    let changed = patch(&case, "json", operations).await?;
    assert_eq!(changed.0["metadata"]["labels"], json!({"a": "1", "b": "2"}));
    assert_eq!(changed.0["spec"]["revisionHistoryLimit"], 4);
    assert_eq!(unknown(&case)?, "yes");

    // The specification alone, as `app set` does it.
    let mut spec = changed.0["spec"].clone();
    spec["syncPolicy"] = json!({"syncOptions": ["CreateNamespace=true"]});
    let request: ApplicationUpdateSpecRequest = case.request(json!({"spec": spec}));
    let answer = case.api.applications().update_spec(request).await?.into_inner();
    assert_eq!(answer.sync_policy.unwrap_or_default().sync_options, ["CreateNamespace=true"]);
    assert_eq!(answer.revision_history_limit, Some(4));
    spec["syncPolicy"] = json!({});
    let reply = case.api.send(Method::PUT, "/api/v1/applications/edited/spec", &spec).await?.ok()?;
    assert!(reply.get("syncPolicy").is_none(), "an empty policy says nothing: {reply}");
    assert_eq!(unknown(&case)?, "yes");

    // The whole application: labels are replaced, what belongs to the controller stays.
    shown.0["metadata"]["labels"] = json!({"c": "3"});
    shown.0["spec"]["info"] = json!([{"name": "owner", "value": "somebody"}]);
    shown.0["status"] = json!({"sync": {"status": "Synced"}});
    shown.0["operation"] = json!({"sync": {}});
    let request = message::<ApplicationUpdateRequest>(json!({"application": shown.0}));
    let updated = state(&case.api.applications().update(request).await?.into_inner());
    assert_eq!(updated.0["metadata"]["labels"], json!({"c": "3"}));
    assert_eq!(updated.text("/spec/info/0/value"), "somebody");
    assert_ne!(updated.sync_status(), "Synced");
    assert!(updated.0.get("operation").is_none());
    assert_eq!(unknown(&case)?, "yes");
    let body = json!({"name": "edited", "patchType": "merge", "patch": r#"{"spec":{"info":null}}"#});
    let reply = case.api.send(Method::PATCH, "/api/v1/applications/edited", &body).await?.ok()?;
    assert!(reply["spec"].get("info").is_none(), "{reply}");
    assert_eq!(unknown(&case)?, "yes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_validated_like_a_new_application() -> anyhow::Result<()> {
    let case = Case::new("invalid").await?;
    case.commit(&[("map.yaml", &config_map("map", "x"))])?;
    case.create(&case.app()).await?;
    let checked = "error while validating and normalizing app: ";
    let (code, words) = refusal(patch(&case, "merge", json!({"spec": {"source": {"path": "nowhere"}}})).await);
    assert_eq!(code, Code::InvalidArgument, "{words}");
    let checked = checked.replace("while ", "");
    assert!(words.starts_with(&checked) && words.contains("nowhere: app path does not exist"), "{words}");
    for (kind, text, start) in [
        ("json", "{", "error decoding json patch: "),
        ("json", r#"[{"op":"remove","path":"/nothing"}]"#, "error applying patch: "),
        ("merge", "{", "error calculating merge patch: "),
        ("merge", r#"{"spec":7}"#, "error unmarshaling patched app: "),
        ("strategic", "{}", "Patch type 'strategic' is not supported"),
    ] {
        let request = case.request::<ApplicationPatchRequest>(json!({"patchType": kind, "patch": text}));
        let (code, words) = refusal(case.api.applications().patch(request).await);
        assert_eq!(code, Code::InvalidArgument, "{words}");
        assert!(words.starts_with(start), "{words}");
    }
    let spec =
        json!({"source": {"repoURL": case.repo.url_file(), "path": "nowhere"}, "destination": {"name": "in-cluster"}});
    let request = |more: Value| case.request::<ApplicationUpdateSpecRequest>(merged(json!({"spec": spec}), more));
    let (_, words) = refusal(case.api.applications().update_spec(request(json!({}))).await);
    assert!(
        words.starts_with("error validating and updating app: rpc error: code = InvalidArgument desc = "),
        "{words}"
    );
    case.api.applications().update_spec(request(json!({"validate": false}))).await?;
    // What a patch says about the name does not rename.
    let renamed =
        patch(&case, "merge", json!({"metadata": {"name": "other"}, "spec": {"source": {"path": "app"}}})).await?;
    assert_eq!(renamed.text("/metadata/name"), "invalid");
    Ok(())
}
