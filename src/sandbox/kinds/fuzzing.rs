//! Objects of all kinds, as they are read.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Kind, Kinds, custom, read_protobuf};

/// The kind that the first line names as `group/version/plural`, and what follows.
fn kind_and_rest(input: &[u8]) -> Option<(Arc<Kind>, &[u8])> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    let mut names = std::str::from_utf8(&input[..end]).ok()?.splitn(3, '/');
    let kind = Kinds::new().find(names.next()?, names.next()?, names.next()?)?;
    Some((kind, &input[end + 1..]))
}

/// What was read is read as itself, without anything that is not known.
fn settles(kind: &Kind, value: Value) {
    let Ok(read) = kind.decode(value) else { return };
    let again = kind.decode(read.value.clone()).unwrap_or_else(|error| panic!("{error}: {}", read.value));
    assert_eq!(again.value, read.value, "{}", kind.kind);
    assert!(again.unknown.is_empty(), "{:?} of {}", again.unknown, read.value);
}

/// JSON as an object of a built-in kind.
pub(crate) fn builtin(input: &[u8]) {
    let Some((kind, json)) = kind_and_rest(input) else { return };
    let Ok(value @ Value::Object(_)) = serde_json::from_slice(json) else { return };
    settles(&kind, value);
}

/// Bytes as an object in protobuf.
pub(crate) fn protobuf(input: &[u8]) {
    let Some((kind, body)) = kind_and_rest(input) else { return };
    let Ok(value) = read_protobuf(body, |_, _| kind.definition) else { return };
    assert!(value.is_object());
    settles(&kind, value);
}

/// `{"schema": …, "value": …}`: an object of a kind with that schema.
pub(crate) fn structural(input: &[u8]) {
    let Ok(Value::Object(mut given)) = serde_json::from_slice(input) else { return };
    let (Some(schema), Some(value @ Value::Object(_))) = (given.remove("schema"), given.remove("value")) else {
        return;
    };
    let definition = json!({"metadata": {"name": "things.x.y"}, "spec": {
        "group": "x.y", "scope": "Namespaced", "names": {"kind": "Thing", "plural": "things"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
    }});
    let kinds = custom::kinds_of(&definition);
    let kind = kinds.first().expect("one version is served");
    settles(kind, value.clone());
    let mut faults = Vec::new();
    if let Ok(read) = kind.decode(value) {
        kind.custom.as_ref().expect("it is custom").validate(&read.value, &mut faults);
    }
    let document = custom::document_of(&kinds);
    assert!(document.is_object(), "{document}");
}
