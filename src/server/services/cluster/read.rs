//! Reading clusters, and how their owners say they are doing.

use std::sync::Arc;
use std::time::Duration;

use argosy_auth::rbac::object::scoped;
use argosy_home::ClusterSecret;
use argosy_proto::cluster::ClusterQuery;
use argosy_proto::peer::ClusterRef;
use argosy_proto::v1alpha1::{Cluster, ClusterInfo, ClusterList, ConnectionState};
use futures::future::join_all;
use tonic::Status;

use super::Service;
use crate::caller::Caller;
use crate::peers::told;
use crate::permission::{action, permission_denied, resource};
use crate::redact;

/// How long an owner gets to say how a cluster is doing.
const PATIENCE: Duration = Duration::from_secs(5);

// === impl Service ===

impl Service {
    /// The clusters the caller may see.
    pub(super) async fn visible(&self, caller: &Caller, query: &ClusterQuery) -> Result<ClusterList, Status> {
        let wanted = Wanted::of(query)?;
        let clusters = self.shared.home.clusters();
        let shown: Vec<_> = clusters
            .iter()
            .filter(|known| wanted.is_none_or(known))
            .filter(|known| self.may(caller, action::GET, known))
            .cloned()
            .collect();
        let items = join_all(shown.iter().map(|known| self.answer(known))).await;
        Ok(ClusterList { metadata: Some(Default::default()), items })
    }

    pub(super) async fn one(&self, caller: &Caller, query: &ClusterQuery) -> Result<Cluster, Status> {
        let known = self.find(caller, query, action::GET)?;
        Ok(self.answer(&known).await)
    }

    pub(super) fn may(&self, caller: &Caller, action: &str, known: &ClusterSecret) -> bool {
        self.shared.permits(caller, resource::CLUSTERS, action, &scoped(&known.project, &known.server))
    }

    /// The cluster a query means, if the caller may do that with it. One that does
    /// not exist is refused alike.
    pub(super) fn find(
        &self,
        caller: &Caller,
        query: &ClusterQuery,
        action: &str,
    ) -> Result<Arc<ClusterSecret>, Status> {
        let wanted = Wanted::of(query)?;
        let clusters = self.shared.home.clusters();
        let found = clusters.iter().find(|known| wanted.matches(known)).cloned();
        found.filter(|known| self.may(caller, action, known)).ok_or_else(permission_denied)
    }

    /// A cluster as clients see it, with what its owner knows of it.
    pub(super) async fn answer(&self, known: &ClusterSecret) -> Cluster {
        let mut cluster = redact::cluster(known);
        let info = self.ask_owner(&known.server).await;
        cluster.server_version.clone_from(&info.server_version);
        cluster.connection_state.clone_from(&info.connection_state);
        cluster.info = Some(info);
        cluster
    }

    async fn ask_owner(&self, server: &str) -> ClusterInfo {
        let asked = async {
            let mut peer = self.shared.peers.of_cluster(server)?;
            peer.cluster_info(ClusterRef { server: server.to_owned() }).await.map_err(told)
        };
        let answer = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("the controller replica did not answer in time")),
        };
        answer.unwrap_or_else(|error| ClusterInfo {
            connection_state: Some(ConnectionState {
                status: "Unknown".to_owned(),
                message: error.message().to_owned(),
                attempted_at: None,
            }),
            ..Default::default()
        })
    }
}

/// What a query asks for.
pub(super) struct Wanted {
    server: String,
    name: String,
}

// === impl Wanted ===

impl Wanted {
    /// # Errors
    /// `InvalidArgument` when an escaped name is not.
    pub(super) fn of(query: &ClusterQuery) -> Result<Self, Status> {
        let Some(id) = &query.id else {
            return Ok(Self { server: trimmed(&query.server), name: query.name.clone() });
        };
        Ok(match &*id.r#type {
            "name" => Self { server: String::new(), name: id.value.clone() },
            "name_escaped" => Self { server: String::new(), name: unescape(&id.value)? },
            _ => Self { server: trimmed(&id.value), name: String::new() },
        })
    }

    fn is_none_or(&self, known: &ClusterSecret) -> bool {
        (self.server.is_empty() || self.server == known.server) && (self.name.is_empty() || self.name == known.name)
    }

    fn matches(&self, known: &ClusterSecret) -> bool {
        match (&*self.server, &*self.name) {
            ("", "") => false,
            ("", name) => known.name == name,
            (server, _) => known.server == server,
        }
    }
}

fn trimmed(server: &str) -> String {
    server.trim_end_matches('/').to_owned()
}

/// Undoes the escaping of a query's value, where `+` is a space.
fn unescape(text: &str) -> Result<String, Status> {
    let pair = format!("v={text}");
    let decoded = url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned());
    match decoded {
        Some(decoded) if !decoded.contains('\u{fffd}') => Ok(decoded),
        _ => Err(Status::invalid_argument("the name of the cluster is not escaped properly")),
    }
}

#[cfg(test)]
mod tests {
    use argosy_proto::cluster::ClusterId;

    use super::*;

    fn known() -> ClusterSecret {
        ClusterSecret { server: "https://a".to_owned(), name: "a b".to_owned(), ..Default::default() }
    }

    fn by(kind: &str, value: &str) -> ClusterQuery {
        let id = ClusterId { r#type: kind.to_owned(), value: value.to_owned() };
        ClusterQuery { id: Some(id), ..Default::default() }
    }

    #[test]
    fn clusters_are_found_by_address_name_and_escaped_name() {
        for query in [by("", "https://a/"), by("url", "https://a"), by("name", "a b"), by("name_escaped", "a+b")] {
            assert!(Wanted::of(&query).unwrap().matches(&known()), "{query:?}");
        }
        assert!(Wanted::of(&by("name_escaped", "a%20b")).unwrap().matches(&known()));
    }

    #[test]
    fn a_query_that_names_nothing_finds_nothing() {
        assert!(!Wanted::of(&ClusterQuery::default()).unwrap().matches(&known()));
        assert!(!Wanted::of(&by("name", "")).unwrap().matches(&known()));
    }
}
