//! Issuing tokens: TokenRequest, and the tokens that Secrets keep.

use argosy_model::{Secret, object};
use serde_json::{Value, json};

use super::claims::{Bound, Claims, LegacyClaims, Ref};
use super::{ISSUER, Identities, KeyError};
use crate::stamp::seconds;

/// Lifetime of a token that nobody asked a lifetime for, in seconds.
const DEFAULT_LIFETIME: i64 = 3600;
const MIN_LIFETIME: i64 = 600;
const MAX_LIFETIME: i64 = 1 << 32;

/// Why no token is issued. Texts are the server's.
#[derive(Debug, thiserror::Error)]
pub enum TokenRequestError {
    /// 400.
    #[error("{0}")]
    BadRequest(String),
    /// 404: the account, or what the token was to be bound to.
    #[error("{resource} {name:?} not found")]
    NotFound {
        /// Plural.
        resource: &'static str,
        /// Its name.
        name: String,
    },
    /// 422: a field of the request.
    #[error("{field}: {message}")]
    Invalid {
        /// The request's name for its status; empty for problems of the spec.
        name: String,
        /// Path of the field.
        field: &'static str,
        /// What is wrong, with the value.
        message: String,
    },
    /// 409: it is bound to an object that was replaced.
    #[error("Operation cannot be fulfilled on {kind} {name:?}: {message}")]
    Conflict {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Which uids differ.
        message: String,
    },
    /// 500.
    #[error("failed to generate token")]
    Sign(#[source] KeyError),
}

// === impl Identities ===

impl Identities {
    /// Answers a TokenRequest for a service account: the request, completed, with the token.
    ///
    /// # Errors
    /// [`TokenRequestError`].
    pub fn request_token(&self, namespace: &str, account: &str, request: &Value) -> Result<Value, TokenRequestError> {
        check_name(request, "metadata.name", object::name(request), account, "name")?;
        check_name(request, "metadata.namespace", object::namespace(request), namespace, "namespace")?;
        let found = self.core("serviceaccounts", namespace, account).ok_or_else(|| TokenRequestError::NotFound {
            resource: "serviceaccounts",
            name: account.to_owned(),
        })?;
        let uid = object::uid(&found.value);
        let asked = object::uid(request);
        if !asked.is_empty() && asked != uid {
            return Err(conflict(
                "TokenRequest.authentication.k8s.io",
                account,
                format!("the UID in the token request ({asked}) does not match the UID of the service account ({uid})"),
            ));
        }
        let spec = &request["spec"];
        let lifetime = spec["expirationSeconds"].as_i64().unwrap_or(DEFAULT_LIFETIME);
        check_lifetime(lifetime)?;
        let bound = self.resolve_bound(namespace, account, &spec["boundObjectRef"])?;
        let now = self.stamps.timestamp();
        let audiences = audiences(spec);
        let claims = Claims {
            namespace: namespace.to_owned(),
            account: Ref::to(&found.value),
            bound,
            audiences: audiences.clone(),
            issued: now.as_second(),
            not_before: now.as_second(),
            expires: now.as_second() + lifetime,
            id: self.stamps.uid(),
        };
        let token = self.keys.sign(&claims.write()).map_err(TokenRequestError::Sign)?;
        let expires = jiff::Timestamp::from_second(claims.expires).unwrap_or(jiff::Timestamp::MAX);
        let mut spec = json!({"audiences": audiences, "expirationSeconds": lifetime, "boundObjectRef": null});
        spec["boundObjectRef"] = request["spec"]["boundObjectRef"].clone();
        Ok(json!({
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": account, "namespace": namespace, "uid": uid, "creationTimestamp": seconds(now)},
            "spec": spec,
            "status": {"token": token, "expirationTimestamp": seconds(expires)},
        }))
    }

    /// The token that a Secret of type `kubernetes.io/service-account-token` keeps for an account.
    ///
    /// # Errors
    /// [`KeyError::Sign`].
    pub fn legacy_token(&self, account: &Value, secret: &Value) -> Result<Secret<String>, KeyError> {
        let claims = LegacyClaims {
            namespace: object::namespace(secret).to_owned(),
            account: Ref::to(account),
            secret: object::name(secret).to_owned(),
        };
        self.keys.sign(&claims.write()).map(Secret::new)
    }

    fn resolve_bound(
        &self,
        namespace: &str,
        account: &str,
        reference: &Value,
    ) -> Result<Option<Bound>, TokenRequestError> {
        if reference.is_null() {
            return Ok(None);
        }
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        let (kind, name) = (text("kind"), text("name"));
        let (resource, scope) = match (text("apiVersion"), kind) {
            ("v1", "Secret") => ("secrets", namespace),
            ("v1", "Pod") => ("pods", namespace),
            ("v1", "Node") => ("nodes", ""),
            (version, kind) => {
                let (group, version) = version.split_once('/').unwrap_or(("", version));
                let message = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
                return Err(TokenRequestError::BadRequest(message));
            }
        };
        let found = self
            .core(resource, scope, name)
            .ok_or_else(|| TokenRequestError::NotFound { resource, name: name.to_owned() })?;
        let target = Ref::to(&found.value);
        let bound = match kind {
            "Secret" => Bound::Secret(target.clone()),
            "Node" => Bound::Node(target.clone()),
            _ => self.bound_pod(account, &found.value)?,
        };
        let asked = text("uid");
        if !asked.is_empty() && asked != target.uid {
            let message = format!(
                "the UID in the bound object reference ({asked}) does not match the UID in record. \
                 The object might have been deleted and then recreated"
            );
            return Err(conflict(kind, name, message));
        }
        Ok(Some(bound))
    }

    fn bound_pod(&self, account: &str, pod: &Value) -> Result<Bound, TokenRequestError> {
        if pod["spec"]["serviceAccountName"] != account {
            return Err(TokenRequestError::BadRequest(format!(
                "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
            )));
        }
        let node = pod["spec"]["nodeName"].as_str().filter(|name| !name.is_empty()).map(|name| {
            let found = self.core("nodes", "", name);
            found.map_or(Ref { name: name.to_owned(), uid: String::new() }, |node| Ref::to(&node.value))
        });
        Ok(Bound::Pod { pod: Ref::to(pod), node })
    }
}

fn audiences(spec: &Value) -> Vec<String> {
    let asked: Vec<String> =
        spec["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    if asked.is_empty() { vec![ISSUER.to_owned()] } else { asked }
}

fn check_name(
    request: &Value,
    field: &'static str,
    given: &str,
    wanted: &str,
    what: &str,
) -> Result<(), TokenRequestError> {
    if given.is_empty() || given == wanted {
        return Ok(());
    }
    Err(TokenRequestError::Invalid {
        name: object::name(request).to_owned(),
        field,
        message: format!("Invalid value: {given:?}: must match the service account {what} if specified"),
    })
}

fn check_lifetime(lifetime: i64) -> Result<(), TokenRequestError> {
    let problem = if lifetime < MIN_LIFETIME {
        "may not specify a duration less than 10 minutes"
    } else if lifetime > MAX_LIFETIME {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(());
    };
    let message = format!("Invalid value: {lifetime}: {problem}");
    Err(TokenRequestError::Invalid { name: String::new(), field: "spec.expirationSeconds", message })
}

fn conflict(kind: &str, name: &str, message: String) -> TokenRequestError {
    TokenRequestError::Conflict { kind: kind.to_owned(), name: name.to_owned(), message }
}
