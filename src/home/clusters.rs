//! The clusters that applications may be deployed to, from Secrets, and finding
//! the one a destination means.
//!
//! A Secret that cannot be used affects its own cluster alone, and that one is
//! still known to exist: an application whose cluster is misconfigured is not an
//! application whose cluster is gone.

pub(crate) mod written;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use argosy_model::{AppKey, Secret, names};
use serde_json::{Map, Value};

use crate::object::SecretObject;
use crate::settings::Problem;

/// One cluster as declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSecret {
    /// Name of the Secret; empty for the implicit one of the cluster Argosy runs in.
    pub secret_name: String,
    /// Uid of the Secret; empty as above.
    pub id: String,
    /// Name that destinations may use.
    pub name: String,
    /// Address of the API server, without a trailing slash. It may carry a query,
    /// which tells clusters at one address apart.
    pub server: String,
    /// The namespaces that may be looked at; empty means all.
    pub namespaces: Vec<String>,
    /// With namespaces: whether cluster-scoped objects are managed nevertheless.
    pub cluster_resources: bool,
    /// The only project that may deploy there; empty means any.
    pub project: String,
    /// The shard it was pinned to.
    pub shard: Option<u64>,
    /// Labels, without the one that makes it a cluster.
    pub labels: BTreeMap<String, String>,
    /// Annotations, without those of tools.
    pub annotations: BTreeMap<String, String>,
    /// The connection's JSON; empty means none is needed.
    pub config: Secret<String>,
    /// Version of the Secret.
    pub resource_version: String,
}

/// All clusters of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clusters {
    /// By address.
    by_server: BTreeMap<String, Arc<ClusterSecret>>,
    /// Addresses by name.
    by_name: HashMap<String, Vec<String>>,
    /// Addresses whose Secret cannot be used, and why.
    misconfigured: BTreeMap<String, String>,
    in_cluster_enabled: bool,
    /// The Secret that counts for each declared address, usable or not.
    secret_names: BTreeMap<String, String>,
    /// What could not be used; keys are names of Secrets.
    pub problems: Vec<Problem>,
}

/// A difference between two moments, by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterChange {
    /// A new cluster, or one that has become usable.
    Added(Arc<ClusterSecret>),
    /// Another declaration of a known cluster.
    Changed {
        /// As it was.
        old: Arc<ClusterSecret>,
        /// As it is.
        new: Arc<ClusterSecret>,
    },
    /// Gone.
    Removed(Arc<ClusterSecret>),
    /// Still declared, and no longer usable.
    Misconfigured {
        /// As it was while it was usable.
        last: Arc<ClusterSecret>,
        /// What is wrong with it.
        problem: String,
    },
}

/// Why a destination means no cluster. The texts are those users know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Name and address at once.
    #[error("application destination can't have both name and server defined: {name} {server}")]
    Both {
        /// The name given.
        name: String,
        /// The address given.
        server: String,
    },
    /// Neither.
    #[error("Destination server missing from app spec")]
    Missing,
    /// No cluster has the address.
    #[error("error getting cluster by server {0:?}: rpc error: code = NotFound desc = cluster {0:?} not found")]
    UnknownServer(String),
    /// The cluster Argosy runs in may not be used.
    #[error("error getting cluster by server {0:?}: rpc error: code = NotFound desc = cluster {0:?} is disabled")]
    Disabled(String),
    /// No cluster has the name.
    #[error("there are no clusters with this name: {0}")]
    UnknownName(String),
    /// Several have it.
    #[error("there are {} clusters with the same name: [{}]", servers.len(), servers.join(" "))]
    Ambiguous {
        /// Their addresses.
        servers: Vec<String>,
    },
    /// It is declared and cannot be used.
    #[error("error getting cluster by server {server:?}: {problem}")]
    Misconfigured {
        /// Its address.
        server: String,
        /// What is wrong with it.
        problem: String,
    },
}

// === impl DestinationError ===

impl DestinationError {
    /// Whether the cluster is gone for all that is declared, as opposed to
    /// declared wrongly. Only then may an application be let go without cleaning up.
    pub fn is_unknown_cluster(&self) -> bool {
        matches!(self, Self::UnknownServer(_) | Self::UnknownName(_) | Self::Disabled(_))
    }
}

// === impl ClusterSecret ===

impl ClusterSecret {
    /// The values of a Secret that describes the connection as this one does.
    pub fn connection(&self) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([
            ("name".to_owned(), self.name.clone().into_bytes()),
            ("server".to_owned(), self.server.clone().into_bytes()),
            ("namespaces".to_owned(), self.namespaces.join(",").into_bytes()),
            ("clusterResources".to_owned(), self.cluster_resources.to_string().into_bytes()),
            ("config".to_owned(), self.config.expose().clone().into_bytes()),
        ])
    }

    fn read(secret: &SecretObject, problems: &mut Vec<Problem>) -> Result<Self, (String, String)> {
        let data = secret.data.expose();
        let text = |key: &str| data.get(key).cloned().unwrap_or_default();
        let metadata = &secret.metadata;
        let server = text("server").trim_end_matches('/').to_owned();
        if server.is_empty() {
            return Err((server, "server is missing".to_owned()));
        }
        let config = text("config");
        if !config.is_empty() && serde_json::from_str::<Map<String, Value>>(&config).is_err() {
            // What serde says could repeat a credential.
            return Err((server, "config is not a JSON object".to_owned()));
        }
        let shard = data.get("shard").map(|shard| shard.trim()).filter(|shard| !shard.is_empty());
        if shard.is_some_and(|shard| shard.parse::<u64>().is_err()) {
            let message = "shard is not a whole number and is ignored".to_owned();
            problems.push(Problem { key: metadata.name.clone(), message });
        }
        let without = |map: &BTreeMap<String, String>, keys: &[&str]| {
            map.iter().filter(|(k, _)| !keys.contains(&k.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        let namespaces = text("namespaces");
        Ok(Self {
            secret_name: metadata.name.clone(),
            id: metadata.uid.clone(),
            name: text("name"),
            namespaces: namespaces.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect(),
            cluster_resources: text("clusterResources") == "true",
            project: text("project"),
            shard: shard.and_then(|shard| shard.parse().ok()),
            labels: without(&metadata.labels, &[names::LABEL_SECRET_TYPE]),
            annotations: without(
                &metadata.annotations,
                &[names::ANNOTATION_LAST_APPLIED, names::ANNOTATION_MANAGED_BY],
            ),
            config: Secret::new(config),
            resource_version: metadata.resource_version.clone(),
            server,
        })
    }

    /// The cluster Argosy runs in, where no Secret declares it.
    fn implicit() -> Self {
        Self { name: names::IN_CLUSTER_NAME.to_owned(), server: names::IN_CLUSTER_SERVER.to_owned(), ..Self::default() }
    }

    /// Whether it is the cluster Argosy runs in.
    pub fn is_in_cluster(&self) -> bool {
        self.server == names::IN_CLUSTER_SERVER
    }
}

// === impl Clusters ===

impl Clusters {
    /// Gathers them from Secrets; those of other types are skipped.
    pub(crate) fn read<'a>(
        secrets: impl Iterator<Item = (&'a AppKey, &'a SecretObject)>,
        in_cluster_enabled: bool,
    ) -> Self {
        let mut all = Self { in_cluster_enabled, ..Self::default() };
        let is_cluster =
            |s: &SecretObject| s.metadata.labels.get(names::LABEL_SECRET_TYPE).is_some_and(|kind| kind == "cluster");
        let mut secrets: Vec<_> = secrets.filter(|(_, s)| is_cluster(s)).collect();
        // The first by name counts where several declare one address.
        secrets.sort_by(|a, b| a.0.cmp(b.0));
        for (key, secret) in secrets {
            match ClusterSecret::read(secret, &mut all.problems) {
                Ok(cluster) => all.add(cluster),
                Err((server, problem)) => {
                    all.problems.push(Problem { key: key.name.to_string(), message: problem.clone() });
                    if !server.is_empty() {
                        all.secret_names.entry(server.clone()).or_insert_with(|| key.name.to_string());
                        all.misconfigured.insert(server, problem);
                    }
                }
            }
        }
        let server = names::IN_CLUSTER_SERVER;
        if in_cluster_enabled && !all.by_server.contains_key(server) && !all.misconfigured.contains_key(server) {
            // Its name is not entered: a Secret may take it for another cluster.
            all.by_server.insert(server.to_owned(), Arc::new(ClusterSecret::implicit()));
        }
        // A usable declaration of the same address counts.
        let by_server = &all.by_server;
        all.misconfigured.retain(|server, _| !by_server.contains_key(server));
        all
    }

    fn add(&mut self, cluster: ClusterSecret) {
        if cluster.is_in_cluster() && !self.in_cluster_enabled {
            return;
        }
        if let Some(first) = self.by_server.get(&cluster.server) {
            let message = format!("declares the same server as {} and is ignored", first.secret_name);
            self.problems.push(Problem { key: cluster.secret_name, message });
            return;
        }
        self.secret_names.insert(cluster.server.clone(), cluster.secret_name.clone());
        self.by_name.entry(cluster.name.clone()).or_default().push(cluster.server.clone());
        self.by_server.insert(cluster.server.clone(), Arc::new(cluster));
    }

    /// All usable clusters, by address.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ClusterSecret>> {
        self.by_server.values()
    }

    /// The cluster at an address.
    ///
    /// # Errors
    /// Why there is none.
    pub fn by_server(&self, server: &str) -> Result<Arc<ClusterSecret>, DestinationError> {
        let server = server.trim_end_matches('/');
        if let Some(cluster) = self.by_server.get(server) {
            return Ok(cluster.clone());
        }
        let server = server.to_owned();
        if server == names::IN_CLUSTER_SERVER && !self.in_cluster_enabled {
            return Err(DestinationError::Disabled(server));
        }
        match self.misconfigured.get(&server) {
            Some(problem) => Err(DestinationError::Misconfigured { server, problem: problem.clone() }),
            None => Err(DestinationError::UnknownServer(server)),
        }
    }

    /// The Secret that declares the cluster at an address, usable or not; `None`
    /// for the implicit one.
    pub fn secret_of(&self, server: &str) -> Option<&str> {
        self.secret_names.get(server.trim_end_matches('/')).map(String::as_str)
    }

    /// The cluster that a destination's address or name means.
    ///
    /// # Errors
    /// Why it means none.
    pub fn resolve(&self, server: &str, name: &str) -> Result<Arc<ClusterSecret>, DestinationError> {
        match (server, name) {
            ("", "") => Err(DestinationError::Missing),
            (server, "") => self.by_server(server),
            ("", name) => self.by_name(name),
            (server, name) => Err(DestinationError::Both { name: name.to_owned(), server: server.to_owned() }),
        }
    }

    fn by_name(&self, name: &str) -> Result<Arc<ClusterSecret>, DestinationError> {
        match self.by_name.get(name).map(Vec::as_slice) {
            Some([server]) => self.by_server(server),
            Some(servers) => Err(DestinationError::Ambiguous { servers: servers.to_vec() }),
            None if name == names::IN_CLUSTER_NAME && self.in_cluster_enabled => {
                self.by_server(names::IN_CLUSTER_SERVER)
            }
            None => Err(DestinationError::UnknownName(name.to_owned())),
        }
    }

    /// What happened since an earlier moment.
    pub fn changes_since(&self, earlier: &Self) -> Vec<ClusterChange> {
        let servers: HashSet<&String> = self.by_server.keys().chain(earlier.by_server.keys()).collect();
        let mut changes: Vec<ClusterChange> = Vec::new();
        for server in servers {
            changes.extend(match (earlier.by_server.get(server), self.by_server.get(server)) {
                (None, Some(new)) => Some(ClusterChange::Added(new.clone())),
                (Some(old), Some(new)) if old != new => {
                    Some(ClusterChange::Changed { old: old.clone(), new: new.clone() })
                }
                (Some(last), None) => Some(match self.misconfigured.get(server) {
                    Some(problem) => ClusterChange::Misconfigured { last: last.clone(), problem: problem.clone() },
                    None => ClusterChange::Removed(last.clone()),
                }),
                _ => None,
            });
        }
        changes
    }
}

#[cfg(test)]
#[path = "clusters/tests.rs"]
mod tests;
