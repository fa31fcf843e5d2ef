//! SubjectAccessReview, SelfSubjectAccessReview and LocalSubjectAccessReview.

use argosy_model::object;
use serde_json::{Value, json};

use super::{AUTHORIZATION, answered, subject_of};
use crate::failure::{Failure, Fault, Subject};
use crate::hooks::Request;
use crate::rbac::{Access, ResourceTarget, Target, decide};
use crate::store::Store;

/// The answer to an access review; `None` for another resource of the group.
pub(super) fn review(store: &Store, resource: &str, request: &Request<'_>) -> Option<Result<Value, Failure>> {
    let kind = match resource {
        "subjectaccessreviews" => "SubjectAccessReview",
        "selfsubjectaccessreviews" => "SelfSubjectAccessReview",
        "localsubjectaccessreviews" => "LocalSubjectAccessReview",
        _ => return None,
    };
    let faults = faults(kind, &request.body, &request.attributes.namespace);
    if !faults.is_empty() {
        // The server does not name the kind here.
        return Some(Err(Failure::invalid(Subject { group: AUTHORIZATION, resource: "", name: "" }, &faults)));
    }
    let spec = &request.body["spec"];
    let user = if kind == "SelfSubjectAccessReview" { request.caller.clone() } else { subject_of(spec) };
    let decision = decide(&access(&user, spec), store);
    let mut status = json!({"allowed": decision.allowed});
    if !decision.reason.is_empty() {
        status["reason"] = decision.reason.into();
    }
    Some(Ok(answered(&request.body, kind, AUTHORIZATION, status)))
}

fn access<'a>(user: &'a crate::hooks::Caller, spec: &'a Value) -> Access<'a> {
    let text = |part: &'a str, field: &str| spec[part][field].as_str().unwrap_or_default();
    if spec["resourceAttributes"].is_object() {
        let field = |field: &str| text("resourceAttributes", field);
        let target = ResourceTarget {
            group: field("group"),
            resource: field("resource"),
            subresource: field("subresource"),
            namespace: field("namespace"),
            name: field("name"),
        };
        return Access { user, verb: field("verb"), target: Target::Resource(target) };
    }
    let part = "nonResourceAttributes";
    Access { user, verb: text(part, "verb"), target: Target::Path(text(part, "path")) }
}

fn faults(kind: &str, body: &Value, namespace: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    let spec = &body["spec"];
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    if resource.is_object() && path.is_object() {
        let detail = "cannot be specified in combination with resourceAttributes";
        let part = |name: &str| path[name].as_str().unwrap_or_default();
        let shown = json!({"Path": part("path"), "Verb": part("verb")});
        faults.push(Fault::invalid("spec.nonResourceAttributes", &shown, detail));
    }
    if !resource.is_object() && !path.is_object() {
        let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        faults.push(Fault::invalid("spec.resourceAttributes", &Value::Null, detail));
    }
    let is_empty =
        |value: &Value| value.as_str().is_none_or(str::is_empty) && value.as_array().is_none_or(Vec::is_empty);
    if kind != "SelfSubjectAccessReview" && is_empty(&spec["user"]) && is_empty(&spec["groups"]) {
        faults.push(Fault::invalid("spec.user", &"".into(), "at least one of user or group must be specified"));
    }
    if kind == "LocalSubjectAccessReview" {
        if resource.is_object() && resource["namespace"].as_str().unwrap_or_default() != namespace {
            let field = "spec.resourceAttributes.namespace";
            faults.push(Fault::invalid(field, &resource["namespace"], "must match metadata.namespace"));
        }
    } else if !object::name(body).is_empty() || !object::namespace(body).is_empty() {
        faults.push(Fault::invalid("metadata", &body["metadata"], "must be empty"));
    }
    faults
}
