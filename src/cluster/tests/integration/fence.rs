//! The cluster itself refuses the owner of an earlier epoch, and credentials are
//! exchanged under load without anybody noticing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use argosy_cluster::fence::{Choice, SliceOf, choose_fence, survey};
use argosy_cluster::{
    ApplyTask, Budget, BudgetConfig, Claim, ClusterConfig, Connection, Fence, FenceError, Grant, Prover,
};
use argosy_model::{FenceKind, FenceWish, GroupKind, ResourceKey, Secret};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::plane::{self, ADMIN};
use crate::support::{Bench, Plane, bench, bench_of, config, config_map, eventually, namespace, token_of};

/// A service account with a ClusterRole, and how to connect as it.
struct Scene {
    admin: Bench,
    plane: &'static Plane,
    name: &'static str,
    declared: ClusterConfig,
}

async fn scene(name: &'static str, role: &str) -> Scene {
    let plane = plane::shared().await;
    let admin = bench(plane, ADMIN, Default::default()).await;
    admin.synced().await;
    namespace(&admin, name).await;
    admin
        .apply(
            &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "deployer", "namespace": name}}),
        )
        .await;
    admin.apply(&binding(name, role)).await;
    let token = token_of(&admin, name, "deployer").await;
    Scene { admin, plane, name, declared: config(plane, &token) }
}

fn binding(name: &str, role: &str) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": name}]})
}

impl Scene {
    async fn root(&self) -> Connection {
        self.connect(&self.declared).await
    }

    async fn connect(&self, config: &ClusterConfig) -> Connection {
        Connection::connect(config, Budget::new(BudgetConfig::default()), 1).await.expect("connects")
    }

    async fn choice(&self, wish: FenceWish) -> Choice {
        let (identity, rights) = survey(&self.root().await, wish == FenceWish::Binding).await.expect("answers");
        choose_fence(wish, &identity, &rights)
    }

    /// The fence of an epoch, as wished for.
    async fn fence(&self, wish: FenceWish, epoch: u64) -> Fence {
        let choice = self.choice(wish).await;
        let account = choice.account.unwrap_or_else(|| panic!("no fence: {:?}", choice.reason));
        let claim = Claim::new(self.name, &self.plane.url(), SliceOf::WHOLE, epoch);
        Fence::new(self.root().await, claim, account, choice.kind, Duration::from_secs(3600))
    }

    /// A connection that works behind a fence.
    async fn working(&self, fence: &Fence, grant: &Grant) -> Connection {
        let connection = self.connect(&self.declared.with_token(&grant.token).expect("forms a credential")).await;
        fence.has_taken_effect(grant, &connection).await.expect("takes effect");
        connection
    }

    async fn prover(&self) -> Prover {
        Prover::new(&self.declared).await.expect("connects")
    }

    /// Names of everything that fences have made.
    async fn things(&self) -> Vec<String> {
        let things = [("", "Secret"), ("", "ServiceAccount"), ("rbac.authorization.k8s.io", "ClusterRoleBinding")];
        let live = |(group, kind)| self.admin.live.of_kind(&GroupKind::new(group, kind));
        let all = things.into_iter().flat_map(live).map(|object| object.key.name.to_string());
        all.filter(|name| name.starts_with("argosy-")).collect()
    }
}

/// Writes, over and over, until it is refused; how long after `started` that was.
async fn refused_after(old: &Bench, namespace: &str, started: Instant) -> Duration {
    let mut number = 0;
    let refusal = eventually("the refusal", || {
        number += 1;
        let target = config_map(namespace, "contended", "", json!({"n": number.to_string()}));
        async move { old.applier.apply(&ApplyTask::new(&target)).await.err() }
    })
    .await;
    assert!(matches!(refusal.code(), Some(401 | 403)), "{refusal:?}");
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_an_earlier_epoch_is_refused_ten_seconds_after_a_takeover() {
    let scene = scene("fence-token", "cluster-admin").await;
    let old = scene.fence(FenceWish::Auto, 7).await;
    let grant = old.issue(None, 1).await.expect("is granted").grant;
    assert_eq!(grant.kind, FenceKind::Token);
    let working = bench_of(scene.working(&old, &grant).await);
    working.applier.apply(&ApplyTask::new(&config_map(scene.name, "contended", "", json!({})))).await.expect("works");

    let new = scene.fence(FenceWish::Auto, 8).await;
    let started = Instant::now();
    let next = new.issue(None, 1).await.expect("is granted").grant;
    let took = started.elapsed();
    let refused = refused_after(&working, scene.name, started).await;
    println!("token: taken over in {took:?}, the old owner's writes refused after {refused:?}");
    // Ten seconds, and what a busy machine adds; a token lives for an hour.
    assert!(refused < Duration::from_secs(30), "{refused:?}");
    let prover = scene.prover().await;
    assert!(prover.accepts(&next.token).await.expect("answers"));

    // The old owner still has the declared credential, and makes no way around with it.
    for attempt in [2, 3] {
        let error = old.issue(None, attempt).await.expect_err("is superseded");
        assert!(matches!(error, FenceError::Superseded(8)), "{error:?}");
    }
    assert!(prover.accepts(&next.token).await.expect("answers"), "the new owner is not disturbed");
    new.withdraw().await.expect("withdraws");
    eventually("nothing to be left", || async {
        scene.things().await.iter().all(|name| !name.contains("-0-1-7-") && !name.contains("-0-1-8-")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_of_an_earlier_epoch_is_refused_within_moments_of_a_takeover() {
    let scene = scene("fence-binding", "cluster-admin").await;
    let old = scene.fence(FenceWish::Binding, 17).await;
    let grant = old.issue(None, 1).await.expect("is granted").grant;
    assert_eq!(grant.kind, FenceKind::Binding);
    let working = bench_of(scene.working(&old, &grant).await);
    working.applier.apply(&ApplyTask::new(&config_map(scene.name, "contended", "", json!({})))).await.expect("works");

    let new = scene.fence(FenceWish::Binding, 18).await;
    let started = Instant::now();
    let (next, refused) = tokio::join!(new.issue(None, 1), refused_after(&working, scene.name, started));
    let argosy_cluster::Issued { grant: next, is_proven } = next.expect("is granted");
    assert!(is_proven, "no proof that the earlier owner is refused");
    println!("binding: taken over after {:?}, the old owner's writes refused after {refused:?}", next.issued - started);
    // A token would be accepted for ten seconds.
    assert!(refused < Duration::from_secs(8), "{refused:?}");
    assert!(matches!(old.issue(None, 2).await, Err(FenceError::Superseded(18))));
    assert_eq!(scene.bindings(17).await, 0, "something was made again");
    eventually("nothing of the earlier owner to be left", || async {
        scene.things().await.iter().all(|name| !name.contains("-0-1-17")).then_some(())
    })
    .await;
    let working = bench_of(scene.working(&new, &next).await);
    working.applier.apply(&ApplyTask::new(&config_map(scene.name, "mine", "", json!({})))).await.expect("works");

    // Whoever is forbidden to write waits until somebody has looked why.
    let doubtful = scene.fence(FenceWish::Binding, 18).await;
    assert!(doubtful.stands(&next).await.expect("answers") && !doubtful.stands(&grant).await.expect("answers"));

    // What the account may not do any more, the subject may not do either.
    scene.admin.apply(&binding_of_view(scene.name)).await;
    new.follow_bindings(&next).await.expect("follows");
    assert_eq!(scene.bindings(18).await, 2);
    let key = ResourceKey::of(&binding_of_view(scene.name));
    scene.admin.applier.delete(&key, argosy_cluster::Propagation::Background, None).await.expect("deletes");
    new.follow_bindings(&next).await.expect("follows");
    assert_eq!(scene.bindings(18).await, 1);

    new.withdraw().await.expect("withdraws");
    eventually("nothing to be left", || async {
        scene.things().await.iter().all(|name| !name.contains("-0-1-17") && !name.contains("-0-1-18")).then_some(())
    })
    .await;
}

fn binding_of_view(name: &str) -> Value {
    let mut second = binding(name, "view");
    second["metadata"]["name"] = json!(format!("{name}-second"));
    second
}

impl Scene {
    /// How many bindings an epoch's subject has.
    async fn bindings(&self, epoch: u64) -> usize {
        let of_epoch = format!("-0-1-{epoch}-");
        let client = self.admin.connection.kube().await.expect("a client");
        let bindings: kube::Api<k8s_openapi::api::rbac::v1::ClusterRoleBinding> = kube::Api::all(client);
        let all = bindings.list(&Default::default()).await.expect("lists");
        all.items.iter().filter(|b| b.metadata.name.as_ref().is_some_and(|name| name.contains(&of_epoch))).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_rights_are_missing_the_lease_stands_alone_and_it_is_said_why() {
    let scene = scene("fence-none", "view").await;
    let choice = scene.choice(FenceWish::Auto).await;
    assert_eq!((choice.kind, choice.is_short), (FenceKind::Lease, false));
    assert!(choice.reason.as_deref().is_some_and(|r| r.contains("create secrets in fence-none")), "{choice:?}");
    assert!(scene.choice(FenceWish::Binding).await.is_short);

    // Enough for a token, not for a subject.
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "fence", "namespace": "fence-none"}, "rules": [
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "list", "delete"]},
            {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": ["deployer"], "verbs": ["create"]}]});
    scene.admin.apply(&role).await;
    scene
        .admin
        .apply(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "fence", "namespace": "fence-none"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "fence"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": "fence-none"}]}))
        .await;
    eventually("the right", || async { (scene.choice(FenceWish::Auto).await.kind == FenceKind::Token).then_some(()) })
        .await;
    let choice = scene.choice(FenceWish::Binding).await;
    assert_eq!((choice.kind, choice.is_short), (FenceKind::Token, true));
    let fence = scene.fence(FenceWish::Binding, 1).await;
    let grant = fence.issue(None, 1).await.expect("is granted").grant;
    assert!(scene.prover().await.accepts(&grant.token).await.expect("answers"));

    // Somebody who is no service account.
    let (identity, rights) = survey(&scene.admin.connection, true).await.expect("answers");
    assert_eq!(choose_fence(FenceWish::Auto, &identity, &rights).kind, FenceKind::Lease);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_exchanged_under_load_and_nothing_fails_or_is_listed_again() {
    let scene = scene("fence-load", "cluster-admin").await;
    let fence = scene.fence(FenceWish::Auto, 1).await;
    let mut grant = fence.issue(None, 1).await.expect("is granted").grant;
    let bench = Arc::new(bench_of(scene.working(&fence, &grant).await));
    bench.live.manage([GroupKind::new("", "ConfigMap")]);
    bench.synced().await;
    let (done, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (bench, done, requests) = (bench.clone(), done.clone(), requests.clone());
            tokio::spawn(async move {
                let mut number = 0;
                while !done.load(Ordering::Relaxed) {
                    number += 1;
                    let data = json!({"n": number.to_string()});
                    let target = config_map("fence-load", &format!("load-{writer}"), "", data);
                    bench.applier.apply(&ApplyTask::new(&target)).await.expect("no write fails");
                    requests.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let prover = scene.prover().await;
    let listed = bench.live.stats().events;
    let objects = bench.live.stats().objects as u64;
    for serial in [2, 3] {
        let next = fence.issue(Some(&grant), serial).await.expect("is granted").grant;
        let config = scene.declared.with_token(&next.token).expect("forms a credential");
        let draining = if serial == 2 {
            bench.connection.swap(&config).await.expect("is proven")
        } else {
            let proven = scene.working(&fence, &next).await;
            bench.connection.adopt(proven.clone()).await.expect("is open")
        };
        assert!(draining.done(Duration::from_secs(30)).await, "requests with the old token end");
        let took = fence.retire(&grant, Some(&next), &prover).await.expect("is refused");
        println!("rotation: the old token refused after {took:?}");
        assert!(!prover.accepts(&grant.token).await.expect("answers"));
        grant = next;
    }
    // A credential that does not work leaves the one that does.
    let wrong = scene.declared.with_token(&Secret::new("wrong".to_owned())).expect("forms a credential");
    assert!(bench.connection.swap(&wrong).await.is_err());
    done.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("no write failed");
    }
    let requests = requests.load(Ordering::Relaxed);
    let seen = bench.live.stats().events - listed;
    println!("rotation: {requests} writes, {seen} events, {objects} objects");
    assert!(requests > 20, "{requests} writes");
    // Four ConfigMaps change; every other kind would show up if it were listed again.
    let client = scene.admin.connection.kube().await.expect("a client");
    let roles: kube::Api<k8s_openapi::api::rbac::v1::ClusterRole> = kube::Api::all(client);
    let least = roles.list(&Default::default()).await.expect("lists").items.len() as u64;
    let writes = requests as u64 * 2 + 40;
    assert!(seen < writes + least, "{seen} events for {requests} writes: something was listed again");
    assert!(bench.live.failing().is_empty());
    fence.withdraw().await.expect("withdraws");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_refused_is_repeated_with_the_credential_that_replaces_the_refused_one() {
    let scene = scene("fence-retry", "cluster-admin").await;
    let fence = scene.fence(FenceWish::Auto, 1).await;
    let grant = fence.issue(None, 1).await.expect("is granted").grant;
    let working = scene.working(&fence, &grant).await;
    // Nobody sees to a new one: the refusal is the answer.
    fence.retire(&grant, None, &scene.prover().await).await.expect("is refused");
    assert_eq!(working.server_version().await.expect_err("is refused").code(), Some(401));

    let mut refusals = working.refusals();
    let renewing = tokio::spawn({
        let (working, declared) = (working.clone(), scene.declared.clone());
        async move {
            refusals.wait_for(Option::is_some).await.expect("is told");
            let next = fence.issue(None, 2).await.expect("is granted").grant;
            working.swap(&declared.with_token(&next.token).expect("forms a credential")).await.expect("is proven");
            refusals
        }
    });
    working.server_version().await.expect("is repeated");
    renewing.await.expect("renews");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_write_is_answered_when_it_is_known_whether_its_owner_still_is_one() {
    let scene = scene("fence-doubt", "fence-reader").await;
    scene
        .admin
        .apply(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "fence-reader"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]}))
        .await;
    let key = config_map(scene.name, "forbidden", "", json!({}));
    let write = async |bench: &Bench| bench.applier.apply(&ApplyTask::new(&key)).await.expect_err("is forbidden");
    for is_owner in [true, false] {
        let bench = bench_of(scene.root().await);
        let mut doubts = bench.connection.doubts();
        let looking = tokio::spawn({
            let connection = bench.connection.clone();
            async move {
                let number = *doubts.wait_for(|number| *number > 0).await.expect("is told");
                if is_owner { connection.clear(number) } else { connection.close() }
            }
        });
        eventually("the right to read", || async { bench.applier.get(&ResourceKey::of(&key)).await.ok() }).await;
        let started = Instant::now();
        let error = write(&bench).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert_eq!(error.code(), is_owner.then_some(403), "{error:?}");
        looking.await.expect("looks");
    }
}
