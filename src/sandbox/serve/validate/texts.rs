//! Names, labels and numbers: what fits, and what is said when it does not.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use crate::failure::Fault;

pub(super) const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const OLD_LABEL: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const PERCENT: &str = "[0-9]+%";

fn whole(pattern: &str) -> Regex {
    Regex::new(&format!("^(?:{pattern})$")).expect("a pattern of this file")
}

static IS_SUBDOMAIN: LazyLock<Regex> = LazyLock::new(|| whole(SUBDOMAIN));
static IS_LABEL: LazyLock<Regex> = LazyLock::new(|| whole(LABEL));
static IS_OLD_LABEL: LazyLock<Regex> = LazyLock::new(|| whole(OLD_LABEL));
static IS_LABEL_VALUE: LazyLock<Regex> = LazyLock::new(|| whole(LABEL_VALUE));
static IS_QUALIFIED: LazyLock<Regex> = LazyLock::new(|| whole(QUALIFIED));
static IS_PERCENT: LazyLock<Regex> = LazyLock::new(|| whole(PERCENT));

/// What is wrong with a DNS subdomain, if anything.
pub(super) fn not_subdomain(text: &str) -> Option<String> {
    (!IS_SUBDOMAIN.is_match(text)).then(|| {
        format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')"
        )
    })
}

/// What is wrong with a DNS label.
pub(super) fn not_label(text: &str) -> Option<String> {
    (!IS_LABEL.is_match(text)).then(|| {
        format!(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
             end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')"
        )
    })
}

/// What is wrong with a DNS label that begins with a letter.
pub(super) fn not_old_label(text: &str) -> Option<String> {
    (!IS_OLD_LABEL.is_match(text)).then(|| {
        format!(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
             validation is '{OLD_LABEL}')"
        )
    })
}

/// What is wrong with the key of a label or annotation: a name with an optional prefix.
pub(in crate::serve) fn not_qualified(key: &str) -> Vec<String> {
    let what = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
                character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is";
    let mut wrong = Vec::new();
    let name = match key.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".to_owned());
            } else if let Some(detail) = not_subdomain(prefix) {
                wrong.push(format!("prefix part {detail}"));
            }
            name
        }
        _ => {
            wrong.push(format!(
                "a valid label key {what} '{QUALIFIED}') with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            ));
            return wrong;
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        wrong.push("name part must be no more than 63 bytes".to_owned());
    }
    if !IS_QUALIFIED.is_match(name) {
        wrong.push(format!("name part {what} '{QUALIFIED}')"));
    }
    wrong
}

/// What is wrong with the value of a label.
pub(in crate::serve) fn not_label_value(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push("must be no more than 63 bytes".to_owned());
    }
    if !IS_LABEL_VALUE.is_match(text) {
        wrong.push(format!(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
             validation is '{LABEL_VALUE}')"
        ));
    }
    wrong
}

/// Refuses what is wrong with the labels at a field.
pub(super) fn labels(field: &str, labels: Option<&Map<String, Value>>, faults: &mut Vec<Fault>) {
    for (key, value) in labels.into_iter().flatten() {
        refuse(field, key, not_qualified(key), faults);
        let text = value.as_str().unwrap_or("");
        refuse(field, text, not_label_value(text), faults);
    }
}

/// Refuses a text for reasons.
pub(super) fn refuse(field: &str, text: &str, reasons: impl IntoIterator<Item = String>, faults: &mut Vec<Fault>) {
    faults.extend(reasons.into_iter().map(|detail| Fault::invalid(field, &text.into(), &detail)));
}

/// Checks the name of one of several: a DNS label, unlike those before it, which it
/// joins.
pub(super) fn one_name<'a>(
    place: &str,
    name: &'a str,
    is_required: bool,
    before: &mut Vec<&'a str>,
    faults: &mut Vec<Fault>,
) {
    let field = format!("{place}.name");
    if name.is_empty() {
        if is_required {
            faults.push(Fault::required(field, ""));
        }
        return;
    }
    refuse(&field, name, not_label(name), faults);
    if before.contains(&name) {
        faults.push(Fault::duplicate(field, &name.into()));
    }
    before.push(name);
}

/// The text at a pointer, or none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// The items at a pointer.
pub(super) fn items<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten().enumerate()
}

/// Refuses numbers below nothing.
pub(super) fn not_negative(value: &Value, path: &str, fields: &[&str], faults: &mut Vec<Fault>) {
    at_least(value, path, fields, 0, faults);
}

/// Refuses numbers below one.
pub(super) fn at_least(value: &Value, path: &str, fields: &[&str], least: i64, faults: &mut Vec<Fault>) {
    for field in fields {
        if let Some(number) = value.get(*field).and_then(Value::as_i64).filter(|number| *number < least) {
            let detail = format!("must be greater than or equal to {least}");
            faults.push(Fault::invalid(format!("{path}.{field}"), &number.into(), &detail));
        }
    }
}

/// Refuses a number that is no port.
pub(super) fn port(field: String, number: i64, faults: &mut Vec<Fault>) {
    if !(1..=65_535).contains(&number) {
        faults.push(Fault::invalid(field, &number.into(), "must be between 1 and 65535, inclusive"));
    }
}

/// Refuses a text that is there and none of the possible ones.
pub(super) fn one_of(field: impl Into<String>, value: Option<&Value>, possible: &[&str], faults: &mut Vec<Fault>) {
    if let Some(value) = value.filter(|value| !value.as_str().is_some_and(|text| possible.contains(&text))) {
        faults.push(Fault::unsupported(field, value, possible));
    }
}

/// The same, where the possible ones are told in their own order.
pub(super) fn one_of_in_order(field: impl Into<String>, value: &Value, possible: &[&str], faults: &mut Vec<Fault>) {
    if !value.as_str().is_some_and(|text| possible.contains(&text)) {
        let quoted: Vec<String> = possible.iter().map(|text| format!("\"{text}\"")).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", quoted.join(", "));
        faults.push(Fault { reason: "FieldValueNotSupported", field: field.into(), message });
    }
}

/// Refuses what is neither a count nor a share.
pub(super) fn count_or_percent(field: &str, value: Option<&Value>, faults: &mut Vec<Fault>) {
    match value {
        Some(Value::Number(number)) if number.as_i64().is_some_and(|n| n < 0) => {
            faults.push(Fault::invalid(field, &number.clone().into(), "must be greater than or equal to 0"));
        }
        Some(Value::String(share)) if !IS_PERCENT.is_match(share) => {
            let detail = format!(
                "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex \
                 used for validation is '{PERCENT}')"
            );
            faults.push(Fault::invalid(field, &share.as_str().into(), &detail));
        }
        _ => {}
    }
}

/// Refuses a share of more than everything.
pub(super) fn at_most_everything(field: &str, value: Option<&Value>, faults: &mut Vec<Fault>) {
    let Some(Value::String(share)) = value else { return };
    let number = share.strip_suffix('%').and_then(|number| number.parse::<u64>().ok());
    if number.is_some_and(|number| number > 100) {
        faults.push(Fault::invalid(field, &share.as_str().into(), "must not be greater than 100%"));
    }
}
