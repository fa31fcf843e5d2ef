//! Makes and removes what a plan says.

use std::time::Duration;

use futures::future::{join_all, try_join, try_join_all};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::claim::{Account, Claim, LIFE};
use super::plan::{Own, Source, Step};
use super::survey::RBAC;
use super::{FenceError, Part, PartKind};
use crate::call::{Call, JSON, Path};
use crate::connection::Connection;

/// Removals under way at once.
const AT_ONCE: usize = 8;

/// Does the steps, all at once: none needs what another makes. When the mark was
/// made, by the API server's clock.
///
/// # Errors
/// The first that fails.
pub(super) async fn perform(
    root: &Connection,
    claim: &Claim,
    account: &Account,
    life: Duration,
    own: &Own,
    steps: &[Step],
) -> Result<Option<Timestamp>, FenceError> {
    let maker = Maker { root, claim, account, life };
    let gone = steps.iter().filter_map(|step| if let Step::Remove(part) = step { Some(part) } else { None });
    let made = steps.iter().map(async |step| match step {
        Step::Remove(_) => Ok(None),
        Step::Mark => maker.mark(&own.mark).await,
        Step::Subject => maker.subject().await.map(|()| None),
        Step::Bind(source) => maker.bind(source).await.map(|()| None),
    });
    let (made, ()) = try_join(try_join_all(made), remove(root, gone)).await?;
    Ok(made.into_iter().flatten().next())
}

/// Removes parts; what is gone already is as good as removed.
///
/// # Errors
/// The first that fails; the others are removed nevertheless.
pub(super) async fn remove<'a>(root: &Connection, parts: impl Iterator<Item = &'a Part>) -> Result<(), FenceError> {
    let calls: Vec<Call> = soonest_refused_first(parts).into_iter().map(removal).collect();
    let mut failure = None;
    for some in calls.chunks(AT_ONCE) {
        for result in join_all(some.iter().map(|call| root.send(call))).await {
            failure = result.err().filter(|e| !e.is_not_found() && !e.is_conflict()).or(failure);
        }
    }
    failure.map_or(Ok(()), |error| Err(FenceError::of("removing what belongs to an earlier epoch", error)))
}

/// Bindings before all others: what they permitted is refused at once, and a token is
/// remembered for a while.
fn soonest_refused_first<'a>(parts: impl Iterator<Item = &'a Part>) -> Vec<&'a Part> {
    let mut parts: Vec<&Part> = parts.collect();
    parts.sort_by_key(|part| part.kind);
    parts
}

fn removal(part: &Part) -> Call {
    let path = match (part.kind, part.namespace.is_empty()) {
        (PartKind::Binding, true) => Path::new(format!("{RBAC}/clusterrolebindings")),
        (PartKind::Binding, false) => {
            Path::new(format!("{RBAC}/namespaces")).segment(&part.namespace).segment("rolebindings")
        }
        (PartKind::Mark, _) => inside(&part.namespace, "secrets"),
        (PartKind::Subject, _) => inside(&part.namespace, "serviceaccounts"),
    };
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": part.uid}});
    Call::write(Method::DELETE, path.segment(&part.name).build(), JSON, &options).urgent()
}

fn inside(namespace: &str, plural: &str) -> Path {
    Path::new("/api/v1/namespaces").segment(namespace).segment(plural)
}

/// Makes things of a claim.
struct Maker<'a> {
    root: &'a Connection,
    claim: &'a Claim,
    account: &'a Account,
    life: Duration,
}

// === impl Maker ===

impl Maker<'_> {
    async fn mark(&self, name: &str) -> Result<Option<Timestamp>, FenceError> {
        let mark = json!({"apiVersion": "v1", "kind": "Secret", "metadata": self.metadata(name),
            "type": "argosy.dev/fence", "immutable": true});
        let made = self.create("making a mark", inside(&self.account.namespace, "secrets"), &mark).await?;
        Ok(made["metadata"]["creationTimestamp"].as_str().and_then(|time| time.parse().ok()))
    }

    async fn subject(&self) -> Result<(), FenceError> {
        let subject = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": self.metadata(&self.claim.name("")),
            "automountServiceAccountToken": false});
        self.create("making a subject", inside(&self.account.namespace, "serviceaccounts"), &subject).await.map(drop)
    }

    async fn bind(&self, source: &Source) -> Result<(), FenceError> {
        let (kind, path) = if source.namespace.is_empty() {
            ("ClusterRoleBinding", Path::new(format!("{RBAC}/clusterrolebindings")))
        } else {
            let path = Path::new(format!("{RBAC}/namespaces")).segment(&source.namespace).segment("rolebindings");
            ("RoleBinding", path)
        };
        let mut metadata = self.metadata(&source.copy(self.claim));
        if let Some(metadata) = metadata.as_object_mut() {
            // Owners live in the same namespace.
            metadata.remove("ownerReferences");
        }
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata,
            "roleRef": source.role,
            "subjects": [{"kind": "ServiceAccount", "name": self.claim.name(""), "namespace": self.account.namespace}]});
        self.create("making a binding", path, &binding).await.map(drop)
    }

    fn metadata(&self, name: &str) -> Value {
        let mut metadata = json!({"name": name, "labels": self.claim.labels(),
            "annotations": {LIFE: self.life.as_secs().to_string()}});
        if !self.account.uid.is_empty() {
            // It goes with the account, and counts as that one's in any tree.
            metadata["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ServiceAccount",
                "name": self.account.name, "uid": self.account.uid}]);
        }
        metadata
    }

    /// The object as it was made; nothing where an attempt whose answer was lost
    /// had made it.
    async fn create(&self, what: &'static str, path: Path, object: &Value) -> Result<Value, FenceError> {
        let call = Call::write(Method::POST, path.build(), JSON, object).urgent();
        match self.root.send(&call).await {
            Ok(reply) => reply.value(what).map_err(FenceError::Cluster),
            Err(error) if error.is_already_exists() => Ok(Value::Null),
            Err(error) => Err(FenceError::of(what, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::claim::SliceOf;
    use super::*;

    #[test]
    fn bindings_are_removed_before_all_others() {
        let part = |kind, name: &str| Part {
            kind,
            namespace: String::new(),
            name: name.to_owned(),
            uid: String::new(),
            slice: SliceOf { number: 0, of: 1 },
            epoch: 1,
            created: Timestamp::UNIX_EPOCH,
            life: Duration::ZERO,
        };
        let parts = [part(PartKind::Subject, "s"), part(PartKind::Mark, "m"), part(PartKind::Binding, "b")];
        let names: Vec<&str> = soonest_refused_first(parts.iter()).iter().map(|part| &*part.name).collect();
        assert_eq!(names, ["b", "m", "s"]);
    }
}
