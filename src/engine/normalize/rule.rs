//! One ignore rule: which objects it is for, and what it removes from them.

use argosy_model::{Gvk, glob, object};
use serde_json::Value;

use super::RuleError;
use super::jq::Program;
use super::paths::parse_pointer;

/// What to ignore in which objects. Empty `group` is the core group; empty
/// `name` and `namespace` mean any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoreRule {
    /// API group, a glob.
    pub group: String,
    /// Kind, a glob.
    pub kind: String,
    /// Object name.
    pub name: String,
    /// Object namespace.
    pub namespace: String,
    /// JSON pointers to what is removed.
    pub json_pointers: Vec<String>,
    /// jq path expressions to what is deleted.
    pub jq_path_expressions: Vec<String>,
    /// Field managers whose differing fields are removed.
    pub managed_fields_managers: Vec<String>,
}

/// A name or a pattern; most are names, which need no matching.
#[derive(Debug)]
pub(super) enum Pattern {
    Any,
    Exact(String),
    Glob(String),
}

/// Which objects something is for.
#[derive(Debug)]
pub(super) struct Selector {
    group: Pattern,
    kind: Pattern,
    name: String,
    namespace: String,
}

/// A rule ready for use.
#[derive(Debug)]
pub(super) struct CompiledRule {
    /// Place in the configuration, for reports.
    pub(super) index: usize,
    pub(super) selector: Selector,
    pub(super) pointers: Vec<Vec<String>>,
    pub(super) programs: Vec<(String, Program)>,
    pub(super) managers: Vec<String>,
    /// The pointer `/status` is among the pointers (and left out of them).
    pub(super) status: bool,
}

// === impl Pattern ===

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        match text {
            "*" => Self::Any,
            _ if text.contains(['*', '?', '[', '{', '\\']) => Self::Glob(text.to_owned()),
            _ => Self::Exact(text.to_owned()),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == text,
            Self::Glob(pattern) => glob::matches(pattern, text, &[]),
        }
    }
}

// === impl Selector ===

impl Selector {
    pub(super) fn new(group: &str, kind: &str, name: &str, namespace: &str) -> Self {
        Self {
            group: Pattern::new(group),
            kind: Pattern::new(kind),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        }
    }

    pub(super) fn matches(&self, gvk: &Gvk, object: &Value) -> bool {
        self.kind.matches(&gvk.kind)
            && self.group.matches(&gvk.group)
            && (self.name.is_empty() || self.name == object::name(object))
            && (self.namespace.is_empty() || self.namespace == object::namespace(object))
    }
}

// === impl CompiledRule ===

impl CompiledRule {
    /// What of the rule can be used; the rest is reported.
    pub(super) fn compile(index: usize, rule: &IgnoreRule, errors: &mut Vec<RuleError>) -> Self {
        let mut pointers = Vec::new();
        for pointer in &rule.json_pointers {
            match parse_pointer(pointer) {
                Some(tokens) => pointers.push(tokens),
                None => errors.push(RuleError::Pointer { rule: index, pointer: pointer.clone() }),
            }
        }
        let is_status = |tokens: &Vec<String>| matches!(tokens.as_slice(), [only] if only == "status");
        let status = pointers.iter().any(is_status);
        pointers.retain(|tokens| !is_status(tokens));
        let mut programs = Vec::new();
        for expression in &rule.jq_path_expressions {
            match Program::compile(expression) {
                Ok(program) => programs.push((expression.clone(), program)),
                Err(source) => {
                    errors.push(RuleError::Jq { rule: index, expression: expression.clone(), source });
                }
            }
        }
        Self {
            index,
            selector: Selector::new(&rule.group, &rule.kind, &rule.name, &rule.namespace),
            pointers,
            programs,
            managers: rule.managed_fields_managers.clone(),
            status,
        }
    }
}
