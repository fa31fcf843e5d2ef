//! The home cluster's handle against a real API server.

#[path = "support/world.rs"]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use argosy_home::events::{COMPONENT, EventOptions, Pace, Reason, Severity};
use argosy_home::{Change, Error, EventWriter, status_patch};
use argosy_model::AppKey;
use argosy_proto::resource::CustomResource;
use argosy_tests::{ControlPlane, eventually, shared};
use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use world::{DEADLINE, app, apply, home, install, malformed_app, until_known};

async fn plane() -> &'static ControlPlane {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let plane = shared().await;
    INSTALLED.get_or_init(|| install(plane)).await;
    plane
}

fn config_map(namespace: &str, name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data})
}

fn secret(namespace: &str, name: &str, kind: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "stringData": data,
        "metadata": {"name": name, "namespace": namespace, "labels": {"argocd.argoproj.io/secret-type": kind}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_setting_counts_without_a_label() {
    let plane = plane().await;
    let namespace = plane.namespace("settings").await.expect("a namespace");
    let home = home(plane.client().await.expect("a client"), &namespace).await;
    assert_eq!(home.settings().timeouts.reconciliation, Duration::from_secs(120));
    let mut changes = home.settings_changes();
    for (seconds, name) in [(300, "argocd-cm"), (7, "argocd-cm")] {
        let data = json!({"timeout.reconciliation": format!("{seconds}s")});
        apply(plane, &config_map(&namespace, name, &data));
        let wanted = |s: &Arc<argosy_home::Settings>| s.timeouts.reconciliation == Duration::from_secs(seconds);
        tokio::time::timeout(DEADLINE, changes.wait_for(wanted)).await.expect("in time").expect("open");
    }
    apply(plane, &config_map(&namespace, "argocd-cmd-params-cm", &json!({"controller.diff.server.side": "true"})));
    let wanted = |s: &Arc<argosy_home::Settings>| s.controller.diff_server_side;
    tokio::time::timeout(DEADLINE, changes.wait_for(wanted)).await.expect("in time").expect("open");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_and_clusters_follow_their_secrets() {
    let plane = plane().await;
    let namespace = plane.namespace("secrets").await.expect("a namespace");
    let home = home(plane.client().await.expect("a client"), &namespace).await;
    assert!(home.clusters().resolve("", "in-cluster").is_ok());
    let mut repositories = home.repositories_changes();
    let data = json!({"url": "https://host/org", "username": "u", "password": "p"});
    apply(plane, &secret(&namespace, "template", "repo-creds", &data));
    let wanted = |r: &Arc<argosy_home::Repositories>| r.resolve("https://host/org/x", "p").username == "u";
    tokio::time::timeout(DEADLINE, repositories.wait_for(wanted)).await.expect("in time").expect("open");
    let mut clusters = home.clusters_changes();
    apply(plane, &secret(&namespace, "broken", "cluster", &json!({"server": "https://broken", "config": "{"})));
    apply(plane, &secret(&namespace, "prod", "cluster", &json!({"server": "https://prod", "name": "prod"})));
    let wanted = |c: &Arc<argosy_home::Clusters>| c.resolve("", "prod").is_ok() && !c.problems.is_empty();
    tokio::time::timeout(DEADLINE, clusters.wait_for(wanted)).await.expect("in time").expect("open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_application_stops_no_other() {
    let plane = plane().await;
    let namespace = plane.namespace("malformed").await.expect("a namespace");
    apply(plane, &malformed_app(&namespace, "bad"));
    apply(plane, &app(&namespace, "early"));
    let home = home(plane.client().await.expect("a client"), &namespace).await;
    let bad = AppKey::new(&namespace, "bad");
    assert!(home.apps().get(&AppKey::new(&namespace, "early")).is_some());
    assert_eq!(home.apps().malformed()[0].0, bad);
    let mut changes = home.apps().subscribe();
    apply(plane, &malformed_app(&namespace, "worse"));
    apply(plane, &app(&namespace, "late"));
    until_known(&home, &AppKey::new(&namespace, "late")).await;
    // Mended, it comes back; deleted, it is told.
    apply(plane, &app(&namespace, "bad"));
    until_known(&home, &bad).await;
    plane.kubectl_text(&["delete", "applications.argoproj.io", "worse", "-n", &namespace]).expect("deleted");
    eventually(DEADLINE, || async { if home.apps().malformed().is_empty() { Ok(()) } else { Err("still malformed") } })
        .await;
    let mut told: Vec<String> = Vec::new();
    while let Some(change) = changes.try_next() {
        let what = match change {
            Change::Applied { .. } => "applied",
            Change::Deleted { .. } => "deleted",
            Change::Malformed { .. } => "malformed",
        };
        told.push(what.to_owned());
    }
    assert!(!told.is_empty() && !told.contains(&"malformed".to_owned()), "the latest state alone: {told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_read_back_at_once() {
    let plane = plane().await;
    let namespace = plane.namespace("write").await.expect("a namespace");
    apply(plane, &app(&namespace, "a"));
    let home = home(plane.client().await.expect("a client"), &namespace).await;
    let key = AppKey::new(&namespace, "a");
    let first = home.apps().get(&key).expect("known");
    for revision in 0..50 {
        let old = home.apps().get(&key).expect("known");
        let mut new = (*old).clone();
        new.status.get_or_insert_default().sync.get_or_insert_default().revision = revision.to_string();
        let patch = status_patch(&old, &new).expect("something new");
        let version = old.metadata().resource_version.clone();
        let answer = home.patch_application(&key, patch, Some(&version)).await.expect("written");
        assert!(Arc::ptr_eq(&answer, &home.apps().get(&key).expect("known")));
    }
    let stale = first.metadata().resource_version.as_str();
    let conflict = home.patch_application(&key, json!({"metadata": {"labels": {"a": "b"}}}), Some(stale)).await;
    assert!(matches!(conflict, Err(Error::Conflict(_))), "{conflict:?}");
    let absent = home.get_application(&AppKey::new(&namespace, "nobody")).await;
    assert!(matches!(absent, Err(Error::NotFound(_))), "{absent:?}");
    let huge = json!({"metadata": {"annotations": {"a": "x".repeat(100)}}, "status": {"conditions": [
        {"type": "X", "message": "x".repeat(4 << 20)}]}});
    let refused = home.patch_application(&key, huge, None).await;
    assert!(matches!(refused, Err(Error::TooLarge(_))), "{:?}", refused.map(drop));
    let live = home.get_application(&key).await.expect("live");
    assert_eq!(live.metadata().resource_version, home.apps().get(&key).expect("known").metadata().resource_version);
}

/// A client whose requests may be answered by `fault` instead of the server.
fn faulty(
    real: kube::Client,
    fault: impl Fn(&Request<Body>) -> Option<Response<Body>> + Send + Sync + 'static,
) -> kube::Client {
    let fault = Arc::new(fault);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (real, answer) = (real.clone(), fault(&request));
        async move {
            match answer {
                Some(answer) => Ok(answer),
                None => real.send(request).await,
            }
        }
    });
    kube::Client::new(service, "default")
}

fn refusal(code: u16, reason: &str) -> Response<Body> {
    let body = json!({"kind": "Status", "code": code, "reason": reason, "message": reason}).to_string();
    Response::builder().status(code).body(Body::from(body.into_bytes())).expect("a response")
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_without_streaming_lists_that_forget_and_refuse_are_lived_with() {
    let plane = plane().await;
    let namespace = plane.namespace("faults").await.expect("a namespace");
    for i in 0..3 {
        apply(plane, &app(&namespace, &format!("a{i}")));
    }
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = requests.clone();
    let client = faulty(plane.client().await.expect("a client"), move |request| {
        let query = request.uri().query().unwrap_or("");
        if query.contains("sendInitialEvents") {
            return Some(refusal(422, "Invalid"));
        }
        if !request.uri().path().ends_with("/applications") {
            return None;
        }
        match seen.fetch_add(1, Ordering::Relaxed) {
            0 => Some(refusal(429, "TooManyRequests")),
            1 => Some(refusal(500, "InternalError")),
            3 => Some(refusal(410, "Expired")),
            _ => None,
        }
    });
    let home = home(client, &namespace).await;
    assert_eq!(home.apps().len(), 3);
    plane.kubectl_text(&["delete", "applications.argoproj.io", "a0", "-n", &namespace]).expect("deleted");
    apply(plane, &app(&namespace, "a9"));
    until_known(&home, &AppKey::new(&namespace, "a9")).await;
    eventually(DEADLINE, || async { if home.apps().len() == 3 { Ok(()) } else { Err("a0 is still there") } }).await;
    assert!(requests.load(Ordering::Relaxed) >= 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_outlast_an_overloaded_server() {
    let plane = plane().await;
    let namespace = plane.namespace("busy").await.expect("a namespace");
    apply(plane, &app(&namespace, "a"));
    let patches = AtomicUsize::new(0);
    let client = faulty(plane.client().await.expect("a client"), move |request| {
        (request.method() == "PATCH" && patches.fetch_add(1, Ordering::Relaxed) < 2)
            .then(|| refusal(503, "Unavailable"))
    });
    let home = home(client, &namespace).await;
    let patch = json!({"metadata": {"labels": {"a": "b"}}});
    let written = home.patch_application(&AppKey::new(&namespace, "a"), patch, None).await.expect("written");
    assert_eq!(written.metadata().labels["a"], "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_are_found_in_the_namespaces_that_the_setting_admits() {
    let plane = plane().await;
    let namespace = plane.namespace("own").await.expect("a namespace");
    let team = plane.namespace("team").await.expect("a namespace");
    let other = plane.namespace("other").await.expect("a namespace");
    for ns in [&namespace, &team, &other] {
        apply(plane, &app(ns, "a"));
    }
    let home = home(plane.client().await.expect("a client"), &namespace).await;
    assert_eq!(home.apps().len(), 1);
    let set = |value: &str| {
        let data = json!({"application.namespaces": value});
        apply(plane, &config_map(&namespace, "argocd-cmd-params-cm", &data));
    };
    let exactly = async |expected: &[&String]| {
        eventually(DEADLINE, || async {
            let found: Vec<_> = home.apps().list().into_iter().map(|(key, _)| key.namespace.to_string()).collect();
            let same = found.len() == expected.len() && expected.iter().all(|ns| found.contains(ns));
            if same { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    };
    set(&team);
    exactly(&[&namespace, &team]).await;
    set(&format!("{}*", &other[..other.len() - 1]));
    exactly(&[&namespace, &other]).await;
    set("");
    exactly(&[&namespace]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_found_by_the_object_they_are_about() {
    let plane = plane().await;
    let namespace = plane.namespace("events").await.expect("a namespace");
    apply(plane, &app(&namespace, "a"));
    let client = plane.client().await.expect("a client");
    let home = home(client.clone(), &namespace).await;
    let id = AtomicU64::new(0x100);
    let options = EventOptions {
        component: COMPONENT.to_owned(),
        clock: Arc::new(|| "2026-01-02T03:04:05Z".parse().expect("a time")),
        ids: Arc::new(move || id.fetch_add(1, Ordering::Relaxed)),
        pace: Pace::default(),
    };
    let events = EventWriter::start(client, options);
    let app = home.apps().get(&AppKey::new(&namespace, "a")).expect("known");
    let say = |message| {
        events.application(&home.settings(), &app, None, Severity::Normal, Reason::ResourceUpdated, message, "");
    };
    say("Updated sync status: Unknown -> Synced");
    say("Updated health status: Missing -> Healthy");
    let ask = ["get", "events", "-n", &*namespace, "--field-selector", "involvedObject.name=a", "-o", "name"];
    eventually(DEADLINE, || async {
        let found = plane.kubectl_text(&ask).map_err(|e| e.to_string())?;
        if found.contains("event/a.100") && found.contains("event/a.101") { Ok(()) } else { Err(found) }
    })
    .await;
    assert_eq!(events.dropped(), 0);
}
