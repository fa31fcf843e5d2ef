//! What is drift and what is not, on the types of a real API server (1.36).

use argosy_engine::diff::{DiffInput, DiffOutcome, Mode, diff};
use argosy_engine::merge::{self, MANAGER, PatchKind, three_way_patch, with_last_applied};
use argosy_engine::normalize::{IgnoreRule, IgnoreStatus, Normalizer, NormalizerConfig};
use argosy_engine::schema::Schemas;
use argosy_model::Gvk;
use serde_json::{Value, json};

/// The documents of a real server, cut down to a few kinds.
fn schemas() -> Schemas {
    let mut schemas = Schemas::default();
    for (group_version, text) in [
        ("v1", include_str!("data/openapi-v3-api-v1.json")),
        ("apps/v1", include_str!("data/openapi-v3-apis-apps-v1.json")),
        ("networking.k8s.io/v1", include_str!("data/openapi-v3-apis-networking-v1.json")),
    ] {
        let document: Value = serde_json::from_str(text).expect("a document");
        assert!(schemas.insert_document(group_version, &document).expect("inserts") > 0);
    }
    schemas
}

fn run(target: &Value, live: &Value, mode: Mode<'_>, config: &NormalizerConfig) -> DiffOutcome {
    let (normalizer, errors) = Normalizer::compile(config);
    assert_eq!(errors, []);
    diff(DiffInput { target: Some(target), live: Some(live), normalizer: &normalizer, schemas: &schemas(), mode })
}

fn three_way(target: &Value, live: &Value) -> DiffOutcome {
    run(target, live, Mode::ThreeWay, &NormalizerConfig::default())
}

/// Live as the server keeps it after an apply of `applied`, plus `extra`.
fn applied(applied: &Value, extra: &Value) -> Value {
    let mut live = merge::apply_json_merge(&with_last_applied(applied), extra);
    let server = json!({"metadata": {"uid": "u", "resourceVersion": "7", "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"manager": "x"}]}, "status": {"x": 1}});
    live = merge::apply_json_merge(&live, &server);
    live
}

fn deployment(container: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"app": "d"}},
        "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [container]}}}})
}

/// What the server fills into [`deployment`].
fn defaults(container: Value) -> Value {
    json!({"spec": {"progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        "template": {"metadata": {"creationTimestamp": null}, "spec": {"dnsPolicy": "ClusterFirst",
            "restartPolicy": "Always", "securityContext": {}, "terminationGracePeriodSeconds": 30,
            "containers": [container]}}}})
}

#[test]
fn server_defaults_are_no_drift() {
    let target = deployment(json!({"name": "c", "image": "i", "ports": [{"containerPort": 80}],
        "resources": {"limits": {"cpu": "1000m", "memory": "1073741824"}},
        "env": [{"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}));
    let live = applied(
        &target,
        &defaults(json!({"name": "c", "image": "i", "imagePullPolicy": "Always",
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
            "env": [{"name": "E", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
            "terminationMessagePath": "/dev/termination-log"})),
    );
    for mode in [Mode::ThreeWay, Mode::ServerSideApply { manager: MANAGER }] {
        let outcome = run(&target, &live, mode, &NormalizerConfig::default());
        assert!(!outcome.modified, "{mode:?} {} {}", outcome.normalized_live, outcome.predicted_live);
        assert_eq!(outcome.normalized_live["metadata"], json!({"name": "d", "namespace": "n"}));
        assert_eq!(outcome.normalized_live.get("status"), None);
    }
    let patch = three_way_patch(Some(&target), &target, &live, schemas().get(&Gvk::of(&target))).expect("objects");
    assert_eq!((patch.kind, patch.body), (PatchKind::Strategic, json!({})));
}

#[test]
fn a_changed_image_is_drift_and_the_prediction_keeps_the_defaults() {
    let target = deployment(json!({"name": "c", "image": "new"}));
    let mut before = deployment(json!({"name": "c", "image": "old"}));
    let live = applied(&before, &defaults(json!({"name": "c", "image": "old", "imagePullPolicy": "Always"})));
    let outcome = three_way(&target, &live);
    assert!(outcome.modified);
    let container = outcome.predicted_live.pointer("/spec/template/spec/containers/0").expect("a container");
    assert_eq!(*container, json!({"name": "c", "image": "new", "imagePullPolicy": "Always"}));
    assert_eq!(outcome.predicted_live.pointer("/spec/strategy/type"), Some(&json!("RollingUpdate")));
    // A field that was applied and is gone from the target is removed.
    before["spec"]["minReadySeconds"] = json!(5);
    let live = applied(&before, &json!({}));
    let target = deployment(json!({"name": "c", "image": "old"}));
    let outcome = three_way(&target, &live);
    assert!(outcome.modified && outcome.predicted_live["spec"].get("minReadySeconds").is_none());
}

#[test]
fn what_nobody_applied_stays_and_what_was_applied_goes() {
    let target = deployment(json!({"name": "c", "image": "i", "env": [{"name": "A", "value": "1"}]}));
    let before = deployment(json!({"name": "c", "image": "i",
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}));
    let live = applied(
        &before,
        &defaults(json!({"name": "c", "image": "i", "env": [{"name": "A", "value": "1"},
            {"name": "B", "value": "2"}, {"name": "INJECTED", "value": "3"}]})),
    );
    let outcome = three_way(&target, &live);
    assert!(outcome.modified);
    assert_eq!(
        outcome.predicted_live.pointer("/spec/template/spec/containers/0/env"),
        Some(&json!([{"name": "A", "value": "1"}, {"name": "INJECTED", "value": "3"}]))
    );
    let patch = three_way_patch(Some(&before), &target, &live, schemas().get(&Gvk::of(&target))).expect("objects");
    assert_eq!(
        patch.body.pointer("/spec/template/spec/containers/0"),
        Some(
            &json!({"name": "c", "env": [{"name": "B", "$patch": "delete"}], "$setElementOrder/env": [{"name": "A"}]})
        )
    );
}

#[test]
fn one_port_number_with_two_protocols_is_told_apart() {
    let service = |ports: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": ports}});
    let target = service(json!([{"name": "t", "port": 53, "targetPort": 53},
        {"name": "u", "port": 53, "protocol": "UDP", "targetPort": 54}]));
    let live = applied(
        &target,
        &service(json!([{"name": "t", "port": 53, "protocol": "TCP", "targetPort": 53, "nodePort": 30001},
            {"name": "u", "port": 53, "protocol": "UDP", "targetPort": 54, "nodePort": 30002}])),
    );
    assert!(!three_way(&target, &live).modified);
    let mut target = target;
    target["spec"]["ports"][1]["targetPort"] = json!(99);
    let outcome = three_way(&target, &live);
    let expected = json!([{"name": "t", "port": 53, "protocol": "TCP", "targetPort": 53, "nodePort": 30001},
        {"name": "u", "port": 53, "protocol": "UDP", "targetPort": 99, "nodePort": 30002}]);
    assert_eq!(outcome.predicted_live["spec"]["ports"], expected);
    // The API server would merge both changes into the first item it finds.
    let patch = three_way_patch(None, &target, &live, schemas().get(&Gvk::of(&target))).expect("objects");
    assert_eq!(patch.body["spec"]["ports"][0], json!({"$patch": "replace"}));
}

#[test]
fn unions_drop_the_member_that_is_not_named() {
    let mut before = deployment(json!({"name": "c", "image": "i"}));
    before["spec"]["template"]["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": "/x"}}]);
    let mut target = before.clone();
    target["spec"]["template"]["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    target["spec"]["strategy"] = json!({"type": "Recreate"});
    let live = applied(&before, &defaults(json!({"name": "c", "image": "i"})));
    let outcome = three_way(&target, &live);
    assert_eq!(outcome.predicted_live["spec"]["template"]["spec"]["volumes"], json!([{"name": "v", "emptyDir": {}}]));
    assert_eq!(outcome.predicted_live["spec"]["strategy"], json!({"type": "Recreate"}));
    // The other way round: an empty struct held by a pointer is a value.
    let live = applied(&before, &json!({}));
    assert!(three_way(&target, &live).modified);
}

#[test]
fn nulls_empties_and_undeclared_fields_are_as_stored() {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "d", "labels": {}, "annotations": null, "creationTimestamp": null},
        "spec": {"replicas": 1, "paused": false, "minReadySeconds": 0, "nonsense": {"x": 1}, "selector": null,
            "template": {"metadata": {}, "spec": {"containers": [], "hostNetwork": false, "nodeName": "",
                "volumes": [], "nodeSelector": {}}}},
        "status": {"replicas": 9}});
    let live = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"replicas": 1, "template": {"metadata": {}, "spec": {}}}});
    let outcome = three_way(&target, &live);
    assert!(!outcome.modified, "{}", outcome.predicted_live);
    // To be sent, undeclared fields stay: refusing them is the server's business.
    let patch = three_way_patch(None, &target, &live, schemas().get(&Gvk::of(&target))).expect("objects");
    assert_eq!(patch.body["spec"]["nonsense"], json!({"x": 1}));
    // Values of maps are stored even when they are empty.
    let map = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data});
    assert!(three_way(&map(json!({"a": ""})), &map(json!({"b": "x"}))).modified);
}

#[test]
fn lists_without_keys_are_compared_as_a_whole_but_for_defaults() {
    let policy = |ports: Value| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},
            "spec": {"podSelector": {}, "ingress": [{"ports": ports}]}})
    };
    let target = policy(json!([{"port": 80}]));
    let live = |ports| applied(&target, &policy(ports));
    assert!(!three_way(&target, &live(json!([{"port": 80, "protocol": "TCP"}]))).modified);
    assert!(three_way(&target, &live(json!([{"port": 81, "protocol": "TCP"}]))).modified);
    assert!(three_way(&target, &live(json!([{"port": 80}, {"port": 81}]))).modified);
    let mut widened = live(json!([{"port": 80}]));
    widened["spec"]["ingress"][0]["from"] = json!([{"podSelector": {}}]);
    assert!(three_way(&target, &widened).modified, "nobody's default is a list of peers");
}

#[test]
fn custom_resources_merge_as_plain_json() {
    let custom =
        |spec: Value| json!({"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "f"}, "spec": spec});
    let target = custom(json!({"items": [{"a": 1}], "kept": "1000m"}));
    let live = applied(&target, &custom(json!({"items": [{"a": 1, "defaulted": true}], "kept": "1000m", "extra": 1})));
    assert!(!three_way(&target, &live).modified);
    // An item's field that was applied and is wanted no more.
    let before = custom(json!({"items": [{"a": 1, "b": 2}], "kept": "1000m"}));
    assert!(three_way(&target, &applied(&before, &json!({}))).modified);
    assert!(three_way(&custom(json!({"kept": "1"})), &live).modified, "no schema, no quantities");
    let patch = three_way_patch(None, &custom(json!({"items": []})), &live, None).expect("objects");
    assert_eq!((patch.kind, patch.body), (PatchKind::JsonMerge, json!({"spec": {"items": []}})));
}

#[test]
fn one_side_alone_is_not_compared() {
    let (normalizer, _) = Normalizer::compile(&NormalizerConfig::default());
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "uid": "u"}});
    let schemas = schemas();
    let input = DiffInput {
        target: None,
        live: Some(&object),
        normalizer: &normalizer,
        schemas: &schemas,
        mode: Mode::ThreeWay,
    };
    let outcome = diff(input);
    assert!(!outcome.modified && outcome.predicted_live.is_null());
    let outcome = diff(DiffInput { target: Some(&object), live: None, ..input });
    assert!(outcome.modified && outcome.normalized_live.is_null());
}

#[test]
fn string_data_is_what_it_becomes() {
    let secret = |field: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, field: data});
    let target = secret("stringData", json!({"k": "v"}));
    let before = secret("stringData", json!({"k": "v", "old": "x"}));
    let mut live = applied(&before, &json!({"data": {"k": "dg==", "old": "eA=="}, "type": "Opaque"}));
    live.as_object_mut().expect("a map").remove("stringData");
    let outcome = three_way(&target, &live);
    assert_eq!(outcome.predicted_live["data"], json!({"k": "dg=="}), "the old key is pruned");
    let mut live = applied(&target, &json!({"data": {"k": "dg=="}, "type": "Opaque"}));
    live.as_object_mut().expect("a map").remove("stringData");
    assert!(!three_way(&target, &live).modified);
}

#[test]
fn a_broken_memory_of_the_last_apply_is_no_memory() {
    let target = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}});
    let mut live = applied(&target, &json!({"data": {"b": "2"}}));
    for text in ["", "{", "null", "[]", "\"x\""] {
        live["metadata"]["annotations"][merge::LAST_APPLIED] = json!(text);
        assert!(!three_way(&target, &live).modified, "{text}");
    }
}

#[test]
fn server_side_apply_removes_what_the_manager_gave_up() {
    let target = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}});
    let live = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "m", "managedFields": [
            {"manager": MANAGER, "operation": "Apply", "fieldsV1":
                {"f:data": {"f:a": {}, "f:gone": {}, "f:shared": {}}}},
            {"manager": "other", "operation": "Update", "fieldsV1": {"f:data": {"f:shared": {}, "f:theirs": {}}}}]},
        "data": {"a": "1", "gone": "2", "shared": "3", "theirs": "4"}});
    let outcome = run(&target, &live, Mode::ServerSideApply { manager: MANAGER }, &NormalizerConfig::default());
    assert!(outcome.modified);
    assert_eq!(outcome.predicted_live["data"], json!({"a": "1", "shared": "3", "theirs": "4"}));
}

#[test]
fn the_servers_own_dry_run_counts_without_the_webhooks_changes() {
    let managed = |data: Value, fields: Value| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data, "metadata": {"name": "m",
            "resourceVersion": "1", "managedFields": [
                {"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:data": fields}}]}})
    };
    let live = managed(json!({"a": "1"}), json!({"f:a": {}}));
    let mutated = managed(json!({"a": "1", "injected": "x"}), json!({"f:a": {}}));
    let target = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}});
    let mode = |predicted, include_mutation_webhook| Mode::ServerSideDryRun {
        predicted,
        manager: MANAGER,
        include_mutation_webhook,
    };
    assert!(!run(&target, &live, mode(&mutated, false), &NormalizerConfig::default()).modified);
    assert!(run(&target, &live, mode(&mutated, true), &NormalizerConfig::default()).modified);
    let changed = managed(json!({"a": "2"}), json!({"f:a": {}}));
    assert!(run(&target, &live, mode(&changed, false), &NormalizerConfig::default()).modified);
    // A key the manager gave up is gone in the answer: that is ours, not a webhook's.
    let live = managed(json!({"a": "1", "b": "2"}), json!({"f:a": {}, "f:b": {}}));
    let outcome =
        run(&target, &live, mode(&managed(json!({"a": "1"}), json!({"f:a": {}})), false), &NormalizerConfig::default());
    assert!(outcome.modified);
    assert_eq!(outcome.predicted_live["data"], json!({"a": "1"}));
}

#[test]
fn ignored_fields_count_on_neither_side() {
    let target = deployment(json!({"name": "c", "image": "a"}));
    let mut live = applied(&target, &json!({"spec": {"replicas": 7}}));
    live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("b");
    live["metadata"]["managedFields"] =
        json!([{"manager": "hpa", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
    let rule = IgnoreRule { group: "a*".to_owned(), kind: "Deployment".to_owned(), ..IgnoreRule::default() };
    let image = ".spec.template.spec.containers[] | select(.name == \"c\") | .image";
    let with = |pointers: &[&str], jq: &[&str], managers: &[&str], name: &str| {
        let own = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        NormalizerConfig {
            rules: vec![IgnoreRule {
                json_pointers: own(pointers),
                jq_path_expressions: own(jq),
                managed_fields_managers: own(managers),
                name: name.to_owned(),
                ..rule.clone()
            }],
            ..NormalizerConfig::default()
        }
    };
    for (config, modified) in [
        (with(&["/spec/replicas"], &[image], &[], ""), false),
        (with(&[], &[image], &["hpa"], "d"), false),
        (with(&["/spec/replicas"], &[], &[], ""), true),
        (with(&["/spec/replicas"], &[image], &[], "other"), true),
    ] {
        let outcome = run(&target, &live, Mode::ThreeWay, &config);
        assert_eq!(outcome.modified, modified, "{config:?}");
        assert_eq!(outcome.skipped, []);
    }
    // A failing expression is reported and does not hide the drift.
    let outcome = run(&target, &live, Mode::ThreeWay, &with(&[], &[".metadata.name[]", "last(repeat(.))"], &[], ""));
    assert!(outcome.modified);
    assert_eq!(outcome.skipped.len(), 4, "each once for each side: {:?}", outcome.skipped);
}

#[test]
fn status_counts_only_where_it_is_asked_for() {
    let object =
        |n: u32| json!({"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "f"}, "status": {"n": n}});
    let config = |ignore_status| NormalizerConfig { ignore_status, ..NormalizerConfig::default() };
    for (ignore, modified) in [(IgnoreStatus::All, false), (IgnoreStatus::Crd, true), (IgnoreStatus::None, true)] {
        assert_eq!(run(&object(1), &object(2), Mode::ThreeWay, &config(ignore)).modified, modified, "{ignore:?}");
    }
}
