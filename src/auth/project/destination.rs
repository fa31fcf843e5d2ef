//! Which namespaces of which clusters a project's applications may deploy to.

use argosy_proto::v1alpha1::ApplicationDestination;

use super::pattern::{MAX_LENGTH, Signed};
use crate::decision::{Decision, Reason};

/// One entry of `destinations`: a cluster, by server or by name, and a namespace.
#[derive(Clone, Debug)]
pub(super) struct DestinationRule {
    text: String,
    server: Signed,
    name: Signed,
    namespace: Signed,
}

// === impl DestinationRule ===

impl DestinationRule {
    pub(super) fn new(entry: &ApplicationDestination) -> Self {
        let cluster = if entry.server.is_empty() { &entry.name } else { &entry.server };
        Self {
            text: format!("{cluster}/{}", entry.namespace),
            server: Signed::plain(&entry.server),
            name: Signed::plain(&entry.name),
            namespace: Signed::plain(&entry.namespace),
        }
    }
}

/// An entry matches when its cluster and its namespace hold. One that fails on
/// a denial while the rest of it holds denies at once; a denied cluster name
/// denies whatever the namespace.
pub(super) fn permits(rules: &[DestinationRule], server: &str, name: &str, namespace: &str) -> Decision {
    if [server, name, namespace].iter().any(|text| text.len() > MAX_LENGTH) {
        return Decision::deny(Reason::TooLong);
    }
    let mut permitted_by = None;
    for rule in rules {
        let by_server = !server.is_empty() && rule.server.holds(server);
        let by_name = !name.is_empty() && rule.name.holds(name);
        let in_namespace = rule.namespace.holds(namespace);
        if (by_server || by_name) && in_namespace {
            permitted_by.get_or_insert(rule);
        } else if (rule.name.denies && !by_name)
            || (rule.server.denies && !by_server && in_namespace)
            || (rule.namespace.denies && !in_namespace && (by_server || by_name))
        {
            return Decision::deny(Reason::DeniedBy(rule.text.clone()));
        }
    }
    Decision::by_rule(permitted_by.map(|rule| rule.text.clone()))
}
