//! Applications as a test writes and reads them: a builder for the manifest, and
//! the answers it asks of the status.

use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use crate::eventually::poll_until;

/// The manifest of an Application, grown call by call, and the way to it on a
/// control plane.
#[derive(Clone, Debug)]
pub struct App {
    name: String,
    manifest: Value,
}

/// What an Application says of itself. Absent fields read as empty.
#[derive(Clone, Debug)]
pub struct AppState(pub Value);

// === impl App ===

impl App {
    /// An application of the project `default` in the namespace `argocd`, with
    /// the in-cluster destination, and no source yet.
    pub fn new(name: &str) -> Self {
        let manifest = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "namespace": "argocd"},
            "spec": {
                "project": "default",
                "source": {"repoURL": "", "path": ".", "targetRevision": "HEAD"},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": "default"},
            },
        });
        Self { name: name.to_owned(), manifest }
    }

    /// The namespace of the Application itself.
    #[must_use]
    pub fn in_namespace(self, namespace: &str) -> Self {
        self.set("/metadata/namespace", namespace.into())
    }

    /// Where the manifests come from.
    #[must_use]
    pub fn source(self, repo_url: &str, path: &str, revision: &str) -> Self {
        let source = json!({"repoURL": repo_url, "path": path, "targetRevision": revision});
        self.set("/spec/source", source)
    }

    /// The namespace of the destination.
    #[must_use]
    pub fn into_namespace(self, namespace: &str) -> Self {
        self.set("/spec/destination/namespace", namespace.into())
    }

    /// The project.
    #[must_use]
    pub fn project(self, project: &str) -> Self {
        self.set("/spec/project", project.into())
    }

    /// Automated sync, without pruning and self-healing.
    #[must_use]
    pub fn automated(self) -> Self {
        self.set("/spec/syncPolicy/automated/enabled", true.into())
    }

    /// Automated sync that prunes.
    #[must_use]
    pub fn prune(self) -> Self {
        self.automated().set("/spec/syncPolicy/automated/prune", true.into())
    }

    /// Automated sync that undoes drift.
    #[must_use]
    pub fn self_heal(self) -> Self {
        self.automated().set("/spec/syncPolicy/automated/selfHeal", true.into())
    }

    /// One more sync option, `CreateNamespace=true` for instance.
    #[must_use]
    pub fn sync_option(mut self, option: &str) -> Self {
        let options = place(&mut self.manifest, "/spec/syncPolicy/syncOptions");
        match options.as_array_mut() {
            Some(options) => options.push(option.into()),
            None => *options = json!([option]),
        }
        self
    }

    /// The finalizer that deletes the resources along with the Application.
    #[must_use]
    pub fn cascade(self) -> Self {
        self.set("/metadata/finalizers", json!(["resources-finalizer.argocd.argoproj.io"]))
    }

    /// Several sources in place of the one.
    #[must_use]
    pub fn sources(mut self, sources: Value) -> Self {
        if let Some(spec) = place(&mut self.manifest, "/spec").as_object_mut() {
            spec.remove("source");
        }
        self.set("/spec/sources", sources)
    }

    /// Any field, by JSON pointer; maps on the way are made.
    #[must_use]
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        *place(&mut self.manifest, pointer) = value;
        self
    }

    /// The manifest.
    pub fn manifest(&self) -> &Value {
        &self.manifest
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Creates it, or brings it to this manifest.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn apply(&self, client: &kube::Client) -> anyhow::Result<AppState> {
        let params = PatchParams::apply("argosy-tests").force();
        let patched = self.api(client).patch(&self.name, &params, &Patch::Apply(&self.manifest)).await;
        state(patched.context("applying an Application")?)
    }

    /// Merges a patch into what is there.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn merge(&self, client: &kube::Client, patch: &Value) -> anyhow::Result<AppState> {
        let patched = self.api(client).patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await;
        state(patched.context("patching an Application")?)
    }

    /// Asks for a refresh: `normal` or `hard`.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn refresh(&self, client: &kube::Client, kind: &str) -> anyhow::Result<AppState> {
        self.merge(client, &json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": kind}}})).await
    }

    /// Asks for a sync to the target revision, with fields of a `sync` operation added.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn sync(&self, client: &kube::Client, sync: Value) -> anyhow::Result<AppState> {
        let operation = json!({"initiatedBy": {"username": "test"}, "sync": sync});
        self.merge(client, &json!({"operation": operation})).await
    }

    /// Deletes it; its finalizers decide when it goes.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn delete(&self, client: &kube::Client) -> anyhow::Result<()> {
        let deleted = self.api(client).delete(&self.name, &DeleteParams::default()).await;
        deleted.context("deleting an Application").map(|_| ())
    }

    /// What is there now, `None` when there is nothing.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn get(&self, client: &kube::Client) -> anyhow::Result<Option<AppState>> {
        let found = self.api(client).get_opt(&self.name).await.context("reading an Application")?;
        found.map(state).transpose()
    }

    /// Waits until it is there and the condition holds.
    ///
    /// # Errors
    /// After the deadline, with what it was instead.
    pub async fn wait_for(
        &self,
        client: &kube::Client,
        what: &str,
        deadline: Duration,
        condition: impl Fn(&AppState) -> bool,
    ) -> anyhow::Result<AppState> {
        let reached = poll_until(deadline, || async {
            let state = self.get(client).await?.context("there is no such Application")?;
            ensure!(condition(&state), "it is {}", state.summary());
            Ok::<_, anyhow::Error>(state)
        });
        let reached = reached.await;
        reached.map_err(|reason| anyhow!("Application {} is not {what} within {deadline:?}: {reason}", self.name))
    }

    /// Waits until it is Synced and Healthy.
    ///
    /// # Errors
    /// After the deadline, with what it was instead.
    pub async fn wait_until_deployed(&self, client: &kube::Client, deadline: Duration) -> anyhow::Result<AppState> {
        self.wait_for(client, "Synced and Healthy", deadline, AppState::is_deployed).await
    }

    fn api(&self, client: &kube::Client) -> Api<DynamicObject> {
        let namespace = self.manifest.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("argocd");
        Api::namespaced_with(client.clone(), namespace, &resource("Application", "applications"))
    }
}

/// A kind of Argo CD's own.
pub fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("argoproj.io", "v1alpha1", kind), plural)
}

fn state(object: DynamicObject) -> anyhow::Result<AppState> {
    Ok(AppState(serde_json::to_value(object).context("reading an Application")?))
}

/// The place a JSON pointer names, with the maps above it made.
fn place<'a>(root: &'a mut Value, pointer: &str) -> &'a mut Value {
    pointer.split('/').skip(1).fold(root, |value, field| {
        if !value.is_object() {
            *value = json!({});
        }
        &mut value[field]
    })
}

// === impl AppState ===

impl AppState {
    /// A string by JSON pointer, `""` when absent.
    pub fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or("")
    }

    /// A list by JSON pointer, empty when absent.
    pub fn list(&self, pointer: &str) -> &[Value] {
        self.0.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// `Synced`, `OutOfSync`, `Unknown` or `""`.
    pub fn sync_status(&self) -> &str {
        self.text("/status/sync/status")
    }

    /// The commit it was compared with.
    pub fn revision(&self) -> &str {
        self.text("/status/sync/revision")
    }

    /// `Healthy`, `Progressing`, `Degraded`, `Suspended`, `Missing`, `Unknown` or `""`.
    pub fn health(&self) -> &str {
        self.text("/status/health/status")
    }

    /// The phase of the last operation, or of the running one.
    pub fn phase(&self) -> &str {
        self.text("/status/operationState/phase")
    }

    /// That operation's message.
    pub fn message(&self) -> &str {
        self.text("/status/operationState/message")
    }

    /// Synced, Healthy, and no operation on its way.
    pub fn is_deployed(&self) -> bool {
        self.sync_status() == "Synced"
            && self.health() == "Healthy"
            && self.0.get("operation").is_none()
            && !matches!(self.phase(), "Running" | "Terminating")
    }

    /// Conditions as `(type, message)`.
    pub fn conditions(&self) -> Vec<(&str, &str)> {
        let conditions = self.list("/status/conditions").iter();
        conditions.map(|c| (c["type"].as_str().unwrap_or(""), c["message"].as_str().unwrap_or(""))).collect()
    }

    /// The status entry of one resource.
    pub fn resource(&self, kind: &str, name: &str) -> Option<&Value> {
        self.list("/status/resources").iter().find(|r| r["kind"] == kind && r["name"] == name)
    }

    /// One line for messages.
    pub fn summary(&self) -> String {
        format!(
            "sync {:?}, health {:?}, operation {:?} ({}), conditions {:?}",
            self.sync_status(),
            self.health(),
            self.phase(),
            self.message(),
            self.conditions()
        )
    }
}
