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

    /// Whether an option is set: anything but `false` and `0` sets it.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.flag(name) == Some(true)
    }

    /// What an option is set to, where it is.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let (_, value) = self.0.iter().find(|(k, _)| k == name)?;
        Some(!value.eq_ignore_ascii_case("false") && value != "0")
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
        let values: Vec<&str> = self.0.iter().filter(|(k, _)| k == "dryRun").map(|(_, v)| &**v).collect();
        dry_run(kind, &values)
    }

    /// What is wrong with the name of the field manager.
    pub(super) fn check_manager(&self, kind: &str) -> Result<(), Failure> {
        let manager = self.get("fieldManager");
        let mut faults = Vec::new();
        if manager.len() > LONGEST_MANAGER {
            let message = format!("Too long: may not be more than {LONGEST_MANAGER} bytes");
            faults.push(Fault { reason: "FieldValueTooLong", field: "fieldManager".to_owned(), message });
        }
        if let Some((at, odd)) = manager.char_indices().find(|(_, c)| c.is_control()) {
            let detail = format!("invalid character U+{:04X} (at position {at})", u32::from(odd));
            let message = format!("Invalid value: {}: {detail}", go_quoted(manager));
            faults.push(Fault { reason: "FieldValueInvalid", field: "fieldManager".to_owned(), message });
        }
        if faults.is_empty() { Ok(()) } else { Err(Failure::invalid_options(kind, &faults)) }
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

/// Most bytes of a field manager's name.
const LONGEST_MANAGER: usize = 128;

/// A text as Go quotes it.
fn go_quoted(text: &str) -> String {
    let shown = text.chars().map(|c| match c {
        '\u{7}' => "\\a".to_owned(),
        '"' => "\\\"".to_owned(),
        c if c.is_control() => format!("\\x{:02x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", shown.collect::<String>())
}

/// Whether stages of a request are told not to store anything.
pub(super) fn dry_run(kind: &str, values: &[&str]) -> Result<bool, Failure> {
    if values.iter().all(|value| *value == "All") {
        return Ok(!values.is_empty());
    }
    let message = format!("Unsupported value: {}: supported values: \"All\"", serde_json::json!(values));
    let fault = Fault { reason: "FieldValueNotSupported", field: "dryRun".to_owned(), message };
    Err(Failure::invalid_options(kind, &[fault]))
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
