//! Deployments and their ReplicaSets.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_deployment_becomes_available_through_the_store_alone() {
    let cluster = Cluster::start();
    let key = cluster.create(&DEPLOYMENT, deployment("web", 3, "nginx:1"));
    cluster.until("rolled out", |c| is_rolled_out(&c.value(&key))).await;
    let value = cluster.value(&key);
    assert_eq!(value["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    assert_eq!(cluster.pods().len(), 3);
    let pod = cluster.pods()[0].value.clone();
    assert_eq!(pod["status"]["phase"], "Running");
    assert_eq!(pod["spec"]["nodeName"], "sandbox");
    let events = cluster.store.list("", "events", Some("default")).0;
    assert!(events.iter().any(|event| event.value["reason"] == "ScalingReplicaSet"));
}

#[tokio::test(start_paused = true)]
async fn a_new_template_is_rolled_out_and_an_old_one_brought_back() {
    let cluster = Cluster::start();
    let key = cluster.create(&DEPLOYMENT, deployment("web", 4, "nginx:1"));
    cluster.until("first", |c| is_rolled_out(&c.value(&key))).await;
    cluster.edit(&key, |value| value["spec"]["template"] = template("web", "nginx:2"));
    let least = std::cell::Cell::new(i64::MAX);
    cluster
        .until("second", |c| {
            let value = c.value(&key);
            least.set(least.get().min(world::count(&value, &["status", "availableReplicas"], 0)));
            is_rolled_out(&value) && c.pods().iter().all(|p| p.value["spec"]["containers"][0]["image"] == "nginx:2")
        })
        .await;
    assert!(least.get() >= 3, "at least 75% were available, not {}", least.get());
    cluster.edit(&key, |value| value["spec"]["template"] = template("web", "nginx:1"));
    cluster
        .until("back", |c| {
            is_rolled_out(&c.value(&key))
                && c.value(&key)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
        })
        .await;
    assert_eq!(cluster.store.list("apps", "replicasets", None).0.len(), 2);
    cluster.edit(&key, |value| value["spec"]["replicas"] = 1.into());
    cluster.until("scaled", |c| is_rolled_out(&c.value(&key)) && c.pods().len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_image_that_does_not_exist_is_never_available_and_misses_its_deadline() {
    let cluster = Cluster::start();
    let key = cluster.create(&DEPLOYMENT, deployment("web", 1, "registry.invalid/web:1"));
    let waiting = |c: &Cluster| {
        let pods = c.pods();
        pods.first().is_some_and(|p| {
            p.value["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ImagePullBackOff"
        })
    };
    cluster.within(Duration::from_secs(10), "backing off", waiting).await;
    cluster
        .until("deadline", |c| condition::find(&c.value(&key), "Progressing")["reason"] == "ProgressDeadlineExceeded")
        .await;
    assert!(waiting(&cluster) && !condition::is_true(&cluster.value(&key), "Available"));
    cluster.edit(&key, |value| value["spec"]["template"] = template("web", "nginx"));
    cluster.until("healed", |c| is_rolled_out(&c.value(&key))).await;
}

#[tokio::test(start_paused = true)]
async fn recreate_stops_the_old_pods_first() {
    let cluster = Cluster::start();
    let mut value = deployment("web", 2, "nginx:1");
    value["spec"]["strategy"] = json!({"type": "Recreate"});
    let key = cluster.create(&DEPLOYMENT, value);
    cluster.until("first", |c| is_rolled_out(&c.value(&key))).await;
    cluster.edit(&key, |value| value["spec"]["template"] = template("web", "nginx:2"));
    let running = |c: &Cluster, image: &str| {
        c.pods()
            .iter()
            .filter(|p| {
                p.value["spec"]["containers"][0]["image"] == image && p.value["metadata"]["deletionTimestamp"].is_null()
            })
            .count()
    };
    let mixed = std::cell::Cell::new(false);
    cluster
        .until("second", |c| {
            mixed.set(mixed.get() || (running(c, "nginx:1") > 0 && running(c, "nginx:2") > 0));
            is_rolled_out(&c.value(&key)) && running(c, "nginx:2") == 2
        })
        .await;
    assert!(!mixed.get());
}
