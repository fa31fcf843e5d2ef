//! Changing a cluster: apply in three modes, their dry runs, deletion.
//!
//! The result of each apply reads as kubectl's line would; the object the API
//! server returns goes into the live state at once. A dry run is the API
//! server's own: admission and validation really happen. Errors are the server's
//! words, with a hint where experience has one, and never with a value of a
//! Secret.
//!
//! Not retried here: whatever the server refused. A conflict is not a refusal:
//! the patch is computed again from what is there now.

mod client_side;
mod delete;
mod direct;
mod explain;
mod logs;
mod message;
mod migrate;
mod replace;
mod server_side;

use std::sync::Arc;

use argosy_model::{Gvk, ResourceKey, names, object};
use http::Method;
use serde_json::Value;

pub use delete::Propagation;
pub use direct::{PatchFormat, Removal};
pub use logs::{LogLines, LogOptions, LogReader};

use crate::budget::Priority;
use crate::call::{Call, Path};
use crate::connection::{Connection, Reply};
use crate::discovery::{ApiResource, Discovery};
use crate::error::{Error, Result};
use crate::live::LiveState;
use crate::openapi::OpenApi;

/// How a manifest is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Three-way patch computed here, remembered in kubectl's annotation.
    ClientSide,
    /// Server-side apply, taking over fields in conflict.
    ServerSide {
        /// Field manager; [`names::FIELD_MANAGER`] unless told otherwise.
        manager: String,
        /// Manager whose fields are taken over first, so that what it once set can
        /// be removed; `None` leaves other managers' fields alone.
        migrate_from: Option<String>,
    },
    /// The whole object is replaced.
    Replace,
}

/// What is known of the live object. Knowing saves a request; a wrong guess
/// costs one.
#[derive(Clone, Debug, Default)]
pub enum Known {
    /// Nothing: it is asked for.
    #[default]
    Unknown,
    /// It does not exist, as far as known.
    Absent,
    /// It looks like this.
    Present(Arc<Value>),
}

/// One manifest to apply.
#[derive(Clone, Debug)]
pub struct ApplyTask<'a> {
    /// The manifest, with its namespace.
    pub target: &'a Value,
    /// How.
    pub mode: Mode,
    /// Recreate what cannot be updated.
    pub force: bool,
    /// Validate only.
    pub dry_run: bool,
    /// Whether unknown and duplicate fields are refused; else they are ignored.
    pub validate: bool,
    /// What is known of the live object.
    pub live: Known,
}

/// What came of an apply.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// kubectl's line, warnings after it.
    pub message: String,
    /// The object as the API server has it, or would have it.
    pub live: Value,
}

/// Applies to and deletes from one cluster. Clones share everything.
#[derive(Clone)]
pub struct Applier {
    connection: Connection,
    discovery: Arc<Discovery>,
    openapi: Arc<OpenApi>,
    live: Option<LiveState>,
}

/// kubectl's field manager for client-side apply, whose fields a first
/// server-side apply takes over.
pub const KUBECTL_MANAGER: &str = "kubectl-client-side-apply";

// === impl Mode ===

impl Mode {
    /// Server-side apply as Argo CD does it by default.
    pub fn server_side() -> Self {
        Self::ServerSide { manager: names::FIELD_MANAGER.to_owned(), migrate_from: Some(KUBECTL_MANAGER.to_owned()) }
    }
}

// === impl ApplyTask ===

impl<'a> ApplyTask<'a> {
    /// A validating client-side apply of which nothing is known yet.
    pub fn new(target: &'a Value) -> Self {
        Self { target, mode: Mode::ClientSide, force: false, dry_run: false, validate: true, live: Known::Unknown }
    }
}

/// One apply with everything it needs at hand.
struct Job<'a> {
    applier: &'a Applier,
    task: &'a ApplyTask<'a>,
    gvk: Gvk,
    key: ResourceKey,
    resource: Arc<ApiResource>,
}

/// What one request of a job returned.
struct Done {
    verb: &'static str,
    live: Value,
    warnings: Vec<String>,
}

// === impl Applier ===

impl Applier {
    /// Applies through a connection; with a live state, what is written shows
    /// there at once.
    pub fn new(
        connection: Connection,
        discovery: Arc<Discovery>,
        openapi: Arc<OpenApi>,
        live: Option<LiveState>,
    ) -> Self {
        Self { connection, discovery, openapi, live }
    }

    /// The same, acting as a service account of the cluster. There is no way
    /// back to the cluster's own identity from it.
    #[must_use]
    pub fn acting_as_service_account(&self, namespace: &str, name: &str) -> Self {
        Self { connection: self.connection.acting_as_service_account(namespace, name), ..self.clone() }
    }

    /// Applies one manifest.
    ///
    /// # Errors
    /// What the API server says, explained where that helps.
    pub async fn apply(&self, task: &ApplyTask<'_>) -> Result<Outcome> {
        let command = match (&task.mode, &task.live) {
            (Mode::Replace, Known::Absent) => "create",
            (Mode::Replace, _) => "replace",
            _ => "apply",
        };
        let _pending = Pending::begin(command);
        let result = self.try_apply(task).await;
        match result {
            Ok(outcome) => Ok(outcome),
            Err(error) => Err(explain::explain(error, self, task).await),
        }
    }

    async fn try_apply(&self, task: &ApplyTask<'_>) -> Result<Outcome> {
        let gvk = Gvk::of(task.target);
        let mut key = ResourceKey::of(task.target);
        let resource = self.resolve(&gvk, &key).await?;
        if !resource.namespaced {
            key.namespace = "".into();
        } else if key.namespace.is_empty() {
            return Err(Error::Manifest(format!("Namespace for {} {gvk} is missing.", key.name)));
        }
        let job = Job { applier: self, task, gvk, key, resource };
        let done = if object::name(task.target).is_empty() {
            // Only a generated name can be left out, and only by creating.
            job.create(task.target).await?
        } else {
            match &task.mode {
                Mode::ClientSide => job.client_side().await?,
                Mode::ServerSide { manager, migrate_from } => job.server_side(manager, migrate_from.as_deref()).await?,
                Mode::Replace => job.replace().await?,
            }
        };
        if let Some(live) = &self.live
            && !task.dry_run
        {
            live.record(&done.live);
        }
        Ok(Outcome { message: message::line(task, &job.gvk, &done), live: done.live })
    }

    /// The kind, asking the cluster again when it is not known: it may have been
    /// installed a moment ago.
    async fn resolve(&self, gvk: &Gvk, key: &ResourceKey) -> Result<Arc<ApiResource>> {
        if let Some(resource) = self.discovery.catalog().get(gvk) {
            return Ok(resource.clone());
        }
        self.discovery.refresh().await?;
        self.discovery.catalog().resolve(gvk, key)
    }

    /// A kind in its preferred version, for what is addressed by key alone.
    async fn preferred(&self, key: &ResourceKey) -> Result<Arc<ApiResource>> {
        if let Some(resource) = self.discovery.catalog().preferred(&key.group_kind()) {
            return Ok(resource.clone());
        }
        self.discovery.refresh().await?;
        let catalog = self.discovery.catalog();
        match catalog.preferred(&key.group_kind()) {
            Some(resource) => Ok(resource.clone()),
            None => catalog.resolve(&Gvk::new(&key.group, "", &key.kind), key),
        }
    }

    /// Reads one object in its preferred version.
    ///
    /// # Errors
    /// What the API server says; an absent object is `None`.
    pub async fn get(&self, key: &ResourceKey) -> Result<Option<Value>> {
        let resource = self.preferred(key).await?;
        self.read(&resource, key).await
    }

    async fn read(&self, resource: &ApiResource, key: &ResourceKey) -> Result<Option<Value>> {
        let path = resource.object(&key.namespace, &key.name).build();
        match self.connection.json("get", Call::get(path, Priority::Apply)).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A missing object, as opposed to a path the server does not know.
fn is_absent(error: &Error) -> bool {
    match error {
        Error::Api(status) => status.code == 404 && status.message != explain::UNKNOWN_PATH,
        _ => false,
    }
}

// === impl Job ===

impl Job<'_> {
    /// The object as it is now in the manifest's own version.
    async fn current(&self) -> Result<Option<Value>> {
        self.applier.read(&self.resource, &self.key).await
    }

    /// What is known without asking, where it can be used: a whole object in the
    /// manifest's version.
    fn known(&self) -> Option<&Arc<Value>> {
        match &self.task.live {
            Known::Present(live) if Gvk::of(live) == self.gvk && !object::resource_version(live).is_empty() => {
                Some(live)
            }
            _ => None,
        }
    }

    async fn create(&self, body: &Value) -> Result<Done> {
        let path = self.parameters(self.resource.collection(&self.key.namespace), names::FIELD_MANAGER);
        self.send(Method::POST, path, crate::call::JSON, body, "created").await
    }

    async fn patch(&self, body: &Value, content_type: &'static str, verb: &'static str) -> Result<Done> {
        let path = self.resource.object(&self.key.namespace, &self.key.name);
        let path = self.parameters(path, names::FIELD_MANAGER);
        self.send(Method::PATCH, path, content_type, body, verb).await
    }

    async fn send(
        &self,
        method: Method,
        path: Path,
        content_type: &'static str,
        body: &Value,
        verb: &'static str,
    ) -> Result<Done> {
        let reply: Reply = self.applier.connection.send(&Call::write(method, path.build(), content_type, body)).await?;
        Ok(Done { verb, live: reply.value("a write")?, warnings: reply.warnings })
    }

    fn parameters(&self, path: Path, manager: &str) -> Path {
        path.query("fieldManager", manager)
            .query("fieldValidation", if self.task.validate { "Strict" } else { "Ignore" })
            .query_if(self.task.dry_run, "dryRun", "All")
    }
}

/// Counts an operation, and that it is under way.
struct Pending(&'static str);

impl Pending {
    fn begin(command: &'static str) -> Self {
        metrics::counter!("argocd_kubectl_exec_total", "hostname" => hostname(), "command" => command).increment(1);
        metrics::gauge!("argocd_kubectl_exec_pending", "hostname" => hostname(), "command" => command).increment(1.0);
        Self(command)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        metrics::gauge!("argocd_kubectl_exec_pending", "hostname" => hostname(), "command" => self.0).decrement(1.0);
    }
}

fn hostname() -> &'static str {
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    NAME.get_or_init(|| std::env::var("HOSTNAME").unwrap_or_default())
}
