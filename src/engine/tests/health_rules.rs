//! The built-in health of every kind that has one, and of an application.

use argosy_engine::health::{
    BuiltIn, Contribution, Health, Overrides, Status, Verdict, aggregate, assess, contribution,
};
use serde_json::{Value, json};

fn object(api_version: &str, kind: &str, spec: Value, status: Value) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {"name": "x", "namespace": "n", "generation": 2},
        "spec": spec, "status": status,
    })
}

#[track_caller]
fn expect(live: &Value, status: Status, message: &str) {
    assert_eq!(assess(live, &BuiltIn), Some(Health::new(status, message)), "{live}");
}

#[test]
fn a_deployment_follows_its_rollout() {
    let of = |spec, status| object("apps/v1", "Deployment", spec, status);
    let three = json!({"replicas": 3});
    let cases = [
        (json!({"paused": true}), json!({}), Status::Suspended, "Deployment is paused"),
        (
            three.clone(),
            json!({"observedGeneration": 1}),
            Status::Progressing,
            "Waiting for rollout to finish: observed deployment generation less than desired generation",
        ),
        (
            three.clone(),
            json!({"observedGeneration": 2, "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]}),
            Status::Degraded,
            "Deployment \"x\" exceeded its progress deadline",
        ),
        (
            three.clone(),
            json!({"observedGeneration": 2, "updatedReplicas": 1}),
            Status::Progressing,
            "Waiting for rollout to finish: 1 out of 3 new replicas have been updated...",
        ),
        (
            three.clone(),
            json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 4}),
            Status::Progressing,
            "Waiting for rollout to finish: 1 old replicas are pending termination...",
        ),
        (
            three.clone(),
            json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 2}),
            Status::Progressing,
            "Waiting for rollout to finish: 2 of 3 updated replicas are available...",
        ),
        (
            three,
            json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3}),
            Status::Healthy,
            "",
        ),
    ];
    for (spec, status, wanted, message) in cases {
        expect(&of(spec, status), wanted, message);
    }
}

#[test]
fn a_stateful_set_follows_its_strategy() {
    let of = |spec, status| object("apps/v1", "StatefulSet", spec, status);
    let rolling = |partition: i64| json!({"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}});
    let seen = |ready: i64, updated: i64| {
        json!({"observedGeneration": 2, "readyReplicas": ready, "updatedReplicas": updated,
               "currentReplicas": 3, "currentRevision": "a", "updateRevision": "b"})
    };
    expect(&of(rolling(0), json!({})), Status::Progressing, "Waiting for statefulset spec update to be observed...");
    expect(&of(rolling(0), seen(1, 3)), Status::Progressing, "Waiting for 2 pods to be ready...");
    expect(
        &of(rolling(1), seen(3, 1)),
        Status::Progressing,
        "Waiting for partitioned roll out to finish: 1 out of 2 new pods have been updated...",
    );
    expect(
        &of(rolling(1), seen(3, 2)),
        Status::Healthy,
        "partitioned roll out complete: 2 new pods have been updated...",
    );
    let plain = |kind| json!({"replicas": 3, "updateStrategy": {"type": kind}});
    expect(&of(plain("OnDelete"), seen(3, 0)), Status::Healthy, "statefulset has 3 ready pods");
    expect(
        &of(plain("RollingUpdate"), seen(3, 2)),
        Status::Progressing,
        "waiting for statefulset rolling update to complete 2 pods at revision b...",
    );
    let mut same = seen(3, 3);
    same["updateRevision"] = json!("a");
    expect(
        &of(plain("RollingUpdate"), same),
        Status::Healthy,
        "statefulset rolling update complete 3 pods at revision a...",
    );
}

#[test]
fn replica_sets_and_daemon_sets_count_their_pods() {
    let set = |status| object("apps/v1", "ReplicaSet", json!({"replicas": 2}), status);
    expect(
        &set(json!({})),
        Status::Progressing,
        "Waiting for rollout to finish: observed replica set generation less than desired generation",
    );
    expect(
        &set(
            json!({"observedGeneration": 2, "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "quota"}]}),
        ),
        Status::Degraded,
        "quota",
    );
    expect(
        &set(json!({"observedGeneration": 2, "availableReplicas": 1})),
        Status::Progressing,
        "Waiting for rollout to finish: 1 out of 2 new replicas are available...",
    );
    expect(&set(json!({"observedGeneration": 2, "availableReplicas": 2})), Status::Healthy, "");

    let daemon = |kind: &str, updated: i64, available: i64| {
        object(
            "apps/v1",
            "DaemonSet",
            json!({"updateStrategy": {"type": kind}}),
            json!({"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": updated,
                   "numberAvailable": available}),
        )
    };
    expect(&daemon("OnDelete", 1, 0), Status::Healthy, "daemon set 1 out of 3 new pods have been updated");
    expect(
        &daemon("RollingUpdate", 1, 3),
        Status::Progressing,
        "Waiting for daemon set \"x\" rollout to finish: 1 out of 3 new pods have been updated...",
    );
    expect(
        &daemon("RollingUpdate", 3, 2),
        Status::Progressing,
        "Waiting for daemon set \"x\" rollout to finish: 2 of 3 updated pods are available...",
    );
    expect(&daemon("RollingUpdate", 3, 3), Status::Healthy, "");
}

#[test]
fn a_pod_is_judged_by_its_restart_policy() {
    let pod = |policy: &str, status: Value| object("v1", "Pod", json!({"restartPolicy": policy}), status);
    let waiting = json!({"phase": "Pending", "containerStatuses": [
        {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
        {"state": {"waiting": {"reason": "ErrImagePull", "message": "other"}}},
        {"state": {"waiting": {"reason": "ContainerCreating"}}},
    ]});
    expect(&pod("Always", waiting.clone()), Status::Degraded, "no such image, other");
    expect(&pod("Never", waiting), Status::Progressing, "");
    expect(&pod("Never", json!({"phase": "Succeeded", "message": "m"})), Status::Healthy, "m");
    expect(&pod("Never", json!({"phase": "Failed", "message": "evicted"})), Status::Degraded, "evicted");
    let ended =
        |end: Value| json!({"phase": "Failed", "containerStatuses": [{"name": "c", "state": {"terminated": end}}]});
    expect(&pod("Never", ended(json!({"message": "boom"}))), Status::Degraded, "boom");
    expect(&pod("Never", ended(json!({"reason": "OOMKilled", "exitCode": 137}))), Status::Degraded, "OOMKilled");
    expect(&pod("Never", ended(json!({"exitCode": 3}))), Status::Degraded, "container \"c\" failed with exit code 3");
    expect(&pod("OnFailure", json!({"phase": "Running"})), Status::Progressing, "");
    let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    expect(&pod("Always", ready), Status::Healthy, "");
    let restarted = json!({"phase": "Running", "containerStatuses": [{"lastState": {"terminated": {"exitCode": 1}}}]});
    expect(&pod("Always", restarted), Status::Degraded, "");
    expect(&pod("Always", json!({"phase": "Running"})), Status::Progressing, "");
    expect(&pod("Always", json!({"phase": "Unknown"})), Status::Unknown, "");
}

#[test]
fn the_other_kinds_follow_their_table() {
    let claim = |phase: &str| object("v1", "PersistentVolumeClaim", json!({}), json!({"phase": phase}));
    expect(&claim("Lost"), Status::Degraded, "");
    expect(&claim("Pending"), Status::Progressing, "");
    expect(&claim("Bound"), Status::Healthy, "");
    let address = json!({"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}});
    let service = |kind: &str, status| object("v1", "Service", json!({"type": kind}), status);
    expect(&service("ClusterIP", json!({})), Status::Healthy, "");
    expect(&service("LoadBalancer", json!({})), Status::Progressing, "");
    expect(&service("LoadBalancer", address.clone()), Status::Healthy, "");
    for group in ["networking.k8s.io/v1", "extensions/v1beta1"] {
        expect(&object(group, "Ingress", json!({}), json!({})), Status::Progressing, "");
        expect(&object(group, "Ingress", json!({}), address.clone()), Status::Healthy, "");
    }
    let condition = |kind: &str, status: &str| json!({"conditions": [{"type": kind, "status": status, "message": "m", "reason": "R"}]});
    let job = |status| object("batch/v1", "Job", json!({}), status);
    expect(&job(condition("Failed", "True")), Status::Degraded, "m");
    expect(&job(condition("Complete", "True")), Status::Healthy, "m");
    expect(&job(condition("Suspended", "True")), Status::Suspended, "m");
    expect(&job(condition("Suspended", "False")), Status::Progressing, "");
    expect(&job(json!({})), Status::Progressing, "");
    let api = |status| object("apiregistration.k8s.io/v1", "APIService", json!({}), status);
    expect(&api(condition("Available", "True")), Status::Healthy, "R: m");
    expect(&api(condition("Available", "False")), Status::Progressing, "R: m");
    expect(&api(json!({})), Status::Progressing, "Waiting to be processed");
    let workflow =
        |phase: &str| object("argoproj.io/v1alpha1", "Workflow", json!({}), json!({"phase": phase, "message": "w"}));
    expect(&workflow("Running"), Status::Progressing, "w");
    expect(&workflow("Succeeded"), Status::Healthy, "w");
    expect(&workflow("Error"), Status::Degraded, "w");
}

#[test]
fn an_autoscaler_is_judged_by_its_first_telling_condition() {
    let cases = [
        (
            json!([{"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "message": "m"}]),
            Status::Degraded,
            "m",
        ),
        (
            json!([{"type": "ScalingActive", "status": "False", "reason": "FailedGetExternalMetric", "message": "m"}]),
            Status::Degraded,
            "m",
        ),
        (json!([{"type": "AbleToScale", "status": "True", "message": "ok"}]), Status::Healthy, "ok"),
        (json!([]), Status::Progressing, "Waiting to Autoscale"),
    ];
    for (conditions, status, message) in cases {
        for version in ["v2", "v2beta1", "v2beta2"] {
            let api = format!("autoscaling/{version}");
            expect(
                &object(&api, "HorizontalPodAutoscaler", json!({}), json!({"conditions": conditions})),
                status,
                message,
            );
        }
        let mut first = object("autoscaling/v1", "HorizontalPodAutoscaler", json!({}), json!({}));
        first["metadata"]["annotations"] =
            json!({"autoscaling.alpha.kubernetes.io/conditions": conditions.to_string()});
        expect(&first, status, message);
    }
}

#[test]
fn kinds_without_a_rule_have_no_health() {
    for (api, kind) in [("v1", "ConfigMap"), ("batch/v1", "CronJob"), ("argoproj.io/v1alpha1", "Application")] {
        assert_eq!(assess(&object(api, kind, json!({}), json!({})), &BuiltIn), None, "{kind}");
    }
    for odd in [json!(null), json!([]), json!("x"), json!({"apiVersion": 1, "kind": {}, "metadata": []})] {
        assert_eq!(assess(&odd, &BuiltIn), None);
    }
}

#[test]
fn odd_objects_of_known_kinds_never_panic() {
    let kinds = [
        "apps/v1/Deployment",
        "apps/v1/StatefulSet",
        "apps/v1/ReplicaSet",
        "apps/v1/DaemonSet",
        "/v1/Pod",
        "/v1/Service",
        "batch/v1/Job",
        "autoscaling/v2/HorizontalPodAutoscaler",
        "networking.k8s.io/v1/Ingress",
    ];
    for kind in kinds {
        let (api, kind) = kind.trim_start_matches('/').rsplit_once('/').expect("has a kind");
        for odd in [
            json!(null),
            json!(3),
            json!([1]),
            json!({"conditions": {"a": 1}, "replicas": "three", "containerStatuses": [null, 4]}),
        ] {
            let live = json!({"apiVersion": api, "kind": kind, "metadata": odd, "spec": odd, "status": odd});
            assert!(assess(&live, &BuiltIn).is_some(), "{live}");
        }
    }
}

#[test]
fn an_object_on_its_way_out_is_progressing_unless_it_is_a_held_hook() {
    let mut job = object("batch/v1", "Job", json!({}), json!({"conditions": [{"type": "Complete", "status": "True"}]}));
    job["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    expect(&job, Status::Progressing, "Pending deletion");
    job["metadata"]["finalizers"] = json!(["argocd.argoproj.io/hook-finalizer"]);
    expect(&job, Status::Healthy, "");
}

/// Says what it is told, of every kind.
struct Always(Verdict);

impl Overrides for Always {
    fn assess(&self, _live: &Value) -> Verdict {
        self.0.clone()
    }
}

#[test]
fn a_users_rule_goes_before_the_built_in_one() {
    let job = object("batch/v1", "Job", json!({}), json!({}));
    let verdict = Health::new(Status::Degraded, "says who");
    assert_eq!(assess(&job, &Always(Verdict::Health(verdict.clone()))), Some(verdict));
    assert_eq!(assess(&job, &Always(Verdict::NoRule)), Some(Health::new(Status::Progressing, "")));
    assert_eq!(assess(&job, &Always(Verdict::NoHealth)), None);
    let failed = contribution(Some(&job), Some(&job), false, &Always(Verdict::Failed("no".to_owned())));
    assert_eq!(failed.health, Some(Health::new(Status::Unknown, "no")));
    assert_eq!((failed.counted, failed.failure.as_deref()), (Some(Status::Unknown), Some("no")));
}

#[test]
fn statuses_are_ordered_from_best_to_worst() {
    let order =
        [Status::Healthy, Status::Suspended, Status::Progressing, Status::Missing, Status::Degraded, Status::Unknown];
    assert!(order.is_sorted());
    assert!(order.iter().all(|status| Status::parse(status.as_str()) == Some(*status)));
    assert_eq!(Status::Degraded.worst(Status::Missing), Status::Degraded);
}

#[test]
fn an_application_is_as_well_as_its_worst_resource() {
    let healthy = object("v1", "PersistentVolumeClaim", json!({}), json!({"phase": "Bound"}));
    let lost = object("v1", "PersistentVolumeClaim", json!({}), json!({"phase": "Lost"}));
    let annotated = |of: &Value, key: &str, value: &str| {
        let mut object = of.clone();
        object["metadata"]["annotations"] = json!({key: value});
        object
    };
    let of = |live: &Value| contribution(Some(live), Some(live), false, &BuiltIn);
    assert_eq!(aggregate(&[of(&healthy), of(&lost)]), Status::Degraded);
    assert_eq!(
        aggregate(&[of(&healthy), of(&annotated(&lost, "argocd.argoproj.io/hook", "PostSync"))]),
        Status::Healthy
    );
    assert_eq!(aggregate(&[of(&healthy), of(&annotated(&lost, "helm.sh/hook", "test"))]), Status::Healthy);
    assert_eq!(
        aggregate(&[of(&healthy), of(&annotated(&lost, "argocd.argoproj.io/ignore-healthcheck", "true"))]),
        Status::Healthy
    );
    assert_eq!(aggregate(&[of(&healthy), contribution(None, Some(&lost), true, &BuiltIn)]), Status::Healthy);
    assert_eq!(aggregate(&[] as &[Contribution]), Status::Healthy);
}

#[test]
fn a_missing_resource_counts_only_when_nothing_lives() {
    let target = object("v1", "PersistentVolumeClaim", json!({}), json!({"phase": "Bound"}));
    let missing = contribution(Some(&target), None, false, &BuiltIn);
    assert_eq!(missing.health, Some(Health::new(Status::Missing, "")));
    assert_eq!(aggregate(std::slice::from_ref(&missing)), Status::Missing);
    let present = contribution(Some(&target), Some(&target), false, &BuiltIn);
    assert_eq!(aggregate(&[missing, present]), Status::Healthy);
}

#[test]
fn a_child_application_that_is_unknown_does_not_drag_its_parent_down() {
    let child = object("argoproj.io/v1alpha1", "Application", json!({}), json!({}));
    for (status, wanted) in
        [(Status::Unknown, Status::Healthy), (Status::Missing, Status::Healthy), (Status::Degraded, Status::Degraded)]
    {
        let rule = Always(Verdict::Health(Health::new(status, "")));
        assert_eq!(aggregate(&[contribution(Some(&child), Some(&child), false, &rule)]), wanted);
    }
}
