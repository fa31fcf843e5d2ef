//! What an application's tree says at a glance: images and links.

use std::collections::BTreeSet;

use argosy_engine::compare::Pair;
use argosy_model::{ResourceKey, names};
use argosy_proto::v1alpha1::{Application, ApplicationSummary};

use super::destination;
use crate::cluster::Target;
use crate::context::Shared;

/// Images and links of the managed resources and everything below them.
pub(super) fn of<'a>(target: &Target, pairs: impl Iterator<Item = &'a Pair> + Clone) -> ApplicationSummary {
    let roots: Vec<&ResourceKey> = pairs.clone().filter(|p| p.live.is_some()).map(|p| &p.key).collect();
    let is_app_of_apps = pairs.clone().any(|p| p.target.is_some() && is_application(&p.key));
    summarize(target, roots, is_app_of_apps)
}

/// Brings the summary up to date after something below a resource changed.
pub(super) fn refresh(shared: &Shared, app: &mut Application) {
    let Some(spec) = &app.spec else { return };
    let Ok(cluster) = destination::cluster_of(shared, spec) else { return };
    let Some(target) = shared.directory.known_target(&cluster.server) else { return };
    let Some(status) = &mut app.status else { return };
    let keys: Vec<ResourceKey> =
        status.resources.iter().map(|r| ResourceKey::new(&r.group, &r.kind, &r.namespace, &r.name)).collect();
    let is_app_of_apps = status.summary.as_ref().is_some_and(|s| s.is_app_of_apps);
    status.summary = Some(summarize(&target, keys.iter().collect(), is_app_of_apps));
}

fn summarize(target: &Target, roots: Vec<&ResourceKey>, is_app_of_apps: bool) -> ApplicationSummary {
    let (mut images, mut urls) = (BTreeSet::new(), BTreeSet::new());
    for node in target.live.tree(roots) {
        let Some(summary) = node.object.summary else { continue };
        images.extend(summary.images.iter().map(ToString::to_string));
        urls.extend(summary.network.iter().flat_map(|n| n.external_urls.iter().cloned()));
    }
    ApplicationSummary {
        external_ur_ls: urls.into_iter().collect(),
        images: images.into_iter().collect(),
        is_app_of_apps,
    }
}

fn is_application(key: &ResourceKey) -> bool {
    &*key.group == names::GROUP && &*key.kind == "Application"
}
