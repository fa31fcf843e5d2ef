//! Deletion, finalizers, and waiting for definitions.

use std::time::Duration;

use argosy_model::{ResourceKey, object};
use http::Method;
use serde_json::{Value, json};

use super::Applier;
use crate::backoff::Backoff;
use crate::call::{Call, JSON, MERGE_PATCH};
use crate::discovery::ApiResource;
use crate::error::{Error, Result};

/// Attempts at an edit while somebody else keeps changing the object.
const ATTEMPTS: u32 = 5;

/// What happens to what an object owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// It goes first; the object stays until it is gone.
    #[default]
    Foreground,
    /// It goes later.
    Background,
    /// It stays.
    Orphan,
}

impl Propagation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Foreground => "Foreground",
            Self::Background => "Background",
            Self::Orphan => "Orphan",
        }
    }
}

impl Applier {
    /// Deletes an object; with `uid`, only that very one. An object that does not
    /// exist (any more) counts as deleted. Deletion has begun when this returns;
    /// it has ended when the live state says so.
    ///
    /// # Errors
    /// What the API server says; a conflict when the name now belongs to another
    /// object.
    pub async fn delete(&self, key: &ResourceKey, propagation: Propagation, uid: Option<&str>) -> Result<()> {
        let _pending = super::Pending::begin("delete");
        let resource = self.preferred(key).await?;
        self.delete_resource(&resource, key, propagation, uid, None).await
    }

    pub(super) async fn delete_resource(
        &self,
        resource: &ApiResource,
        key: &ResourceKey,
        propagation: Propagation,
        uid: Option<&str>,
        grace_seconds: Option<u32>,
    ) -> Result<()> {
        let mut options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation.as_str()});
        if let Some(uid) = uid {
            options["preconditions"] = json!({"uid": uid});
        }
        if let Some(seconds) = grace_seconds {
            options["gracePeriodSeconds"] = json!(seconds);
        }
        let path = resource.object(&key.namespace, &key.name).build();
        match self.connection.send(&Call::write(Method::DELETE, path, JSON, &options)).await {
            Err(error) if !super::is_absent(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes one finalizer off an object. Without the object or the finalizer
    /// there is nothing to do.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn remove_finalizer(&self, key: &ResourceKey, finalizer: &str) -> Result<()> {
        let resource = self.preferred(key).await?;
        for attempt in 1.. {
            let Some(live) = self.read(&resource, key).await? else { return Ok(()) };
            let left: Vec<&str> = object::finalizers(&live).filter(|f| *f != finalizer).collect();
            if left.len() == object::finalizers(&live).count() {
                return Ok(());
            }
            let version = object::resource_version(&live);
            let patch = json!({"metadata": {"finalizers": left, "resourceVersion": version}});
            let path = resource.object(&key.namespace, &key.name);
            let path = path.query("fieldManager", argosy_model::names::FIELD_MANAGER).build();
            match self.connection.send(&Call::write(Method::PATCH, path, MERGE_PATCH, &patch)).await {
                Ok(reply) => {
                    if let Some(state) = &self.live {
                        state.record(&reply.value("a write")?);
                    }
                    return Ok(());
                }
                Err(error) if super::is_absent(&error) => return Ok(()),
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
        unreachable!("the last attempt returns");
    }

    /// Waits until a CustomResourceDefinition is established and its kinds are
    /// known here.
    ///
    /// # Errors
    /// [`Error::Waiting`] after `patience`, or what the API server says.
    pub async fn wait_established(&self, definition: &str, patience: Duration) -> Result<()> {
        let key = ResourceKey::new("apiextensions.k8s.io", "CustomResourceDefinition", "", definition);
        let resource = self.preferred(&key).await?;
        let started = tokio::time::Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(40), Duration::from_millis(500), self.connection.seed());
        loop {
            if let Some(live) = self.read(&resource, &key).await?
                && is_established(&live)
            {
                self.openapi.expire().await;
                self.discovery.refresh().await?;
                if self.serves(&live) {
                    return Ok(());
                }
            }
            if started.elapsed() > patience {
                return Err(Error::Waiting(format!("CustomResourceDefinition {definition} to be established")));
            }
            tokio::time::sleep(backoff.wait(None)).await;
        }
    }

    /// Whether every served version of a definition is in the catalog.
    fn serves(&self, definition: &Value) -> bool {
        let text = |path: &[&str]| object::get(definition, path).and_then(Value::as_str).unwrap_or("").to_owned();
        let (group, kind) = (text(&["spec", "group"]), text(&["spec", "names", "kind"]));
        let catalog = self.discovery.catalog();
        let versions = object::get(definition, &["spec", "versions"]).and_then(Value::as_array);
        versions
            .into_iter()
            .flatten()
            .filter(|v| v.get("served").and_then(Value::as_bool) == Some(true))
            .filter_map(|v| v.get("name").and_then(Value::as_str))
            .all(|version| catalog.get(&argosy_model::Gvk::new(&group, version, &kind)).is_some())
    }
}

fn is_established(definition: &Value) -> bool {
    let conditions = object::get(definition, &["status", "conditions"]).and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|c| c.get("type") == Some(&json!("Established")) && c.get("status") == Some(&json!("True")))
}
