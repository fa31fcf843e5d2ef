//! What the kinds promise.

use serde_json::json;

use super::*;

fn kind(group: &str, version: &str, plural: &str) -> Arc<Kind> {
    Kinds::new().find(group, version, plural).expect("is built in")
}

#[test]
fn a_deployment_is_completed_as_the_api_server_does() {
    let given = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d1", "labels": {}},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "paused": false, "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "nginx", "env": [{"name": "E", "value": ""}],
                "resources": {"limits": {"cpu": "1000m"}},
                "ports": [{"containerPort": 80}], "readinessProbe": {"httpGet": {"port": 80}}}],
                "volumes": [{"name": "v", "configMap": {"name": "x"}}, {"name": "e", "emptyDir": {}}]}}},
    });
    let read = kind("apps", "v1", "deployments").decode(given).expect("reads");
    assert_eq!(read.unknown, Vec::<String>::new());
    assert_eq!(
        read.value,
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d1"},
            "spec": {
                "replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
                    "volumes": [{"name": "v", "configMap": {"name": "x", "defaultMode": 420}}, {"name": "e", "emptyDir": {}}],
                    "containers": [{"name": "c", "image": "nginx", "env": [{"name": "E"}],
                        "ports": [{"containerPort": 80, "protocol": "TCP"}],
                        "resources": {"limits": {"cpu": "1"}},
                        "readinessProbe": {"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "timeoutSeconds": 1,
                            "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
                        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "imagePullPolicy": "Always"}],
                    "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
                    "securityContext": {}, "schedulerName": "default-scheduler"}}},
            "status": {},
        })
    );
}

#[test]
fn unknown_fields_are_dropped_and_told() {
    let given = json!({"metadata": {"name": "s", "bad": 1}, "spec": {"ports": [{"port": 80, "prot": "x"}], "foo": 1}});
    let read = kind("", "v1", "services").decode(given).expect("reads");
    assert_eq!(read.unknown, ["metadata.bad", "spec.ports[0].prot", "spec.foo"]);
}

#[test]
fn a_value_of_the_wrong_type_is_refused_in_gos_words() {
    let given = json!({"metadata": {"name": "d"}, "spec": {"replicas": "x"}});
    let error = kind("apps", "v1", "deployments").decode(given).expect_err("refuses");
    assert_eq!(
        error.0,
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
    );
}

fn definition() -> Value {
    let mut definition = json!({
        "metadata": {"name": "foos.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                 "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "required": ["size"],
                    "properties": {"size": {"type": "integer", "minimum": 1}, "mode": {"type": "string", "enum": ["a", "b"], "default": "a"}}}}}}},
                {"name": "v1beta1", "served": true, "storage": false,
                 "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}},
            ],
        },
    });
    custom::accept(&mut definition, "1970-01-01T00:00:00Z");
    definition
}

#[test]
fn a_definition_brings_its_kinds_and_takes_them_away() {
    let kinds = Kinds::new();
    let definition = definition();
    assert_eq!(definition.pointer("/status/acceptedNames/listKind"), Some(&json!("FooList")));
    assert_eq!(definition.pointer("/status/storedVersions"), Some(&json!(["v1"])));
    kinds.define("foos.example.com", custom::kinds_of(&definition));
    let foo = kinds.find("example.com", "v1", "foos").expect("is served");
    assert!(foo.has_status() && !foo.is_strategic() && foo.schema().is_some());
    assert_eq!(kinds.find("example.com", "v1beta1", "foos").expect("is served").storage_version, "v1");
    kinds.define("foos.example.com", Vec::new());
    assert!(kinds.find("example.com", "v1", "foos").is_none());
}

#[test]
fn custom_resources_are_pruned_completed_and_validated() {
    let kinds = custom::kinds_of(&definition());
    let read = kinds[0].decode(json!({"metadata": {"name": "x"}, "spec": {"size": 0, "nope": 1}})).expect("reads");
    assert_eq!(read.unknown, ["spec.nope"]);
    assert_eq!(read.value["spec"], json!({"size": 0, "mode": "a"}));
    let mut faults = Vec::new();
    let custom = kinds[0].custom.as_ref().expect("is custom");
    custom.validate(&json!({"spec": {"size": 0, "mode": "c"}}), &mut faults);
    let texts: Vec<String> = faults.iter().map(|f| format!("{}: {}", f.field, f.message)).collect();
    assert_eq!(
        texts,
        [
            "spec.mode: Unsupported value: \"c\": supported values: \"a\", \"b\"",
            "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1",
        ]
    );
}
