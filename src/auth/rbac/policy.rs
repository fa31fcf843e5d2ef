//! The policy of an installation: what is built in, and what is configured.

use std::collections::BTreeMap;

use super::MatchMode;
use super::draft::{Draft, Limit};
use super::line::{self, LineFault};
use super::roles::{Graph, Roles};
use super::rules::{Effect, Origin, Rules};

/// Longest policy, in bytes; more than any ConfigMap can hold.
const MAX_POLICY: usize = 2 << 20;

/// The roles that every installation has: `role:readonly` sees everything and
/// `role:admin` does everything but to call extensions. The account `admin` is one.
const BUILT_IN: &[(&str, &str, &[&str])] = &[
    ("role:readonly", "*/*", &["applications get", "applicationsets get", "logs get"]),
    (
        "role:readonly",
        "*",
        &[
            "certificates get",
            "clusters get",
            "repositories get",
            "write-repositories get",
            "projects get",
            "accounts get",
            "gpgkeys get",
        ],
    ),
    (
        "role:admin",
        "*/*",
        &[
            "applications create update update/* delete delete/* sync override action/*",
            "applicationsets get create update delete",
            "exec create",
        ],
    ),
    (
        "role:admin",
        "*",
        &[
            "certificates create update delete",
            "clusters create update delete",
            "repositories create update delete",
            "write-repositories create update delete",
            "projects create update delete",
            "accounts update",
            "gpgkeys create delete",
        ],
    ),
];
const BUILT_IN_LINKS: &str = "g, role:admin, role:readonly\ng, admin, role:admin";

/// What a policy is made from, as the texts of `argocd-rbac-cm`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources<'a> {
    /// All lines; see [`policy_text`].
    pub policy: &'a str,
    /// `policy.default`: a role that everybody has; empty for none.
    pub default_role: &'a str,
    /// `scopes`: a YAML list of the claims that hold groups; empty for `[groups]`.
    pub scopes: &'a str,
    /// `policy.matchMode`: `regex`, anything else is `glob`.
    pub match_mode: &'a str,
}

/// A policy that is no policy. Its text is not repeated.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A line is not well formed.
    #[error("line {line} of the policy: {fault}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// A pattern is too long, too deeply nested or too expensive, or one too many.
    #[error("line {line} of the policy: a pattern is too large")]
    Pattern {
        /// On which line, from 1.
        line: usize,
    },
    /// There are too many subjects, groups and roles.
    #[error("line {line} of the policy: too many names")]
    Names {
        /// The line of the first that is too many, from 1.
        line: usize,
    },
    /// The text is too long.
    #[error("the policy has {length} bytes and must not have more than {MAX_POLICY}")]
    Length {
        /// How long it is, in bytes.
        length: usize,
    },
    /// The scopes are not a list of names.
    #[error("cannot read the scopes")]
    Scopes(#[source] Box<serde_saphyr::Error>),
}

/// A policy, ready to decide.
#[derive(Debug)]
pub struct Policy {
    pub(super) roles: Roles,
    pub(super) rules: Rules,
    default_role: String,
    scopes: Vec<String>,
    match_mode: MatchMode,
}

// === impl Policy ===

impl Policy {
    /// Reads a policy, to which the built-in one is added. The built-in rules are
    /// globs whatever the match mode.
    ///
    /// # Errors
    /// The first line that cannot be read, or the limit that it is beyond.
    pub fn compile(sources: &Sources<'_>) -> Result<Self, PolicyError> {
        let mut draft = built_in();
        let match_mode = MatchMode::of(sources.match_mode);
        read_lines(&mut draft, sources.policy, match_mode)?;
        let scopes = read_scopes(sources.scopes)?;
        Ok(Self::new(draft, sources.default_role.to_owned(), scopes, match_mode))
    }

    /// The policy of an installation that has configured none.
    pub fn builtin() -> Self {
        Self::new(built_in(), String::new(), default_scopes(), MatchMode::Glob)
    }

    fn new(draft: Draft, default_role: String, scopes: Vec<String>, match_mode: MatchMode) -> Self {
        let (roles, rules) = draft.finish();
        Self { roles, rules, default_role, scopes, match_mode }
    }

    /// The claims that hold groups.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// The role that everybody has; empty for none.
    pub fn default_role(&self) -> &str {
        &self.default_role
    }

    /// How patterns are read, those of projects as well.
    pub fn match_mode(&self) -> MatchMode {
        self.match_mode
    }
}

/// All lines of an `argocd-rbac-cm`: those of `policy.csv`, then those of every
/// `policy.<name>.csv` in the order of the names.
pub fn policy_text(data: &BTreeMap<String, String>) -> String {
    let mut text = data.get("policy.csv").cloned().unwrap_or_default();
    for (key, lines) in data {
        if key.starts_with("policy.") && key.ends_with(".csv") && key != "policy.csv" {
            text.push('\n');
            text.push_str(lines);
        }
    }
    text
}

/// Checks the lines of a policy by themselves, without what is built in.
///
/// Gives the roles that are assigned to somebody and allow or deny nothing: not an
/// error, but probably a mistake.
///
/// # Errors
/// As [`Policy::compile`].
pub fn validate_policy(policy: &str) -> Result<Vec<String>, PolicyError> {
    let mut draft = Draft::default();
    read_lines(&mut draft, policy, MatchMode::Glob)?;
    let (roles, rules) = draft.finish();
    let mut with_rules = vec![false; roles.len()];
    for effect in [Effect::Allow, Effect::Deny] {
        rules.roles(effect).for_each(|role| with_rules[role as usize] = true);
    }
    let is_empty = |role: &u32| roles.reach(*role).iter().all(|(held, _)| !with_rules[*held as usize]);
    Ok(roles.assigned().filter(is_empty).map(|role| roles.name(role).to_owned()).collect())
}

fn built_in() -> Draft {
    let mut draft = Draft::default();
    let rules = BUILT_IN.iter().flat_map(|(role, object, resources)| {
        resources.iter().flat_map(move |words| {
            let (resource, actions) = words.split_once(' ').unwrap_or((words, ""));
            actions.split(' ').map(move |action| format!("p, {role}, {resource}, {action}, {object}, allow"))
        })
    });
    for text in rules.chain(BUILT_IN_LINKS.lines().map(str::to_owned)) {
        let line = line::read(&text).ok().flatten().expect("the built-in policy is well formed");
        draft.add(&line, MatchMode::Glob, Origin::BuiltIn).expect("the built-in policy is small");
    }
    draft
}

fn read_lines(draft: &mut Draft, policy: &str, mode: MatchMode) -> Result<(), PolicyError> {
    if policy.len() > MAX_POLICY {
        return Err(PolicyError::Length { length: policy.len() });
    }
    for (line, text) in (1..).zip(policy.split('\n')) {
        if let Some(said) = line::read(text).map_err(|fault| PolicyError::Line { line, fault })? {
            draft.add(&said, mode, Origin::Policy(line)).map_err(|limit| match limit {
                Limit::Names => PolicyError::Names { line },
                Limit::Pattern => PolicyError::Pattern { line },
            })?;
        }
    }
    Ok(())
}

fn read_scopes(text: &str) -> Result<Vec<String>, PolicyError> {
    if text.trim().is_empty() {
        return Ok(default_scopes());
    }
    let scopes: Option<Vec<String>> =
        serde_saphyr::from_str(text).map_err(|error| PolicyError::Scopes(Box::new(error)))?;
    Ok(scopes.unwrap_or_else(default_scopes))
}

fn default_scopes() -> Vec<String> {
    vec!["groups".to_owned()]
}
