//! Logs of Pods, read through the API server from a kubelet.

use argosy_proto::application::LogEntry;
use argosy_proto::peer::{PodLogsRequest, PodRef};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tonic::Code;

use crate::kubelet::{self, Logs};
use crate::world::{PATIENCE, World, application, world};

fn pod(name: &str, node: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{nodeName: {node}, tolerations: [{{operator: Exists}}], containers: [{{name: main, image: x}}]}}\n---\n"
    )
}

async fn node(world: &World, name: &str, port: u16) -> anyhow::Result<()> {
    let status = serde_json::json!({
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    });
    let node = serde_json::json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status});
    let client = world.plane.client().await?;
    let request = http_request("/api/v1/nodes", &node)?;
    client.request::<serde_json::Value>(request).await?;
    Ok(())
}

fn http_request(path: &str, body: &serde_json::Value) -> anyhow::Result<hyper::Request<Vec<u8>>> {
    Ok(hyper::Request::post(path).header("content-type", "application/json").body(serde_json::to_vec(body)?)?)
}

fn request(app: &str, namespace: &str, pods: &[&str]) -> PodLogsRequest {
    let pods = pods.iter().map(|name| PodRef { namespace: namespace.to_owned(), name: (*name).to_owned() });
    PodLogsRequest { application: Some(application(app)), pods: pods.collect(), ..PodLogsRequest::default() }
}

/// A log with these lines; it ends when the sender is dropped.
fn log(logs: &Logs, pod: &str, lines: &[&str]) -> mpsc::Sender<String> {
    let (tx, rx) = mpsc::channel(16);
    lines.iter().for_each(|line| tx.try_send(format!("{line}\n")).expect("room"));
    logs.lock().expect("no panic").insert(pod.to_owned(), rx);
    tx
}

fn shown(entry: &LogEntry) -> (&str, &str) {
    (&entry.pod_name, &entry.content)
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_several_pods_are_merged_by_time_and_end_once() -> anyhow::Result<()> {
    let world = world().await;
    let (logs, (asked, mut asks)) = (Logs::default(), mpsc::channel(16));
    node(world, "ashore", kubelet::start(logs.clone(), asked).await?).await?;
    let pods: String = ["one", "two", "mute"].map(|name| pod(name, "ashore")).concat();
    let namespace = world.deployed("logged", &[("pods.yaml", &pods)]).await?;
    let mut peer = world.peer().await?;
    drop(log(&logs, "one", &["2026-01-01T00:00:01.5Z first", "2026-01-01T00:00:03Z third  line"]));
    drop(log(&logs, "two", &["2026-01-01T00:00:02Z second", "2026-01-01T00:00:04Z a\rb"]));
    let mut ask = request("logged", &namespace, &["one", "two", "mute"]);
    (ask.container, ask.tail_lines, ask.since_seconds) = ("main".to_owned(), Some(9), Some(60));
    let entries = peer.pod_logs(ask).await?.into_inner();
    let entries: Vec<LogEntry> = tokio::time::timeout(PATIENCE, entries.collect::<Result<_, _>>()).await??;
    assert_eq!(entries[0].pod_name, "mute", "what cannot be read is told in its place");
    let texts: Vec<_> = entries[1..].iter().map(shown).collect();
    let expected = [("one", "first"), ("two", "second"), ("one", "third  line"), ("two", "a"), ("two", "b"), ("", "")];
    assert_eq!(texts, expected);
    assert_eq!(entries[1].time_stamp_str, "2026-01-01T00:00:01.5Z");
    assert_eq!(entries.iter().filter(|e| e.last).count(), 1);
    assert!(entries.last().is_some_and(|e| e.last));
    let uri = asks.recv().await.expect("was asked");
    for part in ["timestamps=true", "tailLines=9", "sinceSeconds=60", "/main"] {
        assert!(uri.contains(part), "{uri}");
    }

    let stranger = peer.pod_logs(request("logged", &namespace, &["stranger"])).await.expect_err("no part of it");
    assert_eq!(stranger.code(), Code::InvalidArgument);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_until_its_reader_goes() -> anyhow::Result<()> {
    let world = world().await;
    let (logs, (asked, _asks)) = (Logs::default(), mpsc::channel(16));
    node(world, "afloat", kubelet::start(logs.clone(), asked).await?).await?;
    let pods: String = ["loud", "silent"].map(|name| pod(name, "afloat")).concat();
    let namespace = world.deployed("followed", &[("pods.yaml", &pods)]).await?;
    let loud = log(&logs, "loud", &["2026-01-01T00:00:01Z one"]);
    let silent = log(&logs, "silent", &[]);
    let mut ask = request("followed", &namespace, &["loud", "silent"]);
    ask.follow = true;
    let mut entries = world.peer().await?.pod_logs(ask).await?.into_inner();
    let mut next = async || {
        let entry = tokio::time::timeout(PATIENCE, entries.next()).await?;
        anyhow::Ok(entry.ok_or_else(|| anyhow::anyhow!("the stream ended"))??.content)
    };
    assert_eq!(next().await?, "one", "although the other says nothing");
    loud.send("2026-01-01T00:00:02Z two\n".to_owned()).await?;
    assert_eq!(next().await?, "two");
    drop(entries);
    // The kubelet sees that nobody reads any more.
    tokio::time::timeout(PATIENCE, async { tokio::join!(loud.closed(), silent.closed()) }).await?;
    Ok(())
}
