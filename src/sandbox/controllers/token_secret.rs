//! Secrets of type `kubernetes.io/service-account-token`: filled with a token of
//! their account, and gone with it.

use argosy_model::object;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::kind::SERVICE_ACCOUNT;
use super::world::{Next, WorkError, World};
use crate::lifecycle::Propagation;
use crate::store::ObjectKey;

const ACCOUNT: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// Whether a Secret is one of these.
pub(super) fn is_token(secret: &Value) -> bool {
    secret["type"] == "kubernetes.io/service-account-token"
}

/// Whose token a Secret is for.
pub(super) fn account_of(secret: &Value) -> Option<&str> {
    is_token(secret).then(|| object::annotation(secret, ACCOUNT)).flatten()
}

/// Fills a Secret, or removes the one of an account that is gone.
pub(super) fn reconcile(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let Some(secret) = world.store.get(key) else { return Ok(None) };
    let secret = &secret.value;
    let Some(name) = account_of(secret).filter(|_| !object::is_deleting(secret)) else { return Ok(None) };
    let account = world.get(&SERVICE_ACCOUNT, &key.namespace, name);
    let uid = object::annotation(secret, ACCOUNT_UID).unwrap_or_default();
    let Some(account) = account.filter(|account| uid.is_empty() || uid == object::uid(&account.value)) else {
        return world.delete(key, Propagation::Background).map(|()| None);
    };
    let data = &secret["data"];
    let complete = ["token", "ca.crt", "namespace"].iter().all(|field| !data[field].is_null());
    if complete && !uid.is_empty() {
        return Ok(None);
    }
    let token = match data["token"].as_str() {
        Some(token) => token.to_owned(),
        None => {
            let token = world.identities.legacy_token(&account.value, secret).map_err(WorkError::Token)?;
            STANDARD.encode(token.expose())
        }
    };
    let authority = STANDARD.encode(&world.options.authority_pem);
    let namespace = STANDARD.encode(&*key.namespace);
    world.update(key, |value| {
        value["data"]["token"] = token.into();
        value["data"]["ca.crt"] = authority.into();
        value["data"]["namespace"] = namespace.into();
        object::set_annotation(value, ACCOUNT_UID, object::uid(&account.value));
    })?;
    Ok(None)
}
