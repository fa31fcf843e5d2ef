//! Proofs that a credential is refused, and that one may do what another may.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use argosy_model::Secret;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::FenceError;
use super::claim::Account;
use crate::budget::{Budget, Priority};
use crate::call::{Call, JSON};
use crate::config::ClusterConfig;
use crate::connection::Connection;
use crate::error::{Error, Result, from_kube};
use crate::transport;

/// A token that is still accepted so long after its mark has gone is worth an
/// error: servers remember one for 10 s.
const REFUSED_WITHIN: Duration = Duration::from_secs(30);
/// Between attempts with a token that should be refused soon.
const ATTEMPTS: Duration = Duration::from_millis(250);
/// A subject without bindings that may still act after so long has its rights
/// from elsewhere, such as a group's.
const DENIED_WITHIN: Duration = Duration::from_secs(2);
/// Time for new bindings to take effect.
const EFFECTIVE_WITHIN: Duration = Duration::from_secs(5);
/// Between questions about bindings.
const QUESTIONS: Duration = Duration::from_millis(10);

/// A client without a credential, to try tokens with.
pub struct Prover {
    client: kube::Client,
}

// === impl Prover ===

impl Prover {
    /// A prover for a cluster.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub async fn new(config: &ClusterConfig) -> Result<Self> {
        Ok(Self { client: transport::single(config.anonymous()?).await? })
    }

    /// Whether the cluster knows the bearer of this token at present.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn accepts(&self, token: &Secret<String>) -> Result<bool> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let mut request = Call::write(Method::POST, path, JSON, &review).request(None)?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))
            .map_err(|_| Error::Credential("the token holds forbidden characters".to_owned()))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        let answer = tokio::time::timeout(Duration::from_secs(15), self.client.send(request));
        let response = answer.await.map_err(|_| Error::Timeout(Duration::from_secs(15)))?.map_err(|e| from_kube(&e))?;
        match response.status() {
            StatusCode::UNAUTHORIZED => Ok(false),
            status if status.is_server_error() => crate::connection::read(response).await.map(|_| true),
            _ => Ok(true),
        }
    }

    /// Waits until the cluster refuses a token.
    ///
    /// # Errors
    /// When it accepts it for much longer than it should.
    pub(super) async fn refused(&self, token: &Secret<String>, budget: &Arc<Budget>) -> Result<(), FenceError> {
        let deadline = Instant::now() + REFUSED_WITHIN;
        let mut attempts = interval(ATTEMPTS);
        attempts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            attempts.tick().await;
            let _permit = budget.acquire(Priority::Background).await;
            let last = match self.accepts(token).await {
                Ok(false) => return Ok(()),
                Ok(true) => Error::Waiting("the old token to be refused".to_owned()),
                Err(error) => error,
            };
            if Instant::now() >= deadline {
                return Err(FenceError::Cluster(last));
            }
        }
    }
}

/// Waits until subjects that have lost their bindings are denied what the
/// declared account may do by these `rules`. Goes on without proof, and says so, where
/// there can be none: what protects is that the bindings are gone, and the earlier
/// owner's lease. Whether there is proof; of nobody there is none.
pub(super) async fn denied(
    root: &Connection,
    account: &Account,
    (scene, rules): (&str, &[Value]),
    subjects: &[(String, Instant)],
) -> bool {
    if subjects.is_empty() {
        return false;
    }
    let Some(probe) = rules.iter().find_map(|rule| probe(rule, scene)) else {
        tracing::debug!(server = root.server(), "no right is known to prove a refusal with");
        return false;
    };
    let mut is_proven = true;
    for (name, started) in subjects {
        let subject = Account { name: name.clone(), ..account.clone() };
        match wait_until_denied(root, &subject, &probe).await {
            Ok(()) => {
                let took = started.elapsed();
                metrics::histogram!("argosy_credential_revocation_duration_seconds").record(took.as_secs_f64());
                tracing::info!(server = root.server(), subject = name, ?took, "the earlier owner is refused");
            }
            Err(error) => {
                is_proven = false;
                tracing::warn!(server = root.server(), subject = name, %error, "no proof that the earlier owner is refused");
            }
        }
    }
    is_proven
}

async fn wait_until_denied(root: &Connection, subject: &Account, probe: &Value) -> Result<()> {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": subject.user(), "groups": subject.groups(), "resourceAttributes": probe}});
    let call = Call::write(Method::POST, "/apis/authorization.k8s.io/v1/subjectaccessreviews", JSON, &review).urgent();
    let deadline = Instant::now() + DENIED_WITHIN;
    let mut questions = interval(QUESTIONS);
    questions.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        questions.tick().await;
        let answer: Value = root.json("an access review", call.clone()).await?;
        if answer["status"]["allowed"].as_bool() != Some(true) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::Waiting("the earlier owner to be denied".to_owned()));
        }
    }
}

/// Waits until `working` may do in a namespace what these rules permit.
pub(super) async fn permitted(working: &Connection, namespace: &str, wanted: &[Value]) -> Result<(), FenceError> {
    let wanted: BTreeSet<String> = wanted.iter().map(Value::to_string).collect();
    let deadline = Instant::now() + EFFECTIVE_WITHIN;
    let mut questions = interval(QUESTIONS);
    questions.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        questions.tick().await;
        let has = rules(working, namespace).await?.iter().map(Value::to_string).collect();
        if wanted.is_subset(&has) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(FenceError::Cluster(Error::Waiting("the copied bindings to take effect".to_owned())));
        }
    }
}

/// What somebody may do in a namespace.
///
/// # Errors
/// [`FenceError`].
pub(super) async fn rules(of: &Connection, namespace: &str) -> Result<Vec<Value>, FenceError> {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace}});
    let call = Call::write(Method::POST, "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", JSON, &review);
    let answer = of.json("a review of rules", call.urgent()).await;
    let mut answer: Value = answer.map_err(|error| FenceError::of("reviewing the own rights", error))?;
    let rules = answer["status"]["resourceRules"].take();
    Ok(match rules {
        Value::Array(rules) => rules,
        _ => Vec::new(),
    })
}

/// One thing a rule permits that not everybody may do.
fn probe(rule: &Value, namespace: &str) -> Option<Value> {
    let first = |field: &str| rule[field].get(0).and_then(Value::as_str);
    let (verb, group, resource) = (first("verbs")?, first("apiGroups")?, first("resources")?);
    let is_everybodys = matches!(group, "authorization.k8s.io" | "authentication.k8s.io");
    let is_of_names = rule["resourceNames"].as_array().is_some_and(|names| !names.is_empty());
    if is_everybodys || is_of_names {
        return None;
    }
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Some(
        json!({"namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": subresource}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_proven_with_a_right_that_not_everybody_has() {
        let rule = |groups: Value, resources: Value, names: Value| json!({"verbs": ["create", "get"], "apiGroups": groups, "resources": resources, "resourceNames": names});
        assert_eq!(
            probe(&rule(json!(["authorization.k8s.io"]), json!(["selfsubjectaccessreviews"]), json!(null)), "n"),
            None
        );
        assert_eq!(probe(&rule(json!([""]), json!(["secrets"]), json!(["one"])), "n"), None);
        let found = probe(&rule(json!([""]), json!(["pods/log"]), json!(null)), "n").expect("is one");
        assert_eq!(
            found,
            json!({"namespace": "n", "verb": "create", "group": "", "resource": "pods", "subresource": "log"})
        );
    }
}
