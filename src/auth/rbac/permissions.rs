//! What one subject may do.
//!
//! A question is asked several times, in the name of the default role, of the
//! subject, of each of its groups and of nobody, and one yes is enough. Within one
//! asking a rule that denies outweighs all that allow. Where the object belongs to a
//! project, the default role, subject and groups hold the project's roles as well.
//!
//! Who holds what is found out once, so each decision only looks at rules.

use super::policy::Policy;
use super::project_policy::ProjectPolicy;
use super::roles::{Graph, RoleId, RoleSet, Union};
use super::rules::{Effect, Request, Rules};
use super::subject::Subject;
use super::{Explanation, MAX_TEXT, explain};

/// What a subject may do, outside of projects with roles.
#[derive(Debug)]
pub struct Permissions<'a> {
    policy: &'a Policy,
    subject: &'a Subject,
    reach: Reach,
}

/// What a subject may do, with what the roles of one project add.
#[derive(Debug)]
pub struct ProjectPermissions<'a> {
    outside: &'a Permissions<'a>,
    project: &'a ProjectPolicy,
    inside: Inside,
}

#[derive(Debug)]
enum Inside {
    /// The project says nothing about the subject.
    Same,
    /// What the default role and nobody may do, and what is held with the project's
    /// roles, whose numbers are these.
    Own { fallback: Reach, reach: Reach, numbers: Vec<RoleId> },
}

/// Names to ask in, either without or with the roles of the project.
pub(super) struct Askings<'a> {
    pub(super) in_project: bool,
    pub(super) names: Vec<&'a str>,
}

/// The roles that are held by each of several names.
#[derive(Debug, Default)]
struct Reach {
    all: RoleSet,
    /// By name, if it is any different: without denials one asking is like another.
    holders: Vec<RoleSet>,
}

/// Rules, and the numbers of their roles where those are different.
type Source<'a> = (&'a Rules, Option<&'a [RoleId]>);

// === impl Policy ===

impl Policy {
    /// Finds out what the subject holds, to be asked many times.
    pub fn for_subject<'a>(&'a self, subject: &'a Subject) -> Permissions<'a> {
        let names = askings(self, subject, None).into_iter().flat_map(|askings| askings.names);
        let reach = Reach::new(&self.roles, names, &[(&self.rules, None)]);
        Permissions { policy: self, subject, reach }
    }

    /// Whether the subject may do something to an object. `project` is the one that
    /// the object names first, if there is such a project.
    pub fn permits(
        &self,
        subject: &Subject,
        resource: &str,
        action: &str,
        object: &str,
        project: Option<&ProjectPolicy>,
    ) -> bool {
        let permissions = self.for_subject(subject);
        match project.filter(|project| project.covers(resource, object)) {
            Some(project) => permissions.within(project).permits(resource, action, object),
            None => permissions.permits(resource, action, object),
        }
    }

    /// The same with its reason, which takes longer to find.
    pub fn explain(
        &self,
        subject: &Subject,
        resource: &str,
        action: &str,
        object: &str,
        project: Option<&ProjectPolicy>,
    ) -> Explanation {
        let project = project.filter(|project| project.covers(resource, object));
        explain::explain(self, subject, Request { resource, action, object }, project)
    }
}

// === impl Permissions ===

impl<'a> Permissions<'a> {
    /// Whether the subject may do something to an object of no project, or of one
    /// that has no roles.
    pub fn permits(&self, resource: &str, action: &str, object: &str) -> bool {
        let request = Request { resource, action, object };
        self.reach.permits(&[(&self.policy.rules, None)], request)
    }

    /// Finds out what the project's roles add, to be asked many times.
    pub fn within(&'a self, project: &'a ProjectPolicy) -> ProjectPermissions<'a> {
        let inside = if self.is_known_to(project) { self.inside(project) } else { Inside::Same };
        ProjectPermissions { outside: self, project, inside }
    }

    /// Whether the project says anything about the subject or a role that it holds.
    fn is_known_to(&self, project: &ProjectPolicy) -> bool {
        let Subject { name, groups } = self.subject;
        let is_named = |name: &str| project.roles.find(name).is_some();
        self.subject.project().is_some()
            || !self.subject.is_nobody()
                && (is_named(name)
                    || is_named(self.policy.default_role())
                    || groups.iter().any(|group| is_named(group))
                    || project
                        .roles
                        .names()
                        .iter()
                        .any(|name| self.policy.roles.find(name).is_some_and(|role| self.reach.all.contains(role))))
    }

    fn inside(&self, project: &ProjectPolicy) -> Inside {
        let graph = Union::new(&self.policy.roles, &project.roles);
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for askings in askings(self.policy, self.subject, Some((project, &graph))) {
            if askings.in_project { &mut with } else { &mut without }.extend(askings.names);
        }
        let base = (&self.policy.rules, None);
        let fallback = Reach::new(&self.policy.roles, without, &[base]);
        let reach = Reach::new(&graph, with, &[base, (&project.rules, Some(graph.numbers()))]);
        Inside::Own { fallback, reach, numbers: graph.into_numbers() }
    }
}

// === impl ProjectPermissions ===

impl ProjectPermissions<'_> {
    /// Whether the subject may do something to an object.
    pub fn permits(&self, resource: &str, action: &str, object: &str) -> bool {
        let request = Request { resource, action, object };
        let base = (&self.outside.policy.rules, None);
        match &self.inside {
            Inside::Own { fallback, reach, numbers } if self.project.covers(resource, object) => {
                fallback.permits(&[base], request)
                    || reach.permits(&[base, (&self.project.rules, Some(numbers))], request)
            }
            _ => self.outside.permits(resource, action, object),
        }
    }
}

// === impl Reach ===

impl Reach {
    fn new<'a>(graph: &impl Graph, names: impl IntoIterator<Item = &'a str>, sources: &[Source<'_>]) -> Self {
        let known = names.into_iter().filter_map(|name| graph.find(name));
        let holders: Vec<RoleSet> =
            known.map(|role| graph.reach(role).into_iter().map(|(held, _)| held).collect()).collect();
        let mut all = RoleSet::default();
        holders.iter().for_each(|holder| all.extend(holder));
        let is_denied = sources
            .iter()
            .any(|(rules, numbers)| rules.roles(Effect::Deny).any(|role| all.contains(number(role, *numbers))));
        Self { all, holders: if is_denied { holders } else { Vec::new() } }
    }

    fn permits(&self, sources: &[Source<'_>], request: Request<'_>) -> bool {
        if [request.resource, request.action, request.object].iter().any(|text| text.len() > MAX_TEXT) {
            return false;
        }
        if self.holders.is_empty() {
            return is_allowed(&self.all, sources, request);
        }
        let mut denied = RoleSet::default();
        let mut is_denied = false;
        for (rules, numbers) in sources {
            let wanted = |role| self.all.contains(number(role, *numbers));
            rules.search(Effect::Deny, request, &wanted, &mut |role| {
                is_denied |= denied.insert(number(role, *numbers));
                false
            });
        }
        if !is_denied {
            return is_allowed(&self.all, sources, request);
        }
        let mut left = RoleSet::default();
        self.holders.iter().filter(|holder| !holder.meets(&denied)).for_each(|holder| left.extend(holder));
        is_allowed(&left, sources, request)
    }
}

fn is_allowed(roles: &RoleSet, sources: &[Source<'_>], request: Request<'_>) -> bool {
    sources.iter().any(|(rules, numbers)| {
        let wanted = |role| roles.contains(number(role, *numbers));
        rules.search(Effect::Allow, request, &wanted, &mut |_| true)
    })
}

fn number(role: RoleId, numbers: Option<&[RoleId]>) -> RoleId {
    numbers.map_or(role, |numbers| numbers[role as usize])
}

/// In whose names a question is asked, in order. Groups count where a line makes them
/// member of a role; a rule for a group itself is not enough.
///
/// A token of a project's role has nothing but that role, and only in its project.
/// With `project`, its name is the one that the object begins with.
pub(super) fn askings<'a>(
    policy: &'a Policy,
    subject: &'a Subject,
    project: Option<(&ProjectPolicy, &Union<'_>)>,
) -> Vec<Askings<'a>> {
    let default_role = Some(policy.default_role()).filter(|role| !role.is_empty());
    let outside = |names: Vec<&'a str>| Askings { in_project: false, names };
    let with_groups = |graph: &dyn Graph| -> Vec<&'a str> {
        let groups = subject.groups.iter().map(String::as_str).filter(|group| graph.is_member(group));
        default_role.into_iter().chain([subject.name.as_str()]).chain(groups).collect()
    };
    let fallback = outside(default_role.into_iter().chain([""]).collect());
    let Some((project, graph)) = project.filter(|_| !subject.is_nobody()) else {
        return vec![outside(with_groups(&policy.roles)), outside(vec![""])];
    };
    let names = match subject.project() {
        Some(own) if own != project.name() => return vec![fallback],
        Some(_) => default_role.into_iter().chain([subject.name.as_str()]).collect(),
        None => with_groups(graph),
    };
    vec![Askings { in_project: true, names }, fallback]
}
