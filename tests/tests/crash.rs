//! A controller that is killed in the middle of a sync: what it began is brought
//! to its end by the next one, and nothing is done twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use argosy_tests::{App, AppState, Argosy, ControlPlane, GitServer, Options, PATIENCE, eventually};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, WatchEvent, WatchParams};
use serde_json::json;

const NAMESPACE: &str = "default";

/// How often each object was made, by its name. Counted from a watch, so that one
/// that was deleted again counts too.
#[derive(Clone, Default)]
struct Made(Arc<Mutex<HashMap<String, usize>>>);

impl Made {
    fn count(&self, name: &str) -> usize {
        self.0.lock().expect("nobody panics while counting").get(name).copied().unwrap_or(0)
    }

    async fn follow<K>(&self, api: Api<K>) -> anyhow::Result<()>
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + kube::ResourceExt + 'static,
    {
        let mut watch = api.watch(&WatchParams::default().timeout(290), "0").await.context("watching")?.boxed();
        let made = self.0.clone();
        tokio::spawn(async move {
            while let Some(Ok(event)) = watch.next().await {
                if let WatchEvent::Added(object) = event {
                    *made.lock().expect("nobody panics while counting").entry(object.name_any()).or_default() += 1;
                }
            }
        });
        Ok(())
    }
}

fn hook(name: &str, phase: &str, text: &str) -> String {
    // Not before its creation but on success it goes, so a repetition would collide or show.
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  annotations:\n    argocd.argoproj.io/hook: {phase}\n    \
         argocd.argoproj.io/hook-delete-policy: HookSucceeded\nspec:\n  restartPolicy: Never\n  containers: [{{name: main, image: {text}}}]\n"
    )
}

fn config(name: &str, wave: &str, text: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  annotations: {{argocd.argoproj.io/sync-wave: {wave:?}}}\n\
         data: {{text: {text:?}}}\n"
    )
}

fn succeed(plane: &ControlPlane, pod: &str) -> anyhow::Result<()> {
    let status = r#"{"status":{"phase":"Succeeded"}}"#;
    plane.kubectl_text(&["patch", "pod", pod, "--subresource=status", "--type=merge", "-p", status]).map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_survives_being_killed_anywhere_and_repeats_no_hook() -> anyhow::Result<()> {
    let plane = ControlPlane::start(Options { controller_manager: true, ..Options::default() }).await?;
    plane.install().await?;
    let git = GitServer::start()?;
    let repo = git.repo("crash")?;
    let client = plane.client().await?;
    let mut argosy = Argosy::controller(&plane).env("ARGOCD_SYNC_WAVE_DELAY", "5").start().await?;
    let made = Made::default();
    made.follow::<Pod>(Api::namespaced(client.clone(), NAMESPACE)).await?;
    made.follow::<ConfigMap>(Api::namespaced(client.clone(), NAMESPACE)).await?;
    let app = App::new("crash").source(&repo.url_file(), "app", "HEAD");
    repo.commit(&[
        ("app/before.yaml", &hook("before", "PreSync", "a")),
        ("app/after.yaml", &hook("after", "PostSync", "a")),
        ("app/one.yaml", &config("one", "0", "1")),
        ("app/two.yaml", &config("two", "1", "1")),
        ("app/three.yaml", &config("three", "2", "1")),
    ])?;
    app.apply(&client).await?;
    app.wait_for(&client, "compared", PATIENCE, |s| s.sync_status() == "OutOfSync").await?;

    // 1. Killed right after the request, before or while the hook is made.
    app.sync(&client, json!({})).await?;
    argosy.kill9();
    argosy.restart().await?;
    let waits = |s: &AppState| s.message() == "waiting for completion of hook /Pod/before";
    let state = app.wait_for(&client, "waiting for the hook", PATIENCE, waits).await?;
    let started = state.text("/status/operationState/startedAt").to_owned();
    // Counted as the watch tells.
    let counted = made.clone();
    eventually(PATIENCE, || async { if counted.count("before") == 1 { Ok(()) } else { Err("the hook is not made") } })
        .await;

    // 2. Killed while it waits for the hook, which ends while nobody looks.
    argosy.kill9();
    succeed(&plane, "before")?;
    assert_eq!(made.count("one"), 0);
    argosy.restart().await?;

    // 3. Killed between two waves.
    let counted = made.clone();
    eventually(PATIENCE, || async { if counted.count("one") == 1 { Ok(()) } else { Err("one is not made") } }).await;
    argosy.kill9();
    assert_eq!(made.count("three"), 0, "the waves are five seconds apart");
    argosy.restart().await?;
    let waits = |s: &AppState| s.message() == "waiting for completion of hook /Pod/after";
    app.wait_for(&client, "waiting for the last hook", PATIENCE, waits).await?;

    // 4. Stopped politely while it waits, and started again.
    argosy.stop();
    argosy.restart().await?;
    succeed(&plane, "after")?;
    let state = app.wait_for(&client, "deployed", PATIENCE, AppState::is_deployed).await?;
    assert_eq!((state.phase(), state.message()), ("Succeeded", "successfully synced (no more tasks)"));
    assert_eq!(state.text("/status/operationState/startedAt"), started, "it is the same operation");
    for name in ["before", "one", "two", "three", "after"] {
        assert_eq!(made.count(name), 1, "{name} is made once");
    }
    let results = state.list("/status/operationState/syncResult/resources");
    let names: Vec<&str> = results.iter().filter_map(|r| r["name"].as_str()).collect();
    assert_eq!(names, ["before", "one", "two", "three", "after"]);
    assert!(results.iter().all(|r| r["status"] == "Synced" && r["hookPhase"] == "Succeeded"), "{results:#?}");
    assert_eq!(state.list("/status/history").len(), 1);

    random_kills(&plane, &client, &mut argosy, &repo, &app, &made).await
}

/// Kills at whatever point is reached after growing numbers of observed states.
async fn random_kills(
    plane: &ControlPlane,
    client: &kube::Client,
    argosy: &mut Argosy,
    repo: &argosy_tests::Repo,
    app: &App,
    made: &Made,
) -> anyhow::Result<()> {
    // The moments: hook seen, hook's result written, wave seen, end seen.
    for round in 2..6_usize {
        let text = round.to_string();
        let commit = repo.commit(&[
            ("app/one.yaml", &config("one", "0", &text)),
            ("app/two.yaml", &config("two", "1", &text)),
            ("app/three.yaml", &config("three", "2", &text)),
        ])?;
        app.sync(client, json!({})).await?;
        let hook = |name: &'static str| {
            let made = made.clone();
            async move {
                let seen =
                    || async { if made.count(name) == round { Ok(()) } else { Err(format!("{name} is not made")) } };
                eventually(PATIENCE, seen).await;
            }
        };
        hook("before").await;
        if round == 2 {
            argosy.restart().await?;
        }
        succeed(plane, "before")?;
        if round == 3 {
            argosy.restart().await?;
        }
        if round == 4 {
            eventually(PATIENCE, || async {
                let now = plane.kubectl_text(&["get", "configmap", "two", "-o", "jsonpath={.data.text}"])?;
                anyhow::ensure!(now == text, "two is {now}");
                Ok(())
            })
            .await;
            argosy.restart().await?;
        }
        hook("after").await;
        succeed(plane, "after")?;
        if round == 5 {
            argosy.restart().await?;
        }
        let is_done = |s: &AppState| s.is_deployed() && s.text("/status/operationState/syncResult/revision") == commit;
        let state = app.wait_for(client, "deployed again", PATIENCE, is_done).await?;
        assert_eq!(state.phase(), "Succeeded", "round {round}: {}", state.message());
        assert_eq!(state.list("/status/history").len(), round);
        assert_eq!((made.count("before"), made.count("after")), (round, round), "round {round}: each hook ran once");
        eventually(PATIENCE, || async {
            let pods = plane.kubectl_text(&["get", "pods", "-o", "name"])?;
            anyhow::ensure!(pods.is_empty(), "left: {pods}");
            Ok(())
        })
        .await;
    }
    Ok(())
}
