//! What there is: who we are, what we may do, and what belongs to which epoch.

use std::time::Duration;

use futures::future::try_join_all;
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::claim::{Account, Claim, LABEL_EPOCH, LABEL_SLICE, LIFE};
use super::plan::Source;
use super::{FenceError, Part, PartKind};
use crate::access::{Question, lacking};
use crate::budget::Priority;
use crate::call::{Call, JSON, Path};
use crate::connection::Connection;
use crate::error::Result;

/// Metadata is enough, and of Secrets the only thing we want to see.
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
pub(super) const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Whom the cluster takes us for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A service account.
    Account(Account),
    /// Somebody else.
    Other,
    /// It does not say.
    Unknown,
}

/// What a service account lacks for a fence, and what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// For a token, in words such as `create secrets in kube-system`.
    pub lacks_token: Vec<String>,
    /// For a binding, beyond that.
    pub lacks_binding: Vec<String>,
    /// Bindings that name the account itself. Counted only where nothing is lacking.
    pub bindings: usize,
}

/// Asks the cluster who `root` is, and what that one may do; about bindings only
/// when asked to.
///
/// # Errors
/// When the cluster does not answer.
pub async fn survey(root: &Connection, bindings: bool) -> Result<(Identity, Rights)> {
    let identity = identify(root).await?;
    let Identity::Account(account) = &identity else { return Ok((identity, Rights::default())) };
    let namespace = account.namespace.as_str();
    let verbs = &["create", "list", "delete"];
    let token = [
        Question { namespace, group: "", resource: "secrets", name: "", verbs },
        Question { resource: "serviceaccounts/token", name: &account.name, ..Question::create(namespace) },
    ];
    let binding = async {
        if !bindings {
            return Ok((Vec::new(), 0));
        }
        let group = "rbac.authorization.k8s.io";
        let questions = [
            Question { namespace, group: "", resource: "serviceaccounts", name: "", verbs },
            Question { resource: "serviceaccounts/token", ..Question::create(namespace) },
            Question { namespace: "", group, resource: "clusterrolebindings", name: "", verbs },
            Question { namespace: "", group, resource: "rolebindings", name: "", verbs },
        ];
        let lacks = lacking(root, &questions).await?;
        if !lacks.is_empty() {
            return Ok((lacks, 0));
        }
        match sources(root, account).await {
            Ok(sources) => Ok((lacks, sources.len())),
            Err(FenceError::Cluster(error)) => Err(error),
            Err(_) => Ok((lacks, 0)),
        }
    };
    let (lacks_token, (lacks_binding, bindings)) = futures::try_join!(lacking(root, &token), binding)?;
    Ok((identity, Rights { lacks_token, lacks_binding, bindings }))
}

async fn identify(root: &Connection) -> Result<Identity> {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let call = Call::write(Method::POST, "/apis/authentication.k8s.io/v1/selfsubjectreviews", JSON, &review);
    let answer: Value = match root.json("a review of the own identity", call.urgent()).await {
        Ok(answer) => answer,
        // Servers before 1.28, and those that do not let us ask.
        Err(error) if matches!(error.code(), Some(403..=405)) => return Ok(Identity::Unknown),
        Err(error) => return Err(error),
    };
    let user = &answer["status"]["userInfo"];
    let text = |field: &str| user[field].as_str().unwrap_or_default();
    Ok(Account::from_user(text("username"), text("uid")).map_or(Identity::Other, Identity::Account))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct List {
    /// Go writes an empty list of metadata as `null`.
    items: Option<Vec<Value>>,
}

/// The bindings that name an account itself, but for copies of ours.
///
/// # Errors
/// [`FenceError`].
pub(super) async fn sources(root: &Connection, account: &Account) -> Result<Vec<Source>, FenceError> {
    let list = async |plural: &str| -> Result<List, FenceError> {
        let call = Call::get(format!("{RBAC}/{plural}"), Priority::Interactive);
        root.json("a list of bindings", call).await.map_err(|e| FenceError::of("listing bindings", e))
    };
    let (whole, namespaced) = futures::try_join!(list("clusterrolebindings"), list("rolebindings"))?;
    let names = |binding: &Value| {
        let subjects = binding["subjects"].as_array().map(Vec::as_slice).unwrap_or_default();
        subjects.iter().any(|subject| {
            subject["kind"] == "ServiceAccount"
                && subject["name"] == account.name
                && subject["namespace"] == account.namespace
        })
    };
    let all = [whole, namespaced].into_iter().filter_map(|list| list.items).flatten();
    let source = |binding: Value| Source {
        namespace: text(&binding["metadata"]["namespace"]).to_owned(),
        name: text(&binding["metadata"]["name"]).to_owned(),
        role: binding["roleRef"].clone(),
    };
    Ok(all.filter(names).map(source).collect())
}

/// Everything with this claim's key, of all slices and epochs; subjects and
/// bindings only where asked for.
///
/// # Errors
/// [`FenceError`].
pub(super) async fn parts(
    root: &Connection,
    claim: &Claim,
    account: &Account,
    bindings: bool,
) -> Result<Vec<Part>, FenceError> {
    let inside = |plural: &str| {
        Path::new("/api/v1/namespaces")
            .segment(&account.namespace)
            .segment(plural)
            .query("labelSelector", &claim.selector())
    };
    let whole = |plural: &str| Path::new(format!("{RBAC}/{plural}")).query("labelSelector", &claim.selector());
    let mut lists = vec![(PartKind::Mark, inside("secrets"))];
    if bindings {
        lists.push((PartKind::Subject, inside("serviceaccounts")));
        lists.push((PartKind::Binding, whole("clusterrolebindings")));
        lists.push((PartKind::Binding, whole("rolebindings")));
    }
    let each = lists.into_iter().map(|(kind, path)| async move {
        let call = Call::get(path.build(), Priority::Interactive).accept(METADATA_LIST);
        let list: List = root.json("a list", call).await.map_err(|e| FenceError::of("looking for marks", e))?;
        Ok::<_, FenceError>(
            list.items.unwrap_or_default().into_iter().filter_map(move |item| part(kind, &item["metadata"])),
        )
    });
    Ok(try_join_all(each).await?.into_iter().flatten().collect())
}

/// What is labelled as ours and not as we label is nobody's: left alone.
fn part(kind: PartKind, metadata: &Value) -> Option<Part> {
    let label = |name: &str| metadata["labels"][name].as_str();
    Some(Part {
        kind,
        namespace: text(&metadata["namespace"]).to_owned(),
        name: text(&metadata["name"]).to_owned(),
        uid: text(&metadata["uid"]).to_owned(),
        slice: label(LABEL_SLICE)?.parse().ok()?,
        epoch: label(LABEL_EPOCH)?.parse().ok()?,
        created: text(&metadata["creationTimestamp"]).parse::<Timestamp>().ok()?,
        life: Duration::from_secs(text(&metadata["annotations"][LIFE]).parse().unwrap_or(0)),
    })
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
