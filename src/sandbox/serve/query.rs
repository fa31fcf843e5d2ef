//! The options in a request's query.

use crate::failure::{Failure, Fault};

/// The decoded query, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(pub(super) Vec<(String, String)>);

/// What is done about fields nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

// === impl Query ===

impl Query {
    /// Reads `a=b&c=d`.
    pub(super) fn parse(text: Option<&str>) -> Self {
        let pairs = text.unwrap_or("").split('&').filter(|p| !p.is_empty());
        let decode = |part: &str| {
            let bytes = part.replace('+', " ");
            percent_decode(&bytes)
        };
        Self(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect(),
        )
    }

    /// The first value of an option, or `""`.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v)
    }

    /// Whether an option is set.
    pub(super) fn is_true(&self, name: &str) -> bool {
        matches!(self.get(name), "true" | "1" | "True" | "TRUE" | "t" | "T")
    }

    /// A number, where one is given.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Failure> {
        match self.get(name) {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| Failure::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))),
        }
    }

    /// Whether nothing may be stored. `kind` is that of the request's options.
    pub(super) fn dry_run(&self, kind: &str) -> Result<bool, Failure> {
        let values: Vec<&str> =
            self.0.iter().filter(|(k, v)| k == "dryRun" && !v.is_empty()).map(|(_, v)| &**v).collect();
        match values[..] {
            [] => Ok(false),
            ["All"] => Ok(true),
            _ => {
                let message = format!("Unsupported value: {}: supported values: \"All\"", serde_json::json!(values));
                let fault = Fault { reason: "FieldValueNotSupported", field: "dryRun".to_owned(), message };
                Err(Failure::invalid_options(kind, &[fault]))
            }
        }
    }

    /// What is done about unknown fields.
    pub(super) fn field_validation(&self, kind: &str) -> Result<FieldValidation, Failure> {
        match self.get("fieldValidation") {
            "" | "Warn" => Ok(FieldValidation::Warn),
            "Ignore" => Ok(FieldValidation::Ignore),
            "Strict" => Ok(FieldValidation::Strict),
            other => {
                let fault = Fault::unsupported("fieldValidation", &other.into(), &["", "Ignore", "Strict", "Warn"]);
                Err(Failure::invalid_options(kind, &[fault]))
            }
        }
    }

    /// The field manager, or what the user agent says it is.
    pub(super) fn field_manager(&self, user_agent: &str) -> String {
        match self.get("fieldManager") {
            "" => {
                let name = user_agent.split('/').next().unwrap_or("");
                if name.is_empty() { "unknown".to_owned() } else { name.chars().take(128).collect() }
            }
            manager => manager.to_owned(),
        }
    }
}

/// The kind of the options of a verb.
pub(super) fn options_kind(verb: &str) -> &'static str {
    match verb {
        "create" => "CreateOptions",
        "update" => "UpdateOptions",
        "patch" => "PatchOptions",
        _ => "DeleteOptions",
    }
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = text.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[i], hex) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                i += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
