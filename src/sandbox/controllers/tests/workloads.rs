//! StatefulSets, DaemonSets, Jobs and CronJobs.

use super::*;

#[tokio::test(start_paused = true)]
async fn stateful_pods_come_in_order_with_their_claims_and_are_updated_from_the_last() {
    let cluster = Cluster::start();
    let key = cluster.create(
        &STATEFUL_SET,
        json!({"metadata": {"name": "db"}, "spec": {
            "replicas": 2, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": template("db", "postgres:1"),
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}}}],
        }}),
    );
    let ready = |c: &Cluster, image: &str| {
        let value = c.value(&key);
        value["status"]["readyReplicas"] == 2
            && value["status"]["currentRevision"] == value["status"]["updateRevision"]
            && value["status"]["updatedReplicas"] == 2
            && c.pods().iter().all(|p| p.value["spec"]["containers"][0]["image"] == image)
    };
    cluster.until("ready", |c| ready(c, "postgres:1")).await;
    let claim = cluster.value(&CLAIM.key("default", "data-db-1"));
    assert_eq!(claim["status"]["phase"], "Bound");
    assert_eq!(claim["spec"]["storageClassName"], "standard");
    cluster.edit(&key, |value| value["spec"]["template"] = template("db", "postgres:2"));
    cluster.until("updated", |c| ready(c, "postgres:2")).await;
    assert_eq!(cluster.store.list("apps", "controllerrevisions", None).0.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_set_has_one_pod_on_the_one_node() {
    let cluster = Cluster::start();
    let key = cluster.create(
        &DAEMON_SET,
        json!({"metadata": {"name": "agent"}, "spec": {"selector": {"matchLabels": {"app": "agent"}},
            "updateStrategy": {"type": "RollingUpdate"}, "template": template("agent", "agent:1")}}),
    );
    let ready = |c: &Cluster| {
        let status = c.value(&key)["status"].clone();
        status["numberAvailable"] == 1 && status["updatedNumberScheduled"] == 1 && status["desiredNumberScheduled"] == 1
    };
    cluster.until("ready", ready).await;
    cluster.edit(&key, |value| value["spec"]["template"] = template("agent", "agent:2"));
    cluster
        .until("updated", |c| {
            ready(c) && c.pods().iter().all(|p| p.value["spec"]["containers"][0]["image"] == "agent:2")
        })
        .await;
}

fn job(name: &str, spec: Value) -> Value {
    let mut value = json!({"metadata": {"name": name}, "spec": {
        "completions": 1, "parallelism": 1, "backoffLimit": 1,
        "template": {"metadata": {}, "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}},
    }});
    for (field, one) in spec.as_object().unwrap() {
        value["spec"][field] = one.clone();
    }
    value
}

#[tokio::test(start_paused = true)]
async fn jobs_complete_or_reach_their_limit_and_go_after_their_time() {
    let cluster = Cluster::start();
    let good =
        cluster.create(&JOB, job("good", json!({"completions": 3, "parallelism": 2, "ttlSecondsAfterFinished": 30})));
    cluster.until("complete", |c| condition::is_true(&c.value(&good), "Complete")).await;
    assert_eq!(cluster.value(&good)["status"]["succeeded"], 3);
    let failing = json!({"template": {"metadata": {}, "spec": {"restartPolicy": "Never",
        "containers": [{"name": "main", "image": "busybox", "command": ["sh", "-c", "echo no; exit 3"]}]}}});
    let bad = cluster.create(&JOB, job("bad", failing));
    cluster.until("failed", |c| condition::is_true(&c.value(&bad), "Failed")).await;
    assert_eq!(condition::find(&cluster.value(&bad), "Failed")["reason"], "BackoffLimitExceeded");
    assert_eq!(cluster.value(&bad)["status"]["failed"], 2);
    cluster.until("expired", |c| c.store.get(&good).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_cron_job_starts_a_job_at_its_time() {
    let cluster = Cluster::start();
    let template = json!({"spec": job("x", json!({}))["spec"]});
    let key = cluster.create(
        &CRON_JOB,
        json!({"metadata": {"name": "hourly"}, "spec": {"schedule": "0 * * * *", "jobTemplate": template}}),
    );
    cluster.within(Duration::from_secs(3700), "started", |c| !c.store.list("batch", "jobs", None).0.is_empty()).await;
    cluster.until("done", |c| c.value(&key)["status"]["lastSuccessfulTime"].is_string()).await;
    assert_eq!(cluster.value(&key)["status"]["lastScheduleTime"], "2026-01-01T01:00:00Z");
}

#[tokio::test(start_paused = true)]
async fn a_rule_for_a_label_says_how_pods_fare_until_the_label_says_otherwise() {
    let rules = ["fate=held:pending", "fate=bad:fail"].map(|rule| rule.parse().unwrap());
    let cluster = Cluster::with(PodOptions { outcomes: rules.to_vec(), ..PodOptions::default() });
    let with_fate = |fate: &str| {
        let mut value = job(fate, json!({"backoffLimit": 0}));
        value["spec"]["template"]["metadata"] = json!({"labels": {"fate": fate}});
        value
    };
    let (held, bad) = (cluster.create(&JOB, with_fate("held")), cluster.create(&JOB, with_fate("bad")));
    cluster.until("failed", |c| condition::is_true(&c.value(&bad), "Failed")).await;
    let pod = cluster.pods().into_iter().find(|pod| pod.value["metadata"]["labels"]["fate"] == "held").unwrap();
    let pod = POD.key("default", argosy_model::object::name(&pod.value));
    assert_eq!(cluster.value(&pod)["spec"]["nodeName"], "sandbox", "it is scheduled");
    assert_eq!(cluster.value(&pod)["status"]["startTime"], Value::Null, "and does not start");
    cluster.edit(&pod, |value| value["metadata"]["labels"]["fate"] = "free".into());
    cluster.until("complete", |c| condition::is_true(&c.value(&held), "Complete")).await;
    for (rule, error) in [("fate:pending", OutcomeRuleError::Form), ("fate=held:rest", OutcomeRuleError::Outcome)] {
        assert_eq!(rule.parse::<OutcomeRule>(), Err(error));
    }
}
