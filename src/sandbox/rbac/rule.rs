//! One rule of a role and one subject of a binding: reading and matching.

use serde_json::Value;

use super::{Access, ResourceTarget, Target};
use crate::hooks::Caller;
use crate::identity::service_account_name;

const ALL: &str = "*";

/// A rule as a role has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Verbs, or `*`.
    pub verbs: Vec<String>,
    /// API groups; the core group is empty.
    pub api_groups: Vec<String>,
    /// `pods`, `pods/log`, `*/scale`, `*`.
    pub resources: Vec<String>,
    /// Names it is limited to; empty for all.
    pub resource_names: Vec<String>,
    /// Paths outside resources, with an optional `*` at the end.
    pub non_resource_urls: Vec<String>,
}

/// One whom a binding names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// The name.
    pub name: String,
    /// Of a service account; empty for the binding's own.
    pub namespace: String,
}

/// The rules of a Role or ClusterRole.
#[must_use]
pub fn rules_of(role: &Value) -> Vec<Rule> {
    role["rules"].as_array().into_iter().flatten().map(Rule::read).collect()
}

// === impl Rule ===

impl Rule {
    /// Reads a rule; what is not a list of texts counts as absent.
    #[must_use]
    pub fn read(value: &Value) -> Self {
        Self {
            verbs: texts(&value["verbs"]),
            api_groups: texts(&value["apiGroups"]),
            resources: texts(&value["resources"]),
            resource_names: texts(&value["resourceNames"]),
            non_resource_urls: texts(&value["nonResourceURLs"]),
        }
    }

    /// As a role has it; empty lists are absent.
    #[must_use]
    pub fn write(&self) -> Value {
        let fields = [
            ("verbs", &self.verbs),
            ("apiGroups", &self.api_groups),
            ("resources", &self.resources),
            ("resourceNames", &self.resource_names),
            ("nonResourceURLs", &self.non_resource_urls),
        ];
        let present = fields.into_iter().filter(|(_, values)| !values.is_empty());
        Value::Object(present.map(|(name, values)| (name.to_owned(), values.as_slice().into())).collect())
    }

    /// Whether the rule permits the access.
    #[must_use]
    pub fn permits(&self, access: &Access<'_>) -> bool {
        has(&self.verbs, access.verb)
            && match &access.target {
                Target::Resource(target) => self.permits_resource(target),
                Target::Path(path) => self.non_resource_urls.iter().any(|url| path_covers(url, path)),
            }
    }

    fn permits_resource(&self, target: &ResourceTarget<'_>) -> bool {
        has(&self.api_groups, target.group)
            && self.resources.iter().any(|resource| resource_matches(resource, target))
            && (self.resource_names.is_empty() || self.resource_names.iter().any(|name| name == target.name))
    }

    /// As messages show it: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
    #[must_use]
    pub fn compact(&self) -> String {
        let fields = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let shown: Vec<String> = fields
            .into_iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(name, values)| format!("{name}:{}", quoted_list(values)))
            .collect();
        format!("{{{}}}", shown.join(", "))
    }
}

// === impl Subject ===

impl Subject {
    /// Reads a subject of a binding.
    #[must_use]
    pub fn read(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Self { kind: text("kind"), name: text("name"), namespace: text("namespace") }
    }

    /// Whether `user` is meant, in a binding of `namespace` (empty for cluster bindings).
    #[must_use]
    pub fn is(&self, user: &Caller, namespace: &str) -> bool {
        match self.kind.as_str() {
            "User" => self.name == user.name,
            "Group" => user.groups.contains(&self.name),
            "ServiceAccount" => {
                let namespace = if self.namespace.is_empty() { namespace } else { &self.namespace };
                !namespace.is_empty() && service_account_name(namespace, &self.name) == user.name
            }
            _ => false,
        }
    }

    /// As reasons show it: `Group "developers"`.
    #[must_use]
    pub fn describe(&self, namespace: &str) -> String {
        if self.kind != "ServiceAccount" {
            return format!("{} {:?}", self.kind, self.name);
        }
        let namespace = if self.namespace.is_empty() { namespace } else { &self.namespace };
        format!("{} {:?}", self.kind, format!("{}/{namespace}", self.name))
    }
}

/// `["a" "b"]`, as Go prints a list of texts.
pub(super) fn quoted_list(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

/// Whether a rule's path stands for `path`: equal, or by its beginning before a `*`.
pub(super) fn path_covers(pattern: &str, path: &str) -> bool {
    pattern == ALL || pattern == path || (pattern.ends_with('*') && path.starts_with(pattern.trim_end_matches('*')))
}

fn resource_matches(pattern: &str, target: &ResourceTarget<'_>) -> bool {
    if pattern == ALL {
        return true;
    }
    match (pattern.split_once('/'), target.subresource) {
        (None, "") => pattern == target.resource,
        (Some((resource, subresource)), wanted) => {
            !wanted.is_empty() && subresource == wanted && (resource == ALL || resource == target.resource)
        }
        (None, _) => false,
    }
}

fn has(values: &[String], wanted: &str) -> bool {
    values.iter().any(|value| value == ALL || value == wanted)
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
