//! What is ignored without a rule: spellings of one meaning that the API server
//! or older installations leave behind.

use std::borrow::Cow;

use argosy_model::{Gvk, names, object};
use serde_json::Value;

use crate::merge::fold_string_data;

use super::Sides;

/// Applies what holds for the kind. `label` is the tracking label of older
/// installations, where ownership is now written in the annotation.
pub(super) fn apply(sides: &mut Sides<'_>, gvk: &Gvk, ignore_aggregated_roles: bool, label: Option<&str>) {
    match (&*gvk.group, &*gvk.kind) {
        ("", "Secret") => sides.each(|side| {
            if let Cow::Owned(folded) = fold_string_data(side) {
                *side = Cow::Owned(folded);
            }
        }),
        ("", "Endpoints") => sides.each(sort_subsets),
        ("rbac.authorization.k8s.io", "ClusterRole") if ignore_aggregated_roles => sides.each(|side| {
            let is_aggregated = side.get("aggregationRule").is_some_and(|r| !r.is_null());
            if is_aggregated && side.get("rules").is_some() {
                remove(side.to_mut(), "rules");
            }
        }),
        _ => {}
    }
    if let Some(label) = label {
        migrate_tracking(sides, label);
    }
}

fn remove(object: &mut Value, field: &str) {
    if let Some(map) = object.as_object_mut() {
        map.remove(field);
    }
}

/// Subsets, and addresses and ports in them, have no order.
fn sort_subsets(side: &mut Cow<'_, Value>) {
    if side.get("subsets").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return;
    }
    let Some(Value::Array(subsets)) = side.to_mut().get_mut("subsets") else { return };
    for subset in subsets.iter_mut() {
        for field in ["addresses", "notReadyAddresses", "ports"] {
            if let Some(Value::Array(items)) = subset.get_mut(field) {
                items.sort_by_cached_key(Value::to_string);
            }
        }
    }
    subsets.sort_by_cached_key(Value::to_string);
}

/// An object that was tracked by label and is now tracked by annotation differs
/// in both until it is next applied: that is no drift.
fn migrate_tracking(sides: &mut Sides<'_>, label: &str) {
    let (Some(target), Some(live)) = (&sides.target, &mut sides.live) else { return };
    if object::label(live, label).is_none_or(str::is_empty) {
        return;
    }
    let Some(id) = object::annotation(target, names::ANNOTATION_TRACKING_ID) else { return };
    if object::annotation(live, names::ANNOTATION_TRACKING_ID) != Some(id) {
        object::set_annotation(live.to_mut(), names::ANNOTATION_TRACKING_ID, id);
    }
    if object::label(target, label).is_none_or(str::is_empty) {
        object::remove_label(live.to_mut(), label);
    }
}
