//! What is asked of a project before it is stored: pure.

use argosy_auth::project::{ViolationKind, validate_project};
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{AppProject, AppProjectSpec};
use tonic::{Code, Status};

/// Whether the project is consistent in itself.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn validate(project: &AppProject) -> Result<(), Status> {
    let Err(violations) = validate_project(project) else { return Ok(()) };
    let Some(first) = violations.first() else { return Ok(()) };
    let code = match first.kind {
        ViolationKind::Invalid => Code::InvalidArgument,
        ViolationKind::Duplicate => Code::AlreadyExists,
        ViolationKind::OutOfRange => Code::OutOfRange,
        ViolationKind::Unreadable => Code::Unknown,
    };
    Err(Status::new(code, first.message.clone()))
}

/// Writes policies the way people read them: one space after each comma.
pub(super) fn normalize_policies(project: &mut AppProject) {
    for role in project.spec.iter_mut().flat_map(|spec| &mut spec.roles) {
        for policy in &mut role.policies {
            let parts: Vec<&str> = policy.split(',').map(|part| part.trim_matches(' ')).collect();
            *policy = parts.join(", ");
        }
    }
}

/// Clusters and repositories that `new` reaches and `old` did not: the caller
/// must be allowed to hand them out.
pub(super) fn additions(old: &AppProjectSpec, new: &AppProjectSpec) -> (Vec<String>, Vec<String>) {
    let servers = |spec: &AppProjectSpec| spec.destinations.iter().map(|d| d.server.clone()).collect::<Vec<_>>();
    let known = servers(old);
    let clusters = servers(new).into_iter().filter(|server| !known.contains(server)).collect();
    let repositories = new.source_repos.iter().filter(|url| !old.source_repos.contains(url)).cloned().collect();
    (clusters, repositories)
}

/// Whether the two permit the same kinds.
pub(super) fn same_kinds(old: &AppProjectSpec, new: &AppProjectSpec) -> bool {
    old.cluster_resource_whitelist == new.cluster_resource_whitelist
        && old.cluster_resource_blacklist == new.cluster_resource_blacklist
        && old.namespace_resource_whitelist == new.namespace_resource_whitelist
        && old.namespace_resource_blacklist == new.namespace_resource_blacklist
}

/// What is said when applications would lose what they use; `None` when none would.
pub(super) fn loss(sources: usize, destinations: usize) -> Option<String> {
    let mut parts = Vec::new();
    if sources > 0 {
        parts.push(format!("{sources} applications source became invalid"));
    }
    if destinations > 0 {
        parts.push(format!("{destinations} applications destination became invalid"));
    }
    (!parts.is_empty()).then(|| format!("as a result of project update {}", parts.join(" and ")))
}

/// The project's name, which must be there.
///
/// # Errors
/// `InvalidArgument` when it is not.
pub(super) fn name(project: &AppProject) -> Result<String, Status> {
    let name = &project.metadata().name;
    if name.is_empty() {
        return Err(Status::invalid_argument("the project has no name"));
    }
    Ok(name.clone())
}

#[cfg(test)]
mod tests {
    use argosy_proto::v1alpha1::ProjectRole;

    use super::*;

    #[test]
    fn policies_get_one_space_after_each_comma() {
        let role =
            ProjectRole { policies: vec!["p,proj:a:b,applications,  get,a/*,allow".into()], ..Default::default() };
        let spec = AppProjectSpec { roles: vec![role], ..Default::default() };
        let mut project = AppProject { spec: Some(spec), ..Default::default() };
        normalize_policies(&mut project);
        assert_eq!(project.spec.unwrap().roles[0].policies, ["p, proj:a:b, applications, get, a/*, allow"]);
    }

    #[test]
    fn losses_are_told_in_one_sentence() {
        assert_eq!(loss(0, 0), None);
        let both = loss(1, 2).unwrap();
        assert_eq!(
            both,
            "as a result of project update 1 applications source became invalid and 2 applications destination became invalid"
        );
    }
}
