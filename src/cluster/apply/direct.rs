//! What people do to one object: read, patch, delete, and read its events.
//!
//! Nothing is computed here and nothing is tried again after a refusal: the API
//! server's answer is the answer. Its words about a Secret are not made safe,
//! for the patch is not known to be one of a Secret's; whoever passes errors on
//! leaves them out for Secrets.

use argosy_model::{Gvk, ResourceKey};
use http::Method;
use serde_json::Value;

use super::{Applier, Propagation};
use crate::budget::Priority;
use crate::call::{Call, JSON_PATCH, MERGE_PATCH, Path};
use crate::error::Result;

const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";

/// Who is entered in `managedFields` for what people change, as Argo CD's API does.
const MANAGER: &str = "argocd-server";

/// How a patch is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchFormat {
    /// RFC 6902, a list of operations.
    Json,
    /// RFC 7396.
    Merge,
    /// Kubernetes' own, which knows how lists are merged.
    Strategic,
}

/// How an object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// What happens to its dependents.
    pub propagation: Propagation,
    /// Seconds it may take to end; `None` leaves that to the object.
    pub grace_seconds: Option<u32>,
}

// === impl PatchFormat ===

impl PatchFormat {
    /// By the media type that clients of Kubernetes send; `None` for another.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        [Self::Json, Self::Merge, Self::Strategic].into_iter().find(|format| format.media_type() == media_type)
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Json => JSON_PATCH,
            Self::Merge => MERGE_PATCH,
            Self::Strategic => STRATEGIC_PATCH,
        }
    }
}

// === impl Applier ===

impl Applier {
    /// Reads an object in exactly this version.
    ///
    /// # Errors
    /// What the API server says, also that there is no such object.
    pub async fn read_as(&self, gvk: &Gvk, key: &ResourceKey) -> Result<Value> {
        let resource = self.resolve(gvk, key).await?;
        let path = resource.object(&key.namespace, &key.name).build();
        self.connection.json("get", Call::get(path, Priority::Interactive)).await
    }

    /// Patches an object, or one of its subresources such as `status`, and returns
    /// what it is then.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn patch(
        &self,
        gvk: &Gvk,
        key: &ResourceKey,
        format: PatchFormat,
        patch: &Value,
        subresource: Option<&str>,
    ) -> Result<Value> {
        let _pending = super::Pending::begin("patch");
        let resource = self.resolve(gvk, key).await?;
        let mut path = resource.object(&key.namespace, &key.name);
        if let Some(subresource) = subresource {
            path = path.segment(subresource);
        }
        let path = path.query("fieldManager", MANAGER).build();
        let mut call = Call::write(Method::PATCH, path, format.media_type(), patch);
        call.priority = Priority::Interactive;
        let patched = self.connection.send(&call).await?.value("a write")?;
        if let Some(live) = &self.live {
            live.record(&patched);
        }
        Ok(patched)
    }

    /// Deletes an object. One that is gone already counts as deleted.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn remove(&self, gvk: &Gvk, key: &ResourceKey, removal: Removal) -> Result<()> {
        let _pending = super::Pending::begin("delete");
        let resource = self.resolve(gvk, key).await?;
        self.delete_resource(&resource, key, removal.propagation, None, removal.grace_seconds).await
    }

    /// The events of a namespace that are about the object, as an `EventList`;
    /// with a uid only those of that life of it.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn events_of(&self, namespace: &str, name: &str, uid: &str) -> Result<Value> {
        let mut selector = format!("involvedObject.name={name},involvedObject.namespace={namespace}");
        if !uid.is_empty() {
            selector.push_str(&format!(",involvedObject.uid={uid}"));
        }
        // Events of cluster-scoped objects are in the namespace `default`.
        let place = if namespace.is_empty() { "default" } else { namespace };
        let path = Path::new("/api/v1/namespaces").segment(place).segment("events").query("fieldSelector", &selector);
        self.connection.json("events", Call::get(path.build(), Priority::Interactive)).await
    }
}
