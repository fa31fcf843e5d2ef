//! What is refused or completed on its way into the store.

use argosy_model::object;
use serde_json::{Value, json};

use crate::controllers::{SERVICE_ACCOUNT, STORAGE_CLASS, default_class};
use crate::failure::{Failure, Subject};
use crate::hooks::{Admission, Admitted, Attributes};
use crate::lifecycle::{NamespaceRefusal, admit_to_namespace, may_delete_namespace};
use crate::rbac::{self, Escalation};
use crate::store::Store;

/// Admits to namespaces that are there, lets nobody grant what they do not have,
/// and names the service account of Pods and the class of claims.
#[derive(Clone, Debug)]
pub struct Gate {
    store: Store,
}

// === impl Gate ===

impl Gate {
    /// Looks at the objects of one sandbox.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    fn check_namespace(&self, asked: &Attributes) -> Result<(), Failure> {
        if asked.namespace.is_empty() || (asked.group.is_empty() && asked.resource == "namespaces") {
            return Ok(());
        }
        let subject = subject(asked, &asked.name);
        admit_to_namespace(&self.store, &asked.namespace).map_err(|refusal| match &refusal {
            NamespaceRefusal::Missing(name) => Failure::not_found(Subject { group: "", resource: "namespaces", name }),
            NamespaceRefusal::Terminating(name) => {
                let mut failure = Failure::forbidden(subject, &refusal.to_string());
                let message = format!("namespace {name} is being terminated");
                let details = failure.details.get_or_insert_with(|| json!({}));
                details["causes"] =
                    json!([{"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}]);
                failure
            }
        })
    }

    fn check_grant(&self, request: &Admitted<'_>, object: &Value) -> Result<(), Failure> {
        let asked = request.attributes;
        if asked.group != rbac::GROUP {
            return Ok(());
        }
        let checked = match asked.resource.as_str() {
            "roles" | "clusterroles" => rbac::check_role(request.caller, object, request.old, &self.store),
            "rolebindings" | "clusterrolebindings" => {
                rbac::check_binding(request.caller, object, request.old, &self.store)
            }
            _ => return Ok(()),
        };
        checked.map_err(|refusal| match refusal {
            Escalation::Forbidden(why) => Failure::forbidden(subject(asked, object::name(object)), &why),
            Escalation::RoleNotFound(name) => Failure::not_found(subject(asked, &name)),
        })
    }

    fn complete_pod(&self, asked: &Attributes, pod: &mut Value) -> Result<(), Failure> {
        let given = pod["spec"]["serviceAccountName"].as_str().unwrap_or_default();
        let name = if given.is_empty() { "default" } else { given }.to_owned();
        let account = self.store.get(&SERVICE_ACCOUNT.key(&asked.namespace, &name));
        if account.is_none() {
            let namespace = &asked.namespace;
            let why = format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
            return Err(Failure::forbidden(subject(asked, object::name(pod)), &why));
        }
        let spec = &mut pod["spec"];
        spec["serviceAccountName"] = name.as_str().into();
        spec["serviceAccount"] = name.into();
        for (field, value) in [("priority", json!(0)), ("preemptionPolicy", json!("PreemptLowerPriority"))] {
            if spec[field].is_null() {
                spec[field] = value;
            }
        }
        if spec["tolerations"].is_null() {
            let toleration =
                |key: &str| json!({"effect": "NoExecute", "key": key, "operator": "Exists", "tolerationSeconds": 300});
            spec["tolerations"] =
                json!([toleration("node.kubernetes.io/not-ready"), toleration("node.kubernetes.io/unreachable")]);
        }
        Ok(())
    }

    fn complete_claim(&self, claim: &mut Value) {
        if claim["spec"]["storageClassName"].is_null() {
            let classes = self.store.list(STORAGE_CLASS.group, STORAGE_CLASS.resource, None).0;
            if let Some(name) = default_class(&classes) {
                claim["spec"]["storageClassName"] = name.into();
            }
        }
    }
}

impl Admission for Gate {
    fn admit(&self, request: &Admitted<'_>, object: &mut Value) -> Result<(), Failure> {
        let asked = request.attributes;
        match asked.verb.as_str() {
            "create" => {
                self.check_namespace(asked)?;
                self.check_grant(request, object)?;
                match (&*asked.group, &*asked.resource) {
                    ("", "pods") => self.complete_pod(asked, object)?,
                    ("", "persistentvolumeclaims") => self.complete_claim(object),
                    _ => {}
                }
                Ok(())
            }
            "update" if asked.subresource.is_empty() => self.check_grant(request, object),
            "delete" if asked.group.is_empty() && asked.resource == "namespaces" => {
                let name = object::name(object);
                if may_delete_namespace(name) {
                    return Ok(());
                }
                Err(Failure::forbidden(subject(asked, name), "this namespace may not be deleted"))
            }
            _ => Ok(()),
        }
    }
}

fn subject<'a>(asked: &'a Attributes, name: &'a str) -> Subject<'a> {
    Subject { group: &asked.group, resource: &asked.resource, name }
}
