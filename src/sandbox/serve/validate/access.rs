//! Roles and bindings.

use serde_json::{Value, json};

use super::texts::{items, not_subdomain, one_of, one_of_in_order, refuse, text};
use crate::failure::Fault;

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn role(is_namespaced: bool, value: &Value, faults: &mut Vec<Fault>) {
    for (i, rule) in items(value, "/rules") {
        let place = format!("rules[{i}]");
        let has = |field: &str| items(rule, &format!("/{field}")).next().is_some();
        if !has("verbs") {
            faults.push(Fault::required(format!("{place}.verbs"), "verbs must contain at least one value"));
        }
        if has("nonResourceURLs") {
            let detail = if is_namespaced {
                Some("namespaced rules cannot apply to non-resource URLs")
            } else if has("apiGroups") || has("resources") || has("resourceNames") {
                Some("rules cannot apply to both regular resources and non-resource URLs")
            } else {
                None
            };
            if let Some(detail) = detail {
                faults.push(Fault::invalid(format!("{place}.nonResourceURLs"), &rule["nonResourceURLs"], detail));
            }
            continue;
        }
        if !has("apiGroups") {
            let detail = "resource rules must supply at least one api group";
            faults.push(Fault::required(format!("{place}.apiGroups"), detail));
        }
        if !has("resources") {
            let detail = "resource rules must supply at least one resource";
            faults.push(Fault::required(format!("{place}.resources"), detail));
        }
    }
}

pub(super) fn binding(is_namespaced: bool, value: &Value, faults: &mut Vec<Fault>) {
    let group = value.pointer("/roleRef/apiGroup");
    one_of("roleRef.apiGroup", group, &[GROUP], faults);
    let kinds: &[&str] = if is_namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    let kind = value.pointer("/roleRef/kind").cloned().unwrap_or(json!(""));
    one_of_in_order("roleRef.kind", &kind, kinds, faults);
    let name = text(value, "/roleRef/name");
    if name.is_empty() {
        faults.push(Fault::required("roleRef.name", ""));
    } else if name.contains(['/', '%']) {
        let bad = if name.contains('/') { "may not contain '/'" } else { "may not contain '%'" };
        faults.push(Fault::invalid("roleRef.name", &name.into(), bad));
    }
    for (i, subject) in items(value, "/subjects") {
        let place = format!("subjects[{i}]");
        let name = text(subject, "/name");
        if name.is_empty() {
            faults.push(Fault::required(format!("{place}.name"), ""));
        }
        let group = subject.get("apiGroup").cloned().unwrap_or(json!(""));
        match text(subject, "/kind") {
            "ServiceAccount" => {
                if !name.is_empty() {
                    refuse(&format!("{place}.name"), name, not_subdomain(name), faults);
                }
                one_of(format!("{place}.apiGroup"), Some(&group), &[""], faults);
                if text(subject, "/namespace").is_empty() && !is_namespaced {
                    faults.push(Fault::required(format!("{place}.namespace"), ""));
                }
            }
            "User" | "Group" => one_of(format!("{place}.apiGroup"), Some(&group), &[GROUP], faults),
            other => {
                let known = ["ServiceAccount", "User", "Group"];
                one_of_in_order(format!("{place}.kind"), &other.into(), &known, faults);
            }
        }
    }
}
