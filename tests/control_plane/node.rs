//! The simulated node on which Pods become ready and Jobs complete.

use std::time::Duration;

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, PostParams};
use serde_json::json;

use super::components::NODE as NAME;
use crate::process::Process;

const READY_WITHIN: Duration = Duration::from_secs(60);

/// Makes the node and waits until the simulator says that it is ready.
pub(super) async fn add_node(client: kube::Client, simulator: &mut Process) -> anyhow::Result<()> {
    let nodes: Api<Node> = Api::all(client);
    // The room is far more than any test asks for; it is never really used.
    let room = json!({"cpu": "1000", "memory": "1Ti", "pods": "100000"});
    let node: Node = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": NAME, "labels": {"kubernetes.io/hostname": NAME, "kubernetes.io/os": "linux"}},
        "status": {"allocatable": room, "capacity": room},
    }))
    .context("describing the node")?;
    nodes.create(&PostParams::default(), &node).await.context("making the node")?;
    let nodes = &nodes;
    let ready = simulator.wait_until("simulating", READY_WITHIN, || async move {
        let node = nodes.get(NAME).await.context("reading the node")?;
        let conditions = node.status.and_then(|s| s.conditions).unwrap_or_default();
        ensure!(conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"), "the node is not ready");
        Ok(())
    });
    ready.await
}
