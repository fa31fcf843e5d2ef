//! Questions about clusters: how is it, can it be reached, and reading it anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use argosy_cluster::{Budget, BudgetConfig, ClusterConfig, Connection, Discovery};
use argosy_model::names;
use argosy_proto::meta::Time;
use argosy_proto::peer::{ClusterRef, Done};
use argosy_proto::v1alpha1::{Cluster, ClusterCacheInfo, ClusterInfo, ConnectionState};
use tonic::Status;

use super::{Limits, refusal};
use crate::application::{cluster_of, find_project};
use crate::cluster::{Target, TargetState};
use crate::context::Shared;

/// Longest wait for a cluster that is tried out.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a declared cluster is doing.
pub(super) fn info(shared: &Shared, named: &ClusterRef) -> Result<ClusterInfo, Status> {
    let server = named.server.trim_end_matches('/');
    refusal::unless_owned(shared, server)?;
    let applications_count = applications(shared, server);
    let (status, message, target) = match shared.directory.cluster_state(server) {
        Some(TargetState::Ready(target)) => match cut_off(&target) {
            Some(reason) => ("Failed", reason, Some(target)),
            None => ("Successful", String::new(), Some(target)),
        },
        Some(TargetState::Failed(reason)) => ("Failed", reason, None),
        Some(TargetState::Connecting) => ("Unknown", String::new(), None),
        None if applications_count == 0 => {
            ("Unknown", "Cluster has no applications and is not being monitored.".to_owned(), None)
        }
        None => ("Unknown", String::new(), None),
    };
    let now = (shared.clock)();
    let state = ConnectionState { status: status.to_owned(), message, attempted_at: Some(now.into()) };
    let cache = target.as_ref().filter(|_| status == "Successful").map(|target| {
        let stats = target.live.stats();
        let synced = stats.age.and_then(|age| now.checked_sub(jiff::SignedDuration::try_from(age).ok()?).ok());
        ClusterCacheInfo {
            resources_count: i64::try_from(stats.objects).unwrap_or(i64::MAX),
            apis_count: i64::try_from(stats.kinds).unwrap_or(i64::MAX),
            last_cache_sync_time: synced.map(Time::from),
        }
    });
    Ok(ClusterInfo {
        connection_state: Some(state),
        server_version: target.as_ref().map(|t| generic(&t.version)).unwrap_or_default(),
        // Argo CD writes it even when there is nothing in it.
        cache_info: Some(cache.unwrap_or_default()),
        applications_count,
        api_versions: target.map(|t| t.discovery.catalog().api_versions()).unwrap_or_default(),
    })
}

/// Why nothing of a cluster can be followed any more, where that is so.
fn cut_off(target: &Target) -> Option<String> {
    if !target.live.is_cut_off() {
        return None;
    }
    Some(target.live.stats().failing.first().map_or_else(String::new, |failure| failure.message.clone()))
}

/// How many applications that may go there do.
fn applications(shared: &Shared, server: &str) -> i64 {
    let goes_there = |(key, app): &(_, Arc<argosy_proto::v1alpha1::Application>)| {
        let spec = app.spec.clone().unwrap_or_default();
        find_project(shared, key, &spec) && cluster_of(shared, &spec).is_ok_and(|cluster| cluster.server == server)
    };
    i64::try_from(shared.home.apps().list().iter().filter(|app| goes_there(app)).count()).unwrap_or(i64::MAX)
}

/// A version without what distributions add to it, such as `+k3s1`.
fn generic(version: &str) -> String {
    let numbers: String =
        version.chars().skip_while(|c| *c == 'v').take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    format!("v{}", numbers.trim_end_matches('.'))
}

/// Connects with what is given and asks for the version.
///
/// # Errors
/// Why there is no connection, without any credential.
pub(super) async fn test(shared: &Arc<Shared>, limits: &Limits, given: &Cluster) -> Result<ClusterInfo, Status> {
    let refuse = |error: argosy_cluster::Error| refusal::of_cluster("error connecting to the cluster", &error, None);
    let config = declaration(shared, given).map_err(refuse)?;
    let _turn = limits.try_out().await?;
    let seed = shared.random();
    let trial = async {
        let budget = Budget::new(BudgetConfig { qps: 20.0, burst: 20.0, in_flight: 4 });
        let connection = Connection::connect(&config, budget, seed).await?;
        let version = connection.server_version().await?;
        let discovery = Discovery::new(connection);
        discovery.refresh().await?;
        Ok((version.git_version, discovery.catalog().api_versions()))
    };
    let tried = tokio::time::timeout(PATIENCE, trial).await;
    let (version, api_versions) = tried.unwrap_or(Err(argosy_cluster::Error::Timeout(PATIENCE))).map_err(refuse)?;
    Ok(ClusterInfo {
        connection_state: Some(ConnectionState {
            status: "Successful".to_owned(),
            message: String::new(),
            attempted_at: Some((shared.clock)().into()),
        }),
        server_version: generic(&version),
        cache_info: Some(ClusterCacheInfo::default()),
        applications_count: applications(shared, given.server.trim_end_matches('/')),
        api_versions,
    })
}

/// The configuration that a Secret with the same content would give.
fn declaration(shared: &Shared, given: &Cluster) -> argosy_cluster::Result<ClusterConfig> {
    let is_own = given.server.trim_end_matches('/') == names::IN_CLUSTER_SERVER;
    let config = match &given.config {
        Some(config) if !(is_own && *config == argosy_proto::v1alpha1::ClusterConfig::default()) => config,
        _ if is_own => return Ok(shared.options.in_cluster.clone()),
        _ => &argosy_proto::v1alpha1::ClusterConfig::default(),
    };
    let text = serde_json::to_vec(config)
        .map_err(|_| argosy_cluster::Error::Config("config cannot be written as JSON".to_owned()))?;
    ClusterConfig::from_secret(&BTreeMap::from([
        ("name".to_owned(), given.name.clone().into_bytes()),
        ("server".to_owned(), given.server.clone().into_bytes()),
        ("namespaces".to_owned(), given.namespaces.join(",").into_bytes()),
        ("clusterResources".to_owned(), given.cluster_resources.to_string().into_bytes()),
        ("config".to_owned(), text),
    ]))
    .map(|config| config.within(&shared.surroundings))
}

/// Reads a cluster anew: what it serves, its schemas and its objects. Nothing
/// disappears meanwhile.
pub(super) async fn read_again(shared: &Shared, named: &ClusterRef) -> Result<Done, Status> {
    let server = named.server.trim_end_matches('/');
    refusal::unless_owned(shared, server)?;
    let Some(target) = shared.directory.known_target(server) else {
        return Err(Status::not_found(format!("cluster {server:?} is not being monitored")));
    };
    target.openapi.expire().await;
    let refreshed = target.discovery.refresh().await;
    refreshed.map_err(|error| refusal::of_cluster("error reading the cluster", &error, None))?;
    target.read_again(shared);
    Ok(Done {})
}

#[cfg(test)]
mod tests {
    use super::generic;

    #[test]
    fn versions_lose_what_distributions_add() {
        for (version, shown) in [("v1.36.3+k3s1", "v1.36.3"), ("v1.30.0-eks-1", "v1.30.0"), ("1.29.1", "v1.29.1")] {
            assert_eq!(generic(version), shown);
        }
    }
}
