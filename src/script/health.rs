//! Health scripts: what one returns, and what counts as an answer.

use jiff::Timestamp;
use serde_json::Value;

use crate::machine::{Input, Output};
use crate::{ScriptError, Scripts};

/// The message of a status that is none of the six.
pub const INVALID_STATUS: &str = "Lua returned an invalid health status";

const STATUSES: [&str; 6] = ["Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown"];

/// What a health script says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthStatus {
    /// One of the six statuses.
    pub status: String,
    /// Why, in words for people; may be empty.
    pub message: String,
}

impl Scripts {
    /// Asks a health script about an object. `open_libs` adds the libraries
    /// `string` and `math`. `None` when the script returns nothing or an empty
    /// table: the object then has no health, not even a built-in one.
    ///
    /// # Errors
    /// When the script fails, is stopped, or returns something else.
    pub fn health(
        &self,
        script: &str,
        object: &Value,
        open_libs: bool,
        now: Timestamp,
    ) -> Result<Option<HealthStatus>, ScriptError> {
        match self.execute(script, &Input { open_libs, ..Input::of(object, now) })? {
            Output::Nothing | Output::Table(Value::Array(_)) => Ok(None),
            Output::Other(kind) => Err(ScriptError::NotATable(kind)),
            Output::Table(table) => read(&table).map(Some),
        }
    }
}

fn read(table: &Value) -> Result<HealthStatus, ScriptError> {
    let (status, message) = (text(table, "status")?, text(table, "message")?);
    if STATUSES.contains(&status) {
        return Ok(HealthStatus { status: status.to_owned(), message: message.to_owned() });
    }
    Ok(HealthStatus { status: "Unknown".to_owned(), message: INVALID_STATUS.to_owned() })
}

/// A field by its name in any case; absent is empty.
fn text<'a>(table: &'a Value, name: &str) -> Result<&'a str, ScriptError> {
    let fields = table.as_object().into_iter().flatten();
    let value = table.get(name).or_else(|| fields.into_iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|f| f.1));
    match value {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(ScriptError::Output(format!("the {name} of the health is no string"))),
    }
}
