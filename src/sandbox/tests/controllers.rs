//! The simulated controllers say of a workload what real ones say, once both have
//! come to rest: statuses agree but for times, hashes and addresses.

#[path = "support/inhabited.rs"]
mod inhabited;
mod support;

use std::fmt::Write as _;

use argosy_tests::ControlPlane;
use kube::client::Body;
use serde_json::{Value, json};

/// A workload: where it is made, what it is, and how its status says that it rests.
struct Workload {
    path: &'static str,
    name: &'static str,
    body: Value,
    rests: fn(&Value) -> bool,
}

fn template(app: &str, policy: &str) -> Value {
    json!({"metadata": {"labels": {"app": app}},
        "spec": {"restartPolicy": policy, "containers": [{"name": "main", "image": "nginx"}]}})
}

fn workloads() -> Vec<Workload> {
    let selector = |app: &str| json!({"matchLabels": {"app": app}});
    vec![
        Workload {
            path: "/apis/apps/v1/namespaces/default/deployments",
            name: "web",
            body: json!({"replicas": 2, "selector": selector("web"), "template": template("web", "Always")}),
            rests: |status| {
                status["availableReplicas"] == 2 && status["conditions"][1]["reason"] == "NewReplicaSetAvailable"
            },
        },
        Workload {
            path: "/apis/apps/v1/namespaces/default/statefulsets",
            name: "db",
            body: json!({"replicas": 2, "serviceName": "db", "selector": selector("db"), "template": template("db", "Always")}),
            rests: |status| status["availableReplicas"] == 2,
        },
        Workload {
            path: "/apis/apps/v1/namespaces/default/daemonsets",
            name: "agent",
            body: json!({"selector": selector("agent"), "template": template("agent", "Always")}),
            rests: |status| status["numberAvailable"] == 1,
        },
        Workload {
            path: "/apis/batch/v1/namespaces/default/jobs",
            name: "task",
            body: json!({"completions": 2, "template": template("task", "Never")}),
            rests: |status| status["completionTime"].is_string(),
        },
        Workload {
            path: "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
            name: "web",
            body: json!({"minAvailable": 1, "selector": selector("web")}),
            rests: |status| status["disruptionsAllowed"] == 1,
        },
    ]
}

/// What the controllers make of them.
const MADE: [&str; 2] =
    ["/apis/apps/v1/namespaces/default/replicasets", "/apis/apps/v1/namespaces/default/controllerrevisions"];

/// The items of a list, or an object, without the fields' owners.
fn bare(value: &Value) -> Value {
    let mut items = value["items"].as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    for item in &mut items {
        if let Some(metadata) = item["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
    }
    comparable(&Value::Array(items))
}

async fn get(client: &kube::Client, path: &str) -> anyhow::Result<Value> {
    let response = client.send(http::Request::get(path).body(Body::empty())?).await?;
    Ok(serde_json::from_slice(&response.into_body().collect_bytes().await?)?)
}

async fn make(client: &kube::Client, workload: &Workload) -> anyhow::Result<()> {
    let body = json!({"metadata": {"name": workload.name}, "spec": workload.body}).to_string();
    let request = http::Request::post(workload.path).header("content-type", "application/json");
    let response = client.send(request.body(Body::from(body.into_bytes()))?).await?;
    anyhow::ensure!(response.status().is_success(), "{}: {}", workload.path, response.status());
    Ok(())
}

/// The status with its conditions by type and without what cannot be equal.
fn comparable(status: &Value) -> Value {
    let mut status = support::normalize(status.clone());
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        conditions.sort_by_key(|condition| condition["type"].to_string());
    }
    // Names that end in hashes, and labels that are hashes alone.
    let rules = [
        (r"(web|db|agent)-[a-z0-9]{5,10}(-[a-z0-9]{5})?", "$1-<hash>"),
        (r#"hash":"[a-z0-9]{6,10}""#, r#"hash":"<hash>""#),
    ];
    let text = rules.iter().fold(status.to_string(), |text, (pattern, to)| {
        regex::Regex::new(pattern).expect("a pattern of this file").replace_all(&text, *to).into_owned()
    });
    serde_json::from_str(&text).unwrap_or(status)
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_come_to_rest_as_on_a_real_cluster() -> anyhow::Result<()> {
    let plane = ControlPlane::start_as(
        argosy_tests::Kind::Real,
        argosy_tests::Options { pods_become_ready: true, ..Default::default() },
    )
    .await?;
    let real = plane.client().await?;
    let cluster = inhabited::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, cluster.admin_kubeconfig()?)?;
    let ours = plane.client_for(&file).await?;
    let workloads = workloads();
    let mut report = String::new();
    for workload in &workloads {
        make(&real, workload).await?;
        make(&ours, workload).await?;
    }
    for workload in &workloads {
        let path = format!("{}/{}", workload.path, workload.name);
        let rested = async |client: &kube::Client| {
            argosy_tests::eventually(argosy_tests::PATIENCE, async || {
                let status = get(client, &path).await?["status"].clone();
                anyhow::ensure!((workload.rests)(&status), "{status}");
                anyhow::Ok(status)
            })
            .await
        };
        let (wanted, got) = (rested(&real).await, rested(&ours).await);
        let mut differences = String::new();
        support::differences("", &comparable(&wanted), &comparable(&got), &mut differences);
        if !differences.is_empty() {
            writeln!(report, "--- {path}\n{differences}")?;
        }
    }
    for path in MADE {
        let (wanted, got) = (get(&real, path).await?, get(&ours, path).await?);
        let mut differences = String::new();
        support::differences("", &bare(&wanted), &bare(&got), &mut differences);
        if !differences.is_empty() {
            writeln!(report, "--- {path}\n{differences}")?;
        }
    }
    anyhow::ensure!(report.is_empty(), "{report}");
    Ok(())
}
