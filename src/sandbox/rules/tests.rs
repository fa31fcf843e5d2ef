use serde_json::{Value, json};

use super::{Rules, check_definition};

fn schema(rule: &str) -> Value {
    json!({"type": "object", "properties": {"spec": {
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": {"type": "integer"}},
            "text": {"type": "string"},
            "count": {"type": "integer"},
        },
        "x-kubernetes-validations": [{"rule": rule}],
    }}})
}

fn refusals(rule: &str) -> Vec<String> {
    let mut faults = Vec::new();
    check_definition("schema", &schema(rule), &mut faults);
    faults.into_iter().map(|fault| fault.message).collect()
}

/// What is wrong with a new spec, or with a change of one; and what is only told.
fn judged(rule: &str, old: Option<Value>, new: Value) -> (Vec<String>, Vec<String>) {
    assert_eq!(refusals(rule), Vec::<String>::new());
    judged_as_kept(rule, old, new)
}

/// The same of a definition that nobody has looked at.
fn judged_as_kept(rule: &str, old: Option<Value>, new: Value) -> (Vec<String>, Vec<String>) {
    let schema = schema(rule);
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    let old = old.map(|old| json!({"spec": old}));
    Rules::of(&schema).validate(&schema, &json!({"spec": new}), old.as_ref(), &mut faults, &mut warnings);
    (faults.into_iter().map(|fault| fault.message).collect(), warnings)
}

#[test]
fn a_function_that_is_not_here_refuses_the_definition() {
    for rule in ["isIP(self.text)", "self.list.sort() == self.list", "self.text.format([1]) == 'a'"] {
        let told = refusals(rule);
        assert!(matches!(&*told, [one] if one.contains("the sandbox does not know the function")), "{rule}: {told:?}");
    }
}

#[test]
fn a_rule_that_runs_away_is_stopped() {
    let list: Vec<usize> = (0..400).collect();
    for rule in [
        "self.list.all(a, self.list.all(b, self.list.all(c, self.list.all(d, a + b + c + d >= 0))))",
        "self.list.map(a, self.list.map(b, self.list.map(c, a))).size() > 0",
    ] {
        let (faults, _) = judged(rule, None, json!({"list": list}));
        assert!(matches!(&*faults, [one] if one.contains("cost limit exceeded")), "{rule}: {faults:?}");
    }
}

#[test]
fn a_text_that_grows_without_end_is_stopped() {
    let text = "x".repeat(1 << 20);
    let rule = "self.text.replace('x', self.text).size() > 0";
    let (faults, _) = judged(rule, None, json!({"text": text}));
    assert!(matches!(&*faults, [one] if one.contains("cost limit exceeded")), "{faults:?}");
}

#[test]
fn what_did_not_change_only_warns() {
    let (faults, warnings) = judged("self.count > 3", Some(json!({"count": 1})), json!({"count": 1}));
    assert_eq!((faults.len(), warnings.len()), (0, 1));
    let (faults, warnings) = judged("self.count > 3", Some(json!({"count": 1})), json!({"count": 2}));
    assert_eq!((faults.len(), warnings.len()), (1, 0));
}

#[test]
fn what_is_too_deep_is_refused() {
    let deep = [
        format!("{}true{}", "!(".repeat(5000), ")".repeat(5000)),
        format!("{}true", "true ? true : ".repeat(1000)),
        format!("{}1 > 0", "1 + ".repeat(3000)),
    ];
    for rule in deep {
        assert!(!refusals(&rule).is_empty(), "{}", rule.len());
    }
}

#[test]
fn what_is_folded_while_it_is_read_is_not_deep() {
    assert_eq!(refusals(&format!("{}true", "!".repeat(15_001))), Vec::<String>::new());
}

#[test]
fn what_is_as_deep_as_may_be_is_evaluated() {
    let deep = format!("{}self.count > 0{}", "(true && !!(".repeat(15), "))".repeat(15));
    assert_eq!(judged(&deep, None, json!({"count": 1})), (Vec::new(), Vec::new()));
    let deep = format!("{}self.count{} > 0", "int(".repeat(60), ")".repeat(60));
    assert_eq!(judged(&deep, None, json!({"count": 1})), (Vec::new(), Vec::new()));
}

#[test]
fn nothing_passes_a_rule_that_an_older_version_has_kept_and_that_cannot_be_read() {
    let (faults, _) = judged_as_kept("self.count >", None, json!({"count": 1}));
    assert!(faults.len() == 1 && faults[0].contains("rule compile error"), "{faults:?}");
}
