//! Whole policies, compiled and asked. An input is four lines of a question (subject
//! with groups, resource, action, object), a line of the match mode, and the policy.

use argosy_proto::v1alpha1::AppProject;
use serde_json::json;

use crate::rbac::{Policy, ProjectPolicy, Sources, Subject, validate_policy};

pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.splitn(6, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (who, resource, action, object, mode, policy) = (line(), line(), line(), line(), line(), line());
    let _ = validate_policy(policy);
    let sources = Sources { policy, default_role: "role:readonly", scopes: "", match_mode: mode };
    let read = match Policy::compile(&sources) {
        Ok(read) => read,
        Err(error) => {
            let said = error.to_string();
            assert!(!said.contains("canary"), "it repeats the policy: {said}");
            return;
        }
    };
    let mut names = who.split(',').map(str::to_owned);
    let subject = Subject { name: names.next().unwrap_or_default(), groups: names.collect() };
    let project = project(policy);
    let project = ProjectPolicy::compile(&project, read.match_mode());
    for project in [None, Some(&project)] {
        // What is decided fast is what is decided rule by rule.
        let fast = read.permits(&subject, resource, action, object, project);
        let slow = read.explain(&subject, resource, action, object, project);
        assert_eq!(fast, slow.permitted, "{slow:?}");
        assert!(!fast || slow.reason.is_some(), "nothing permits nothing");
    }
    // A denial of everything leaves what is decided in other names alone.
    let denied = format!("{policy}\np, {}, *, *, *, deny", "nobody at all");
    if let Ok(more) = Policy::compile(&Sources { policy: &denied, ..sources })
        && subject.name != "nobody at all"
        && !policy.contains("nobody at all")
        && !subject.groups.iter().any(|group| group == "nobody at all")
    {
        let ask = |policy: &Policy| policy.permits(&subject, resource, action, object, None);
        assert_eq!(ask(&read), ask(&more), "a stranger's denial counts");
    }
}

/// A project with a role that has the same lines.
fn project(policy: &str) -> AppProject {
    let role = json!({"name": "dev", "policies": [policy], "groups": ["devs"]});
    serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": {"roles": [role]}})).expect("a project")
}
