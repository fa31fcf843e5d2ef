//! Questions about repositories: can it be reached, what is in it, and looking
//! again at once.

mod details;
mod matching;
mod trial;

use std::collections::BTreeMap;
use std::sync::Arc;

use argosy_proto::peer::{AppDetailsRequest, ListAppsRequest, PollRequest, PollResponse, RepositoryRequest};
use argosy_proto::repository::{AppInfo, Refs, RepoAppDetailsResponse, RepoAppsResponse};
use argosy_proto::v1alpha1::{ApplicationSource, Repository};
use argosy_render::{EnabledTypes, EntryKind, Tree as _};
use tonic::Status;

pub(crate) use trial::clear_trials;
pub(super) use trial::test;

use super::Limits;
use super::refusal;
use crate::context::Shared;
use crate::directory::repository_parts;
use crate::repository::enabled_types;

/// Addresses of one request to poll; a burst of webhooks names few repositories.
const MOST_URLS: usize = 1000;

/// Branches and tags by short name, sorted.
pub(super) async fn refs(shared: &Arc<Shared>, limits: &Limits, request: &RepositoryRequest) -> Result<Refs, Status> {
    let repository = given(request)?;
    git_only(repository)?;
    let lent = limits.lend(shared, &request.project, &repository.repo).await?;
    let refs = lent.mirror.refs(request.force).await.map_err(|e| refusal::of_repository(&e))?;
    let names = |list: Vec<(&str, _)>| list.into_iter().map(|(name, _)| name.to_owned()).collect();
    Ok(Refs { branches: names(refs.branches().collect()), tags: names(refs.tags().collect()) })
}

/// Folders that look like applications, sorted, with their types.
pub(super) async fn apps(
    shared: &Arc<Shared>,
    limits: &Limits,
    request: &ListAppsRequest,
) -> Result<RepoAppsResponse, Status> {
    let source = Arc::new(ApplicationSource {
        repo_url: request.url.clone(),
        target_revision: request.revision.clone(),
        ..ApplicationSource::default()
    });
    let lent = limits.lend(shared, &request.project, &request.url).await?;
    let located = lent.mirror.locate(&source, false).await.map_err(|e| refusal::of_repository(&e))?;
    let enabled = enabled_types(shared);
    let work = tokio::task::spawn_blocking(move || {
        let entries = located.tree()?.list("", true);
        let entries = entries.map_err(|e| crate::repository::GenerateError::Repository(argosy_model::report(&e)))?;
        let files = entries.iter().filter(|e| matches!(e.kind, EntryKind::File | EntryKind::Symlink));
        Ok(discover(files.map(|e| e.path.as_str()), enabled))
    });
    let found = work.await.map_err(|error| Status::internal(format!("listing failed: {error}")))?;
    let found: BTreeMap<String, &str> =
        found.map_err(|e: crate::repository::GenerateError| refusal::of_repository(&e))?;
    let app = |(path, kind): (String, &str)| AppInfo { path, r#type: kind.to_owned() };
    Ok(RepoAppsResponse { items: found.into_iter().map(app).collect() })
}

/// The folders whose files tell a type. A kustomization wins over a chart.
fn discover<'a>(files: impl Iterator<Item = &'a str>, enabled: EnabledTypes) -> BTreeMap<String, &'static str> {
    let mut found = BTreeMap::new();
    for path in files {
        let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
        if matches!(name, "kustomization.yaml" | "kustomization.yml" | "Kustomization") && enabled.kustomize {
            found.insert(folder.to_owned(), "Kustomize");
        } else if name.ends_with("Chart.yaml") && enabled.helm {
            found.entry(folder.to_owned()).or_insert("Helm");
        }
    }
    found
}

/// What can be said of a source without rendering it.
pub(super) async fn details(
    shared: &Arc<Shared>,
    limits: &Limits,
    request: &AppDetailsRequest,
) -> Result<RepoAppDetailsResponse, Status> {
    let source = request.source.clone().ok_or_else(|| Status::invalid_argument("missing payload in request"))?;
    if !source.chart.is_empty() {
        return Err(Status::unimplemented(
            "charts of Helm repositories are not supported yet; use one in a Git repository",
        ));
    }
    let source = Arc::new(source);
    let lent = limits.lend(shared, &request.project, &source.repo_url).await?;
    let located = lent.mirror.locate(&source, request.no_cache).await.map_err(|e| refusal::of_repository(&e))?;
    let enabled = enabled_types(shared);
    let app = request.app_name.clone();
    let source = serde_json::to_value(&*source)
        .map_err(|error| Status::internal(format!("the source cannot be written as JSON: {error}")))?;
    let work = tokio::task::spawn_blocking(move || {
        let tree = located.tree().map_err(|e| refusal::of_repository(&e))?;
        details::of(&tree, &source, &app, enabled).map_err(|e| Status::invalid_argument(argosy_model::report(&e)))
    });
    work.await.map_err(|error| Status::internal(format!("reading the source failed: {error}")))?
}

/// Polls the repositories of this replica that the addresses name.
pub(super) fn poll(shared: &Shared, request: &PollRequest) -> Result<PollResponse, Status> {
    if request.urls.len() > MOST_URLS {
        return Err(Status::invalid_argument(format!("more than {MOST_URLS} addresses at once")));
    }
    let wanted: std::collections::HashSet<_> = request.urls.iter().filter_map(|url| matching::place(url)).collect();
    let mut matched = 0;
    for name in shared.directory.repository_names() {
        if matching::place(repository_parts(&name).0).is_some_and(|place| wanted.contains(&place)) {
            matched += i32::from(shared.directory.poll_repository(&name));
        }
    }
    Ok(PollResponse { matched })
}

fn given(request: &RepositoryRequest) -> Result<&Repository, Status> {
    let repository = request.repository.as_ref().filter(|r| !r.repo.is_empty());
    repository.ok_or_else(|| Status::invalid_argument("the repository's address is missing"))
}

fn git_only(repository: &Repository) -> Result<(), Status> {
    match repository.r#type.as_str() {
        "" | "git" => Ok(()),
        "helm" | "oci" => Err(Status::unimplemented(format!(
            "repositories of type {} are not supported yet; only Git repositories are",
            repository.r#type
        ))),
        other => Err(Status::invalid_argument(format!("unsupported repository type {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_are_found_by_their_files() {
        let files = ["Chart.yaml", "a/kustomization.yml", "a/Chart.yaml", "b/c/Chart.yaml", "d/x.yaml", "e/README.md"];
        let found = discover(files.into_iter(), EnabledTypes::default());
        let expected = [(".", "Helm"), ("a", "Kustomize"), ("b/c", "Helm")];
        assert_eq!(found, expected.into_iter().map(|(path, kind)| (path.to_owned(), kind)).collect());
        let only_helm = EnabledTypes { kustomize: false, ..EnabledTypes::default() };
        assert_eq!(discover(files.into_iter(), only_helm)["a"], "Helm");
    }
}
