//! From which namespaces Application objects may use a project.

use argosy_model::glob::Pattern;
use regex::{Regex, RegexBuilder};

use super::pattern::{MAX_LENGTH, read};
use crate::decision::{Decision, Reason};

/// Largest compiled expression, in bytes: what an expression of Kubernetes'
/// names needs is a hundredth of it.
const MAX_COMPILED: usize = 1 << 20;

/// One entry of `sourceNamespaces`: a pattern, or between slashes a regular
/// expression that matches anywhere unless anchored. There are no denials.
#[derive(Clone, Debug)]
pub(super) struct NamespaceRule {
    text: String,
    pattern: Option<Pattern>,
    expression: Option<Regex>,
}

// === impl NamespaceRule ===

impl NamespaceRule {
    pub(super) fn new(text: &str) -> Self {
        let expression = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        let expression = expression.filter(|e| e.len() <= MAX_LENGTH);
        // An expression that cannot be read permits nothing.
        let expression = expression.and_then(|e| RegexBuilder::new(e).size_limit(MAX_COMPILED).build().ok());
        Self { text: text.to_owned(), pattern: read(text, &[]), expression }
    }

    fn names(&self, namespace: &str) -> bool {
        self.expression.as_ref().is_some_and(|e| e.is_match(namespace))
            || self.pattern.as_ref().is_some_and(|p| p.matches(namespace))
    }
}

pub(super) fn permits(rules: &[NamespaceRule], namespace: &str) -> Decision {
    if namespace.len() > MAX_LENGTH {
        return Decision::deny(Reason::TooLong);
    }
    Decision::by_rule(rules.iter().find(|rule| rule.names(namespace)).map(|rule| rule.text.clone()))
}
