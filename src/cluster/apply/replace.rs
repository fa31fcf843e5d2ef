//! Replacing an object whole, and recreating what cannot be updated.

use std::time::Duration;

use argosy_model::object;
use http::Method;
use serde_json::{Value, json};

use super::{Done, Job, Known, Propagation};
use crate::backoff::Backoff;
use crate::call::JSON;
use crate::error::{Error, Result};

/// How long a deletion may take before an object is created anew.
const GONE: Duration = Duration::from_secs(60);

impl Job<'_> {
    pub(super) async fn replace(&self) -> Result<Done> {
        let target = self.task.target;
        let live = match &self.task.live {
            Known::Absent => None,
            _ => self.current().await?,
        };
        let Some(live) = live else { return self.create(target).await };
        // Deleting one of these would delete everything in it.
        let holds_others = matches!((&*self.gvk.group, &*self.gvk.kind), ("", "Namespace"))
            || (&*self.gvk.group == "apiextensions.k8s.io" && &*self.gvk.kind == "CustomResourceDefinition");
        if self.task.force && !holds_others {
            return self.recreate(target, object::uid(&live), "replaced").await;
        }
        if let Some(done) = self.recreate_for_role(&live, target).await? {
            return Ok(done);
        }
        let mut body = target.clone();
        body["metadata"]["resourceVersion"] = json!(object::resource_version(&live));
        let path = self.resource.object(&self.key.namespace, &self.key.name);
        let path = self.parameters(path, argosy_model::names::FIELD_MANAGER);
        self.send(Method::PUT, path, JSON, &body, if holds_others { "updated" } else { "replaced" }).await
    }

    /// Deletes the very object with `uid`, waits until it is gone, creates it anew.
    /// A dry run only asks whether it could be created.
    pub(super) async fn recreate(&self, body: &Value, uid: &str, verb: &'static str) -> Result<Done> {
        if self.task.dry_run {
            return match self.create_by_another_name(body).await {
                Err(error) if error.is_invalid() || error.code() == Some(400) => Err(error),
                // Whatever else is in the way may be due to the name alone.
                _ => Ok(Done { verb, live: body.clone(), warnings: Vec::new() }),
            };
        }
        self.applier.delete_resource(&self.resource, &self.key, Propagation::Background, Some(uid), Some(0)).await?;
        let started = tokio::time::Instant::now();
        let mut backoff =
            Backoff::new(Duration::from_millis(50), Duration::from_secs(1), self.applier.connection.seed());
        while self.current().await?.is_some_and(|live| object::uid(&live) == uid) {
            if started.elapsed() > GONE {
                return Err(Error::Waiting(format!("deletion of {}", self.key)));
            }
            tokio::time::sleep(backoff.wait(None)).await;
        }
        let done = self.create(body).await?;
        Ok(Done { verb, ..done })
    }

    /// In a dry run, for the name itself is taken: what is wrong with a new object
    /// must be known before the old one is deleted for it.
    async fn create_by_another_name(&self, body: &Value) -> Result<Done> {
        let mut other = body.clone();
        if let Some(metadata) = object::metadata(&mut other) {
            metadata.remove("name");
            metadata.insert("generateName".to_owned(), json!("dry-run-"));
        }
        self.create(&other).await
    }

    /// Whether the kind refers to a role it cannot change.
    pub(super) fn has_role(&self) -> bool {
        &*self.gvk.group == "rbac.authorization.k8s.io"
            && matches!(&*self.gvk.kind, "RoleBinding" | "ClusterRoleBinding")
    }

    /// A binding's role cannot be changed: when it has, the binding is made anew,
    /// as `kubectl auth reconcile` does. `None` when there is no need.
    pub(super) async fn recreate_for_role(&self, live: &Value, body: &Value) -> Result<Option<Done>> {
        let role = |v: &Value| {
            let part =
                |field: &str| object::get(v, &["roleRef", field]).and_then(Value::as_str).unwrap_or("").to_owned();
            (part("kind"), part("name"))
        };
        if !self.has_role() || role(live) == role(body) {
            return Ok(None);
        }
        if self.task.dry_run {
            // Nothing the server could be asked: it would only say that the name is taken.
            return Ok(Some(Done { verb: "configured", live: body.clone(), warnings: Vec::new() }));
        }
        self.recreate(body, object::uid(live), "configured").await.map(Some)
    }
}
