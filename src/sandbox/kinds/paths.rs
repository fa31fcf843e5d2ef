//! The operations of a resource as OpenAPI lists them, with as much as clients
//! look at: the kind, the media types of a patch, and the names of the options.

use serde_json::{Value, json};

use super::Kind;

/// The paths of one kind.
pub fn paths_of(kind: &Kind) -> Vec<(String, Value)> {
    let root = if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}/{}", kind.group, kind.version)
    };
    let below = if kind.namespaced { format!("{root}/namespaces/{{namespace}}") } else { root.clone() };
    let collection = format!("{below}/{}", kind.plural);
    let one = format!("{collection}/{{name}}");
    let mut paths = vec![
        (
            collection,
            item(
                kind,
                &[
                    ("get", "list", "list"),
                    ("post", "create", "post"),
                    ("delete", "deletecollection", "deletecollection"),
                ],
            ),
        ),
        (
            one.clone(),
            item(
                kind,
                &[
                    ("get", "get", "get"),
                    ("put", "update", "put"),
                    ("patch", "patch", "patch"),
                    ("delete", "delete", "delete"),
                ],
            ),
        ),
    ];
    if kind.namespaced && kind.allows("list") {
        paths.push((format!("{root}/{}", kind.plural), item(kind, &[("get", "list", "list")])));
    }
    for subresource in kind.subresources.iter().filter(|s| s.name == "status") {
        let path = format!("{one}/{}", subresource.name);
        paths.push((path, item(kind, &[("get", "get", "get"), ("put", "update", "put"), ("patch", "patch", "patch")])));
    }
    paths.retain(|(_, item)| item.as_object().is_some_and(|i| !i.is_empty()));
    paths
}

fn item(kind: &Kind, operations: &[(&str, &str, &str)]) -> Value {
    let made = operations
        .iter()
        .filter(|(_, verb, _)| kind.allows(verb))
        .map(|(method, _, action)| ((*method).to_owned(), operation(kind, method, action)));
    Value::Object(made.collect())
}

fn operation(kind: &Kind, method: &str, action: &str) -> Value {
    let mut operation = json!({
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "responses": {"200": {"description": "OK"}},
    });
    let options: &[&str] = match method {
        "post" | "put" => &["dryRun", "fieldManager", "fieldValidation"],
        "patch" => &["dryRun", "fieldManager", "fieldValidation", "force"],
        "delete" => &["dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"],
        _ => &[],
    };
    if !options.is_empty() {
        let parameters: Vec<Value> = options
            .iter()
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
            .collect();
        operation["parameters"] = parameters.into();
    }
    if method == "patch" {
        let mut types =
            vec!["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];
        if kind.is_strategic() {
            types.push("application/strategic-merge-patch+json");
        }
        let content: serde_json::Map<String, Value> = types.into_iter().map(|t| (t.to_owned(), json!({}))).collect();
        operation["requestBody"] = json!({"content": content, "required": true});
    }
    operation
}
