//! The tokens of a project's roles, as the project lists them.
//!
//! A project lists them twice, under `status.jwtTokensByRole` and under
//! `spec.roles[].jwtTokens`, and whoever changes the list keeps both the same. A
//! token is listed by its identifier; those of before there were identifiers are
//! listed by the second they were issued in, which then is their identifier.

use std::collections::BTreeMap;

use argosy_proto::resource::CustomResource;
use argosy_proto::v1alpha1::{AppProject, JwtToken, JwtTokens, ProjectRole};

/// A token is not added to a project.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProjectTokenError {
    /// The role does not exist.
    #[error("project '{project}' does not have role '{role}'")]
    NoRole {
        /// Name of the project.
        project: String,
        /// Name of the role.
        role: String,
    },
    /// The role has a token of that identifier.
    #[error("Token id '{0}' has been used. ")]
    IdUsed(String),
}

/// The role of this name.
pub fn role<'p>(project: &'p AppProject, name: &str) -> Option<&'p ProjectRole> {
    project.spec.as_ref()?.roles.iter().find(|role| role.name == name)
}

/// The entry that lists a token, if its role exists. `id` is empty for a token
/// without one; `issued_at` is in seconds since 1970.
///
/// The second it was issued in finds only entries that have no identifier of their
/// own: otherwise a deleted token would live on in another of the same second.
pub fn find<'p>(project: &'p AppProject, role_name: &str, issued_at: i64, id: &str) -> Option<&'p JwtToken> {
    let in_spec = &role(project, role_name)?.jwt_tokens;
    let listed = || in_status(project, role_name).iter().chain(in_spec);
    let by_id = listed().find(|token| !id.is_empty() && token.id == id);
    by_id.or_else(|| listed().find(|token| token.iat == issued_at && is_listed_by_time(token)))
}

/// Adds a token to a role, in both lists.
///
/// # Errors
/// When the role does not exist or has a token of that identifier.
pub fn add(project: &mut AppProject, role_name: &str, token: JwtToken) -> Result<(), ProjectTokenError> {
    let Some(in_spec) = role(project, role_name) else {
        let project = project.metadata().name.clone();
        return Err(ProjectTokenError::NoRole { project, role: role_name.to_owned() });
    };
    let mut listed = in_status(project, role_name).iter().chain(&in_spec.jwt_tokens);
    if listed.any(|other| identifier(other) == identifier(&token)) {
        return Err(ProjectTokenError::IdUsed(identifier(&token)));
    }
    let by_role = &mut project.status.get_or_insert_default().jwt_tokens_by_role;
    by_role.entry(role_name.to_owned()).or_default().items.push(token);
    mirror(project);
    Ok(())
}

/// Removes a token from a role: the one of this identifier, or, when there is none,
/// the first that was issued in this second (0 finds none). Tells whether there was one.
pub fn remove(project: &mut AppProject, role_name: &str, issued_at: i64, id: &str) -> bool {
    mirror(project);
    let Some(role) = role(project, role_name) else { return false };
    let by_id = role.jwt_tokens.iter().find(|token| !id.is_empty() && token.id == id);
    let by_time = || role.jwt_tokens.iter().find(|token| issued_at != 0 && token.iat == issued_at);
    let Some(gone) = by_id.or_else(by_time).map(|token| token.id.clone()) else { return false };
    let roles = project.spec.iter_mut().flat_map(|spec| &mut spec.roles);
    for role in roles.filter(|role| role.name == role_name) {
        role.jwt_tokens.retain(|token| token.id != gone);
    }
    let by_role = project.status.iter_mut().filter_map(|status| status.jwt_tokens_by_role.get_mut(role_name));
    for listed in by_role {
        listed.items.retain(|token| token.id != gone);
    }
    true
}

/// Leaves only the tokens that `stored` lists as well: a token comes into a project by
/// being issued, not by being written down.
pub fn keep_issued(project: &mut AppProject, stored: &AppProject) {
    mirror(project);
    let spec = project.spec.iter_mut().flat_map(|spec| &mut spec.roles);
    for role in spec {
        let name = role.name.clone();
        role.jwt_tokens.retain(|token| find(stored, &name, token.iat, &token.id).is_some());
    }
    let by_role = project.status.iter_mut().flat_map(|status| &mut status.jwt_tokens_by_role);
    for (name, listed) in by_role {
        listed.items.retain(|token| find(stored, name, token.iat, &token.id).is_some());
    }
}

/// Makes both lists the same: every token of either, with an identifier, the newest
/// first. Lists of roles that are gone go too.
pub fn mirror(project: &mut AppProject) {
    let Some(spec) = &mut project.spec else { return };
    let by_role = &mut project.status.get_or_insert_default().jwt_tokens_by_role;
    by_role.retain(|name, _| spec.roles.iter().any(|role| role.name == *name));
    for role in &mut spec.roles {
        let in_status = by_role.get(&role.name).map_or(&[][..], |listed| &listed.items);
        let all = in_status.iter().chain(&role.jwt_tokens);
        let by_id: BTreeMap<String, JwtToken> =
            all.map(|token| (identifier(token), JwtToken { id: identifier(token), ..token.clone() })).collect();
        let mut tokens: Vec<JwtToken> = by_id.into_values().collect();
        tokens.sort_by_key(|token| std::cmp::Reverse(token.iat));
        by_role.insert(role.name.clone(), JwtTokens { items: tokens.clone() });
        role.jwt_tokens = tokens;
    }
}

fn in_status<'p>(project: &'p AppProject, role_name: &str) -> &'p [JwtToken] {
    let listed = project.status.as_ref().and_then(|status| status.jwt_tokens_by_role.get(role_name));
    listed.map_or(&[], |listed| &listed.items)
}

fn identifier(token: &JwtToken) -> String {
    if token.id.is_empty() { token.iat.to_string() } else { token.id.clone() }
}

fn is_listed_by_time(token: &JwtToken) -> bool {
    token.id.is_empty() || token.id == token.iat.to_string()
}
