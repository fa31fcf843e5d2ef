//! Asking a cluster what we may do there.

use futures::future::try_join_all;
use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, JSON};
use crate::connection::Connection;
use crate::error::{Error, Result};

const AUTHORIZATION: &str = "/apis/authorization.k8s.io/v1";

/// Whether we may do all of some verbs.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    /// Empty for everywhere.
    pub(crate) namespace: &'a str,
    pub(crate) group: &'a str,
    /// With its subresource.
    pub(crate) resource: &'a str,
    pub(crate) name: &'a str,
    pub(crate) verbs: &'a [&'a str],
}

// === impl Question ===

impl<'a> Question<'a> {
    /// Whether something may be made there; fill in what.
    pub(crate) fn create(namespace: &'a str) -> Self {
        Self { namespace, group: "", resource: "", name: "", verbs: &["create"] }
    }

    async fn ask(&self, root: &Connection, verb: &str) -> Result<Option<String>> {
        let (resource, subresource) = self.resource.split_once('/').unwrap_or((self.resource, ""));
        let attributes = json!({"namespace": self.namespace, "verb": verb, "group": self.group,
            "resource": resource, "subresource": subresource, "name": self.name});
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes}});
        let path = format!("{AUTHORIZATION}/selfsubjectaccessreviews");
        let answer: Value =
            root.json("an access review", Call::write(Method::POST, path, JSON, &review).urgent()).await?;
        let place = if self.namespace.is_empty() { "the cluster" } else { self.namespace };
        let is_allowed = answer["status"]["allowed"].as_bool() == Some(true);
        Ok((!is_allowed).then(|| format!("{verb} {} in {place}", self.resource)))
    }
}

/// What of it we may not do, in words such as `create secrets in kube-system`.
///
/// # Errors
/// When the cluster does not answer.
pub(crate) async fn lacking(root: &Connection, questions: &[Question<'_>]) -> Result<Vec<String>> {
    let each = questions.iter().flat_map(|question| question.verbs.iter().map(move |verb| question.ask(root, verb)));
    match try_join_all(each).await {
        Ok(answers) => Ok(answers.into_iter().flatten().collect()),
        // Who may not even ask may certainly not do it.
        Err(Error::Api(status)) if status.code == 403 => Ok(vec!["review its own access".to_owned()]),
        Err(error) => Err(error),
    }
}
