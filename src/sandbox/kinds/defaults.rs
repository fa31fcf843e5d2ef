//! The defaults that Kubernetes' own kinds have in code and not in their schemas,
//! as a table of definition, field and value, and what cannot be said in a table.

mod structs;

use serde_json::{Map, Value, json};

use self::structs::{affinity, behavior, host_ports, traffic};

/// Definition (without the common start), field, default as JSON.
const TABLE: &[(&str, &str, &str)] = &[
    ("core.v1.PodSpec", "restartPolicy", "\"Always\""),
    ("core.v1.PodSpec", "dnsPolicy", "\"ClusterFirst\""),
    ("core.v1.PodSpec", "schedulerName", "\"default-scheduler\""),
    ("core.v1.PodSpec", "terminationGracePeriodSeconds", "30"),
    ("core.v1.PodSpec", "securityContext", "{}"),
    ("core.v1.Container", "terminationMessagePath", "\"/dev/termination-log\""),
    ("core.v1.Container", "terminationMessagePolicy", "\"File\""),
    ("core.v1.EphemeralContainer", "terminationMessagePath", "\"/dev/termination-log\""),
    ("core.v1.EphemeralContainer", "terminationMessagePolicy", "\"File\""),
    ("core.v1.ContainerPort", "protocol", "\"TCP\""),
    ("core.v1.Probe", "timeoutSeconds", "1"),
    ("core.v1.Probe", "periodSeconds", "10"),
    ("core.v1.Probe", "successThreshold", "1"),
    ("core.v1.Probe", "failureThreshold", "3"),
    ("core.v1.HTTPGetAction", "path", "\"/\""),
    ("core.v1.HTTPGetAction", "scheme", "\"HTTP\""),
    ("core.v1.GRPCAction", "service", "\"\""),
    ("core.v1.ObjectFieldSelector", "apiVersion", "\"v1\""),
    ("core.v1.ResourceFieldSelector", "divisor", "\"0\""),
    ("core.v1.SecretVolumeSource", "defaultMode", "420"),
    ("core.v1.ConfigMapVolumeSource", "defaultMode", "420"),
    ("core.v1.DownwardAPIVolumeSource", "defaultMode", "420"),
    ("core.v1.ProjectedVolumeSource", "defaultMode", "420"),
    ("core.v1.ServiceAccountTokenProjection", "expirationSeconds", "3600"),
    ("core.v1.HostPathVolumeSource", "type", "\"\""),
    ("core.v1.PersistentVolumeClaimSpec", "volumeMode", "\"Filesystem\""),
    ("core.v1.PersistentVolumeClaimStatus", "phase", "\"Pending\""),
    ("core.v1.PersistentVolumeSpec", "persistentVolumeReclaimPolicy", "\"Retain\""),
    ("core.v1.PersistentVolumeSpec", "volumeMode", "\"Filesystem\""),
    ("core.v1.PersistentVolumeStatus", "phase", "\"Pending\""),
    ("core.v1.ServiceSpec", "sessionAffinity", "\"None\""),
    ("core.v1.ServiceSpec", "type", "\"ClusterIP\""),
    ("core.v1.ServicePort", "protocol", "\"TCP\""),
    ("core.v1.EndpointPort", "protocol", "\"TCP\""),
    ("discovery.v1.EndpointPort", "name", "\"\""),
    ("discovery.v1.EndpointPort", "protocol", "\"TCP\""),
    ("core.v1.NamespaceStatus", "phase", "\"Active\""),
    ("core.v1.Secret", "type", "\"Opaque\""),
    ("core.v1.ReplicationControllerSpec", "replicas", "1"),
    ("apps.v1.DeploymentSpec", "replicas", "1"),
    ("apps.v1.DeploymentSpec", "revisionHistoryLimit", "10"),
    ("apps.v1.DeploymentSpec", "progressDeadlineSeconds", "600"),
    ("apps.v1.DeploymentStrategy", "type", "\"RollingUpdate\""),
    ("apps.v1.ReplicaSetSpec", "replicas", "1"),
    ("apps.v1.StatefulSetSpec", "replicas", "1"),
    ("apps.v1.StatefulSetSpec", "podManagementPolicy", "\"OrderedReady\""),
    ("apps.v1.StatefulSetSpec", "revisionHistoryLimit", "10"),
    (
        "apps.v1.StatefulSetSpec",
        "persistentVolumeClaimRetentionPolicy",
        "{\"whenDeleted\":\"Retain\",\"whenScaled\":\"Retain\"}",
    ),
    ("apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy", "whenDeleted", "\"Retain\""),
    ("apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy", "whenScaled", "\"Retain\""),
    ("apps.v1.StatefulSetUpdateStrategy", "type", "\"RollingUpdate\""),
    ("apps.v1.DaemonSetSpec", "revisionHistoryLimit", "10"),
    ("apps.v1.DaemonSetUpdateStrategy", "type", "\"RollingUpdate\""),
    ("batch.v1.CronJobSpec", "concurrencyPolicy", "\"Allow\""),
    ("batch.v1.CronJobSpec", "suspend", "false"),
    ("batch.v1.CronJobSpec", "successfulJobsHistoryLimit", "3"),
    ("batch.v1.CronJobSpec", "failedJobsHistoryLimit", "1"),
    ("autoscaling.v1.HorizontalPodAutoscalerSpec", "minReplicas", "1"),
    ("autoscaling.v2.HorizontalPodAutoscalerSpec", "minReplicas", "1"),
    ("storage.v1.StorageClass", "reclaimPolicy", "\"Delete\""),
    ("storage.v1.StorageClass", "volumeBindingMode", "\"Immediate\""),
    ("storage.v1.CSIDriverSpec", "attachRequired", "true"),
    ("storage.v1.CSIDriverSpec", "podInfoOnMount", "false"),
    ("storage.v1.CSIDriverSpec", "storageCapacity", "false"),
    ("storage.v1.CSIDriverSpec", "fsGroupPolicy", "\"ReadWriteOnceWithFSType\""),
    ("storage.v1.CSIDriverSpec", "requiresRepublish", "false"),
    ("storage.v1.CSIDriverSpec", "seLinuxMount", "false"),
    ("storage.v1.CSIDriverSpec", "volumeLifecycleModes", "[\"Persistent\"]"),
    ("networking.v1.NetworkPolicyPort", "protocol", "\"TCP\""),
    ("scheduling.v1.PriorityClass", "preemptionPolicy", "\"PreemptLowerPriority\""),
    ("admissionregistration.v1.ServiceReference", "port", "443"),
    ("apiregistration.v1.ServiceReference", "port", "443"),
    ("admissionregistration.v1.RuleWithOperations", "scope", "\"*\""),
    ("apiextensions.v1.ServiceReference", "port", "443"),
    ("apiextensions.v1.CustomResourceConversion", "strategy", "\"None\""),
    ("apiextensions.v1.CustomResourceDefinitionSpec", "conversion", "{\"strategy\":\"None\"}"),
];

/// What a Job's spec defaults to.
const JOB: &[(&str, &str)] =
    &[("backoffLimit", "6"), ("completionMode", "\"NonIndexed\""), ("suspend", "false"), ("manualSelector", "false")];

/// What both kinds of webhooks default to.
const WEBHOOK: &[(&str, &str)] = &[
    ("failurePolicy", "\"Fail\""),
    ("matchPolicy", "\"Equivalent\""),
    ("namespaceSelector", "{}"),
    ("objectSelector", "{}"),
    ("timeoutSeconds", "10"),
];

/// Lists and times that are stored even when they are empty or missing.
const PLAIN_LISTS: &[(&str, &str)] = &[
    ("core.v1.PodSpec", "containers"),
    ("rbac.v1.Role", "rules"),
    ("rbac.v1.ClusterRole", "rules"),
    ("autoscaling.v2.HorizontalPodAutoscalerStatus", "currentMetrics"),
    ("core.v1.Event", "eventTime"),
    ("core.v1.Event", "firstTimestamp"),
    ("core.v1.Event", "lastTimestamp"),
    ("events.v1.Event", "eventTime"),
    ("events.v1.Event", "deprecatedFirstTimestamp"),
    ("events.v1.Event", "deprecatedLastTimestamp"),
    ("core.v1.LimitRangeSpec", "limits"),
    ("storage.v1.CSINodeSpec", "drivers"),
    ("discovery.v1.EndpointSlice", "endpoints"),
    ("discovery.v1.EndpointSlice", "ports"),
    ("discovery.v1.Endpoint", "addresses"),
];

/// Whether a list has no `omitempty`.
pub(super) fn is_plain_list(definition: &str, field: &str) -> bool {
    PLAIN_LISTS.iter().any(|(d, f)| definition.ends_with(d) && field == *f)
}

/// Whether a list that is given empty stays so; others become nothing on their way.
pub(super) fn keeps_empty_list(definition: &str, field: &str) -> bool {
    let is_never_empty = [".rbac.", "LimitRangeSpec", "CSINodeSpec"].iter().any(|name| definition.contains(name));
    is_plain_list(definition, field) && !is_never_empty
}

/// Fills in the defaults of one struct.
pub(super) fn complete(definition: &str, fields: &mut Map<String, Value>) {
    for (_, field, default) in TABLE.iter().filter(|(d, _, _)| definition.ends_with(d)) {
        insert(fields, field, default);
    }
    for (d, field) in PLAIN_LISTS {
        if definition.ends_with(d) {
            fields.entry((*field).to_owned()).or_insert(Value::Null);
        }
    }
    let short = definition.strip_prefix("io.k8s.api.").unwrap_or(definition);
    match short {
        "core.v1.Container" | "core.v1.EphemeralContainer" => pull_policy(fields),
        "core.v1.PodSpec" => {
            // The old name of the same, which is still written.
            if let Some(account) = fields.get("serviceAccountName").cloned() {
                fields.entry("serviceAccount".to_owned()).or_insert(account);
            } else if let Some(account) = fields.get("serviceAccount").cloned() {
                fields.insert("serviceAccountName".to_owned(), account);
            }
        }
        "core.v1.ServicePort" => {
            if let Some(port) = fields.get("port").cloned() {
                fields.entry("targetPort".to_owned()).or_insert(port);
            }
        }
        "apps.v1.DeploymentStrategy" => {
            rolling(fields, &json!({"maxUnavailable": "25%", "maxSurge": "25%"}));
        }
        "apps.v1.StatefulSetUpdateStrategy" => rolling(fields, &json!({"partition": 0})),
        "apps.v1.DaemonSetUpdateStrategy" => rolling(fields, &json!({"maxUnavailable": 1, "maxSurge": 0})),
        "networking.v1.NetworkPolicySpec" => policy_types(fields),
        "admissionregistration.v1.ValidatingWebhook" | "admissionregistration.v1.MutatingWebhook" => {
            for (field, default) in WEBHOOK {
                insert(fields, field, default);
            }
            if short.ends_with("MutatingWebhook") {
                insert(fields, "reinvocationPolicy", "\"Never\"");
            }
        }
        "core.v1.ServiceSpec" => {
            traffic(fields);
            affinity(fields);
        }
        "core.v1.LoadBalancerIngress" if fields.get("ip").and_then(Value::as_str).is_some_and(|ip| !ip.is_empty()) => {
            insert(fields, "ipMode", "\"VIP\"");
        }
        "rbac.v1.RoleRef" => {
            let empty = fields.get("apiGroup").and_then(Value::as_str).unwrap_or("").is_empty();
            if empty {
                fields.insert("apiGroup".to_owned(), "rbac.authorization.k8s.io".into());
            }
        }
        "rbac.v1.Subject" => {
            let kind = fields.get("kind").and_then(Value::as_str).unwrap_or("");
            if matches!(kind, "User" | "Group") && !fields.contains_key("apiGroup") {
                fields.insert("apiGroup".to_owned(), "rbac.authorization.k8s.io".into());
            }
        }
        "autoscaling.v2.HorizontalPodAutoscalerSpec" => {
            let target = json!({"type": "Utilization", "averageUtilization": 80});
            let metrics = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
            fields.entry("metrics".to_owned()).or_insert(metrics);
            behavior(fields);
        }
        "autoscaling.v2.HPAScalingRules" => {
            insert(fields, "selectPolicy", "\"Max\"");
        }
        other if other.ends_with("apiextensions.v1.CustomResourceDefinitionNames") => names(fields),
        _ => {}
    }
}

fn names(fields: &mut Map<String, Value>) {
    let kind = fields.get("kind").and_then(Value::as_str).unwrap_or("").to_owned();
    if kind.is_empty() {
        return;
    }
    for (field, default) in [("singular", kind.to_lowercase()), ("listKind", format!("{kind}List"))] {
        fields.entry(field.to_owned()).or_insert_with(|| default.into());
    }
}

/// Fills in what depends on the object as a whole.
pub(super) fn complete_object(definition: &str, object: &mut Value) {
    match definition {
        "io.k8s.api.core.v1.Pod" => {
            if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
                insert(spec, "enableServiceLinks", "true");
                host_ports(spec);
                let lists =
                    spec.iter_mut().filter(|(name, _)| matches!(name.as_str(), "containers" | "initContainers"));
                for container in lists.filter_map(|(_, list)| list.as_array_mut()).flatten() {
                    if let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) {
                        requests_from_limits(resources);
                    }
                }
            }
        }
        "io.k8s.api.apps.v1.DaemonSet" => {
            const GENERATION: &str = "deprecated.daemonset.template.generation";
            if argosy_model::object::annotation(object, GENERATION).is_none() {
                argosy_model::object::set_annotation(object, GENERATION, "1");
            }
        }
        "io.k8s.api.core.v1.Namespace" => {
            let name = argosy_model::object::name(object).to_owned();
            if !name.is_empty() {
                argosy_model::object::set_label(object, "kubernetes.io/metadata.name", &name);
            }
        }
        "io.k8s.api.core.v1.ReplicationController" => {
            let labels = object.pointer("/spec/template/metadata/labels").cloned();
            let Some(labels) = labels.filter(|labels| labels.as_object().is_some_and(|l| !l.is_empty())) else {
                return;
            };
            if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
                if spec.get("minReadySeconds") == Some(&json!(0)) {
                    spec.remove("minReadySeconds");
                }
                spec.entry("selector".to_owned()).or_insert_with(|| labels.clone());
            }
            take_labels(object, labels);
        }
        "io.k8s.api.batch.v1.Job" => {
            let labels = object.pointer("/spec/template/metadata/labels").cloned();
            if let Some(labels) = labels.filter(|labels| labels.as_object().is_some_and(|l| !l.is_empty())) {
                take_labels(object, labels);
            }
            if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
                job(spec);
            }
        }
        "io.k8s.api.core.v1.Secret" => fold_string_data(object),
        "io.k8s.api.apps.v1.StatefulSet" => {
            let claims = object.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut);
            for claim in claims.into_iter().flatten().filter_map(Value::as_object_mut) {
                insert(claim, "apiVersion", "\"v1\"");
                insert(claim, "kind", "\"PersistentVolumeClaim\"");
            }
        }
        _ => {}
    }
}

/// The labels of a template are those of an object that has none.
fn take_labels(object: &mut Value, labels: Value) {
    if let Some(metadata) = argosy_model::object::metadata(object) {
        metadata.entry("labels".to_owned()).or_insert(labels);
    }
}

fn insert(fields: &mut Map<String, Value>, field: &str, default: &str) {
    fields
        .entry(field.to_owned())
        .or_insert_with(|| serde_json::from_str(default).expect("the table of defaults holds JSON"));
}

fn rolling(fields: &mut Map<String, Value>, default: &Value) {
    let is_rolling = fields.get("type").and_then(Value::as_str) == Some("RollingUpdate");
    let Some(defaults) = default.as_object().filter(|_| is_rolling) else { return };
    let given = fields.entry("rollingUpdate".to_owned()).or_insert_with(|| json!({}));
    if let Some(given) = given.as_object_mut() {
        for (field, value) in defaults {
            given.entry(field.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// `Always` for the tag `latest`, spelled out or not.
fn pull_policy(fields: &mut Map<String, Value>) {
    let image = fields.get("image").and_then(Value::as_str).unwrap_or("");
    if fields.contains_key("imagePullPolicy") {
        return;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    let digest = name.contains('@');
    let tag = name.split('@').next().unwrap_or(name).split_once(':').map(|(_, tag)| tag);
    let latest = matches!(tag, Some("latest")) || (tag.is_none() && !digest);
    let policy = if latest { "Always" } else { "IfNotPresent" };
    fields.insert("imagePullPolicy".to_owned(), policy.into());
}

fn requests_from_limits(fields: &mut Map<String, Value>) {
    let Some(limits) = fields.get("limits").and_then(Value::as_object).cloned() else { return };
    let requests = fields.entry("requests".to_owned()).or_insert_with(|| json!({}));
    if let Some(requests) = requests.as_object_mut() {
        for (name, value) in limits {
            requests.entry(name).or_insert(value);
        }
    }
}

/// The defaults of a Job, which the template of a CronJob does not get.
fn job(fields: &mut Map<String, Value>) {
    for (field, default) in JOB {
        insert(fields, field, default);
    }
    if !fields.contains_key("completions") && !fields.contains_key("parallelism") {
        fields.insert("completions".to_owned(), 1.into());
    }
    fields.entry("parallelism".to_owned()).or_insert_with(|| 1.into());
    let replacement = if fields.contains_key("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    fields.entry("podReplacementPolicy".to_owned()).or_insert_with(|| replacement.into());
}

fn policy_types(fields: &mut Map<String, Value>) {
    if fields.contains_key("policyTypes") {
        return;
    }
    let mut types = vec![json!("Ingress")];
    if fields.get("egress").and_then(Value::as_array).is_some_and(|e| !e.is_empty()) {
        types.push(json!("Egress"));
    }
    fields.insert("policyTypes".to_owned(), types.into());
}

fn fold_string_data(secret: &mut Value) {
    let folded = argosy_engine::merge::fold_string_data(secret);
    if let std::borrow::Cow::Owned(folded) = folded {
        *secret = folded;
    }
    // A Secret read without its kind is one all the same.
    let Some(fields) = secret.as_object_mut() else { return };
    if let Some(Value::Object(plain)) = fields.remove("stringData") {
        use base64::Engine as _;
        let data = fields.entry("data".to_owned()).or_insert_with(|| json!({}));
        if let Some(data) = data.as_object_mut() {
            for (key, text) in plain {
                let text = text.as_str().unwrap_or_default();
                data.insert(key, base64::engine::general_purpose::STANDARD.encode(text).into());
            }
        }
    }
}
