//! Server-side diff: the API server says what a target would become.

use super::case::{Case, PATIENCE, text};
use argosy_tests::{App, AppState, Metrics, poll_until};
use serde_json::{Value, json};

/// A limit range.
fn limits(cpu: &str) -> String {
    format!(
        "apiVersion: v1\nkind: LimitRange\nmetadata:\n  name: limits\n  annotations: {{case: Upper}}\nspec:\n  limits:\n  \
         - {{type: Container, default: {{cpu: {cpu:?}}}}}\n"
    )
}

/// A pod template, of a kind that no other test uses and no controller touches.
fn template(cpu: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PodTemplate\nmetadata: {{name: shape}}\ntemplate:\n  spec:\n    containers:\n    \
         - {{name: main, image: none, resources: {{limits: {{cpu: {cpu:?}}}}}}}\n"
    )
}

/// Dry runs of server-side applies of pod templates so far.
fn dry_runs(case: &Case) -> anyhow::Result<f64> {
    let page = Metrics::parse(&case.plane.kubectl_text(&["get", "--raw", "/metrics"])?);
    Ok(page.sum("apiserver_request_total", &[("resource", "podtemplates"), ("verb", "APPLY"), ("dry_run", "All")]))
}

async fn refreshed(case: &Case, app: &App) -> anyhow::Result<AppState> {
    app.refresh(&case.client, "normal").await?;
    let done = |s: &AppState| s.0.pointer("/metadata/annotations/argocd.argoproj.io~1refresh").is_none();
    app.wait_for(&case.client, "refreshed", PATIENCE, done).await
}

async fn is(case: &Case, app: &App, status: &'static str) -> anyhow::Result<AppState> {
    app.wait_for(&case.client, status, PATIENCE, |s| s.sync_status() == status).await
}

/// Changes limit ranges of one namespace on their way in, as a webhook would.
fn mutate(case: &Case, name: &str, patch: &str) -> anyhow::Result<()> {
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": case.name}},
                "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                                   "resources": ["limitranges"]}],
            },
            "reinvocationPolicy": "Never", "failurePolicy": "Fail",
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": patch}}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name}, "spec": {"policyName": name},
    });
    case.plane.apply_yaml(&policy.to_string())?;
    case.plane.apply_yaml(&binding.to_string()).map(|_| ())
}

/// Waits until a policy that labels limit ranges is in force.
async fn in_force(case: &Case, shows: &str) -> anyhow::Result<()> {
    let probe = || async {
        let answer = case.kubectl(&[
            "annotate",
            "limitrange",
            "limits",
            "probe=1",
            "--overwrite",
            "--dry-run=server",
            "-o",
            "json",
        ])?;
        anyhow::ensure!(answer.contains(shows), "{answer}");
        Ok::<_, anyhow::Error>(())
    };
    poll_until(PATIENCE, probe).await.map_err(|reason| anyhow::anyhow!("the policy is not in force: {reason}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_would_change_is_drift_and_what_it_would_not_is_none() -> anyhow::Result<()> {
    let case = Case::new("server-says").await?;
    case.commit(&[("shape.yaml", &template("1000m"))])?;
    let app =
        case.app().set("/metadata/annotations", json!({"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}));
    app.apply(&case.client).await?;
    let state = case.sync(&app, json!({})).await?;
    assert_eq!((state.phase(), state.sync_status()), ("Succeeded", "Synced"), "{}", state.summary());
    let live = case.live("podtemplate", "shape")?;
    let resources = "/template/spec/containers/0/resources";
    assert_eq!(text(&live, &format!("{resources}/limits/cpu")), "1", "the server writes it in its own way");
    assert_eq!(text(&live, "/template/spec/restartPolicy"), "Always", "and fills in what is missing");

    // Nothing changed, nothing is asked.
    let before = dry_runs(&case)?;
    assert!(before > 0.0);
    for _ in 0..3 {
        assert_eq!(refreshed(&case, &app).await?.sync_status(), "Synced");
    }
    assert_eq!(dry_runs(&case)?, before);

    // Drift is seen, and a foreign field is none.
    case.kubectl(&["annotate", "podtemplate", "shape", "note=1"])?;
    let set = |cpu: &str| {
        let patch = json!([{"op": "replace", "path": format!("{resources}/limits/cpu"), "value": cpu}]).to_string();
        case.kubectl(&["patch", "podtemplate", "shape", "--type=json", "-p", &patch])
    };
    set("2")?;
    is(&case, &app, "OutOfSync").await?;
    assert!(dry_runs(&case)? > before);
    set("1")?;
    is(&case, &app, "Synced").await?;
    // So is a change in git.
    case.commit(&[("shape.yaml", &template("3"))])?;
    assert_eq!(refreshed(&case, &app).await?.sync_status(), "OutOfSync");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_mutating_admission_adds_counts_only_where_it_is_to() -> anyhow::Result<()> {
    if argosy_tests::is_left_out_on_the_sandbox("its admission policies are not evaluated") {
        return Ok(());
    }
    let case = Case::new("mutated").await?;
    case.commit(&[("limits.yaml", &limits("1"))])?;
    let app =
        case.app().set("/metadata/annotations", json!({"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}));
    app.apply(&case.client).await?;
    case.sync(&app, json!({})).await?;
    mutate(&case, "mutated-adds", r#"Object{metadata: Object.metadata{labels: {"added": "yes"}}}"#)?;
    in_force(&case, "\"added\": \"yes\"").await?;
    app.refresh(&case.client, "hard").await?;
    let state = refreshed(&case, &app).await?;
    assert_eq!(state.sync_status(), "Synced", "{}", state.summary());
    app.merge(&case.client, &annotated("ServerSideDiff=true,IncludeMutationWebhook=true")).await?;
    refreshed(&case, &app).await?;
    is(&case, &app, "OutOfSync").await?;

    // What it makes of a field of git's own is known to nobody but the server.
    mutate(&case, "mutated-lowers", r#"Object{metadata: Object.metadata{annotations: {"case": "lower"}}}"#)?;
    in_force(&case, "\"case\": \"lower\"").await?;
    case.kubectl(&["annotate", "limitrange", "limits", "touch=1"])?;
    app.merge(&case.client, &annotated("ServerSideDiff=true")).await?;
    refreshed(&case, &app).await?;
    is(&case, &app, "Synced").await?;
    app.merge(&case.client, &annotated("ServerSideDiff=false")).await?;
    refreshed(&case, &app).await?;
    is(&case, &app, "OutOfSync").await?;
    Ok(())
}

fn annotated(options: &str) -> Value {
    json!({"metadata": {"annotations": {"argocd.argoproj.io/compare-options": options}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_that_is_refused_is_told_without_values_and_is_tried_again() -> anyhow::Result<()> {
    let case = Case::new("refused").await?;
    let secret = |kind: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\ntype: {kind}\nmetadata: {{name: one}}\nstringData: {{text: canary-4417}}\n"
        )
    };
    case.commit(&[("one.yaml", &secret("example.com/a")), ("limits.yaml", &limits("1"))])?;
    let app =
        case.app().set("/metadata/annotations", json!({"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}));
    app.apply(&case.client).await?;
    let state = case.sync(&app, json!({})).await?;
    assert_eq!((state.phase(), state.sync_status()), ("Succeeded", "Synced"), "{}", state.summary());
    case.commit(&[("one.yaml", &secret("example.com/b").replace("4417", "4418")), ("limits.yaml", &limits("2"))])?;
    let state = refreshed(&case, &app).await?;
    assert_eq!(state.sync_status(), "Unknown", "{}", state.summary());
    let message = "Failed to compare desired state to live state: error running server side apply in dryrun mode for resource Secret/one: ";
    let told = state.conditions().iter().any(|(kind, m)| *kind == "ComparisonError" && m.starts_with(message));
    assert!(told, "{}", state.summary());
    // The others are compared all the same.
    assert_eq!(state.resource("LimitRange", "limits").map(|r| r["status"].clone()), Some(json!("OutOfSync")));
    let said = format!("{}{}{}", state.0, case.argosy.log(), case.events()?);
    assert!(!said.contains("canary") && !said.contains("Y2FuYXJ5"), "a value has come out");
    case.commit(&[("one.yaml", &secret("example.com/a")), ("limits.yaml", &limits("1"))])?;
    let state = refreshed(&case, &app).await?;
    assert_eq!(state.sync_status(), "Synced", "{}", state.summary());
    assert!(state.conditions().is_empty(), "{}", state.summary());
    Ok(())
}
