//! Taking over the fields another manager set by updates.
//!
//! Server-side apply removes what its manager once applied and does not any
//! more. What client-side apply set belongs to another manager, as updates; it
//! would stay for ever. So those entries are merged into the manager's own.

use serde_json::{Map, Value, json};

/// The JSON patch that makes `to` the applier of what `from` set by updates;
/// `None` when `from` owns nothing. It fails with a conflict if the object has
/// changed.
pub(super) fn plan_migration(live: &Value, from: &str, to: &str) -> Option<Vec<Value>> {
    let metadata = live.get("metadata")?;
    let entries = metadata.get("managedFields")?.as_array()?;
    let text = |entry: &Value, field: &str| entry.get(field).and_then(Value::as_str).unwrap_or("").to_owned();
    let is = |entry: &Value, manager: &str, operation: &str| {
        text(entry, "manager") == manager
            && text(entry, "operation") == operation
            && text(entry, "subresource").is_empty()
    };
    let (taken, mut kept): (Vec<Value>, Vec<Value>) = entries.iter().cloned().partition(|e| is(e, from, "Update"));
    let newest = taken.iter().max_by_key(|e| text(e, "time"))?;
    let at = kept.iter().position(|e| is(e, to, "Apply")).unwrap_or_else(|| {
        let mut own = newest.clone();
        own["manager"] = json!(to);
        own["operation"] = json!("Apply");
        kept.push(own);
        kept.len() - 1
    });
    let mut fields = kept[at].get("fieldsV1").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    for entry in &taken {
        union(&mut fields, entry.get("fieldsV1").unwrap_or(&Value::Null));
    }
    kept[at]["fieldsV1"] = fields;
    Some(vec![
        json!({"op": "replace", "path": "/metadata/managedFields", "value": kept}),
        // Sent as part of the object, a stale version is a conflict and not a failed test.
        json!({"op": "replace", "path": "/metadata/resourceVersion", "value": metadata.get("resourceVersion")?}),
    ])
}

fn union(fields: &mut Value, more: &Value) {
    let (Value::Object(fields), Value::Object(more)) = (fields, more) else { return };
    for (name, below) in more {
        union(fields.entry(name.clone()).or_insert_with(|| Value::Object(Map::new())), below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_set_by_updates_become_applied_ones() {
        let live = json!({"metadata": {"resourceVersion": "5", "managedFields": [
            {"manager": "kubectl-client-side-apply", "operation": "Update", "time": "2026-01-01T00:00:00Z",
             "fieldsV1": {"f:data": {"f:a": {}}}},
            {"manager": "argocd-controller", "operation": "Apply", "fieldsV1": {"f:data": {"f:b": {}}}},
            {"manager": "kubectl-client-side-apply", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}}]}});
        let patch = plan_migration(&live, "kubectl-client-side-apply", "argocd-controller").expect("something to do");
        let entries = patch[0]["value"].as_array().expect("entries");
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0]["fieldsV1"], json!({"f:data": {"f:a": {}, "f:b": {}}}));
        assert!(plan_migration(&live, "somebody", "argocd-controller").is_none());
    }
}
