//! What is wrong with an application is told in the words that Argo CD's users
//! know, and stays that application's own trouble.

use anyhow::ensure;
use argosy_tests::{App, AppState, Options, PATIENCE, World, config_map, eventually};
use serde_json::json;
use tokio::sync::OnceCell;

async fn world() -> &'static World {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    let start = || async {
        let settings = [("timeout.reconciliation", "2s"), ("timeout.reconciliation.jitter", "0s")];
        World::start(Options::default(), &settings).await.unwrap_or_else(|error| panic!("no world: {error:#}"))
    };
    WORLD.get_or_init(start).await
}

fn app(name: &str, url: &str, path: &str) -> App {
    App::new(name).source(url, path, "HEAD").into_namespace(name).prune().sync_option("CreateNamespace=true")
}

fn says(state: &AppState, kind: &str, text: &str) -> bool {
    state.conditions().iter().any(|(k, m)| *k == kind && m.contains(text))
}

const PROJECT: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: narrow, namespace: argocd}
spec:
  sourceRepos: ["https://example.com/*"]
  destinations: [{server: "*", namespace: "narrow-*"}]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_has_its_condition_and_the_others_go_on() -> anyhow::Result<()> {
    let world = world().await;
    let client = world.plane.client().await?;
    world.plane.apply_yaml(PROJECT)?;
    let repo = world.git.repo("mistakes")?;
    repo.commit(&[
        ("good/map.yaml", &config_map("good", "one")),
        ("broken/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [\n"),
    ])?;
    let url = repo.url_file();
    let server = |server: &str| json!({"server": server, "namespace": "default"});
    let unreachable = "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code = ";
    let mistakes = [
        (
            app("no-project", &url, "good").project("nowhere"),
            "InvalidSpecError",
            "Application referencing project nowhere which does not exist",
        ),
        (
            app("no-source-permit", &url, "good").project("narrow"),
            "InvalidSpecError",
            "is not permitted in project 'narrow'",
        ),
        (
            app("no-destination-permit", "https://example.com/repo.git", "good").project("narrow"),
            "InvalidSpecError",
            "application destination server 'https://kubernetes.default.svc' and namespace 'no-destination-permit' do not match any of the allowed destinations in project 'narrow'",
        ),
        (
            app("no-server", &url, "good").set("/spec/destination", server("https://nowhere:6443")),
            "InvalidSpecError",
            "\"https://nowhere:6443\" not found",
        ),
        (
            app("no-name", &url, "good").set("/spec/destination", json!({"name": "nobody", "namespace": "x"})),
            "InvalidSpecError",
            "there are no clusters with this name: nobody",
        ),
        (
            app("both", &url, "good").set(
                "/spec/destination",
                json!({"name": "in-cluster", "server": "https://kubernetes.default.svc", "namespace": "x"}),
            ),
            "InvalidSpecError",
            "can't have both name and server defined: in-cluster https://kubernetes.default.svc",
        ),
        (
            app("neither", &url, "good").set("/spec/destination", json!({"namespace": "x"})),
            "InvalidSpecError",
            "Destination server missing from app spec",
        ),
        (
            app("no-url", "", "good"),
            "InvalidSpecError",
            "spec.source.repoURL and either spec.source.path or spec.source.chart are required",
        ),
        (app("no-repo", &format!("{url}-not"), "good"), "ComparisonError", unreachable),
        (app("no-path", &url, "absent"), "ComparisonError", "absent: app path does not exist"),
        (app("outside-path", &url, "../../etc"), "ComparisonError", unreachable),
        (
            app("no-revision", &url, "good").set("/spec/source/targetRevision", "v0".into()),
            "ComparisonError",
            "unable to resolve 'v0' to a commit SHA",
        ),
        (app("no-yaml", &url, "broken"), "ComparisonError", "Failed to unmarshal \"map.yaml\""),
    ];
    for (app, ..) in &mistakes {
        app.apply(&client).await?;
    }
    let good = app("good", &url, "good");
    good.apply(&client).await?;
    good.wait_until_deployed(&client, PATIENCE).await?;
    for (app, kind, text) in &mistakes {
        let state = app
            .wait_for(&client, &format!("saying {kind}: {text}"), PATIENCE, |s| {
                says(s, kind, text) && s.sync_status() == "Unknown"
            })
            .await?;
        assert_eq!(state.health(), "Unknown", "{}", app.name());
        assert!(state.0.get("operation").is_none(), "{} is synced", app.name());
    }

    // Each goes on as soon as its mistake is mended; nobody asks for a refresh.
    world.plane.apply_yaml(
        &PROJECT
            .replace("name: narrow", "name: nowhere")
            .replace("narrow-*", "*")
            .replace("https://example.com/*", "*")
            .replace("spec:", "spec:\n  clusterResourceWhitelist: [{group: \"\", kind: Namespace}]"),
    )?;
    mistakes[0].0.wait_until_deployed(&client, PATIENCE).await?;
    repo.commit(&[
        ("absent/map.yaml", &config_map("absent", "one")),
        ("broken/map.yaml", &config_map("whole", "one")),
    ])?;
    for index in [9, 12] {
        mistakes[index].0.wait_until_deployed(&client, PATIENCE).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_project_or_the_cluster_refuses_fails_the_sync() -> anyhow::Result<()> {
    let world = world().await;
    let client = world.plane.client().await?;
    let project = PROJECT
        .replace("name: narrow", "name: kinds")
        .replace("https://example.com/*", "*")
        .replace("narrow-*", "*")
        .replace("spec:", "spec:\n  namespaceResourceBlacklist: [{group: \"\", kind: ConfigMap}]");
    world.plane.apply_yaml(&project)?;
    let repo = world.git.repo("refused")?;
    repo.commit(&[("map.yaml", &config_map("refused", "one"))])?;
    let url = repo.url_file();
    let kind = App::new("kind-refused")
        .source(&url, ".", "HEAD")
        .project("kinds")
        .automated()
        .set("/spec/syncPolicy/retry/limit", 0.into());
    let nowhere = App::new("namespace-missing")
        .source(&url, ".", "HEAD")
        .into_namespace("namespace-missing")
        .automated()
        .set("/spec/syncPolicy/retry/limit", 0.into());
    for app in [&kind, &nowhere] {
        app.apply(&client).await?;
    }
    let state = kind.wait_for(&client, "refused", PATIENCE, |s| s.phase() == "Failed").await?;
    let results = state.0.pointer("/status/operationState/syncResult/resources").cloned().unwrap_or_default();
    assert!(
        results.to_string().contains("resource :ConfigMap is not permitted in project kinds"),
        "{} {results}",
        state.summary()
    );
    let state = nowhere.wait_for(&client, "failed", PATIENCE, |s| s.phase() == "Failed").await?;
    let results = state.0.pointer("/status/operationState/syncResult/resources").cloned().unwrap_or_default();
    assert!(
        results.to_string().contains("namespaces \\\"namespace-missing\\\" not found"),
        "{} {results}",
        state.summary()
    );
    assert_eq!(state.sync_status(), "OutOfSync");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_vanishes_leaves_everything_standing_and_recovers_by_itself() -> anyhow::Result<()> {
    let world = world().await;
    let client = world.plane.client().await?;
    let repo = world.git.repo("vanishing")?;
    let first = repo.commit(&[("map.yaml", &config_map("vanishing", "one"))])?;
    let app = app("vanishing", &repo.url_file(), ".");
    app.apply(&client).await?;
    app.wait_until_deployed(&client, PATIENCE).await?;
    repo.delete()?;
    app.refresh(&client, "hard").await?;
    let state = app
        .wait_for(&client, "without its repository", PATIENCE, |s| {
            says(s, "ComparisonError", "Failed to load target state")
        })
        .await?;
    assert_eq!((state.sync_status(), state.health(), state.revision()), ("Unknown", "Healthy", &*first));
    assert_eq!(state.list("/status/resources").len(), 1);
    assert_eq!(world.plane.config_map_text("vanishing", "vanishing").await?, "one");
    repo.recreate().or_else(|_| world.git.repo("vanishing").map(drop))?;
    let second = repo.commit(&[("map.yaml", &config_map("vanishing", "two"))])?;
    app.wait_for(&client, "recovered", PATIENCE, |s| s.is_deployed() && s.revision() == second).await?;
    assert_eq!(world.plane.config_map_text("vanishing", "vanishing").await?, "two");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_source_is_not_taken_for_synced_because_the_old_one_was() -> anyhow::Result<()> {
    let world = world().await;
    let client = world.plane.client().await?;
    let repo = world.git.repo("moved")?;
    repo.commit(&[("map.yaml", &config_map("moved", "one"))])?;
    let app = app("moved", &repo.url_file(), ".");
    app.apply(&client).await?;
    app.wait_until_deployed(&client, PATIENCE).await?;
    let wrong = app.clone().set("/spec/source/targetRevision", "nothing".into());
    wrong.apply(&client).await?;
    let unresolved =
        |s: &AppState| s.sync_status() == "Unknown" && says(s, "ComparisonError", "unable to resolve 'nothing'");
    app.wait_for(&client, "unresolved", PATIENCE, unresolved).await?;
    // A live change wakes it, and what was recorded before does not count.
    let patch = r#"{"data":{"text":"drifted"}}"#;
    world.plane.kubectl_text(&["-n", "moved", "patch", "configmap", "moved", "--type=merge", "-p", patch])?;
    world.plane.kubectl_text(&["-n", "moved", "annotate", "configmap", "moved", "seen=yes"])?;
    let good = self::app("moved-after", &repo.url_file(), ".");
    good.apply(&client).await?;
    good.wait_until_deployed(&client, PATIENCE).await?;
    let state = app.get(&client).await?.expect("it is there");
    assert!(unresolved(&state), "{}", state.summary());
    assert_eq!(world.plane.config_map_text("moved", "moved").await?, "drifted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_cannot_be_read_stalls_nobody_and_works_once_it_can() -> anyhow::Result<()> {
    let world = world().await;
    let client = world.plane.client().await?;
    let repo = world.git.repo("malformed")?;
    repo.commit(&[("map.yaml", &config_map("malformed", "one"))])?;
    // As loose a definition as an old installation may have.
    let loose = json!([{
        "op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec",
        "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }])
    .to_string();
    world.plane.kubectl_text(&["patch", "crd", "applications.argoproj.io", "--type=json", "-p", &loose])?;
    let app = app("malformed", &repo.url_file(), ".");
    let malformed = app.clone().set("/spec/source", "a text".into());
    // The API server takes a moment to follow the definition.
    eventually(PATIENCE, || async { malformed.apply(&client).await.map(drop) }).await;
    let good = self::app("beside-malformed", &repo.url_file(), ".");
    good.apply(&client).await?;
    good.wait_until_deployed(&client, PATIENCE).await?;
    eventually(PATIENCE, || async {
        let log = world.argosy.log();
        ensure!(log.contains("argocd/malformed"), "the log does not name it");
        Ok(())
    })
    .await;
    app.apply(&client).await?;
    app.wait_until_deployed(&client, PATIENCE).await?;
    Ok(())
}
