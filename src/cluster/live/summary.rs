//! What a tree shows of an object that is not kept whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use argosy_engine::health::{self, Health, Overrides};
use argosy_model::{Gvk, ResourceKey, names, object};
use serde_json::{Value, json};

mod pod;

/// What is remembered of an object for its place in a tree. Absent parts are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeSummary {
    /// Health, for kinds that have one.
    pub health: Option<Health>,
    /// Container images, in order of appearance, each once.
    pub images: Vec<Arc<str>>,
    /// Lines shown on the node: name and value.
    pub lines: Vec<(&'static str, String)>,
    /// How traffic reaches it.
    pub network: Option<Network>,
    /// Node and Pod facts for the view by host, in Argo CD's field names.
    pub host: Option<Value>,
    /// Names of a StatefulSet's claim templates.
    pub claim_templates: Vec<String>,
}

/// How traffic reaches or leaves an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// Labels of the Pods it sends traffic to.
    pub target_labels: BTreeMap<String, String>,
    /// Objects it sends traffic to.
    pub target_refs: Vec<ResourceKey>,
    /// Labels traffic finds it by.
    pub labels: BTreeMap<String, String>,
    /// Host name and IP pairs it is reached at; one of the two may be empty.
    pub ingress: Vec<(String, String)>,
    /// Links for people, sorted.
    pub external_urls: Vec<String>,
}

// === impl NodeSummary ===

impl NodeSummary {
    /// Summarises a whole object; `None` when there is nothing to say.
    pub(crate) fn of(value: &Value, overrides: &dyn Overrides) -> Option<Self> {
        let gvk = Gvk::of(value);
        let mut summary = Self { health: health::assess(value, overrides), ..Self::default() };
        match (&*gvk.group, &*gvk.kind) {
            ("", "Pod") => pod::describe(value, &mut summary),
            ("", "Node") => summary.host = Some(node(value)),
            ("", "Service") => summary.network = Some(service(value)),
            ("networking.k8s.io" | "extensions", "Ingress") => summary.network = Some(ingress(value)),
            ("apps", "Deployment" | "ReplicaSet") => {
                if let Some(revision) = object::annotation(value, "deployment.kubernetes.io/revision") {
                    summary.lines.push(("Revision", format!("Rev:{revision}")));
                }
            }
            ("apps", "StatefulSet") => {
                let templates = object::get(value, &["spec", "volumeClaimTemplates"]).and_then(Value::as_array);
                summary.claim_templates = templates.into_iter().flatten().map(|t| object::name(t).to_owned()).collect();
            }
            _ => {}
        }
        summary.images = images(value);
        summary.add_links(links(value));
        (summary != Self::default()).then_some(summary)
    }

    /// From the values of link annotations alone.
    pub(crate) fn of_links<'a>(links: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut summary = Self::default();
        summary.add_links(links.map(str::to_owned).collect());
        summary.network.is_some().then_some(summary)
    }

    fn add_links(&mut self, links: Vec<String>) {
        if !links.is_empty() {
            let urls = &mut self.network.get_or_insert_default().external_urls;
            urls.extend(links);
            urls.sort();
            urls.dedup();
        }
    }

    /// Bytes on the heap and in itself, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let strings = |n: usize, len: usize| n * 40 + len;
        let network = self.network.as_ref().map_or(0, |n| {
            200 + strings(n.labels.len() * 2, n.labels.iter().map(|(k, v)| k.len() + v.len()).sum())
                + strings(n.target_labels.len() * 2, 0)
                + n.target_refs.len() * 100
                + strings(n.external_urls.len(), n.external_urls.iter().map(String::len).sum())
        });
        size_of::<Self>()
            + self.health.as_ref().map_or(0, |h| h.message.len())
            + strings(self.images.len(), self.images.iter().map(|i| i.len()).sum())
            + strings(self.lines.len(), self.lines.iter().map(|(_, v)| v.len()).sum())
            + network
            + self.host.as_ref().map_or(0, |h| 400 + h.to_string().len())
    }
}

/// Images of every container list in the object, in whatever template it is.
fn images(value: &Value) -> Vec<Arc<str>> {
    let pod_spec = ["spec"];
    let template = ["spec", "template", "spec"];
    let job_template = ["spec", "jobTemplate", "spec", "template", "spec"];
    let mut found: Vec<Arc<str>> = Vec::new();
    for path in [&pod_spec[..], &template, &job_template] {
        let Some(spec) = object::get(value, path) else { continue };
        for list in ["initContainers", "containers"] {
            for container in spec.get(list).and_then(Value::as_array).into_iter().flatten() {
                let image = container.get("image").and_then(Value::as_str).unwrap_or("");
                if !image.is_empty() && !found.iter().any(|known| **known == *image) {
                    found.push(image.into());
                }
            }
        }
    }
    found
}

/// Links people put on the object. Whether a scheme may be shown is decided
/// where links are shown.
fn links(value: &Value) -> Vec<String> {
    let annotations = object::get(value, &["metadata", "annotations"]).and_then(Value::as_object);
    let links = annotations.into_iter().flatten().filter(|(k, _)| k.starts_with(names::ANNOTATION_LINK_PREFIX));
    links.filter_map(|(_, v)| v.as_str()).map(str::to_owned).collect()
}

fn string_map(value: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = value.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

fn addresses(value: &Value) -> Vec<(String, String)> {
    let list = object::get(value, &["status", "loadBalancer", "ingress"]).and_then(Value::as_array);
    let text = |v: &Value, field: &str| v.get(field).and_then(Value::as_str).unwrap_or("").to_owned();
    list.into_iter().flatten().map(|v| (text(v, "hostname"), text(v, "ip"))).collect()
}

fn service(value: &Value) -> Network {
    Network {
        target_labels: string_map(object::get(value, &["spec", "selector"])),
        ingress: addresses(value),
        ..Network::default()
    }
}

fn ingress(value: &Value) -> Network {
    let namespace = object::namespace(value);
    let spec = value.get("spec").unwrap_or(&Value::Null);
    let mut network = Network { ingress: addresses(value), ..Network::default() };
    let mut target = |backend: Option<&Value>| {
        let name = backend.and_then(|b| {
            let service = b.get("service").and_then(|s| s.get("name")).or_else(|| b.get("serviceName"));
            service.and_then(Value::as_str)
        });
        if let Some(name) = name {
            let key = ResourceKey::new("", "Service", namespace, name);
            if !network.target_refs.contains(&key) {
                network.target_refs.push(key);
            }
        }
    };
    target(spec.get("defaultBackend").or_else(|| spec.get("backend")));
    let rules = spec.get("rules").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let paths = |rule: &Value| {
        rule.get("http").and_then(|h| h.get("paths")).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    for rule in rules {
        for path in paths(rule) {
            target(path.get("backend"));
        }
    }
    let secured: Vec<&str> = spec
        .get("tls")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|t| t.get("hosts").and_then(Value::as_array))
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for rule in rules {
        let host = rule.get("host").and_then(Value::as_str).unwrap_or("");
        let hosts: Vec<&str> = if host.is_empty() {
            network.ingress.iter().map(|(name, ip)| if name.is_empty() { &**ip } else { &**name }).collect()
        } else {
            vec![host]
        };
        let mut urls = Vec::new();
        for shown in hosts {
            let scheme = if secured.contains(&host) { "https" } else { "http" };
            for path in paths(rule) {
                let path = path.get("path").and_then(Value::as_str).unwrap_or("");
                urls.push(format!("{scheme}://{shown}{}", path.trim_end_matches('*').trim_end_matches('/')));
            }
        }
        network.external_urls.extend(urls);
    }
    network.external_urls.sort();
    network.external_urls.dedup();
    network
}

fn node(value: &Value) -> Value {
    let status = value.get("status").unwrap_or(&Value::Null);
    json!({
        "name": object::name(value),
        "labels": object::get(value, &["metadata", "labels"]),
        "systemInfo": status.get("nodeInfo"),
        "capacity": {"cpu": status.get("capacity").and_then(|c| c.get("cpu")),
                     "memory": status.get("capacity").and_then(|c| c.get("memory"))},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ingress_shows_where_it_leads_and_where_it_is_reached() {
        let value = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i", "namespace": "n"},
            "spec": {"tls": [{"hosts": ["a.example"]}],
                     "rules": [{"host": "a.example", "http": {"paths": [{"path": "/x", "backend": {"service": {"name": "s"}}}]}}]}});
        let network = NodeSummary::of(&value, &health::BuiltIn).expect("summary").network.expect("network");
        assert_eq!(network.external_urls, ["https://a.example/x"]);
        assert_eq!(network.target_refs, [ResourceKey::new("", "Service", "n", "s")]);
    }

    #[test]
    fn images_are_found_in_templates_and_listed_once() {
        let container = |image: &str| json!({"image": image});
        let value = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {"template": {"spec": {"initContainers": [container("a")], "containers": [container("b"), container("a")]}}}});
        let images = NodeSummary::of(&value, &health::BuiltIn).expect("summary").images;
        assert_eq!(images.iter().map(|i| &**i).collect::<Vec<_>>(), ["a", "b"]);
    }
}
