//! Owners, orphans, namespaces.

use super::*;

#[tokio::test(start_paused = true)]
async fn deleting_a_deployment_takes_everything_with_it() {
    for propagation in [Propagation::Background, Propagation::Foreground] {
        let cluster = Cluster::start();
        let key = cluster.create(&DEPLOYMENT, deployment("web", 2, "nginx"));
        cluster.until("rolled out", |c| is_rolled_out(&c.value(&key))).await;
        cluster.delete(&key, propagation);
        if propagation == Propagation::Foreground {
            assert!(cluster.store.get(&key).is_some(), "it waits for what it owns");
        }
        cluster
            .until("gone", |c| {
                c.store.get(&key).is_none()
                    && c.pods().is_empty()
                    && c.store.list("apps", "replicasets", None).0.is_empty()
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn orphans_stay_without_an_owner() {
    let cluster = Cluster::start();
    let key = cluster.create(&DEPLOYMENT, deployment("web", 1, "nginx"));
    cluster.until("rolled out", |c| is_rolled_out(&c.value(&key))).await;
    cluster.delete(&key, Propagation::Orphan);
    cluster.until("gone", |c| c.store.get(&key).is_none()).await;
    let sets = cluster.store.list("apps", "replicasets", None).0;
    assert!(sets.len() == 1 && sets[0].value["metadata"].get("ownerReferences").is_none());
    assert_eq!(cluster.pods().len(), 1);
    let key = cluster.create(&DEPLOYMENT, deployment("web", 1, "nginx"));
    cluster.until("adopted", |c| is_rolled_out(&c.value(&key))).await;
    assert_eq!(cluster.store.list("apps", "replicasets", None).0.len(), 1);
    assert_eq!(cluster.pods().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_takes_its_content_with_it_and_waits_for_finalizers() {
    let cluster = Cluster::start();
    let namespace = cluster.create(
        &NAMESPACE,
        json!({"metadata": {"name": "team"}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
    );
    let account = SERVICE_ACCOUNT.key("team", "default");
    cluster.until("furnished", |c| c.store.get(&account).is_some()).await;
    let held = cluster.create(
        &CONFIG_MAP,
        json!({"metadata": {"name": "held", "namespace": "team", "finalizers": ["example.com/hold"]}}),
    );
    cluster.delete(&namespace, Propagation::Background);
    assert_eq!(cluster.value(&namespace)["status"]["phase"], "Terminating");
    cluster.until("told", |c| condition::is_true(&c.value(&namespace), "NamespaceFinalizersRemaining")).await;
    assert!(cluster.store.get(&account).is_none());
    cluster.edit(&held, |value| value["metadata"]["finalizers"] = json!([]));
    cluster.until("gone", |c| c.store.get(&namespace).is_none()).await;
}
