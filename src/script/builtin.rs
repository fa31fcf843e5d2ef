//! The actions every installation has.
//!
//! Argo CD ships them as scripts; here each is a row of a table: what it is
//! called and shown as, when it can be used, and a small function that changes a
//! copy of the object or makes another. A row that needs what an object does not
//! have takes it for absent.

mod argo;
mod batch;
mod edit;
mod flux;
mod numaflow;
mod operators;
mod workload;

use argosy_proto::v1alpha1::{ResourceAction, ResourceActionParam};
use jiff::Timestamp;
use serde_json::Value;

use crate::actions::{Impacted, Operation, Parameters, kind_key};
use crate::error::ScriptError;

/// An action of some kinds.
pub(crate) struct Action {
    /// Group and kind of each.
    kinds: &'static [(&'static str, &'static str)],
    name: &'static str,
    /// Classes of its icon; empty for none.
    icon: &'static str,
    /// What it is shown as; empty for its name.
    label: &'static str,
    parameters: &'static [&'static str],
    when: fn(&Value) -> When,
    effect: Effect,
}

/// Whether an action can be used on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Enabled,
    Disabled,
    /// It is not even shown.
    Hidden,
}

/// What an action does.
enum Effect {
    /// Changes the object.
    Patch(fn(&mut Value, &Call<'_>) -> Result<(), String>),
    /// Makes another.
    Create(fn(&Value, &Call<'_>) -> Value),
    /// Offered by Argo CD without saying what it does.
    Undefined,
}

/// With what an action is run.
struct Call<'a> {
    parameters: &'a Parameters,
    now: Timestamp,
}

// === impl Action ===

impl Action {
    /// A row to be completed by its fields.
    const BLANK: Self =
        Self { kinds: &[], name: "", icon: "", label: "", parameters: &[], when: always, effect: Effect::Undefined };

    fn describe(&self, disabled: bool) -> ResourceAction {
        let params = self.parameters.iter().map(|name| ResourceActionParam { name: (*name).to_owned() }).collect();
        ResourceAction {
            name: self.name.to_owned(),
            params,
            disabled,
            icon_class: self.icon.to_owned(),
            display_name: self.label.to_owned(),
        }
    }
}

// === impl When ===

impl When {
    fn enabled_if(yes: bool) -> Self {
        if yes { Self::Enabled } else { Self::Disabled }
    }

    fn shown_if(yes: bool) -> Self {
        if yes { Self::Enabled } else { Self::Hidden }
    }
}

// === impl Call ===

impl Call<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rfind(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The moment, as a strftime pattern says it, in UTC.
    fn stamp(&self, pattern: &str) -> String {
        self.now.strftime(pattern).to_string()
    }

    /// The moment to the second.
    fn rfc3339(&self) -> String {
        self.stamp("%Y-%m-%dT%H:%M:%SZ")
    }
}

fn always(_: &Value) -> When {
    When::Enabled
}

fn rows(object: &Value) -> impl Iterator<Item = &'static Action> {
    let (group, kind) = kind_key(object);
    let tables = [workload::ROWS, batch::ROWS, argo::ROWS, flux::ROWS, operators::ROWS, numaflow::ROWS];
    let concerns = move |action: &&Action| action.kinds.iter().any(|(g, k)| *g == group && *k == kind);
    tables.into_iter().flatten().filter(concerns)
}

/// The actions an object has, in the order of the table.
pub fn discover(object: &Value) -> Vec<ResourceAction> {
    rows(object)
        .filter_map(|action| match (action.when)(object) {
            When::Enabled => Some(action.describe(false)),
            When::Disabled => Some(action.describe(true)),
            When::Hidden => None,
        })
        .collect()
}

/// What an action would change.
///
/// # Errors
/// When there is none of this name, or it cannot be done.
pub fn run(
    action: &str,
    object: &Value,
    parameters: &Parameters,
    now: Timestamp,
) -> Result<Vec<Impacted>, ScriptError> {
    let row = rows(object).find(|row| row.name == action).ok_or(ScriptError::NoSuchAction)?;
    let call = Call { parameters, now };
    let impacted = match row.effect {
        Effect::Patch(change) => {
            let mut object = object.clone();
            change(&mut object, &call).map_err(ScriptError::Refused)?;
            Impacted { operation: Operation::Patch, object }
        }
        Effect::Create(make) => Impacted { operation: Operation::Create, object: make(object, &call) },
        Effect::Undefined => return Err(ScriptError::NoSuchAction),
    };
    Ok(vec![impacted])
}
