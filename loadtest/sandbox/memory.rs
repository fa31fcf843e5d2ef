//! Memory of clusters that do nothing, and of objects.

use std::time::Duration;

use argosy_loadtest::{memory_of, simulated};
use argosy_sandbox::cluster::{Cluster, ClusterOptions};
use argosy_sandbox::journal::DEFAULT_CAPACITY;
use tokio::time::Instant;

use crate::client::{Client, Way};
use crate::process::{Figures, Server};
use crate::{line, lines};

/// Clusters that have the roles for people, which simulated ones of many do without.
const WITH_ROLES: usize = 200;
/// Objects whose memory is measured.
const OBJECTS: usize = 5000;
/// Until the controllers of new clusters have nothing to do.
const SETTLED: Duration = Duration::from_secs(2);

/// Prints what so many clusters in one process take.
pub(crate) fn report_clusters(count: usize) -> anyhow::Result<()> {
    let figures = Figures::of(&["clusters", &count.to_string()])?;
    lines(
        &figures,
        &[
            ("memory", "memory of an idle cluster", "300 kB"),
            ("start", &format!("start of {count} clusters in one process"), ""),
            ("all", &format!("memory of that process, {count} clusters"), ""),
            ("get", &format!("one get on each of {count}, with connecting"), ""),
        ],
    )?;
    let figures = Figures::of(&["clusters-with-roles", &WITH_ROLES.to_string()])?;
    lines(&figures, &[("memory", "memory of an idle cluster, user-facing roles too", "300 kB")])
}

/// The role: starts clusters, with or without the roles for people, and asks each of
/// them for something.
#[expect(clippy::print_stdout, reason = "the figures are read from there")]
pub(crate) fn clusters(count: &str, user_facing_roles: bool) -> anyhow::Result<()> {
    let count: usize = count.parse()?;
    let own = std::process::id();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let options = || ClusterOptions { user_facing_roles, ..simulated() };
        // The first one pays for what all of them share.
        let mut all = vec![Cluster::start(options()).await?];
        tokio::time::sleep(SETTLED).await;
        let before = memory_of(own)?.resident;
        let began = Instant::now();
        for _ in 0..count {
            all.push(Cluster::start(options()).await?);
        }
        println!("start {:.1} s", began.elapsed().as_secs_f64());
        tokio::time::sleep(SETTLED).await;
        let after = memory_of(own)?.resident;
        println!("memory {} kB", (after - before) / 1000 / count as u64);
        println!("all {} MB", after / 1_000_000);
        let began = Instant::now();
        for cluster in &all[1..] {
            let mut client = Way::new(&cluster.admin_kubeconfig()?)?.connect().await?;
            client.send("GET", "/api/v1/namespaces/default", "", "").await?;
        }
        println!("get {:.1} ms", began.elapsed().as_secs_f64() * 1e3 / count as f64);
        Ok(())
    })
}

/// Prints what objects take beside what they are as JSON.
pub(crate) async fn report_objects() -> anyhow::Result<()> {
    let server = Server::start(None)?;
    let mut client = Way::new(&server.kubeconfig)?.connect().await?;
    // The journal of writes is bounded and no part of an object: it is filled first.
    for _ in 0..DEFAULT_CAPACITY {
        apply(&mut client, 0, "&dryRun=All").await?;
    }
    tokio::time::sleep(SETTLED).await;
    let before = server.resident()?;
    let mut json = 0;
    for number in 0..OBJECTS {
        json += apply(&mut client, number, "").await?;
    }
    tokio::time::sleep(SETTLED).await;
    let each = (server.resident()? - before) as f64 / OBJECTS as f64;
    let written = json as f64 / OBJECTS as f64;
    line("memory of an object, of its bytes as JSON", &format!("{each:.0}/{written:.0}"), "");
    line("memory of an object, in times of its JSON", &format!("{:.2}", each / written), "2.00");
    Ok(())
}

/// Applies an object; the bytes of what it is then.
async fn apply(client: &mut Client, number: usize, more: &str) -> anyhow::Result<usize> {
    let path = format!("/apis/apps/v1/namespaces/default/replicasets/object-{number}?fieldManager=bench{more}");
    Ok(client.send("PATCH", &path, "application/apply-patch+yaml", &object(number)).await?.len())
}

/// A ReplicaSet that wants no Pods, with what such an object has.
fn object(number: usize) -> String {
    serde_json::json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("object-{number}"),
            "labels": {"app.kubernetes.io/name": "shop", "app.kubernetes.io/instance": format!("shop-{number}")},
            "annotations": {"example.com/note": "what somebody wants to remember about this object"},
        },
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": format!("shop-{number}")}},
            "template": {
                "metadata": {"labels": {"app": format!("shop-{number}")}},
                "spec": {"containers": [{
                    "name": "shop", "image": "registry.example.com/shop/shop:1.27.3",
                    "ports": [{"containerPort": 8080, "name": "http"}],
                    "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "PORT", "value": "8080"}],
                    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
                    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
                }]},
            },
        },
    })
    .to_string()
}
