//! Live state beside the targets: what the application owns, what its targets
//! meet, and who belongs to whom.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use argosy_engine::compare::{PairContext, Pairing, pair_resources};
use argosy_engine::target::Targets;
use argosy_model::{AppKey, Gvk, ResourceKey, object};
use serde_json::Value;

use super::compare::{Failure, live_failure};
use super::destination::Grounds;
use super::memory::Memory;
use crate::cluster::Target;
use crate::context::Shared;

/// How long a comparison waits for what its application owns to be read in one go.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the objects of an application are kept whole that this replica works
/// for since a moment ago. What is missing then is read one by one.
pub(super) async fn complete(shared: &Shared, key: &AppKey, target: &Target) {
    let instance = key.instance_name(&shared.options.namespace);
    if tokio::time::timeout(PATIENCE, target.live.complete_for(&instance)).await.is_err() {
        tracing::warn!(application = %key, server = target.server, "its objects take long to be listed; reading each");
    }
}

/// Reads the live objects a comparison needs and pairs them with the targets.
pub(super) async fn pair(
    shared: &Shared,
    memory: &Memory,
    key: &AppKey,
    grounds: &Grounds,
    target: &Target,
    targets: &Targets,
) -> Result<Pairing, Failure> {
    let settings = shared.home.settings();
    let instance = key.instance_name(&shared.options.namespace);
    let owned = live_objects(shared, memory, target, target.live.owned_by(&instance)).await?;
    let known: HashSet<ResourceKey> = owned.iter().map(|o| ResourceKey::of(o)).collect();
    let strangers: Vec<_> = targets
        .objects
        .iter()
        .flat_map(|o| candidate_keys(o))
        .filter(|key| !known.contains(key))
        .filter_map(|key| target.live.get(&key))
        .collect();
    let strangers = live_objects(shared, memory, target, strangers).await?;
    let catalog = target.discovery.catalog();
    let namespaced = |object: &Value| catalog.is_namespaced(&Gvk::of(object).group_kind()).unwrap_or(true);
    let rules = &grounds.project.rules;
    let (server, name) = (grounds.cluster.server.as_str(), grounds.cluster.name.as_str());
    let context = PairContext {
        app: key,
        instance: &instance,
        tracking: &settings.tracking,
        owned: &owned,
        live: &|key| strangers.iter().find(|o| ResourceKey::of(o) == *key).cloned(),
        permits_live: &|o| rules.permits_live_resource(&ResourceKey::of(o), namespaced(o), server, name).permitted,
        permits_target: &|o| rules.permits_kind(&Gvk::of(o).group_kind(), namespaced(o), object::name(o)).permitted,
    };
    Ok(pair_resources(&targets.objects, &context))
}

/// A target may turn out to be cluster-scoped when its kind is not known yet.
fn candidate_keys(target: &Value) -> Vec<ResourceKey> {
    let key = ResourceKey::of(target);
    if key.namespace.is_empty() {
        return vec![key];
    }
    let cluster_scoped = ResourceKey { namespace: "".into(), ..key.clone() };
    vec![key, cluster_scoped]
}

/// Whole objects, parsed once per version; those not kept whole are read.
async fn live_objects(
    shared: &Shared,
    memory: &Memory,
    target: &Target,
    found: Vec<argosy_cluster::LiveObject>,
) -> Result<Vec<Arc<Value>>, Failure> {
    let mut out = Vec::with_capacity(found.len());
    for live in found {
        if let Some(known) =
            memory.live(&live.key, &live.resource_version).filter(|_| !live.resource_version.is_empty())
        {
            out.push(known);
        } else if let Some(full) = live.full() {
            out.push(full);
        } else {
            let read = shared.turns.aside(target.live.fetch(&live.key)).await;
            out.extend(read.map_err(|e| live_failure(&argosy_model::report(&e)))?.map(Arc::new));
        }
    }
    Ok(out)
}
