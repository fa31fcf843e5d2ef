//! Live objects, one at a time: reading, patching, deleting.
//!
//! An object can be reached only through an application whose tree it is in, and
//! what happens to it is done in the name of that application: as its service
//! account where impersonation is on, and never with a kind or in a namespace
//! that the project does not permit.

use std::sync::Arc;

use argosy_cluster::{Applier, PatchFormat, Propagation, Removal};
use argosy_fleet::Ownership;
use argosy_model::{Gvk, ResourceKey};
use argosy_proto::peer::{DeleteResourceRequest, Done, Manifest, PatchResourceRequest, ResourceRef};
use serde_json::Value;
use tonic::Status;

use super::managed::masked_text;
use super::refusal;
use super::subject::Subject;
use super::tree::Tree;
use crate::context::Shared;

/// Largest patch, in bytes; larger than any object etcd takes.
const LARGEST_PATCH: usize = 4 << 20;

/// An object of an application's tree, and the way to it.
pub(super) struct Found {
    pub(super) tree: Tree,
    pub(super) key: ResourceKey,
    /// In the version asked for, else in the one the tree shows.
    pub(super) gvk: Gvk,
    pub(super) applier: Applier,
    /// While it is held, the cluster is this replica's to change.
    right: Ownership,
}

// === impl Found ===

impl Found {
    /// Finds the object in the application's tree.
    ///
    /// # Errors
    /// With Argo CD's words when it is not part of it.
    pub(super) async fn find(shared: &Arc<Shared>, named: Option<&ResourceRef>) -> Result<Self, Status> {
        let named = named.ok_or_else(|| Status::invalid_argument("resource is missing"))?;
        let subject = Subject::find_owned(shared, named.application.as_ref()).await?;
        let tree = Tree::prepare(shared, &subject).await?;
        let key = ResourceKey::new(&named.group, &named.kind, &named.namespace, &named.name);
        let node = tree.find(&key).ok_or_else(|| {
            Status::invalid_argument(format!(
                "{} {} {} not found as part of application {}",
                named.kind, named.group, named.name, subject.key.name
            ))
        })?;
        let mut gvk = node.object.gvk.clone();
        if !named.version.is_empty() {
            gvk.version = named.version.as_str().into();
        }
        let applier = subject.applier(shared, tree.grounds(), tree.target())?;
        let right = shared.directory.right_to(&subject.key, &tree.grounds().cluster.server).await;
        let right = right.ok_or_else(|| Status::unavailable("the cluster is moving to another replica"))?;
        Ok(Self { tree, key, gvk, applier, right })
    }

    /// Changes the cluster, for as long as it is this replica's.
    ///
    /// # Errors
    /// `Aborted` when it was taken away meanwhile: the change may have been made.
    pub(super) async fn change<T>(&self, change: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let moved =
            || Status::aborted("the cluster moved to another replica during the change; look before repeating it");
        self.right.while_held(change).await.unwrap_or_else(|| Err(moved()))
    }

    /// The object as the API server has it.
    pub(super) async fn read(&self) -> Result<Value, Status> {
        let read = self.applier.read_as(&self.gvk, &self.key).await;
        read.map_err(|error| refusal::of_cluster("error getting resource", &error, self.secret().as_deref()))
    }

    /// The object's name where it is a Secret.
    pub(super) fn secret(&self) -> Option<String> {
        let is_secret = self.key.group.is_empty() && &*self.key.kind == "Secret";
        is_secret.then(|| format!("{}/{}", self.key.namespace, self.key.name))
    }
}

/// Reads an object.
pub(super) async fn get(shared: &Arc<Shared>, named: &ResourceRef) -> Result<Manifest, Status> {
    let found = Found::find(shared, Some(named)).await?;
    Ok(Manifest { json: masked_text(shared, found.read().await?) })
}

/// Patches an object and returns what it is then.
pub(super) async fn patch(shared: &Arc<Shared>, request: &PatchResourceRequest) -> Result<Manifest, Status> {
    let format = PatchFormat::of_media_type(&request.patch_type).ok_or_else(|| {
        Status::invalid_argument(format!(
            "patch type {:?} is not supported; use application/json-patch+json, application/merge-patch+json or \
             application/strategic-merge-patch+json",
            request.patch_type
        ))
    })?;
    if request.patch.len() > LARGEST_PATCH {
        return Err(Status::invalid_argument(format!("the patch is larger than {LARGEST_PATCH} bytes")));
    }
    // What the parser says could repeat a value.
    let patch: Value =
        serde_json::from_str(&request.patch).map_err(|_| Status::invalid_argument("the patch is not JSON"))?;
    let found = Found::find(shared, request.resource.as_ref()).await?;
    let change = async {
        let patched = found.applier.patch(&found.gvk, &found.key, format, &patch, None).await;
        patched.map_err(|error| refusal::of_cluster("error patching resource", &error, found.secret().as_deref()))
    };
    let patched = found.change(change).await?;
    Ok(Manifest { json: masked_text(shared, patched) })
}

/// Deletes an object, its dependents first unless told otherwise.
pub(super) async fn delete(shared: &Arc<Shared>, request: &DeleteResourceRequest) -> Result<Done, Status> {
    let found = Found::find(shared, request.resource.as_ref()).await?;
    let removal = match (request.orphan, request.force) {
        (true, _) => Removal { propagation: Propagation::Orphan, grace_seconds: None },
        (false, true) => Removal { propagation: Propagation::Background, grace_seconds: Some(0) },
        (false, false) => Removal::default(),
    };
    let change = async {
        let removed = found.applier.remove(&found.gvk, &found.key, removal).await;
        removed.map_err(|error| refusal::of_cluster("error deleting resource", &error, found.secret().as_deref()))
    };
    found.change(change).await?;
    Ok(Done {})
}
