//! The floor: the writes of a sync from a client that does nothing else.

use std::time::Duration;

use anyhow::Context;
use argosy_loadtest::cpu_of;
use argosy_tests::App;
use argosy_tests::application::resource;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::time::Instant;

/// Requests under way at once; more do not make this API server faster.
const AT_ONCE: usize = 32;
/// Events that a sync is worth: started, completed, and the first and the final
/// sync status and health.
const EVENTS: usize = 6;
const NAMESPACE: &str = "default";

/// What the writes took.
pub(crate) struct Floor {
    /// From the first to the last.
    pub(crate) wall: Duration,
    /// Of this program.
    pub(crate) cpu: Duration,
}

/// For each application: one create, two status patches, six events.
pub(crate) async fn measure(client: &kube::Client, count: usize) -> anyhow::Result<Floor> {
    let one = App::new("floor").into_namespace(NAMESPACE).source("file:///none", ".", "HEAD");
    let apps: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), NAMESPACE, &resource("Application", "applications"));
    one.in_namespace(NAMESPACE).apply(client).await?;
    let (maps, events): (Api<ConfigMap>, Api<Event>) =
        (Api::namespaced(client.clone(), NAMESPACE), Api::namespaced(client.clone(), NAMESPACE));
    let own = std::process::id();
    let (began, cpu) = (Instant::now(), cpu_of(own)?);
    let (apps_ref, maps_ref, events_ref) = (&apps, &maps, &events);
    stream::iter(0..count)
        .map(|i| async move {
            let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": format!("floor-{i}")}, "data": {"text": "hello"}}))?;
            for phase in ["Running", "Succeeded"] {
                let patch = Patch::Merge(json!({"status": {"operationState": {
                    "phase": phase, "message": format!("{phase} {i}"), "operation": {}, "startedAt": "2026-01-01T00:00:00Z"}}}));
                apps_ref.patch("floor", &PatchParams::default(), &patch).await.context("patching a status")?;
                if phase == "Running" {
                    maps_ref.create(&PostParams::default(), &map).await.context("making a ConfigMap")?;
                }
            }
            for number in 0..EVENTS {
                let event: Event = serde_json::from_value(json!({
                    "metadata": {"name": format!("floor-{i}-{number}")}, "reason": "ResourceUpdated", "type": "Normal",
                    "involvedObject": {"kind": "Application", "namespace": NAMESPACE, "name": "floor"}, "message": "Updated sync status: OutOfSync -> Synced",
                }))?;
                events_ref.create(&PostParams::default(), &event).await.context("writing an event")?;
            }
            Ok::<_, anyhow::Error>(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    let floor = Floor { wall: began.elapsed(), cpu: cpu_of(own)?.saturating_sub(cpu) };
    apps.delete("floor", &kube::api::DeleteParams::default()).await.context("removing the floor's application")?;
    Ok(floor)
}
