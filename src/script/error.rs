//! How a script can fail. The texts are shown to the people who wrote it.

use thiserror::Error;

/// Why a script gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScriptError {
    /// It is no Lua.
    #[error("{0}")]
    Syntax(String),
    /// It raised an error, with Lua's own text.
    #[error("{0}")]
    Raised(String),
    /// It used up its instructions or its second.
    #[error("the script takes too long and was stopped")]
    OutOfFuel,
    /// It used up its memory.
    #[error("the script takes too much memory and was stopped")]
    OutOfMemory,
    /// Its text is longer than a ConfigMap can be.
    #[error("the script is longer than {0} bytes")]
    TooLong(usize),
    /// The sandbox itself could not be made.
    #[error("no room to run a script: {0}")]
    Sandbox(String),
    /// It returned something that is no table.
    #[error("expect table output from Lua script, not {0}")]
    NotATable(&'static str),
    /// It returned a table that is no JSON, or not what was asked for.
    #[error("{0}")]
    Output(String),
    /// The text of `actions` in the settings cannot be read.
    #[error("the actions of the resource customization cannot be read: {0}")]
    Definitions(String),
    /// Nobody defines the action.
    #[error("built-in script does not exist")]
    NoSuchAction,
    /// A built-in action cannot be done to this object or with these parameters.
    #[error("{0}")]
    Refused(String),
}
