//! What is in a cluster before anybody has put anything in.

use argosy_model::object;
use serde_json::{Value, json};

use crate::controllers::{CLUSTER_ROLE, ENDPOINT_SLICE, ENDPOINTS, Kind, NAMESPACE, NODE, SERVICE, STORAGE_CLASS};
use crate::rbac::bootstrap_objects;
use crate::stamp::Stamps;
use crate::store::{Store, StoreError};

/// What a fresh cluster has.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// The name of its one node; `None` for a cluster that runs nothing.
    pub node: Option<String>,
    /// Whether `admin`, `edit` and `view` are there. They are most of what a fresh cluster stores.
    pub user_facing_roles: bool,
    /// What the node says it runs, such as `v1.36.3`.
    pub version: String,
    /// Where the API server listens, for the endpoints of the service `kubernetes`.
    pub address: std::net::SocketAddr,
}

/// Puts in what is missing. Safe to repeat.
///
/// # Errors
/// [`StoreError::Disk`].
pub fn bootstrap(store: &Store, stamps: &Stamps, what: &Bootstrap) -> Result<(), StoreError> {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        add(store, stamps, &NAMESPACE, namespace(name))?;
    }
    for value in bootstrap_objects(what.user_facing_roles) {
        let resource = if value["kind"] == "ClusterRole" { "clusterroles" } else { "clusterrolebindings" };
        let name = if value["kind"] == "ClusterRole" { "ClusterRole" } else { "ClusterRoleBinding" };
        add(store, stamps, &Kind { resource, name, ..CLUSTER_ROLE }, value)?;
    }
    add(store, stamps, &SERVICE, service())?;
    let (ip, port) = (what.address.ip(), what.address.port());
    let ports = json!([{"name": "https", "port": port, "protocol": "TCP"}]);
    let metadata = json!({
        "name": "kubernetes",
        "namespace": "default",
        "labels": {"endpointslice.kubernetes.io/skip-mirror": "true", "kubernetes.io/service-name": "kubernetes"},
    });
    let subsets = json!([{"addresses": [{"ip": ip}], "ports": ports}]);
    add(store, stamps, &ENDPOINTS, json!({"metadata": metadata, "subsets": subsets}))?;
    let endpoints = json!([{"addresses": [ip], "conditions": {"ready": true}}]);
    let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    let slice = json!({"metadata": metadata, "addressType": family, "endpoints": endpoints, "ports": ports});
    add(store, stamps, &ENDPOINT_SLICE, slice)?;
    if let Some(name) = &what.node {
        add(store, stamps, &NODE, node(name, &what.version, &stamps.now()))?;
        add(store, stamps, &STORAGE_CLASS, storage_class())?;
    }
    Ok(())
}

fn add(store: &Store, stamps: &Stamps, kind: &Kind, mut value: Value) -> Result<(), StoreError> {
    let key = kind.key(object::namespace(&value), object::name(&value));
    if store.get(&key).is_some() {
        return Ok(());
    }
    value["apiVersion"] = kind.api_version().into();
    value["kind"] = kind.name.into();
    stamps.stamp(&mut value);
    match store.create(&key, value) {
        Ok(_) | Err(StoreError::Exists) => Ok(()),
        Err(error) => Err(error),
    }
}

fn namespace(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    })
}

fn service() -> Value {
    json!({
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": "10.96.0.1",
            "clusterIPs": ["10.96.0.1"],
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
        "status": {"loadBalancer": {}},
    })
}

fn storage_class() -> Value {
    json!({
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "sandbox.argosy.io/local",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    })
}

fn node(name: &str, version: &str, now: &str) -> Value {
    let resources = json!({
        "cpu": "1k", "memory": "4Ti", "ephemeral-storage": "16Ti", "pods": "100k", "hugepages-1Gi": "0", "hugepages-2Mi": "0",
    });
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        })
    };
    json!({
        "metadata": {
            "name": name,
            "labels": {
                "beta.kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "node-role.kubernetes.io/control-plane": "",
            },
        },
        "spec": {"podCIDR": "10.128.0.0/9", "podCIDRs": ["10.128.0.0/9"]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": name}],
            "allocatable": resources,
            "capacity": resources,
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "simulated://1", "kernelVersion": "simulated",
                "kubeProxyVersion": "", "kubeletVersion": version, "machineID": "", "operatingSystem": "linux",
                "osImage": "Argosy sandbox", "systemUUID": "",
            },
        },
    })
}
