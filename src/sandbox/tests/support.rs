//! What the tests of the sandbox share: starting one, and comparing answers.
#![allow(dead_code, reason = "each test program uses a part")]

use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::{Arc, LazyLock};

use argosy_sandbox::serve::{Sandbox, SandboxOptions};
use serde_json::{Map, Value};

/// A sandbox in memory with the machine's clock and randomness.
pub(crate) async fn start() -> anyhow::Result<Sandbox> {
    Ok(Sandbox::start(options()).await?)
}

pub(crate) fn options() -> SandboxOptions {
    #[expect(clippy::disallowed_methods, reason = "this is where the test's clock comes from")]
    let clock = Arc::new(jiff::Timestamp::now);
    let random = Arc::new(|buffer: &mut [u8]| {
        let mut source = std::fs::File::open("/dev/urandom").expect("there is one");
        source.read_exact(buffer).expect("it never ends");
    });
    SandboxOptions::new(clock, random)
}

/// Takes out what two servers cannot agree about.
pub(crate) fn normalize(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            // A hash that no client compares.
            let fields = fields.into_iter().filter(|(name, _)| name != "storageVersionHash");
            let normal = fields.map(|(name, value)| {
                let value = match (name.as_str(), value) {
                    ("gitCommit" | "gitTreeState" | "goVersion", _) => Value::String("<some>".to_owned()),
                    ("resourceVersion" | "uid" | "continue" | "clusterIP", Value::String(text))
                        if !text.is_empty() && text != "None" =>
                    {
                        Value::String("<some>".to_owned())
                    }
                    ("clusterIPs" | "serverAddressByClientCIDRs", Value::Array(_)) => {
                        Value::String("<some>".to_owned())
                    }
                    // Signed by keys of their own.
                    ("token", Value::String(text)) if text.starts_with("ey") => Value::String("<some>".to_owned()),
                    // Texts of the documentation, which no client shows.
                    ("columnDefinitions", Value::Array(columns)) => without_descriptions(columns),
                    // Ages are of the moment.
                    ("cells", Value::Array(cells)) => cells.into_iter().map(without_age).collect(),
                    ("nodePort" | "healthCheckNodePort", Value::Number(_)) => Value::String("<some>".to_owned()),
                    // Their order depends on which second it was.
                    ("managedFields", Value::Array(entries)) => {
                        let mut entries: Vec<Value> = entries.into_iter().map(normalize).collect();
                        entries.sort_by_key(|entry| {
                            ["manager", "operation", "subresource", "apiVersion"].map(|f| entry[f].to_string())
                        });
                        Value::Array(entries)
                    }
                    (_, value) => normalize(value),
                };
                (name, value)
            });
            Value::Object(normal.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(normalize).collect()),
        Value::String(text) => Value::String(normal_text(&text)),
        other => other,
    }
}

fn without_descriptions(columns: Vec<Value>) -> Value {
    let without = |column: Value| match column {
        Value::Object(fields) => Value::Object(fields.into_iter().filter(|(name, _)| name != "description").collect()),
        other => other,
    };
    columns.into_iter().map(without).collect()
}

fn without_age(cell: Value) -> Value {
    static AGE: LazyLock<regex::Regex> =
        LazyLock::new(|| regex::Regex::new(r"^(\d+[smhd])+$").expect("a pattern of this file"));
    match cell {
        Value::String(text) if AGE.is_match(&text) => Value::String("<age>".to_owned()),
        other => normalize(other),
    }
}

/// Without times, uids, versions and the ends of generated names.
fn normal_text(text: &str) -> String {
    static RULES: LazyLock<Vec<(regex::Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
            ("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
            ("([gG])enerated-[a-z0-9]{5}", "${1}enerated-<name>"),
            ("X509SHA256=[0-9a-f]{64}", "<certificate>"),
            (r"(resource ?[vV]ersion:?|object meta:|too old resource version:) [0-9]+", "$1 <version>"),
            (r"\([0-9]+\)", "(<version>)"),
            // A refusal may show the whole object, with its fields in another order.
            (r#"patch: Invalid value: "\{.*\}": "#, "patch: Invalid value: <object>: "),
            (r#"^Invalid value: "\{.*\}": "#, "Invalid value: <object>: "),
        ];
        rules.map(|(pattern, to)| (regex::Regex::new(pattern).expect("a pattern of this file"), to)).to_vec()
    });
    RULES.iter().fold(text.to_owned(), |text, (pattern, to)| pattern.replace_all(&text, *to).into_owned())
}

/// Says where two values differ.
pub(crate) fn differences(path: &str, wanted: &Value, got: &Value, report: &mut String) {
    match (wanted, got) {
        (Value::Object(a), Value::Object(b)) => {
            for (name, value) in a {
                differences(&format!("{path}.{name}"), value, b.get(name).unwrap_or(&Value::Null), report);
            }
            for (name, value) in b.iter().filter(|(name, _)| !a.contains_key(*name)) {
                let _ = writeln!(report, "  {path}.{name}: not wanted: {value}");
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{i}]"), a, b, report);
            }
        }
        _ if wanted != got => {
            let _ = writeln!(report, "  {path}:\n    wanted {wanted}\n    got    {got}");
        }
        _ => {}
    }
}
