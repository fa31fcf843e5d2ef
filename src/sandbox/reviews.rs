//! Requests that are answered rather than stored: who am I, may I, may they, whose
//! token is this, a token please, a Pod's log, and evictions.

mod access;
mod admission;
mod eviction;
#[cfg(test)]
mod tests;

pub use admission::Gate;

use std::sync::Arc;

use argosy_model::object;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::StatusCode;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::hooks::{Answer, Caller, Request, Virtual};
use crate::identity::{AuthenticationError, Identities, user_info};
use crate::pod_logs;
use crate::rbac::rules_for_review;
use crate::stamp::Stamps;
use crate::store::Store;

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

/// Answers reviews, token requests, logs and evictions.
#[derive(Clone, Debug)]
pub struct Reviews {
    store: Store,
    stamps: Stamps,
    identities: Arc<Identities>,
}

// === impl Reviews ===

impl Reviews {
    /// Of the objects and identities of one sandbox.
    #[must_use]
    pub fn new(store: Store, stamps: Stamps, identities: Arc<Identities>) -> Self {
        Self { store, stamps, identities }
    }

    fn answer_now(&self, request: &Request<'_>) -> Option<Result<Answer, Failure>> {
        let asked = request.attributes;
        let target = (&*asked.group, &*asked.resource, &*asked.subresource, &*asked.verb);
        let answer = match target {
            (AUTHENTICATION, "selfsubjectreviews", "", "create") => Ok(self.who_am_i(request)),
            (AUTHENTICATION, "tokenreviews", "", "create") => self.whose_token(&request.body),
            (AUTHORIZATION, "selfsubjectrulesreviews", "", "create") => self.what_may_i(request),
            (AUTHORIZATION, resource, "", "create") => access::review(&self.store, resource, request)?,
            ("", "serviceaccounts", "token", "create") => {
                self.identities.request_token(&asked.namespace, &asked.name, &request.body)
            }
            ("", "pods", "eviction", "create") => eviction::evict(&self.store, &self.stamps, request),
            ("", "pods", "log", "get") => {
                return Some(pod_logs::answer(&self.store, &self.stamps, request));
            }
            _ => return None,
        };
        Some(answer.map(|value| Answer::Object(StatusCode::CREATED, value)))
    }

    fn who_am_i(&self, request: &Request<'_>) -> Value {
        json!({
            "kind": "SelfSubjectReview",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"creationTimestamp": self.stamps.now()},
            "status": {"userInfo": user_info(request.caller)},
        })
    }

    fn whose_token(&self, body: &Value) -> Result<Value, Failure> {
        let token = body["spec"]["token"].as_str().unwrap_or_default();
        if token.is_empty() {
            return Err(Failure::bad_request("token is required for TokenReview in authentication"));
        }
        let asked = body["spec"]["audiences"].as_array().into_iter().flatten();
        let asked: Vec<String> = asked.filter_map(Value::as_str).map(str::to_owned).collect();
        let status = match self.identities.authenticate_token(token, &asked) {
            Ok((user, audiences)) => {
                json!({"authenticated": true, "user": user_info(&user), "audiences": audiences})
            }
            Err(error @ AuthenticationError::UnknownToken) => json!({"user": {}, "error": error.to_string()}),
            Err(error) => json!({"user": {}, "error": format!("[invalid bearer token, {error}]")}),
        };
        Ok(answered(body, "TokenReview", AUTHENTICATION, status))
    }

    fn what_may_i(&self, request: &Request<'_>) -> Result<Value, Failure> {
        let namespace = request.body["spec"]["namespace"].as_str().unwrap_or_default();
        if namespace.is_empty() {
            return Err(Failure::bad_request("no namespace on request"));
        }
        let status = rules_for_review(request.caller, namespace, &self.store);
        let mut answer = answered(&request.body, "SelfSubjectRulesReview", AUTHORIZATION, status);
        answer["spec"] = json!({});
        Ok(answer)
    }
}

impl Virtual for Reviews {
    fn answer<'a>(&'a self, request: &'a Request<'a>) -> Option<BoxFuture<'a, Result<Answer, Failure>>> {
        let answer = self.answer_now(request)?;
        Some(std::future::ready(answer).boxed())
    }
}

/// A review with its status.
fn answered(body: &Value, kind: &str, group: &str, status: Value) -> Value {
    let metadata = object::get(body, &["metadata"]).filter(|metadata| metadata.is_object());
    json!({
        "kind": kind,
        "apiVersion": format!("{group}/v1"),
        "metadata": metadata.cloned().unwrap_or_else(|| json!({})),
        "spec": body["spec"],
        "status": status,
    })
}

/// Whom a SubjectAccessReview is about.
fn subject_of(spec: &Value) -> Caller {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let text = |field: &str| spec[field].as_str().unwrap_or_default().to_owned();
    let extra = spec["extra"].as_object().into_iter().flatten();
    Caller {
        name: text("user"),
        uid: text("uid"),
        groups: texts(&spec["groups"]),
        extra: extra.map(|(key, values)| (key.to_lowercase(), texts(values))).collect(),
        ..Caller::default()
    }
}
