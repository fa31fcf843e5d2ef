//! Evictions: a Pod is deleted, if its disruption budgets let it go.

use argosy_model::object;
use http::StatusCode;
use serde_json::{Value, json};

use crate::controllers::{DISRUPTION_BUDGET, POD, selects};
use crate::failure::{Failure, Subject};
use crate::hooks::Request;
use crate::lifecycle::{Deletion, plan_deletion};
use crate::stamp::Stamps;
use crate::store::{Store, StoreError, UpdateError};

/// Deletes a Pod on behalf of somebody who drains a node.
pub(super) fn evict(store: &Store, stamps: &Stamps, request: &Request<'_>) -> Result<Value, Failure> {
    let (namespace, name) = (&request.attributes.namespace, &request.attributes.name);
    let key = POD.key(namespace, name);
    let not_found = || Failure::not_found(Subject { group: "", resource: "pods", name });
    let success = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    let grace = request.body["deleteOptions"]["gracePeriodSeconds"].as_i64();
    loop {
        let pod = store.get(&key).ok_or_else(not_found)?;
        let budgets = store.list(DISRUPTION_BUDGET.group, DISRUPTION_BUDGET.resource, Some(namespace)).0;
        let mut budgets = budgets
            .iter()
            .filter(|budget| selects(&budget.value["spec"]["selector"], &pod.value["metadata"]["labels"]));
        let used_up = |value: &Value| object::get(value, &["status", "disruptionsAllowed"]) == Some(&json!(0));
        if let Some(budget) = budgets.find(|budget| used_up(&budget.value)) {
            return Err(refusal(object::name(&budget.value)));
        }
        if request.dry_run {
            return Ok(success);
        }
        let done = match plan_deletion(&key, &pod.value, None, grace, stamps.timestamp()) {
            Deletion::Unchanged => return Ok(success),
            Deletion::Remove => store.delete(&key, Some(pod.version)).map(drop),
            Deletion::Mark(marked) => {
                let marked = store.update(&key, Some(pod.version), |_| Ok::<_, std::convert::Infallible>(Some(marked)));
                marked.map(drop).map_err(|error| match error {
                    UpdateError::Store(error) => error,
                    UpdateError::Refused(never) => match never {},
                })
            }
        };
        match done {
            Ok(()) => return Ok(success),
            Err(StoreError::Conflict { .. }) => {}
            Err(StoreError::NotFound) => return Err(not_found()),
            Err(error) => return Err(Failure::internal(error.to_string())),
        }
    }
}

fn refusal(budget: &str) -> Failure {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let cause = format!("The disruption budget {budget} does not allow evicting pods currently");
    let details = json!({"causes": [{"reason": "DisruptionBudget", "message": cause}]});
    let details = details.as_object().cloned().unwrap_or_default();
    Failure::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message).with(details)
}
