//! Whether a service account's token still holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use argosy_model::object;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::claims::{Bound, Claims, LEGACY_ISSUER, LegacyClaims, Ref};
use super::{
    AUTHENTICATED, AuthenticationError, CREDENTIAL_ID, ISSUER, Identities, digest, service_account_groups,
    service_account_name,
};
use crate::hooks::Caller;
use crate::store::{Object, ObjectKey};

/// How much clocks may differ, in seconds.
const LEEWAY: i64 = 60;

const INVALIDATED: &str = "service account token has been invalidated";

// === impl Identities ===

impl Identities {
    pub(super) fn authenticate_service_account(
        &self,
        token: &str,
        wanted: &[String],
    ) -> Result<(Caller, Vec<String>), AuthenticationError> {
        let claims = self.keys.open(token).ok_or(AuthenticationError::UnknownToken)?;
        match claims["iss"].as_str() {
            Some(ISSUER) => {
                let claims = Claims::read(&claims).ok_or(AuthenticationError::UnknownToken)?;
                self.validate(claims, wanted)
            }
            Some(LEGACY_ISSUER) => {
                let claims = LegacyClaims::read(&claims).ok_or(AuthenticationError::UnknownToken)?;
                let caller = self.validate_legacy(token, &claims)?;
                let common: Vec<String> = wanted.iter().filter(|one| *one == ISSUER).cloned().collect();
                if common.is_empty() { Err(AuthenticationError::UnknownToken) } else { Ok((caller, common)) }
            }
            _ => Err(AuthenticationError::UnknownToken),
        }
    }

    fn validate(&self, claims: Claims, wanted: &[String]) -> Result<(Caller, Vec<String>), AuthenticationError> {
        let common: Vec<String> = wanted.iter().filter(|one| claims.audiences.contains(one)).cloned().collect();
        if common.is_empty() {
            let problem =
                format!("token audiences {:?} is invalid for the target audiences {wanted:?}", claims.audiences);
            return Err(AuthenticationError::Token(problem));
        }
        let now = self.stamps.timestamp().as_second();
        let problem = if now > claims.expires + LEEWAY {
            Some("service account token has expired")
        } else if now + LEEWAY < claims.not_before {
            Some("service account token is not valid yet")
        } else if now + LEEWAY < claims.issued {
            Some("service account token is issued in the future")
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(AuthenticationError::Token(problem.to_owned()));
        }
        self.check_account(&claims.namespace, &claims.account)?;
        self.check_bound(&claims)?;
        Ok((caller(claims), common))
    }

    fn check_account(&self, namespace: &str, account: &Ref) -> Result<(), AuthenticationError> {
        let refuse = |problem: String| Err(AuthenticationError::Token(problem));
        let Some(found) = self.core("serviceaccounts", namespace, &account.name) else {
            return refuse(format!("serviceaccounts {:?} not found", account.name));
        };
        let uid = object::uid(&found.value);
        if uid != account.uid {
            return refuse(format!("service account UID ({uid}) does not match claim ({})", account.uid));
        }
        if self.was_deleted(&found.value) {
            return refuse(format!("service account {namespace}/{} has been deleted", account.name));
        }
        Ok(())
    }

    fn check_bound(&self, claims: &Claims) -> Result<(), AuthenticationError> {
        let (resource, namespace, bound, what) = match &claims.bound {
            None => return Ok(()),
            Some(Bound::Secret(secret)) => ("secrets", claims.namespace.as_str(), secret, "secret"),
            Some(Bound::Pod { pod, .. }) => ("pods", claims.namespace.as_str(), pod, "pod"),
            Some(Bound::Node(node)) => ("nodes", "", node, "node"),
        };
        let refuse = |problem: String| Err(AuthenticationError::Token(problem));
        let Some(found) = self.core(resource, namespace, &bound.name) else {
            return refuse(INVALIDATED.to_owned());
        };
        let uid = object::uid(&found.value);
        if uid != bound.uid {
            let title = what[..1].to_uppercase() + &what[1..];
            return refuse(format!(
                "{} UID ({uid}) does not match service account {what} ref claim ({})",
                if what == "secret" { what } else { &title },
                bound.uid
            ));
        }
        if self.was_deleted(&found.value) {
            return refuse(INVALIDATED.to_owned());
        }
        Ok(())
    }

    fn validate_legacy(&self, token: &str, claims: &LegacyClaims) -> Result<Caller, AuthenticationError> {
        let refuse = |problem: &str| AuthenticationError::Token(problem.to_owned());
        let secret = self
            .core("secrets", &claims.namespace, &claims.secret)
            .filter(|secret| !object::is_deleting(&secret.value))
            .ok_or_else(|| refuse("Token has been invalidated"))?;
        let kept = secret.value["data"]["token"].as_str().and_then(|text| STANDARD.decode(text).ok());
        if kept.is_none_or(|kept| digest(&String::from_utf8_lossy(&kept)) != digest(token)) {
            return Err(refuse("Token does not match server's copy"));
        }
        self.check_account(&claims.namespace, &claims.account)?;
        let mut groups = service_account_groups(&claims.namespace);
        groups.push(AUTHENTICATED.to_owned());
        Ok(Caller {
            name: service_account_name(&claims.namespace, &claims.account.name),
            uid: claims.account.uid.clone(),
            groups,
            extra: BTreeMap::new(),
            token_id: Some(format!("secret/{}/{}", claims.namespace, claims.secret)),
            impersonator: None,
        })
    }

    /// An object of the core group.
    pub(super) fn core(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.store.get(&ObjectKey::new("", resource, namespace, name))
    }

    /// Whether an object's deletion began longer ago than clocks may differ.
    fn was_deleted(&self, value: &Value) -> bool {
        let deleted = object::get(value, &["metadata", "deletionTimestamp"]).and_then(Value::as_str);
        let deleted: Option<jiff::Timestamp> = deleted.and_then(|text| text.parse().ok());
        deleted.is_some_and(|deleted| deleted.as_second() < self.stamps.timestamp().as_second() - LEEWAY)
    }
}

fn caller(claims: Claims) -> Caller {
    let mut groups = service_account_groups(&claims.namespace);
    groups.push(AUTHENTICATED.to_owned());
    let credential = format!("JTI={}", claims.id);
    let mut extra = BTreeMap::from([(CREDENTIAL_ID.to_owned(), vec![credential])]);
    let mut tell = |what: &str, of: &Ref| {
        extra.insert(format!("authentication.kubernetes.io/{what}-name"), vec![of.name.clone()]);
        if !of.uid.is_empty() {
            extra.insert(format!("authentication.kubernetes.io/{what}-uid"), vec![of.uid.clone()]);
        }
    };
    match &claims.bound {
        Some(Bound::Pod { pod, node }) => {
            tell("pod", pod);
            if let Some(node) = node {
                tell("node", node);
            }
        }
        Some(Bound::Node(node)) => tell("node", node),
        Some(Bound::Secret(_)) | None => {}
    }
    Caller {
        name: service_account_name(&claims.namespace, &claims.account.name),
        uid: claims.account.uid,
        groups,
        extra,
        token_id: Some(claims.id),
        impersonator: None,
    }
}
