//! What is wrong with a project, whoever reads it.

use std::collections::HashSet;
use std::fmt;

use argosy_proto::resource::CustomResource;
use argosy_proto::v1alpha1::{AppProject, AppProjectSpec, ProjectRole};

use super::{account, window};

/// One thing wrong with a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What sort of thing, which decides the status code of a reply.
    pub kind: ViolationKind,
    /// What, in words for the project's author.
    pub message: String,
}

/// The sorts of violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViolationKind {
    /// A value is not well formed (`INVALID_ARGUMENT`).
    Invalid,
    /// A role, policy, group or window is there twice (`ALREADY_EXISTS`).
    Duplicate,
    /// A window applies to nothing (`OUT_OF_RANGE`).
    OutOfRange,
    /// A window cannot be read (`UNKNOWN`, a plain error).
    Unreadable,
}

/// Checks a project's own consistency.
///
/// # Errors
/// Everything that is wrong, in the order of the fields; a reply that has room
/// for one gives the first.
pub fn validate_project(project: &AppProject) -> Result<(), Vec<Violation>> {
    let spec = project.spec.clone().unwrap_or_default();
    let mut found = Findings::default();
    check_destinations(&spec, &mut found);
    found.unique(&spec.source_namespaces, |ns| format!("source namespace '{ns}' already added"));
    if spec.source_repos.iter().any(|url| url == "!*") {
        found.invalid("source repository has an invalid format, '!*'");
    }
    found.unique(&spec.source_repos, |url| format!("source repository '{url}' already added"));
    check_roles(&project.metadata().name, &spec.roles, &mut found);
    window::check(&spec.sync_windows, &mut found);
    check_accounts(&spec, &mut found);
    if found.0.is_empty() { Ok(()) } else { Err(found.0) }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

// === impl Findings ===

#[derive(Default)]
pub(super) struct Findings(Vec<Violation>);

impl Findings {
    pub(super) fn add(&mut self, kind: ViolationKind, message: impl Into<String>) {
        self.0.push(Violation { kind, message: message.into() });
    }

    fn invalid(&mut self, message: impl Into<String>) {
        self.add(ViolationKind::Invalid, message);
    }

    fn unique(&mut self, texts: &[String], message: impl Fn(&str) -> String) {
        for text in repeated(texts) {
            self.invalid(message(text));
        }
    }
}

/// The texts that were there before, once for each time they return.
fn repeated<T: AsRef<str>>(texts: &[T]) -> impl Iterator<Item = &str> {
    let mut seen = HashSet::new();
    texts.iter().map(AsRef::as_ref).filter(move |text| !seen.insert(*text))
}

fn check_destinations(spec: &AppProjectSpec, found: &mut Findings) {
    let mut keys = Vec::new();
    for entry in &spec.destinations {
        for (field, text) in [("name", &entry.name), ("server", &entry.server), ("namespace", &entry.namespace)] {
            if text == "!*" {
                found.invalid(format!("{field} has an invalid format, '!*'"));
            }
        }
        let cluster = if entry.server.is_empty() { &entry.name } else { &entry.server };
        keys.push(format!("{cluster}/{}", entry.namespace));
    }
    found.unique(&keys, |key| format!("destination '{key}' already added"));
}

fn check_roles(project: &str, roles: &[ProjectRole], found: &mut Findings) {
    let names: Vec<&str> = roles.iter().map(|role| role.name.as_str()).collect();
    for name in repeated(&names) {
        found.add(ViolationKind::Duplicate, format!("role '{name}' already exists"));
    }
    for role in roles {
        if !is_role_name(&role.name) {
            found.invalid(format!(
                "invalid role name '{}'. Must consist of alphanumeric characters, '-' or '_', and must start and end \
                 with an alphanumeric character",
                role.name
            ));
        }
        for policy in repeated(&role.policies) {
            let message = format!("policy '{policy}' already exists for role '{}'", role.name);
            found.add(ViolationKind::Duplicate, message);
        }
        for policy in &role.policies {
            if let Err(reason) = check_policy(project, &role.name, policy) {
                found.invalid(format!("invalid policy rule '{policy}': {reason}"));
            }
        }
        for group in repeated(&role.groups) {
            let message = format!("group '{group}' already exists for role '{}'", role.name);
            found.add(ViolationKind::Duplicate, message);
        }
        for group in &role.groups {
            if let Err(reason) = check_group(group) {
                found.invalid(format!("group '{}' {reason}", group.trim()));
            }
        }
    }
}

fn is_role_name(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(name.chars().next())
        && edge(name.chars().next_back())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

fn check_policy(project: &str, role: &str, policy: &str) -> Result<(), String> {
    let parts: Vec<&str> = policy.split(',').map(|part| part.trim_matches(' ')).collect();
    let ["p", subject, resource, action, object, effect] = parts[..] else {
        return Err("must be of the form: 'p, sub, res, act, obj, eft'".to_owned());
    };
    let expected = format!("proj:{project}:{role}");
    if subject != expected {
        return Err(format!("policy subject must be: '{expected}', not '{subject}'"));
    }
    const RESOURCES: [&str; 6] = ["applications", "applicationsets", "repositories", "exec", "logs", "clusters"];
    if !RESOURCES.contains(&resource) {
        return Err(format!(
            "project resource must be: 'applications', 'applicationsets', 'repositories', 'exec', 'logs' or \
             'clusters', not '{resource}'"
        ));
    }
    const ACTIONS: [&str; 7] = ["get", "create", "update", "delete", "sync", "override", "*"];
    const FAMILIES: [&str; 3] = ["action/", "update/", "delete/"];
    if !ACTIONS.contains(&action) && !FAMILIES.iter().any(|family| action.contains(family)) {
        return Err(format!("invalid action '{action}'"));
    }
    if !is_policy_object(project, object) {
        return Err(format!(
            "object must be of form '{project}/*', '{project}[/<NAMESPACE>]/<APPNAME>' or '{project}/<APPNAME>', not \
             '{object}'"
        ));
    }
    if !matches!(effect, "allow" | "deny") {
        return Err("effect must be: 'allow' or 'deny'".to_owned());
    }
    Ok(())
}

/// `<project>/<name>` or `<project>/<namespace>/<name>`, wildcards included.
fn is_policy_object(project: &str, object: &str) -> bool {
    let Some(rest) = object.strip_prefix(project).and_then(|rest| rest.strip_prefix('/')) else { return false };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | '_' | '-' | '.');
    let segments: Vec<&str> = rest.split('/').collect();
    segments.len() <= 2 && segments.iter().all(|segment| !segment.is_empty() && segment.chars().all(allowed))
}

fn check_group(group: &str) -> Result<(), &'static str> {
    let trimmed = group.trim();
    let quoted = trimmed.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    if quoted.is_none() && trimmed.contains(',') {
        return Err("must be quoted");
    }
    let name = quoted.unwrap_or(trimmed);
    if name.is_empty() {
        return Err("is empty");
    }
    if name.contains(['"', '\n', '\r', '\t']) {
        return Err("contains invalid characters");
    }
    if group.starts_with(char::is_whitespace) {
        return Err("contains a leading space");
    }
    if group.ends_with(char::is_whitespace) {
        return Err("contains a trailing space");
    }
    Ok(())
}

fn check_accounts(spec: &AppProjectSpec, found: &mut Findings) {
    let mut keys = Vec::new();
    for entry in &spec.destination_service_accounts {
        for (field, text) in [("server", &entry.server), ("namespace", &entry.namespace)] {
            if text.contains('!') || !is_closed(text) {
                found.invalid(format!("{field} has an invalid format, '{text}'"));
            }
        }
        let account = &entry.default_service_account;
        if !account::is_valid(account) {
            found.invalid(format!("defaultServiceAccount has an invalid format, '{account}'"));
        }
        keys.push(format!("{}/{}", entry.server, entry.namespace));
    }
    found.unique(&keys, |key| format!("destinationServiceAccount '{key}' already added"));
}

/// Whether every class and alternative of a pattern is closed.
fn is_closed(pattern: &str) -> bool {
    let (mut braces, mut class, mut chars) = (0u32, false, pattern.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_none() => return false,
            '[' if !class => class = true,
            ']' if class => class = false,
            '{' if !class => braces += 1,
            '}' if !class => match braces.checked_sub(1) {
                Some(left) => braces = left,
                None => return false,
            },
            _ => {}
        }
    }
    braces == 0 && !class
}
