//! Issuing tokens: TokenRequest, and the tokens that Secrets keep.

use argosy_model::{Secret, object};
use serde_json::{Value, json};

use super::claims::{Bound, Claims, LegacyClaims, Ref};
use super::{ISSUER, Identities, KeyError};
use crate::failure::{Failure, Fault, Subject};
use crate::stamp::seconds;

/// Lifetime of a token that nobody asked a lifetime for, in seconds.
const DEFAULT_LIFETIME: i64 = 3600;
const MIN_LIFETIME: i64 = 600;
const MAX_LIFETIME: i64 = 1 << 32;

// === impl Identities ===

impl Identities {
    /// Answers a TokenRequest for a service account: the request, completed, with the token.
    ///
    /// # Errors
    /// 404 for an account, or something the token is bound to, that is not there; 409
    /// when it is another of the same name; 422 for a lifetime that is too short.
    pub fn request_token(&self, namespace: &str, account: &str, request: &Value) -> Result<Value, Failure> {
        check_name("metadata.name", object::name(request), account, "name")?;
        check_name("metadata.namespace", object::namespace(request), namespace, "namespace")?;
        let found =
            self.core("serviceaccounts", namespace, account).ok_or_else(|| not_found("serviceaccounts", account))?;
        let uid = object::uid(&found.value);
        let asked = object::uid(request);
        if !asked.is_empty() && asked != uid {
            return Err(conflict(
                "authentication.k8s.io",
                "TokenRequest",
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
        let token = self.keys.sign(&claims.write()).map_err(|_| Failure::internal("failed to generate token"))?;
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

    fn resolve_bound(&self, namespace: &str, account: &str, reference: &Value) -> Result<Option<Bound>, Failure> {
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
                return Err(Failure::bad_request(message));
            }
        };
        let found = self.core(resource, scope, name).ok_or_else(|| not_found(resource, name))?;
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
            return Err(conflict("", kind, name, message));
        }
        Ok(Some(bound))
    }

    fn bound_pod(&self, account: &str, pod: &Value) -> Result<Bound, Failure> {
        if pod["spec"]["serviceAccountName"] != account {
            return Err(Failure::bad_request(format!(
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

fn check_name(field: &'static str, given: &str, wanted: &str, what: &str) -> Result<(), Failure> {
    if given.is_empty() || given == wanted {
        return Ok(());
    }
    let detail = format!("must match the service account {what} if specified");
    Err(invalid(wanted, Fault::invalid(field, &given.into(), &detail)))
}

fn check_lifetime(lifetime: i64) -> Result<(), Failure> {
    let problem = if lifetime < MIN_LIFETIME {
        "may not specify a duration less than 10 minutes"
    } else if lifetime > MAX_LIFETIME {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(());
    };
    Err(invalid("", Fault::invalid("spec.expirationSeconds", &lifetime.into(), problem)))
}

fn invalid(name: &str, fault: Fault) -> Failure {
    Failure::invalid(Subject { group: "authentication.k8s.io", resource: "TokenRequest", name }, &[fault])
}

fn not_found(resource: &str, name: &str) -> Failure {
    Failure::not_found(Subject { group: "", resource, name })
}

fn conflict(group: &str, kind: &str, name: &str, message: String) -> Failure {
    Failure::conflict(Subject { group, resource: kind, name }, &message)
}
