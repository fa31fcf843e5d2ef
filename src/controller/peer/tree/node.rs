//! One object as a node of the tree.

use argosy_cluster::LiveObject;
use argosy_cluster::live::Network;
use argosy_model::ResourceKey;
use argosy_proto::core::LoadBalancerIngress;
use argosy_proto::meta::Time;
use argosy_proto::v1alpha1::{HealthStatus, InfoItem, ResourceNetworkingInfo, ResourceNode, ResourceRef};

/// The node of an object below these owners.
pub(super) fn of(object: &LiveObject, parent_refs: Vec<ResourceRef>) -> ResourceNode {
    let summary = object.summary.as_deref();
    let is_pod = &*object.key.kind == "Pod" && object.key.group.is_empty();
    let health = summary.and_then(|s| s.health.as_ref()).map(|health| HealthStatus {
        status: health.status.as_str().to_owned(),
        message: health.message.clone(),
        last_transition_time: None,
    });
    let mut info: Vec<InfoItem> = summary
        .into_iter()
        .flat_map(|s| &s.lines)
        .map(|(name, value)| InfoItem { name: (*name).to_owned(), value: value.clone() })
        .collect();
    if is_pod {
        info.extend(requests(object));
    }
    ResourceNode {
        resource_ref: Some(reference(object)),
        parent_refs,
        info,
        networking_info: summary.and_then(|s| s.network.as_ref()).map(networking),
        resource_version: object.resource_version.clone(),
        // Templates name images too; Argo CD shows those that run.
        images: summary
            .filter(|_| is_pod)
            .map(|s| s.images.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
        health,
        created_at: object.created_at.map(Time::from),
    }
}

/// What a live Pod asks for, in thousandths; one that has ended holds nothing.
fn requests(object: &LiveObject) -> Vec<InfoItem> {
    let Some(host) = object.summary.as_ref().and_then(|s| s.host.as_ref()) else { return Vec::new() };
    if matches!(host["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return Vec::new();
    }
    let amount = |name: &str| host["requests"][name].as_i64().unwrap_or(0).to_string();
    ["cpu", "memory"].map(|name| InfoItem { name: name.to_owned(), value: amount(name) }).to_vec()
}

/// The object as others refer to it.
pub(super) fn reference(object: &LiveObject) -> ResourceRef {
    ResourceRef { version: object.gvk.version.to_string(), uid: object.uid.clone(), ..reference_to(&object.key) }
}

/// An identity as others refer to it, without version and uid.
pub(super) fn reference_to(key: &ResourceKey) -> ResourceRef {
    ResourceRef {
        group: key.group.to_string(),
        kind: key.kind.to_string(),
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        ..ResourceRef::default()
    }
}

fn networking(network: &Network) -> ResourceNetworkingInfo {
    let ingress = |(hostname, ip): &(String, String)| LoadBalancerIngress {
        hostname: hostname.clone(),
        // Where there is a name, the address is not shown.
        ip: if hostname.is_empty() { ip.clone() } else { String::new() },
        ..LoadBalancerIngress::default()
    };
    ResourceNetworkingInfo {
        target_labels: network.target_labels.clone(),
        target_refs: network.target_refs.iter().map(reference_to).collect(),
        labels: network.labels.clone(),
        ingress: network.ingress.iter().map(ingress).collect(),
        external_ur_ls: network.external_urls.iter().filter(|url| is_safe(url)).cloned().collect(),
    }
}

/// Whether a link may be shown: pages make it one that is clicked on, so a
/// script must not pass. People may write a title before it, `title|address`.
fn is_safe(link: &str) -> bool {
    let address = link.split_once('|').map_or(link, |(_, address)| address);
    let scheme = address.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https")) && !address.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_are_shown_as_links() {
        for link in ["https://a.example", "HTTP://a", "Dashboard|https://a.example/x"] {
            assert!(is_safe(link), "{link}");
        }
        for link in [
            "javascript:alert(1)",
            "x|javascript:alert(1)//https://a",
            "data:text/html,x",
            "a.example",
            "",
            "java\nscript://x",
        ] {
            assert!(!is_safe(link), "{link}");
        }
    }
}
