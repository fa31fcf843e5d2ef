//! The columns of built-in kinds.

use super::Column;

/// The columns of a kind, as `name[:type][+]` separated by `|`; a plus is for
/// `-o wide`. `None` for a kind that has only a name and an age.
pub(super) fn of(group: &str, kind: &str) -> Option<&'static str> {
    let columns = match (group, kind) {
        ("", "Pod") => "Name|Ready|Status|Restarts|Age|IP+|Node+|Nominated Node+|Readiness Gates+",
        ("", "Service") => "Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector+",
        ("", "Endpoints") => "Name|Endpoints|Age",
        ("", "Node") => {
            "Name|Status|Roles|Age|Version|Internal-IP+|External-IP+|OS-Image+|Kernel-Version+|Container-Runtime+"
        }
        ("" | "events.k8s.io", "Event") => {
            "Last Seen|Type|Reason|Object|Subobject+|Source+|Message|First Seen+|Count+|Name+"
        }
        ("", "Namespace") => "Name|Status|Age",
        ("", "Secret") => "Name|Type|Data|Age",
        ("", "ConfigMap") => "Name|Data|Age",
        ("", "ServiceAccount") => "Name|Age",
        ("", "PersistentVolume") => {
            "Name|Capacity|Access Modes|Reclaim Policy|Status|Claim|StorageClass|VolumeAttributesClass|Reason|Age|VolumeMode+"
        }
        ("", "PersistentVolumeClaim") => {
            "Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|VolumeMode+"
        }
        ("apps", "Deployment") => "Name|Ready|Up-to-date|Available|Age|Containers+|Images+|Selector+",
        ("apps", "ReplicaSet") => {
            "Name|Desired:integer|Current:integer|Ready:integer|Age|Containers+|Images+|Selector+"
        }
        ("", "ReplicationController") => {
            "Name|Desired:integer|Current:integer|Ready:integer|Age|Containers+|Images+|Selector+"
        }
        ("", "ResourceQuota") => "Name|Request|Limit|Age",
        ("scheduling.k8s.io", "PriorityClass") => "Name|Value:integer|Global-Default:boolean|Age|PreemptionPolicy",
        ("apps", "StatefulSet") => "Name|Ready|Age|Containers+|Images+",
        ("apps", "DaemonSet") => {
            "Name|Desired:integer|Current:integer|Ready:integer|Up-to-date:integer|Available:integer|Node Selector|Age|\
             Containers+|Images+|Selector+"
        }
        ("apps", "ControllerRevision") => "Name|Controller|Revision|Age",
        ("batch", "Job") => "Name|Status|Completions|Duration|Age|Containers+|Images+|Selector+",
        ("batch", "CronJob") => {
            "Name|Schedule|Timezone|Suspend:boolean|Active:integer|Last Schedule|Age|Containers+|Images+|Selector+"
        }
        ("autoscaling", "HorizontalPodAutoscaler") => "Name|Reference|Targets|MinPods|MaxPods|Replicas|Age",
        ("networking.k8s.io", "Ingress") => "Name|Class|Hosts|Address|Ports|Age",
        ("networking.k8s.io", "IngressClass") => "Name|Controller|Parameters|Age",
        ("networking.k8s.io", "NetworkPolicy") => "Name|Pod-Selector|Age",
        ("policy", "PodDisruptionBudget") => "Name|Min Available|Max Unavailable|Allowed Disruptions:integer|Age",
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            "Name|Role|Age|Users+|Groups+|ServiceAccounts+"
        }
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => "Name|Created At",
        ("storage.k8s.io", "StorageClass") => {
            "Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age"
        }
        ("coordination.k8s.io", "Lease") => "Name|Holder|Age",
        ("discovery.k8s.io", "EndpointSlice") => "Name|AddressType|Ports|Endpoints|Age",
        ("apiextensions.k8s.io", "CustomResourceDefinition") => "Name|Created At",
        ("apiregistration.k8s.io", "APIService") => "Name|Service|Available|Age",
        _ => return None,
    };
    Some(columns)
}

pub(super) fn parse(columns: &str) -> Vec<Column> {
    columns.split('|').map(parse_one).collect()
}

fn parse_one(column: &str) -> Column {
    let (column, priority) = column.strip_suffix('+').map_or((column, 0), |column| (column, 1));
    let (name, kind) = column.split_once(':').unwrap_or((column, "string"));
    let kind = if name == "Created At" { "date" } else { kind };
    let format = if name == "Name" { "name" } else { "" };
    let description = match name {
        "Name" => NAME.to_owned(),
        "Age" | "Created At" => AGE.to_owned(),
        name => format!("The {} of the object.", name.to_lowercase()),
    };
    Column { name: name.to_owned(), kind: kind.to_owned(), format: format.to_owned(), priority, description }
}

const NAME: &str = "Name must be unique within a namespace.";
const AGE: &str = "CreationTimestamp is the time at which the object was created.";
