//! The nodes of the cluster that an application's Pods run on, and how full they
//! are.

use std::collections::{BTreeMap, HashSet};

use argosy_cluster::{LiveObject, TreeNode};
use argosy_engine::schema::quantity::Quantity;
use argosy_model::{GroupKind, ResourceKey};
use argosy_proto::v1alpha1::{HostInfo, HostResourceInfo};
use serde_json::Value;

use crate::cluster::Target;

/// The resources shown, in their order.
const SHOWN: [&str; 2] = ["cpu", "memory"];

/// Hosts of the Pods in the tree, by name, with the labels that may be shown.
pub(super) fn of(target: &Target, tree: &[TreeNode], labels: &[String]) -> Vec<HostInfo> {
    let pods = tree.iter().filter(|n| &*n.object.key.kind == "Pod" && n.object.key.group.is_empty());
    let own: HashSet<&ResourceKey> = pods.map(|n| &n.object.key).collect();
    if own.is_empty() {
        return Vec::new();
    }
    let mut asked: BTreeMap<String, [Asked; 2]> = BTreeMap::new();
    let mut hosting: HashSet<String> = HashSet::new();
    for pod in target.live.of_kind(&GroupKind::new("", "Pod")) {
        let Some(facts) = facts(&pod) else { continue };
        let Some(node) = facts["nodeName"].as_str().filter(|n| !n.is_empty()) else { continue };
        let sums = asked.entry(node.to_owned()).or_default();
        let amounts = SHOWN.map(|name| facts["requests"][name].as_i64().unwrap_or(0));
        if own.contains(&pod.key) {
            hosting.insert(node.to_owned());
            sums.iter_mut().zip(amounts).for_each(|(sum, amount)| sum.by_app += amount);
        } else if !matches!(facts["phase"].as_str(), Some("Succeeded" | "Failed")) {
            sums.iter_mut().zip(amounts).for_each(|(sum, amount)| sum.by_neighbors += amount);
        }
    }
    let nodes = target.live.of_kind(&GroupKind::new("", "Node"));
    let mut hosts: Vec<HostInfo> = nodes
        .iter()
        .filter(|node| hosting.contains(&*node.key.name))
        .filter_map(|node| Some(host(node, facts(node)?, asked.get(&*node.key.name)?, labels)))
        .collect();
    hosts.sort_by(|a, b| a.name.cmp(&b.name));
    hosts
}

/// What Pods of a node ask for, in thousandths.
#[derive(Default)]
struct Asked {
    by_app: i64,
    by_neighbors: i64,
}

fn facts(object: &LiveObject) -> Option<&Value> {
    object.summary.as_ref()?.host.as_ref()
}

fn host(node: &LiveObject, facts: &Value, asked: &[Asked; 2], shown: &[String]) -> HostInfo {
    let resource = |(name, asked): (&str, &Asked)| HostResourceInfo {
        resource_name: name.to_owned(),
        requested_by_app: asked.by_app,
        requested_by_neighbors: asked.by_neighbors,
        capacity: Quantity::parse(&facts["capacity"][name]).map_or(0, Quantity::milli),
    };
    let label = |name: &String| Some((name.clone(), facts["labels"].get(name)?.as_str()?.to_owned()));
    HostInfo {
        name: node.key.name.to_string(),
        resources_info: SHOWN.into_iter().zip(asked).map(resource).filter(|r| r.capacity > 0).collect(),
        // What the node says of itself in another shape is not shown.
        system_info: serde_json::from_value(facts["systemInfo"].clone()).ok(),
        labels: shown.iter().filter_map(label).collect(),
    }
}
