//! Picking documents, and values in them.

use anyhow::Context;
use serde_json::Value;

/// The document of this kind and name.
pub(crate) fn find<'d>(all: &'d [Value], kind: &str, name: &str) -> anyhow::Result<&'d Value> {
    let found = all.iter().find(|document| document["kind"] == kind && document["metadata"]["name"] == name);
    found.with_context(|| {
        let names: Vec<_> = all.iter().filter(|d| d["kind"] == kind).map(|d| d["metadata"]["name"].clone()).collect();
        format!("there is no {kind} {name}, but {names:?}")
    })
}

/// Whether there is one of this kind and name.
pub(crate) fn has(all: &[Value], kind: &str, name: &str) -> bool {
    find(all, kind, name).is_ok()
}

/// The Pods that documents describe, with the names of what describes them.
pub(crate) fn pods(all: &[Value]) -> Vec<(&str, &Value)> {
    all.iter()
        .filter_map(|document| {
            let pod = document.pointer("/spec/template/spec")?;
            Some((document["metadata"]["name"].as_str()?, pod))
        })
        .collect()
}

/// All containers of a Pod, those that run first included.
pub(crate) fn containers(pod: &Value) -> Vec<&Value> {
    let of = |field: &str| pod[field].as_array().into_iter().flatten();
    of("initContainers").chain(of("containers")).collect()
}

/// The arguments of the first container of what has this name.
pub(crate) fn arguments(all: &[Value], kind: &str, name: &str) -> anyhow::Result<Vec<String>> {
    let list = find(all, kind, name)?.pointer("/spec/template/spec/containers/0/args").and_then(Value::as_array);
    let list = list.context("its container has no arguments")?;
    Ok(list.iter().filter_map(|argument| argument.as_str().map(str::to_owned)).collect())
}
