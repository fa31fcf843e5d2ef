//! No secret leaves through the API: marked values stand in every place that holds
//! one, then everything that can be read is read, by `admin` and by a project's token,
//! and every error that can be provoked is provoked. No mark is found in replies,
//! logs, events, conditions or metrics, neither plain nor encoded.

mod changing;
mod declared;
mod reading;
mod search;

use argosy_tests::{App, PATIENCE};
use reqwest::Method;
use serde_json::json;

use changing::{beside, change};
use reading::{read, read_in_grpc, stream};
use search::{Search, encoded, marks};

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_leaves_through_the_api() -> anyhow::Result<()> {
    let case = declared::start().await?;
    let client = case.world.plane.client().await?;
    App::new("hidden").wait_for(&client, "compared", PATIENCE, |s| s.sync_status() == "OutOfSync").await?;
    case.admin.send(Method::POST, "/api/v1/applications/hidden/sync", &json!({})).await?.ok()?;
    App::new("hidden").wait_for(&client, "deployed", PATIENCE, |s| s.phase() == "Succeeded").await?;
    // Another value than the target's, so that there is a difference to show.
    let drift = json!({"data": {"password": encoded("live"), "more": encoded("live-more")}}).to_string();
    case.world.plane.kubectl_text(&["patch", "secret", "hidden", "--type=merge", "-p", &drift])?;
    App::new("hidden").wait_for(&client, "drifted", PATIENCE, |s| s.sync_status() == "OutOfSync").await?;
    let failed = |s: &argosy_tests::AppState| s.conditions().iter().any(|(kind, _)| kind.ends_with("Error"));
    for name in ["mangled", "broken", "far"] {
        App::new(name).wait_for(&client, "failed", PATIENCE, failed).await?;
    }

    let mut search = Search { marks: marks(), looked: 0, found: Vec::new() };
    search.look("this very test", encoded("self").as_bytes());
    assert_eq!(std::mem::take(&mut search.found).len(), 1, "the search finds what is there");
    // The project's token sees its project's things, or it would prove nothing.
    for (path, least) in [("applications", 4), ("repositories", 4), ("clusters", 1), ("projects", 1)] {
        let reply = case.robot.get(&format!("/api/v1/{path}")).await?.ok()?;
        assert!(reply["items"].as_array().map_or(0, Vec::len) >= least, "{path}: {reply}");
    }
    for (who, client) in [("admin", &case.admin), ("the project's token", &case.robot)] {
        read(&case, &mut search, who, client).await?;
        read_in_grpc(&case, &mut search, who, client).await?;
        stream(&mut search, who, client).await?;
    }
    change(&case, &mut search).await?;
    beside(&case, &mut search).await?;
    assert!(search.looked > 150, "only {} texts were looked at", search.looked);
    assert!(search.found.is_empty(), "secrets are in\n{}", search.found.join("\n"));
    Ok(())
}
