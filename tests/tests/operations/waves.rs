//! The order in which things come into being.

use super::case::{Case, PATIENCE, WAVE, config_map, deployment, results, text};
use argosy_tests::AppState;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn waves_and_kinds_are_created_in_order_and_a_wave_waits_for_health() -> anyhow::Result<()> {
    let case = Case::new("waves").await?;
    case.commit(&[
        ("a-last.yaml", &config_map("last", "x", &[(WAVE, "2")])),
        ("b-deployment.yaml", &deployment("web", "1", "ready")),
        (
            "c-service.yaml",
            "apiVersion: v1\nkind: Service\nmetadata: {name: svc}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n",
        ),
        ("d-config.yaml", &config_map("middle", "x", &[])),
        ("e-secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: secret}\nstringData: {a: b}\n"),
        ("f-account.yaml", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: account}\n"),
        ("g-first.yaml", &config_map("first", "x", &[(WAVE, "-1")])),
    ])?;
    let app = case.app();
    app.apply(&case.client).await?;
    let state = case.sync(&app, json!({})).await?;
    assert_eq!((state.phase(), state.message()), ("Succeeded", "successfully synced (all tasks run)"), "{:#}", state.0);
    let order = ["first", "account", "secret", "middle", "svc", "web", "last"];
    let done: Vec<String> =
        results(&state).iter().map(|r| r.split([':', '/']).nth(1).unwrap_or("").to_owned()).collect();
    assert_eq!(done, order);

    let times = case.kubectl(&[
        "get",
        "configmap,serviceaccount,secret,service,deployment",
        "-o",
        "jsonpath={range .items[*]}{.metadata.name} {.metadata.creationTimestamp}{'\\n'}{end}",
    ])?;
    let created = |name: &str| {
        let line = times.lines().find(|l| l.split(' ').next() == Some(name)).unwrap_or("");
        line.split(' ').nth(1).unwrap_or("").to_owned()
    };
    for pair in order.windows(2) {
        assert!(created(pair[0]) <= created(pair[1]), "{pair:?} in\n{times}");
    }
    // Waves are apart, and the last came when the Deployment was available.
    assert!(
        created("first") < created("account") && created("svc") < created("web") && created("web") < created("last")
    );
    let web = case.live("deployment", "web")?;
    let conditions = web["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let available =
        conditions.iter().find(|c| c["type"] == "Available").map(|c| text(c, "/lastTransitionTime").to_owned());
    assert!(available.clone().is_some_and(|at| at <= created("last")), "{available:?} {times}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_follows_its_deployment_from_progressing_to_healthy() -> anyhow::Result<()> {
    let case = Case::new("health").await?;
    case.commit(&[("web.yaml", &deployment("web", "0", "never-ready"))])?;
    let app = case.app().automated();
    app.apply(&case.client).await?;
    let is_progressing =
        |s: &AppState| s.sync_status() == "Synced" && s.health() == "Progressing" && s.phase() == "Succeeded";
    app.wait_for(&case.client, "Progressing", PATIENCE, is_progressing).await?;
    case.kubectl(&["label", "pod", "--all", "argosy.test/pod=ready", "--overwrite"])?;
    app.wait_until_deployed(&case.client, PATIENCE).await?;
    let events = case.events()?;
    assert!(events.contains("Updated health status: Progressing -> Healthy"), "{events}");
    // An update passes through Progressing without being held up.
    case.commit(&[("web.yaml", &deployment("web", "0", "ready"))])?;
    app.refresh(&case.client, "normal").await?;
    app.wait_for(&case.client, "deployed twice", PATIENCE, |s| s.is_deployed() && s.list("/status/history").len() == 2)
        .await?;
    Ok(())
}
