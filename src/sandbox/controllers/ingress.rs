//! Ingresses: a simulated controller gives each an address.

use argosy_model::object;
use serde_json::json;

use super::service::balancer_address;
use super::world::{Next, WorkError, World};
use crate::store::ObjectKey;

/// Gives an Ingress its address.
pub(super) fn reconcile(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let Some(ingress) = world.store.get(key) else { return Ok(None) };
    if !world.options.load_balancers || object::is_deleting(&ingress.value) {
        return Ok(None);
    }
    let ip = balancer_address(object::uid(&ingress.value));
    world.set_status(key, json!({"loadBalancer": {"ingress": [{"ip": ip}]}}))?;
    Ok(None)
}
