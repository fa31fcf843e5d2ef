//! How a cluster is declared: by a Secret, or by being the one Argosy runs in.

use argosy_cluster::ClusterConfig;
use argosy_home::{ClusterSecret, Settings};
use argosy_model::{FenceWish, names};

use super::establish::Wanted;
use crate::context::Shared;

/// A cluster's configuration and which declaration it is from.
pub(super) struct Declared {
    pub(super) wanted: Wanted,
    /// Changes with every new declaration and with the settings that concern it.
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
    let settings = shared.home.settings();
    let fence = fence(&secret, &settings);
    let life = settings.controller.credential_lifetime;
    let version = format!("{} {fence:?} {}", secret.resource_version, life.as_secs());
    if secret.secret_name.is_empty() && secret.is_in_cluster() {
        // No other installation is in the same namespace of the same cluster.
        let declaration = format!("namespace/{}", shared.options.namespace);
        let config = shared.options.in_cluster.clone();
        return Ok(Some(Declared { wanted: Wanted { config, declaration, fence, life }, version }));
    }
    let config = ClusterConfig::from_secret(&secret.connection()).map_err(|e| argosy_model::report(&e))?;
    let config = config.within(&shared.surroundings);
    Ok(Some(Declared { wanted: Wanted { config, declaration: secret.id.clone(), fence, life }, version }))
}

/// What the Secret says, else the settings. What cannot be understood must not
/// keep a cluster from its applications.
fn fence(secret: &ClusterSecret, settings: &Settings) -> FenceWish {
    let Some(text) = secret.annotations.get(names::ANNOTATION_FENCE) else { return settings.controller.fence };
    text.parse().unwrap_or_else(|problem| {
        tracing::warn!(secret = secret.secret_name, annotation = names::ANNOTATION_FENCE, problem, "ignored");
        settings.controller.fence
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clusters_own_word_counts_more_than_the_installations() {
        let mut settings = Settings::default();
        settings.controller.fence = FenceWish::Binding;
        let mut secret = ClusterSecret::default();
        assert_eq!(fence(&secret, &settings), FenceWish::Binding);
        secret.annotations.insert(names::ANNOTATION_FENCE.to_owned(), "none".to_owned());
        assert_eq!(fence(&secret, &settings), FenceWish::None);
        secret.annotations.insert(names::ANNOTATION_FENCE.to_owned(), "wall".to_owned());
        assert_eq!(fence(&secret, &settings), FenceWish::Binding);
    }
}
