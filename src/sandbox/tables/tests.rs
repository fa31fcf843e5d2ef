use serde_json::{Value, json};

use super::*;

fn print(group: &str, kind: &str, value: &Value, columns: Option<&Value>) -> (Vec<String>, Vec<Value>) {
    let table = Printer::new(crate::stamp::fixed()).table(group, kind, &[value], columns, "Metadata").unwrap();
    let names = table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned());
    let cells = table["rows"][0]["cells"].as_array().unwrap().clone();
    (names.collect(), cells)
}

#[test]
fn every_kind_has_as_many_cells_as_columns() {
    for (group, kind) in [
        ("", "Pod"),
        ("", "Service"),
        ("", "Endpoints"),
        ("", "Node"),
        ("", "Event"),
        ("", "Namespace"),
        ("", "Secret"),
        ("", "ConfigMap"),
        ("", "ServiceAccount"),
        ("", "PersistentVolume"),
        ("", "PersistentVolumeClaim"),
        ("apps", "Deployment"),
        ("apps", "ReplicaSet"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("apps", "ControllerRevision"),
        ("batch", "Job"),
        ("batch", "CronJob"),
        ("autoscaling", "HorizontalPodAutoscaler"),
        ("networking.k8s.io", "Ingress"),
        ("networking.k8s.io", "IngressClass"),
        ("networking.k8s.io", "NetworkPolicy"),
        ("policy", "PodDisruptionBudget"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("storage.k8s.io", "StorageClass"),
        ("coordination.k8s.io", "Lease"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("apiregistration.k8s.io", "APIService"),
    ] {
        let (columns, cells) = print(group, kind, &json!({"metadata": {"name": "x"}}), None);
        assert_eq!(columns.len(), cells.len(), "{group} {kind}: {columns:?} {cells:?}");
    }
}

#[test]
fn a_pod_is_told_by_its_containers() {
    let pod = |phase: &str, state: Value| {
        json!({"metadata": {"name": "web", "creationTimestamp": "1969-12-31T23:58:00Z"},
            "spec": {"containers": [{"name": "a"}]},
            "status": {"phase": phase, "containerStatuses": [{"name": "a", "ready": true, "restartCount": 0, "state": state}]}})
    };
    let (_, cells) = print("", "Pod", &pod("Running", json!({"running": {}})), None);
    assert_eq!(cells[..5], [json!("web"), json!("1/1"), json!("Running"), json!("0"), json!("2m")]);
    let waiting = json!({"waiting": {"reason": "ImagePullBackOff"}});
    assert_eq!(print("", "Pod", &pod("Pending", waiting), None).1[2], "ImagePullBackOff");
    let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
    assert_eq!(print("", "Pod", &pod("Succeeded", ended), None).1[2], "Completed");
    let mut deleted = pod("Running", json!({"running": {}}));
    deleted["metadata"]["deletionTimestamp"] = "1970-01-01T00:00:00Z".into();
    assert_eq!(print("", "Pod", &deleted, None).1[2], "Terminating");
}

#[test]
fn a_service_shows_addresses_and_ports() {
    let service = json!({"metadata": {"name": "web"}, "spec": {"type": "NodePort", "clusterIPs": ["10.96.0.9"],
        "ports": [{"port": 80, "nodePort": 30001, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}});
    let (_, cells) = print("", "Service", &service, None);
    assert_eq!(cells[1..5], [json!("NodePort"), json!("10.96.0.9"), json!("<none>"), json!("80:30001/TCP,53/UDP")]);
}

#[test]
fn custom_resources_show_what_their_definition_says() {
    let columns = json!([
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"},
        {"name": "Label", "type": "string", "jsonPath": ".metadata.labels.example\\.com/tier", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]);
    let value = json!({"metadata": {"name": "w", "creationTimestamp": "1969-12-31T00:00:00Z", "labels": {"example.com/tier": "gold"}},
        "spec": {"size": 3}, "status": {"conditions": [{"type": "Other", "status": "No"}, {"type": "Ready", "status": "True"}]}});
    let (names, cells) = print("x", "Widget", &value, Some(&columns));
    assert_eq!(names, ["Name", "Size", "Ready", "Label", "Age"]);
    assert_eq!(cells, [json!("w"), json!(3), json!("True"), json!("gold"), json!("24h")]);
}

#[test]
fn ages_are_told_as_kubectl_tells_them() {
    let table = [
        (5, "5s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (599, "9m59s"),
        (601, "10m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (9 * 3600 + 60, "9h"),
        (49 * 3600, "2d1h"),
        (9 * 86_400, "9d"),
        (800 * 86_400, "2y70d"),
    ];
    for (seconds, wanted) in table {
        assert_eq!(text::human(seconds), wanted);
    }
}
