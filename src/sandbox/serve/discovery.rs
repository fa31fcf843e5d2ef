//! What there is: versions, groups and resources, in the old form and aggregated.

use http::HeaderMap;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::kinds::{Group, Kind, Kinds, Version, api_version};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Whether the caller wants everything at once.
pub(super) fn wants_aggregated(headers: &HeaderMap) -> bool {
    let accept = headers.get(http::header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    let first = accept.split(',').next().unwrap_or("").replace(' ', "");
    first.contains("as=APIGroupDiscoveryList") && first.contains("g=apidiscovery.k8s.io") && first.contains("v=v2")
}

/// The media type of an aggregated answer.
pub(super) fn aggregated_type() -> &'static str {
    AGGREGATED
}

/// `/api` or `/apis`, aggregated.
pub(super) fn aggregated(kinds: &Kinds, core: bool) -> Value {
    let groups = kinds.groups().into_iter().filter(|g| g.name.is_empty() == core);
    let items: Vec<Value> = groups
        .map(|group| {
            let versions: Vec<Value> = group.versions.iter().map(aggregated_version).collect();
            let metadata = if core { json!({}) } else { json!({"name": group.name}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated_version(version: &Version) -> Value {
    let resources: Vec<Value> = version.kinds.iter().map(|kind| aggregated_resource(kind)).collect();
    json!({"version": version.name, "resources": resources, "freshness": "Current"})
}

fn aggregated_resource(kind: &Kind) -> Value {
    let custom = kind.custom.is_some();
    let own = || {
        let (group, version) = if custom { (&*kind.group, &*kind.version) } else { ("", "") };
        json!({"group": group, "version": version, "kind": kind.kind})
    };
    let mut resource = json!({
        "resource": kind.plural, "responseKind": own(), "singularResource": kind.singular, "verbs": kind.verbs,
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
    let subresources: Vec<Value> = kind
        .subresources
        .iter()
        .map(|s| {
            let response = match s.kind.as_str() {
                "" => own(),
                name => json!({"group": s.group, "version": s.version, "kind": name}),
            };
            json!({"subresource": s.name, "responseKind": response, "verbs": s.verbs})
        })
        .collect();
    if !subresources.is_empty() {
        resource["subresources"] = subresources.into();
    }
    resource
}

/// `/api`.
pub(super) fn core_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// `/apis`.
pub(super) fn groups(kinds: &Kinds) -> Value {
    let groups: Vec<Value> = kinds.groups().iter().filter(|g| !g.name.is_empty()).map(group_value).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/<group>`.
pub(super) fn group(kinds: &Kinds, name: &str) -> Option<Value> {
    let group = kinds.groups().into_iter().find(|g| g.name == name && !name.is_empty())?;
    let mut value = group_value(&group);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Some(value)
}

fn group_value(group: &Group) -> Value {
    let version = |v: &Version| json!({"groupVersion": api_version(&group.name, &v.name), "version": v.name});
    let versions: Vec<Value> = group.versions.iter().map(version).collect();
    json!({"name": group.name, "preferredVersion": versions.first(), "versions": versions})
}

/// `/apis/<group>/<version>`.
pub(super) fn resources(kinds: &Kinds, group: &str, version: &str) -> Result<Value, Failure> {
    let groups = kinds.groups();
    let found = groups.iter().find(|g| g.name == group).and_then(|g| g.versions.iter().find(|v| v.name == version));
    let Some(found) = found else { return Err(Failure::no_such_resource()) };
    let mut all: Vec<Value> = Vec::new();
    for kind in &found.kinds {
        let mut one = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": kind.verbs,
        });
        if !kind.short_names.is_empty() {
            one["shortNames"] = json!(kind.short_names);
        }
        if !kind.categories.is_empty() {
            one["categories"] = json!(kind.categories);
        }
        all.push(one);
        for below in &kind.subresources {
            let name = if below.kind.is_empty() { &kind.kind } else { &below.kind };
            let mut one = json!({
                "name": format!("{}/{}", kind.plural, below.name), "singularName": "",
                "namespaced": kind.namespaced, "kind": name, "verbs": below.verbs,
            });
            if !below.version.is_empty() && below.group != kind.group {
                one["group"] = below.group.as_str().into();
                one["version"] = below.version.as_str().into();
            }
            all.push(one);
        }
    }
    let mut list = json!({
        "kind": "APIResourceList", "groupVersion": api_version(group, version), "resources": all,
    });
    // The list of the core group never says.
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    Ok(list)
}
