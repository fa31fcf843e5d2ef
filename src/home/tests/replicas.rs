//! What replicas share: the first start, documents, certificates and addresses.

#[path = "support/world.rs"]
#[expect(dead_code, reason = "shared with the other tests, which use all of it")]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use argosy_home::settings::Names;
use argosy_home::{Error, Home, Peer, Prepared};
use argosy_model::AppKey;
use argosy_tests::{ControlPlane, eventually, shared};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::OnceCell;
use world::{DEADLINE, app, apply, home, install};

async fn plane() -> &'static ControlPlane {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let plane = shared().await;
    INSTALLED.get_or_init(|| install(plane)).await;
    plane
}

async fn homes<const N: usize>(namespace: &str) -> [Home; N] {
    let plane = plane().await;
    let mut homes = Vec::new();
    for _ in 0..N {
        homes.push(home(plane.client().await.expect("a client"), namespace).await);
    }
    homes.try_into().unwrap_or_else(|_| unreachable!("as many as asked for"))
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().expect("a time")
}

/// Prepares with bytes that differ from call to call.
async fn prepare(home: &Home) -> Prepared {
    static STATE: AtomicU64 = AtomicU64::new(0);
    let mut random = |buffer: &mut [u8]| {
        for byte in buffer {
            let state = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            *byte = (state ^ (state >> 31)).to_le_bytes()[4];
        }
    };
    home.prepare(&mut random, now(), |password| format!("hash of {password}")).await.expect("prepared")
}

fn initial_password(plane: &ControlPlane, namespace: &str) -> String {
    let ask = [
        "get",
        "secret",
        "argocd-initial-admin-secret",
        "-n",
        namespace,
        "-o",
        "go-template={{.data.password | base64decode}}",
    ];
    plane.kubectl_text(&ask).expect("there")
}

/// The hash in force belongs to the password people read.
fn agrees(plane: &ControlPlane, home: &Home) {
    let settings = home.settings();
    let hash = settings.secret("admin.password").map(|secret| secret.expose().to_owned());
    assert_eq!(hash, Some(&*format!("hash of {}", initial_password(plane, home.namespace()))));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_makes_what_is_missing_and_the_second_nothing() {
    let plane = plane().await;
    let namespace = plane.namespace("boot").await.expect("a namespace");
    let [home] = homes(&namespace).await;
    let first = prepare(&home).await;
    let all = Prepared {
        admin_password_made: true,
        signing_key_made: true,
        default_project_made: true,
        certificate_missing: true,
    };
    assert_eq!(first, all);
    agrees(plane, &home);
    let settings = home.settings();
    let mtime = settings.secret("admin.passwordMtime").map(|secret| secret.expose().to_owned());
    assert_eq!(mtime, Some("2026-01-02T03:04:05Z"));
    assert_eq!(settings.secret("server.secretkey").map(|key| key.expose().len()), Some(44));
    assert!(home.project("default").is_some());
    assert_eq!(prepare(&home).await, Prepared { certificate_missing: true, ..Prepared::default() });
    assert_eq!(home.settings(), settings);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_agree() {
    let plane = plane().await;
    let namespace = plane.namespace("race").await.expect("a namespace");
    let [a, b, c] = homes(&namespace).await;
    let done = tokio::join!(prepare(&a), prepare(&b), prepare(&c));
    let made = [done.0, done.1, done.2];
    assert_eq!(made.iter().filter(|prepared| prepared.admin_password_made).count(), 1);
    assert_eq!(made.iter().filter(|prepared| prepared.signing_key_made).count(), 1);
    assert_eq!(made.iter().filter(|prepared| prepared.default_project_made).count(), 1);
    for home in [&a, &b, &c] {
        let mut changes = home.settings_changes();
        let wanted = |s: &Arc<argosy_home::Settings>| s.secret("admin.passwordMtime").is_some();
        tokio::time::timeout(DEADLINE, changes.wait_for(wanted)).await.expect("in time").expect("open");
        agrees(plane, home);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_left_alone_and_a_removed_password_is_made_anew() {
    let plane = plane().await;
    let namespace = plane.namespace("kept").await.expect("a namespace");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-secret", "namespace": namespace},
        "stringData": {"server.secretkey": "key", "admin.password": "theirs"}});
    apply(plane, &secret);
    let [home] = homes(&namespace).await;
    let prepared = prepare(&home).await;
    assert!(!prepared.admin_password_made && !prepared.signing_key_made);
    assert_eq!(home.settings().secret("admin.password").map(|s| s.expose().to_owned()), Some("theirs"));
    let forget = |data: &mut std::collections::BTreeMap<String, String>| {
        data.remove("admin.password");
        Ok::<_, Error>(())
    };
    let mut passwords = Vec::new();
    for _ in 0..2 {
        home.edit_settings_map(Names::SECRET, forget).await.expect("written");
        assert!(prepare(&home).await.admin_password_made);
        agrees(plane, &home);
        passwords.push(initial_password(plane, &namespace));
    }
    assert_ne!(passwords[0], passwords[1], "the old one may be known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_admin_gets_no_password() {
    let plane = plane().await;
    let namespace = plane.namespace("noadmin").await.expect("a namespace");
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"admin.enabled": "false"},
        "metadata": {"name": "argocd-cm", "namespace": namespace}});
    apply(plane, &config);
    let [home] = homes(&namespace).await;
    assert!(!prepare(&home).await.admin_password_made);
    assert!(home.settings().secret("admin.password").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_sessions_reaches_every_replica_and_wakes_nobody_else() {
    let plane = plane().await;
    let namespace = plane.namespace("sessions").await.expect("a namespace");
    let [one, two] = homes(&namespace).await;
    let (mut changes, settings) = (two.sessions_changes(), two.settings_changes());
    let add = async |home: &Home, key: &str| {
        let written = home
            .edit_sessions(|data| {
                data.insert(key.to_owned(), "revoked".to_owned());
                Ok::<_, Error>(())
            })
            .await
            .expect("written");
        assert_eq!(written, home.sessions(), "the writer sees it at once");
    };
    add(&one, "first").await;
    let told = changes.wait_for(|sessions| sessions.contains_key("first"));
    tokio::time::timeout(DEADLINE, told).await.expect("in time").expect("open");
    // Both count at once and nothing is lost.
    let count = async |home: &Home| {
        for _ in 0..20 {
            home.edit_sessions(|data| {
                let count = data.get("count").and_then(|text| text.parse().ok()).unwrap_or(0);
                data.insert("count".to_owned(), (count + 1).to_string());
                Ok::<_, Error>(())
            })
            .await
            .expect("counted");
        }
    };
    tokio::join!(count(&one), count(&two));
    let told = changes.wait_for(|sessions| sessions.get("count").is_some_and(|count| count == "40"));
    tokio::time::timeout(DEADLINE, told).await.expect("in time").expect("open");
    assert!(!settings.has_changed().expect("open"), "sessions are no settings");
    let label = plane
        .kubectl_text(&["get", "secret", "-n", &namespace, "-l", "app.kubernetes.io/part-of=argocd", "-o", "name"])
        .expect("a list");
    assert!(label.contains("secret/argosy-sessions"), "{label}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_make_an_authority_at_once_get_the_same() {
    let plane = plane().await;
    let namespace = plane.namespace("authority").await.expect("a namespace");
    let [one, two] = homes(&namespace).await;
    let made = |who: &'static str| move || (format!("certificate of {who}"), format!("key of {who}"));
    let (a, b) = tokio::join!(one.peer_authority(made("one")), two.peer_authority(made("two")));
    let (a, b) = (a.expect("made"), b.expect("made"));
    assert_eq!(a, b);
    assert_eq!(one.peer_authority(made("three")).await.expect("there"), a);
    assert!(one.settings().expand("$argosy-peers:ca.key").starts_with('$'), "no setting can name it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_is_the_installations_own_where_it_has_one() {
    let plane = plane().await;
    let namespace = plane.namespace("tls").await.expect("a namespace");
    let [home] = homes(&namespace).await;
    assert_eq!(home.server_certificate(), None);
    let stored = home.store_certificate("made", "key").await.expect("stored");
    assert_eq!((&*stored.certificate, &**stored.key.expose()), ("made", "key"));
    let second = home.store_certificate("another", "other").await.expect("there");
    assert_eq!(second, stored);
    let mut changes = home.server_certificate_changes();
    let own = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "stringData": {"tls.crt": "own", "tls.key": "k"},
        "metadata": {"name": "argocd-server-tls", "namespace": namespace}});
    apply(plane, &own);
    let told = changes.wait_for(|pair| pair.as_ref().is_some_and(|pair| pair.certificate == "own"));
    tokio::time::timeout(DEADLINE, told).await.expect("in time").expect("open");
    plane.kubectl_text(&["delete", "secret", "argocd-server-tls", "-n", &namespace]).expect("deleted");
    let told = changes.wait_for(|pair| pair.as_ref() == Some(&stored));
    tokio::time::timeout(DEADLINE, told).await.expect("in time").expect("open");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_replicas_are_known_until_they_run_out_or_are_withdrawn() {
    let plane = plane().await;
    let namespace = plane.namespace("peers").await.expect("a namespace");
    let [one, two] = homes(&namespace).await;
    let clock = Arc::new(AtomicI64::new(now().as_second()));
    let read = clock.clone();
    two.watch_peers(Arc::new(move || Timestamp::from_second(read.load(Ordering::Relaxed)).expect("a time")));
    let peer = |name: &str, address: &str| Peer {
        name: name.to_owned(),
        address: address.to_owned(),
        shard: name.ends_with('b').then_some(1),
    };
    let ttl = Duration::from_secs(15);
    let (a, b) = (peer("replica-a", "a:1"), peer("replica-b", "b:1"));
    one.publish_peer(&a, ttl, now()).await.expect("published");
    one.publish_peer(&b, ttl, now()).await.expect("published");
    let exactly = async |expected: &[&Peer]| {
        let wanted = |peers: &Arc<Vec<Peer>>| peers.iter().eq(expected.iter().copied());
        let mut changes = two.peers_changes();
        tokio::time::timeout(DEADLINE, changes.wait_for(wanted)).await.expect("in time").expect("open");
    };
    exactly(&[&a, &b]).await;
    // Time goes on, and one of them renews with another address.
    clock.fetch_add(10, Ordering::Relaxed);
    let later = now() + Duration::from_secs(10);
    let moved = peer("replica-a", "a:2");
    one.publish_peer(&moved, ttl, later).await.expect("renewed");
    exactly(&[&moved, &b]).await;
    clock.fetch_add(6, Ordering::Relaxed);
    one.publish_peer(&moved, ttl, later + Duration::from_secs(6)).await.expect("renewed");
    exactly(&[&moved]).await;
    // An hour later nothing is left of the one that never came back.
    clock.fetch_add(3600, Ordering::Relaxed);
    let moved = peer("replica-a", "a:3");
    one.publish_peer(&moved, ttl, later + Duration::from_secs(3606)).await.expect("renewed");
    exactly(&[&moved]).await;
    let left = ["get", "leases", "-n", &*namespace, "-l", "argosy.dev/peer=controller", "-o", "name"];
    eventually(DEADLINE, || async {
        let leases = plane.kubectl_text(&left).map_err(|e| e.to_string())?;
        if leases.contains("replica-b") { Err(leases) } else { Ok(()) }
    })
    .await;
    one.withdraw_peer("replica-a").await.expect("withdrawn");
    one.withdraw_peer("replica-a").await.expect("gone is gone");
    exactly(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_about_an_object_are_listed_by_its_name_and_uid() {
    let plane = plane().await;
    let namespace = plane.namespace("listed").await.expect("a namespace");
    apply(plane, &app(&namespace, "a"));
    let [home] = homes(&namespace).await;
    let event = |name: &str, uid: &str| {
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {"kind": "Application", "name": "a", "namespace": namespace, "uid": uid},
            "reason": "ResourceUpdated", "message": name, "type": "Normal"})
    };
    apply(plane, &event("a.1", "u1"));
    apply(plane, &event("a.2", "u2"));
    let listed = eventually(DEADLINE, || async {
        let events = home.list_events(&namespace, "a", "u1").await.map_err(|e| e.to_string())?;
        if events.len() == 1 { Ok(events) } else { Err(format!("{} events", events.len())) }
    })
    .await;
    assert_eq!((&*listed[0].message, &*listed[0].reason), ("a.1", "ResourceUpdated"));
    assert_eq!(home.list_events(&namespace, "b", "").await.expect("a list").len(), 0);
    assert!(home.apps().get(&AppKey::new(&namespace, "a")).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_another_replica_has_just_made_is_found() {
    let namespace = plane().await.namespace("found").await.expect("a namespace");
    let [maker, finder] = homes(&namespace).await;
    for i in 0..20 {
        let name = format!("app-{i}");
        maker.create_application(&serde_json::from_value(app("", &name)).expect("an Application")).await.expect("made");
        let found = finder.find_application(&AppKey::new(&namespace, &name)).await.expect("asked");
        assert_eq!(found.and_then(|app| app.metadata.clone()).unwrap_or_default().name, name);
    }
    let missing = finder.find_application(&AppKey::new(&namespace, "nobody")).await.expect("asked");
    assert!(missing.is_none());
    let elsewhere = plane().await.namespace("elsewhere").await.expect("a namespace");
    apply(plane().await, &app(&elsewhere, "hidden"));
    let hidden = finder.find_application(&AppKey::new(&elsewhere, "hidden")).await.expect("asked");
    assert!(hidden.is_none(), "its namespace is not looked at");
}
