//! Writing clusters, in the Secrets that Argo CD keeps them in. [`Home::clusters`]
//! is up to date when a call returns.

use std::sync::Arc;

use argosy_model::names;
use argosy_proto::v1alpha1::Cluster;
use serde_json::Value;

use super::Home;
use super::credentials::mark;
use super::maps::Core;
use crate::clusters::written::{secret_name, set_cluster, set_metadata};
use crate::clusters::{ClusterSecret, DestinationError};
use crate::error::{Error, Result};

// === impl Home ===

impl Home {
    /// Declares a cluster and returns it as it was written. Declaring the cluster
    /// Argosy runs in takes the place of the implicit one.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`]; [`Error::Rejected`] where the address is none, or
    /// the cluster Argosy runs in may not be used; or another.
    pub async fn create_cluster(&self, cluster: &Cluster) -> Result<Arc<ClusterSecret>> {
        let server = &cluster.server;
        if server == names::IN_CLUSTER_SERVER && !self.settings().general.in_cluster_enabled {
            return Err(Error::Rejected("cannot register cluster: in-cluster has been disabled".to_owned()));
        }
        let exists = || Error::AlreadyExists(format!("cluster {server:?} already exists"));
        if self.cluster_secret(server).is_some() {
            return Err(exists());
        }
        let mut object = Core::Secret.bare(&secret_name(server)?);
        fill_in(&mut object, cluster)?;
        let written = match self.create_secret(&object).await {
            Err(Error::AlreadyExists(_)) => return Err(exists()),
            other => other?,
        };
        self.keep_credential(written).await?;
        self.declared_cluster(server)
    }

    /// Changes a declared cluster, or declares it where it is not.
    ///
    /// # Errors
    /// As [`Self::create_cluster`].
    pub async fn update_cluster(&self, cluster: &Cluster) -> Result<Arc<ClusterSecret>> {
        let Some(name) = self.cluster_secret(&cluster.server) else { return self.create_cluster(cluster).await };
        let place = self.core_place(Core::Secret, &name);
        let written =
            self.modify(&place, Some(&Core::Secret.bare(&name)), None, |object| fill_in(object, cluster)).await?;
        self.keep_credential(written).await?;
        self.declared_cluster(&cluster.server)
    }

    /// Takes a declared cluster back. A Secret that somebody else made stays and
    /// stops being one of a cluster.
    ///
    /// # Errors
    /// [`Error::NotFound`], for the implicit cluster too; or another.
    pub async fn delete_cluster(&self, server: &str) -> Result<()> {
        let missing = || Error::NotFound(format!("cluster {server:?} not found"));
        let name = self.cluster_secret(server).ok_or_else(missing)?;
        self.release_credential(&name, missing).await
    }

    /// The Secret that declares the cluster at an address, usable or not.
    fn cluster_secret(&self, server: &str) -> Option<String> {
        self.clusters().secret_of(server).map(str::to_owned)
    }

    fn declared_cluster(&self, server: &str) -> Result<Arc<ClusterSecret>> {
        self.clusters().by_server(server).map_err(|error| match error {
            DestinationError::Misconfigured { problem, .. } => Error::Rejected(problem),
            // Deleted again at once.
            other => Error::NotFound(other.to_string()),
        })
    }
}

fn fill_in(object: &mut Value, cluster: &Cluster) -> Result<()> {
    Core::Secret.edit_data(object, |data| set_cluster(data, cluster))?;
    set_metadata(object, cluster)?;
    mark(object, "cluster");
    Ok(())
}
