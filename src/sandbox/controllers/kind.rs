//! The kinds that controllers work with.

use crate::store::ObjectKey;

/// A built-in kind at the version that controllers write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) name: &'static str,
}

macro_rules! kinds {
    ($($constant:ident = $group:literal $version:literal $resource:literal $name:literal;)*) => {
        $(pub(crate) const $constant: Kind =
            Kind { group: $group, version: $version, resource: $resource, name: $name };)*
    };
}

kinds! {
    CONFIG_MAP = "" "v1" "configmaps" "ConfigMap";
    ENDPOINTS = "" "v1" "endpoints" "Endpoints";
    EVENT = "" "v1" "events" "Event";
    NAMESPACE = "" "v1" "namespaces" "Namespace";
    NODE = "" "v1" "nodes" "Node";
    CLAIM = "" "v1" "persistentvolumeclaims" "PersistentVolumeClaim";
    VOLUME = "" "v1" "persistentvolumes" "PersistentVolume";
    POD = "" "v1" "pods" "Pod";
    SECRET = "" "v1" "secrets" "Secret";
    SERVICE = "" "v1" "services" "Service";
    SERVICE_ACCOUNT = "" "v1" "serviceaccounts" "ServiceAccount";
    CONTROLLER_REVISION = "apps" "v1" "controllerrevisions" "ControllerRevision";
    DAEMON_SET = "apps" "v1" "daemonsets" "DaemonSet";
    DEPLOYMENT = "apps" "v1" "deployments" "Deployment";
    REPLICA_SET = "apps" "v1" "replicasets" "ReplicaSet";
    STATEFUL_SET = "apps" "v1" "statefulsets" "StatefulSet";
    AUTOSCALER = "autoscaling" "v2" "horizontalpodautoscalers" "HorizontalPodAutoscaler";
    CRON_JOB = "batch" "v1" "cronjobs" "CronJob";
    JOB = "batch" "v1" "jobs" "Job";
    ENDPOINT_SLICE = "discovery.k8s.io" "v1" "endpointslices" "EndpointSlice";
    DISRUPTION_BUDGET = "policy" "v1" "poddisruptionbudgets" "PodDisruptionBudget";
    CLUSTER_ROLE = "rbac.authorization.k8s.io" "v1" "clusterroles" "ClusterRole";
    STORAGE_CLASS = "storage.k8s.io" "v1" "storageclasses" "StorageClass";
}

// === impl Kind ===

impl Kind {
    /// `apps/v1`, or `v1` of the core group.
    pub(crate) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    pub(crate) fn key(&self, namespace: &str, name: &str) -> ObjectKey {
        ObjectKey::new(self.group, self.resource, namespace, name)
    }

    /// Whether objects that controllers make of this kind say how often their spec changed.
    pub(crate) fn counts_generations(&self) -> bool {
        matches!(self.resource, "replicasets" | "jobs" | "pods" | "endpointslices")
    }

    pub(crate) fn is_of(&self, key: &ObjectKey) -> bool {
        *key.group == *self.group && *key.resource == *self.resource
    }
}
