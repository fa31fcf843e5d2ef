//! What ownership promises.

use serde_json::{Value, json};

use super::*;
use crate::kinds::Kinds;

fn writer<'a>(manager: &'a str, operation: &'a str) -> Writer<'a> {
    Writer { manager, operation, api_version: "apps/v1", subresource: "", now: Some("1970-01-01T00:00:00Z") }
}

#[test]
fn a_created_deployment_is_owned_as_the_api_server_says() {
    let kind = Kinds::new().find("apps", "v1", "deployments").expect("is built in");
    let given = json!({
        "metadata": {"name": "d1"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "containers": [{"name": "c", "image": "nginx", "ports": [{"containerPort": 80}], "readinessProbe": {"httpGet": {"port": 80}}}],
            "volumes": [{"name": "v", "configMap": {"name": "x"}}, {"name": "e", "emptyDir": {}}]}}},
    });
    let new = kind.decode(given).expect("reads").value;
    let mut managed = Managed::default();
    managed.update(&kind.skeleton(), &new, kind.schema(), &writer("curl", "Update"), &[&["status"]]);
    // As a real API server 1.36 answered.
    let wanted = r#"{"f:spec":{"f:progressDeadlineSeconds":{},"f:replicas":{},"f:revisionHistoryLimit":{},"f:selector":{},"f:strategy":{"f:rollingUpdate":{".":{},"f:maxSurge":{},"f:maxUnavailable":{}},"f:type":{}},"f:template":{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},"f:readinessProbe":{".":{},"f:failureThreshold":{},"f:httpGet":{".":{},"f:path":{},"f:port":{},"f:scheme":{}},"f:periodSeconds":{},"f:successThreshold":{},"f:timeoutSeconds":{}},"f:resources":{},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{},"f:volumes":{".":{},"k:{\"name\":\"e\"}":{".":{},"f:emptyDir":{},"f:name":{}},"k:{\"name\":\"v\"}":{".":{},"f:configMap":{".":{},"f:defaultMode":{},"f:name":{}},"f:name":{}}}}}}}"#;
    let wanted: Value = serde_json::from_str(wanted).expect("is JSON");
    assert_eq!(managed.write()[0]["fieldsV1"], wanted);
}

#[test]
fn an_apply_over_anothers_field_is_a_conflict_unless_forced() {
    let kind = Kinds::new().find("", "v1", "configmaps").expect("is built in");
    let old = json!({"metadata": {"name": "a"}, "data": {"k": "1"}});
    let new = json!({"metadata": {"name": "a"}, "data": {"k": "2"}});
    let mut managed = Managed::default();
    managed.update(&json!({"metadata": {}}), &old, kind.schema(), &writer("curl", "Update"), &[]);
    let apply = |managed: &mut Managed, force| {
        managed.apply(&old, &new, Applied { value: &new, force }, kind.schema(), &writer("me", "Apply"), &[])
    };
    let refusal = apply(&mut managed.clone(), false).expect_err("conflicts");
    assert_eq!(refusal.message, "Apply failed with 1 conflict: conflict with \"curl\" using apps/v1: .data.k");
    apply(&mut managed, true).expect("is forced");
    let entries = managed.write();
    assert_eq!(entries[0]["manager"], "me");
    assert_eq!(entries[1]["fieldsV1"], json!({"f:data": {}}), "the map itself stays with who made it");
}

#[test]
fn what_is_no_set_of_fields_reads_as_a_field_and_is_written_as_one() {
    let set = FieldSet::parse(&json!({"f:spec": {"f:replicas": 1, "f:paused": null}}));
    assert_eq!(set.write(), json!({"f:spec": {"f:replicas": {}, "f:paused": {}}}));
    assert_eq!(FieldSet::parse(&set.write()), set);
    let deep = (0..300).fold(json!({}), |below, _| json!({"f:a": below}));
    let set = FieldSet::parse(&deep);
    assert_eq!(FieldSet::parse(&set.write()), set);
}
