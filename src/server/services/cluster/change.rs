//! Declaring, changing and withdrawing clusters. A cluster is stored only after
//! it was reached with what was given.

use std::sync::Arc;
use std::time::Duration;

use argosy_auth::rbac::object::scoped;
use argosy_home::{ClusterSecret, Error};
use argosy_model::names;
use argosy_proto::cluster::{ClusterCreateRequest, ClusterQuery, ClusterResponse, ClusterUpdateRequest};
use argosy_proto::peer::ClusterRef;
use argosy_proto::v1alpha1::{Cluster, ClusterConfig};
use tonic::Status;

use super::Service;
use crate::caller::Caller;
use crate::difference;
use crate::peers::told;
use crate::permission::{action, permission_denied, resource};
use crate::status::from_home;

/// How long a cluster gets to say its version.
const PATIENCE: Duration = Duration::from_secs(30);

// === impl Service ===

impl Service {
    pub(super) async fn declare(&self, caller: &Caller, request: ClusterCreateRequest) -> Result<Cluster, Status> {
        let wanted = payload(request.cluster)?;
        self.shared.enforce(caller, resource::CLUSTERS, action::CREATE, &scoped(&wanted.project, &wanted.server))?;
        self.may_borrow(caller, action::CREATE, &wanted)?;
        self.reach(&wanted).await?;
        match self.shared.home.create_cluster(&wanted).await {
            Ok(stored) => {
                tracing::info!(server = stored.server, by = caller.username(), "a cluster was added");
                Ok(self.answer(&stored).await)
            }
            Err(Error::AlreadyExists(_)) => self.meet(caller, wanted, request.upsert).await,
            Err(error) => Err(from_home(&error)),
        }
    }

    /// What uses more than the caller brings, Argosy's own credential or programs
    /// beside it, no project hands out: that takes the permission for all clusters.
    fn may_borrow(&self, caller: &Caller, action: &str, wanted: &Cluster) -> Result<(), Status> {
        let config = wanted.config.clone().unwrap_or_default();
        let runs = config.exec_provider_config.is_some() || config.aws_auth_config.is_some();
        if wanted.project.is_empty() || !(runs || wanted.server == names::IN_CLUSTER_SERVER) {
            return Ok(());
        }
        self.shared.enforce(caller, resource::CLUSTERS, action, &wanted.server)
    }

    /// One exists: fine when it is the same, or may be replaced.
    async fn meet(&self, caller: &Caller, wanted: Cluster, upsert: bool) -> Result<Cluster, Status> {
        let query = ClusterQuery { server: wanted.server.clone(), ..Default::default() };
        let existing = self.find(caller, &query, action::UPDATE)?;
        match difference::refusal("cluster", &comparable(&existing.to_cluster()), &comparable(&wanted))? {
            None => Ok(self.answer(&existing).await),
            Some(_) if upsert => {
                let update = ClusterUpdateRequest { cluster: Some(wanted), ..Default::default() };
                self.redeclare(caller, update).await
            }
            Some(message) => Err(Status::invalid_argument(message)),
        }
    }

    pub(super) async fn redeclare(&self, caller: &Caller, request: ClusterUpdateRequest) -> Result<Cluster, Status> {
        let ClusterUpdateRequest { cluster, updated_fields, id } = request;
        let wanted = payload(cluster)?;
        let query = ClusterQuery { server: wanted.server.clone(), name: wanted.name.clone(), id };
        let existing = self.find(caller, &query, action::UPDATE)?;
        let wanted = if updated_fields.is_empty() {
            Cluster { server: existing.server.clone(), ..wanted }
        } else {
            taken(existing.to_cluster(), wanted, &updated_fields)
        };
        // Who moves a cluster into a project must be allowed to change it there too.
        let moved = scoped(&wanted.project, &existing.server);
        if !self.shared.permits(caller, resource::CLUSTERS, action::UPDATE, &moved) {
            return Err(permission_denied());
        }
        self.may_borrow(caller, action::UPDATE, &wanted)?;
        self.reach(&wanted).await?;
        let stored = self.shared.home.update_cluster(&wanted).await.map_err(|e| from_home(&e))?;
        tracing::info!(server = stored.server, by = caller.username(), "a cluster was changed");
        Ok(self.answer(&stored).await)
    }

    pub(super) async fn withdraw(&self, caller: &Caller, query: &ClusterQuery) -> Result<ClusterResponse, Status> {
        for known in self.all(caller, query, action::DELETE)? {
            self.shared.home.delete_cluster(&known.server).await.map_err(|e| from_home(&e))?;
            tracing::info!(server = known.server, by = caller.username(), "a cluster was removed");
        }
        Ok(ClusterResponse {})
    }

    /// Every cluster a query means: a name may stand for several.
    ///
    /// # Errors
    /// `PermissionDenied` when there is none, or one of them is not the caller's.
    pub(super) fn all(
        &self,
        caller: &Caller,
        query: &ClusterQuery,
        action: &str,
    ) -> Result<Vec<Arc<ClusterSecret>>, Status> {
        let first = self.find(caller, query, action)?;
        let by_name = query.id.is_none() && query.server.is_empty();
        let clusters = self.shared.home.clusters();
        let same = |known: &&Arc<ClusterSecret>| known.server == first.server || by_name && known.name == first.name;
        let all: Vec<_> = clusters.iter().filter(same).cloned().collect();
        if all.iter().all(|known| self.may(caller, action, known)) { Ok(all) } else { Err(permission_denied()) }
    }

    pub(super) async fn read_again(&self, caller: &Caller, query: &ClusterQuery) -> Result<Cluster, Status> {
        let known = self.find(caller, query, action::UPDATE)?;
        let mut peer = self.shared.peers.of_cluster(&known.server)?;
        peer.invalidate_cache(ClusterRef { server: known.server.clone() }).await.map_err(told)?;
        Ok(self.answer(&known).await)
    }

    /// Connects with what was given.
    pub(super) async fn reach(&self, cluster: &Cluster) -> Result<(), Status> {
        let mut peer = self.shared.peers.of_cluster(&cluster.server)?;
        match tokio::time::timeout(PATIENCE, peer.test_cluster(cluster.clone())).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let error = told(error);
                Err(Status::new(error.code(), format!("error getting server version: {}", error.message())))
            }
            Err(_) => Err(Status::deadline_exceeded(format!("the cluster did not answer within {PATIENCE:?}"))),
        }
    }
}

fn payload(cluster: Option<Cluster>) -> Result<Cluster, Status> {
    let mut cluster = cluster.ok_or_else(|| Status::invalid_argument("missing payload 'cluster' in request"))?;
    cluster.server = cluster.server.trim_end_matches('/').to_owned();
    Ok(cluster)
}

/// What of two declarations is compared.
fn comparable(cluster: &Cluster) -> Cluster {
    let config = cluster.config.clone().unwrap_or_default();
    let tls = config.tls_client_config.clone().unwrap_or_default();
    Cluster {
        config: Some(ClusterConfig { tls_client_config: Some(tls), ..config }),
        connection_state: None,
        server_version: String::new(),
        refresh_requested_at: None,
        info: None,
        ..cluster.clone()
    }
}

/// The existing declaration with the named fields of the wanted one.
fn taken(existing: Cluster, wanted: Cluster, fields: &[String]) -> Cluster {
    let mut taken = existing;
    for field in fields {
        match &**field {
            "name" => taken.name.clone_from(&wanted.name),
            "namespaces" => taken.namespaces.clone_from(&wanted.namespaces),
            "config" => taken.config.clone_from(&wanted.config),
            "shard" => taken.shard = wanted.shard,
            "clusterResources" => taken.cluster_resources = wanted.cluster_resources,
            "labels" => taken.labels.clone_from(&wanted.labels),
            "annotations" => taken.annotations.clone_from(&wanted.annotations),
            "project" => taken.project.clone_from(&wanted.project),
            // As the reference: what is no field changes nothing.
            _ => {}
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_fields_are_taken_over() {
        let existing = Cluster { name: "a".into(), project: "p".into(), ..Default::default() };
        let wanted = Cluster { name: "b".into(), project: "q".into(), ..Default::default() };
        let taken = taken(existing, wanted, &["name".to_owned(), "nonsense".to_owned()]);
        assert_eq!((&*taken.name, &*taken.project), ("b", "p"));
    }
}
