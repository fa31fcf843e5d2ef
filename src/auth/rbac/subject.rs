//! Who asks, as a policy knows them.

use serde_json::{Map, Value};

/// Who asks: a name, and the groups that come with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Name of an account, `proj:<project>:<role>`, or what the provider of single
    /// sign-on calls the user. Empty for nobody.
    pub name: String,
    /// The user's groups; see [`groups_from_claims`].
    pub groups: Vec<String>,
}

// === impl Subject ===

impl Subject {
    /// Nobody, where that is allowed to ask.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Somebody without groups.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), groups: Vec::new() }
    }

    pub(super) fn is_nobody(&self) -> bool {
        self.name.is_empty() && self.groups.is_empty()
    }

    /// The project whose role the subject is.
    pub(super) fn project(&self) -> Option<&str> {
        let mut parts = self.name.split(':');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("proj"), Some(project), Some(_), None) => Some(project),
            _ => None,
        }
    }
}

/// The groups in a token's claims: the texts of every scope, be it one or a list.
pub fn groups_from_claims(claims: &Map<String, Value>, scopes: &[String]) -> Vec<String> {
    let mut groups = Vec::new();
    for value in scopes.iter().filter_map(|scope| claims.get(scope)) {
        match value {
            Value::String(group) => groups.push(group.clone()),
            Value::Array(list) => groups.extend(list.iter().filter_map(Value::as_str).map(str::to_owned)),
            _ => {}
        }
    }
    groups
}
