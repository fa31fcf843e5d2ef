//! Tokens of an epoch.

use std::sync::Arc;
use std::time::Duration;

use argosy_model::{FenceKind, Secret};
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::FenceError;
use super::claim::Account;
use crate::call::{Call, JSON, Path};
use crate::connection::Connection;

/// API servers refuse to make tokens that live shorter.
pub(super) const SHORTEST: Duration = Duration::from_secs(600);

/// A token, and what it hangs on.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Which fence it belongs to.
    pub kind: FenceKind,
    /// Whose token it is.
    pub account: Account,
    /// The token.
    pub token: Secret<String>,
    /// When it was asked for.
    pub issued: Instant,
    /// How long it lives from then on; the server may give less or more than was
    /// asked for.
    pub life: Duration,
    /// When it ends, by the API server's clock.
    pub expires: Timestamp,
    /// Name of its mark.
    pub(super) mark: String,
    /// A namespace in which its bindings take effect.
    pub(super) scene: String,
    /// What its bearer may do there then, as rules; with a subject of its own.
    pub(super) rights: Arc<[Value]>,
}

/// What a token is asked for.
pub(super) struct Asked<'a> {
    pub(super) kind: FenceKind,
    pub(super) account: Account,
    /// Name and uid of the mark.
    pub(super) mark: String,
    pub(super) uid: &'a str,
    pub(super) scene: String,
}

#[derive(Deserialize)]
struct Answer {
    spec: Spec,
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    expiration_seconds: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: String,
    expiration_timestamp: Timestamp,
}

/// Asks for a token of an account that is bound to a mark.
///
/// # Errors
/// [`FenceError`]; 404 or 409 when the mark is gone.
pub(super) async fn request(root: &Connection, asked: Asked<'_>, life: Duration) -> Result<Grant, FenceError> {
    let Asked { kind, account, mark, uid, scene } = asked;
    let path = Path::new("/api/v1/namespaces").segment(&account.namespace).segment("serviceaccounts");
    let path = path.segment(&account.name).segment("token").build();
    let bound = json!({"apiVersion": "v1", "kind": "Secret", "name": mark, "uid": uid});
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": life.as_secs(), "boundObjectRef": bound}});
    let issued = Instant::now();
    let call = Call::write(Method::POST, path, JSON, &body).urgent();
    let answer: Answer =
        root.json("a token request", call).await.map_err(|e| FenceError::of("asking for a token", e))?;
    Ok(Grant {
        kind,
        account,
        token: Secret::new(answer.status.token),
        issued,
        life: Duration::from_secs(answer.spec.expiration_seconds),
        expires: answer.status.expiration_timestamp,
        mark,
        scene,
        rights: Arc::default(),
    })
}
