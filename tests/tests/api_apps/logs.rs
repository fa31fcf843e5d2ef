//! What Pods have written, read through the API.

use anyhow::Context;
use argosy_proto::application::{ApplicationPodLogsQuery, LogEntry};
use argosy_tests::{eventually, refusal};
use futures::TryStreamExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::case::{Case, PATIENCE, next};
use super::kubelet::{self, Logs};

fn pod(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{nodeName: talkative, tolerations: [{{operator: \
         Exists}}], containers: [{{name: main, image: x}}]}}\n---\n"
    )
}

/// A node that the scheduler leaves alone and that has a kubelet.
fn node(case: &Case, port: u16) -> anyhow::Result<()> {
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "talkative"},
        "spec": {"taints": [{"key": "example.com/logs", "effect": "NoSchedule"}]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        },
    });
    let file = case.world.plane.folder().write("talkative.json", node.to_string())?;
    let file = file.to_str().context("a path")?;
    case.world.plane.kubectl_text(&["create", "--raw", "/api/v1/nodes", "-f", file]).map(drop)
}

/// A log with these lines; it ends when the sender is dropped.
fn log(logs: &Logs, pod: &str, lines: &[&str]) -> mpsc::Sender<String> {
    let (tx, rx) = mpsc::channel(16);
    lines.iter().for_each(|line| tx.try_send(format!("{line}\n")).expect("room"));
    logs.lock().expect("no panic").insert(pod.to_owned(), rx);
    tx
}

async fn read(case: &Case, more: Value) -> Result<Vec<LogEntry>, Status> {
    let query = case.request::<ApplicationPodLogsQuery>(more);
    case.api.applications().pod_logs(query).await?.into_inner().try_collect().await
}

fn texts(entries: &[LogEntry]) -> Vec<(&str, &str)> {
    entries.iter().filter(|e| !e.last).map(|e| (&*e.pod_name, &*e.content)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_merged_filtered_followed_and_downloaded() -> anyhow::Result<()> {
    if argosy_tests::is_left_out_on_the_sandbox("it asks no kubelet for logs, and this test brings one") {
        return Ok(());
    }
    let case = Case::new("logged").await?;
    let logs = Logs::default();
    node(&case, kubelet::start(logs.clone()).await?)?;
    case.deployed(&[("pods.yaml", &["one", "two"].map(pod).concat())]).await?;
    let write = || {
        drop(log(&logs, "one", &["2026-01-01T00:00:01Z first", "2026-01-01T00:00:03Z Third"]));
        drop(log(&logs, "two", &["2026-01-01T00:00:02Z second"]));
    };
    // Until the tree has both Pods there is nothing to read.
    let merged = eventually(PATIENCE, || async {
        write();
        let entries = read(&case, json!({"namespace": "logged"})).await?;
        anyhow::ensure!(texts(&entries).len() == 3, "{entries:?}");
        Ok::<_, anyhow::Error>(entries)
    })
    .await;
    assert_eq!(texts(&merged), [("one", "first"), ("two", "second"), ("one", "Third")]);
    assert_eq!(merged[0].time_stamp_str, "2026-01-01T00:00:01Z");
    assert!(merged.last().is_some_and(|entry| entry.last), "the end is said");
    for (more, expected) in [
        (json!({"filter": "third"}), vec![("one", "Third")]),
        (json!({"filter": "third", "matchCase": true}), vec![]),
        (json!({"filter": "!ir"}), vec![("two", "second")]),
        (json!({"podName": "two"}), vec![("two", "second")]),
        (json!({"kind": "Pod", "resourceName": "one"}), vec![("one", "first"), ("one", "Third")]),
        (json!({"kind": "Deployment", "group": "apps"}), vec![]),
    ] {
        write();
        assert_eq!(texts(&read(&case, more.clone()).await?), expected, "{more}");
    }
    assert_eq!(refusal(read(&case, json!({"untilTime": "yesterday"})).await).0, Code::InvalidArgument);

    write();
    let path = "/api/v1/applications/logged/logs?namespace=logged&podName=one&container=main&download=true";
    let reply = case.api.get(path).await?;
    assert_eq!((reply.status, &*reply.text), (200, "first\nThird\n"), "{:?}", reply.headers);
    assert_eq!(reply.header("content-disposition"), "attachment;filename=\"logged-one-main.log\"");
    write();
    let reply = case.api.get("/api/v1/applications/logged/pods/two/logs").await?;
    let first: Value = serde_json::from_str(reply.text.lines().next().unwrap_or_default())?;
    assert_eq!(first["result"]["content"], "second", "{}", reply.text);

    // Followed until its reader goes, or may no longer read.
    let policy = "p, logged, applications, get, default/logged, allow\n";
    let reader = case.account(policy).await?;
    let query = || case.request::<ApplicationPodLogsQuery>(json!({"podName": "one", "follow": true}));
    let (code, words) = refusal(reader.applications().pod_logs(query()).await.map(drop));
    assert_eq!(code, Code::PermissionDenied, "{words}");
    assert!(words.starts_with("permission denied: logs, get, default/logged"), "{words}");
    case.policy(&format!("{policy}p, logged, logs, get, default/logged, allow"))?;
    let open = log(&logs, "one", &["2026-01-01T00:00:01Z one"]);
    let entries = eventually(PATIENCE, || async {
        reader.applications().pod_logs(query()).await.map(tonic::Response::into_inner)
    });
    let mut entries = entries.await;
    assert_eq!(next(&mut entries).await?.content, "one");
    open.send("2026-01-01T00:00:02Z two\n".to_owned()).await?;
    assert_eq!(next(&mut entries).await?.content, "two");
    case.policy("")?;
    let ended = tokio::time::timeout(PATIENCE, async { while let Ok(Some(_)) = entries.message().await {} });
    ended.await.context("it goes on")?;
    tokio::time::timeout(PATIENCE, open.closed()).await.context("nobody tells the kubelet")?;
    Ok(())
}
