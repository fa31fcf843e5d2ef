//! Resource actions: which an object has, and what running one would change.
//!
//! A user's own actions ([`CustomActions`], from `resource.customizations`) come
//! first; the built-in ones ([`builtin`]) are there for kinds without own actions
//! and for those that ask to merge them. Nothing is changed here: a run says
//! which objects to create and what the object would look like, and the caller
//! permits and does it.

mod output;

use std::collections::BTreeMap;

use argosy_model::Gvk;
use argosy_proto::v1alpha1::ResourceAction;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::machine::{Input, Output};
use crate::{ScriptError, Scripts, builtin};

/// The parameters of a run: name and value.
pub type Parameters = [(String, String)];

/// The actions a user defined for a kind: `resource.customizations.actions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CustomActions {
    /// The script that says which actions an object has.
    #[serde(rename = "discovery.lua")]
    pub discovery_lua: String,
    /// What the actions do.
    pub definitions: Vec<Definition>,
    /// Whether built-in actions of the kind are offered beside them.
    pub merge_builtin_actions: bool,
}

/// One action of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// The script that makes the change.
    #[serde(rename = "action.lua")]
    pub action_lua: String,
}

/// What is to be done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Make it.
    Create,
    /// Bring the live object to look like it.
    Patch,
}

/// One object an action asks to change.
#[derive(Clone, Debug, PartialEq)]
pub struct Impacted {
    /// What is to be done.
    pub operation: Operation,
    /// The whole object as it shall be.
    pub object: Value,
}

// === impl CustomActions ===

impl CustomActions {
    /// Reads the YAML of the settings; `None` when it is empty, which means that
    /// the user defined nothing.
    ///
    /// # Errors
    /// When it is not such a map.
    pub fn parse(text: &str) -> Result<Option<Self>, ScriptError> {
        if text.is_empty() {
            return Ok(None);
        }
        let parsed = serde_saphyr::from_str::<Option<Self>>(text);
        parsed.map(|custom| Some(custom.unwrap_or_default())).map_err(|e| ScriptError::Definitions(e.to_string()))
    }
}

impl Scripts {
    /// The actions an object has, by name. `custom` is what the user defined for
    /// exactly this kind; there are no wildcards for actions.
    ///
    /// # Errors
    /// When the user's script fails, is stopped, or returns something else.
    pub fn discover(
        &self,
        custom: Option<&CustomActions>,
        object: &Value,
        now: Timestamp,
    ) -> Result<Vec<ResourceAction>, ScriptError> {
        let mut found = BTreeMap::new();
        if let Some(custom) = custom {
            match self.execute(&custom.discovery_lua, &Input::of(object, now))? {
                Output::Nothing => return Err(ScriptError::NotATable("nil")),
                Output::Other(kind) => return Err(ScriptError::NotATable(kind)),
                Output::Table(table) => found.extend(output::actions(table)?),
            }
        }
        if custom.is_none_or(|custom| custom.merge_builtin_actions) {
            for action in builtin::discover(object) {
                found.entry(action.name.clone()).or_insert(action);
            }
        }
        Ok(found.into_values().collect())
    }

    /// What running an action would change. An action the user defined goes
    /// before a built-in one of its name. Whether it is offered or disabled does
    /// not matter here, as in Argo CD.
    ///
    /// # Errors
    /// When nobody defines the action, or it fails, is stopped, or returns
    /// something else.
    pub fn run(
        &self,
        custom: Option<&CustomActions>,
        action: &str,
        object: &Value,
        parameters: &Parameters,
        now: Timestamp,
    ) -> Result<Vec<Impacted>, ScriptError> {
        let defined = custom.into_iter().flat_map(|c| &c.definitions).find(|d| d.name == action);
        let Some(defined) = defined else { return builtin::run(action, object, parameters, now) };
        let input = Input { parameters, ..Input::of(object, now) };
        match self.execute(&defined.action_lua, &input)? {
            Output::Nothing => Err(ScriptError::NotATable("nil")),
            Output::Other(kind) => Err(ScriptError::NotATable(kind)),
            Output::Table(table) => output::impacted(table, object),
        }
    }
}

/// The key of a kind in the settings: `group/Kind`, or `Kind` of the core group.
pub(crate) fn kind_key(object: &Value) -> (String, String) {
    let gvk = Gvk::of(object);
    (gvk.group.to_string(), gvk.kind.to_string())
}
