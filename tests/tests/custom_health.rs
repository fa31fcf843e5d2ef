//! A user's own health rules: they hold where they are written, from the moment
//! they are written, and a bad one harms nobody.

use std::time::Duration;

use argosy_tests::{App, AppState, Options, PATIENCE, World, config_map};

/// Every edit must show within this.
const SOON: Duration = Duration::from_secs(20);

const RULE: &str = "resource.customizations.health.ConfigMap";

fn app(name: &str, url: &str, path: &str) -> App {
    App::new(name)
        .source(url, path, "HEAD")
        .into_namespace(name)
        .automated()
        .prune()
        .sync_option("CreateNamespace=true")
}

fn is(health: &'static str) -> impl Fn(&AppState) -> bool {
    move |state| state.health() == health && state.sync_status() == "Synced" && state.conditions().is_empty()
}

/// Judged Unknown because the rule failed for this reason, and compared all the same.
fn failed(reason: &'static str) -> impl Fn(&AppState) -> bool {
    move |state| {
        let told = state.conditions().iter().any(|(kind, message)| {
            *kind == "ComparisonError" && message.starts_with("error setting app health: ") && message.ends_with(reason)
        });
        told && state.health() == "Unknown" && state.sync_status() == "Synced"
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_in_the_settings_decides_about_health() -> anyhow::Result<()> {
    let world =
        World::start(Options::default(), &[("timeout.reconciliation", "1s"), ("timeout.reconciliation.jitter", "0s")])
            .await?;
    let client = world.plane.client().await?;
    let repo = world.git.repo("health")?;
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: other}\n";
    repo.commit(&[("judged/map.yaml", &config_map("judged", "one")), ("other/secret.yaml", secret)])?;
    let (judged, other) = (app("judged", &repo.url_file(), "judged"), app("other", &repo.url_file(), "other"));
    for app in [&judged, &other] {
        app.apply(&client).await?;
        app.wait_until_deployed(&client, PATIENCE).await?;
    }

    let rule = "if obj.data.text == 'two' then return {status = 'Healthy'} end
        return {status = 'Degraded', message = 'is ' .. obj.data.text}";
    world.plane.set_config("argocd-cm", &[(RULE, rule)])?;
    judged.wait_for(&client, "Degraded by the rule", SOON, is("Degraded")).await?;
    assert_eq!(other.get(&client).await?.expect("there").health(), "Healthy");

    // The rule is asked about what is live, whoever changed it.
    repo.commit(&[("judged/map.yaml", &config_map("judged", "two"))])?;
    judged.wait_for(&client, "Healthy by the rule", PATIENCE, |s| s.is_deployed()).await?;

    // A rule that fails, or never ends, is told of where it matters.
    world.plane.set_config("argocd-cm", &[(RULE, "error('not today', 0)")])?;
    judged.wait_for(&client, "told of the failing rule", SOON, failed("not today")).await?;
    world.plane.set_config("argocd-cm", &[(RULE, "while true do pcall(function() while true do end end) end")])?;
    judged.wait_for(&client, "told of the endless rule", SOON, failed("takes too long and was stopped")).await?;
    let last = repo.commit(&[("other/second.yaml", &secret.replace("other", "second"))])?;
    other.wait_for(&client, "synced meanwhile", PATIENCE, |s| s.is_deployed() && s.revision() == last).await?;

    // So is one of the older form, for every kind that a pattern matches.
    let patterns = "Config*:\n  health.lua.useOpenLibs: true\n  health.lua: |\n    return {status = string.format('%s', 'Suspended')}\n";
    world.plane.set_config("argocd-cm", &[(RULE, ""), ("resource.customizations", patterns)])?;
    judged.wait_for(&client, "Suspended by the pattern", SOON, is("Suspended")).await?;

    world.plane.set_config("argocd-cm", &[("resource.customizations", "")])?;
    judged.wait_for(&client, "Healthy without a rule", SOON, is("Healthy")).await?;
    Ok(())
}
