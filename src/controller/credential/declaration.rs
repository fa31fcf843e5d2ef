//! How a cluster is declared: by a Secret, or by being the one Argosy runs in.

use std::collections::BTreeMap;

use argosy_cluster::ClusterConfig;

use crate::context::Shared;

/// A cluster's configuration and which declaration it is from.
pub(super) struct Declared {
    pub(super) config: ClusterConfig,
    /// Changes with every new declaration.
    pub(super) version: String,
}

/// Loads the declaration of the cluster at an address; `None` when there is none.
///
/// # Errors
/// What is wrong with it, in words without any credential.
pub(super) fn load(shared: &Shared, server: &str) -> Result<Option<Declared>, String> {
    let secret = match shared.home.clusters().by_server(server) {
        Ok(secret) => secret,
        Err(error) if error.is_unknown_cluster() => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if secret.secret_name.is_empty() && secret.is_in_cluster() {
        return Ok(Some(Declared { config: shared.options.in_cluster.clone(), version: "in-cluster".to_owned() }));
    }
    let mut data = BTreeMap::from([
        ("name".to_owned(), secret.name.clone().into_bytes()),
        ("server".to_owned(), secret.server.clone().into_bytes()),
        ("namespaces".to_owned(), secret.namespaces.join(",").into_bytes()),
        ("clusterResources".to_owned(), secret.cluster_resources.to_string().into_bytes()),
    ]);
    data.insert("config".to_owned(), secret.config.expose().clone().into_bytes());
    let config = ClusterConfig::from_secret(&data).map_err(|e| argosy_render::report(&e))?;
    Ok(Some(Declared { config, version: secret.resource_version.clone() }))
}
