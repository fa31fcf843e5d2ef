//! What patches may not do.

use serde_json::json;

use super::*;

#[test]
fn operations_cannot_nest_a_value_without_end() {
    // Each puts what there is at its own innermost place.
    let copies = (0..10).map(|n| json!({"op": "copy", "from": "/a", "path": "/a".repeat((1 << n) + 1)}));
    let read = |operations: Vec<Value>| serde_json::from_value::<json_patch::Patch>(operations.into());
    let mut value = json!({"a": {}});
    let shallow = read(copies.clone().take(5).collect()).expect("operations");
    assert!(apply_operations(&mut value, &shallow).is_ok());
    assert!(!is_too_deep(&value) && value.pointer(&"/a".repeat(32)).is_some(), "{value}");
    let deep = read(copies.collect()).expect("operations");
    let refusal = apply_operations(&mut json!({"a": {}}), &deep).expect_err("is refused");
    assert_eq!(refusal.code, StatusCode::UNPROCESSABLE_ENTITY);
}
