//! Trying out whether a repository can be reached.

use std::io;
use std::path::Path;
use std::sync::Arc;

use argosy_git::{Mirror, RepoUrl};
use argosy_home::RepoCredentials;
use argosy_home::repositories::{AzureServicePrincipal, GithubApp};
use argosy_model::Secret;
use argosy_proto::peer::{Done, RepositoryRequest};
use argosy_proto::v1alpha1::Repository;
use tonic::Status;

use super::super::Limits;
use super::{git_only, given};
use crate::context::Shared;
use crate::repository::credentials;

/// Where trials keep their files while they run, below the data folder.
const FOLDER: &str = "trials";

/// Lists the remote with the credentials given or, where none are, with those
/// that are stored: of the repository, or of a template alone when it is to be
/// taken as given.
///
/// # Errors
/// Why it cannot be read, without any credential.
pub(in crate::peer) async fn test(
    shared: &Arc<Shared>,
    limits: &Limits,
    request: &RepositoryRequest,
) -> Result<Done, Status> {
    let repository = given(request)?;
    git_only(repository)?;
    let failed = |error: argosy_git::Error| {
        Status::invalid_argument(format!("error testing repository connectivity: {}", argosy_model::report(&error)))
    };
    let url = RepoUrl::parse(&repository.repo).map_err(failed)?;
    let project = if request.project.is_empty() { &repository.project } else { &request.project };
    let known = shared.home.repositories();
    let given = declaration(repository);
    let used = if request.as_given || given.has_credentials() {
        known.complete(given)
    } else {
        known.resolve(&repository.repo, project)
    };
    let credentials = credentials(&used);
    let turn = limits.try_out().await?;
    let shared = shared.clone();
    let work = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        // Apart from the mirror, which its owner holds.
        let folder = new_folder(&shared.options.data_dir);
        let folder = folder.map_err(|error| Status::internal(format!("no temporary folder: {error}")))?;
        let mirror = Mirror::open(folder.path(), &url).map_err(failed)?;
        let bounds = argosy_git::Limits::list().with_cancel(shared.ending.clone());
        mirror.list_remote_with(&credentials, &[], &bounds).map(|_| Done {}).map_err(failed)
    });
    work.await.map_err(|error| Status::internal(format!("testing failed: {error}")))?
}

fn new_folder(data_dir: &Path) -> io::Result<tempfile::TempDir> {
    let trials = data_dir.join(FOLDER);
    std::fs::create_dir_all(&trials)?;
    tempfile::tempdir_in(trials)
}

/// Removes what the trials of a killed process have left: the key of a repository may be
/// among it.
pub(crate) fn clear_trials(data_dir: &Path) {
    let trials = data_dir.join(FOLDER);
    if let Err(error) = std::fs::remove_dir_all(&trials)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::error!(folder = %trials.display(), %error, "what trials of repositories have left cannot be removed");
    }
}

/// A repository as given; whom to trust is a matter of the settings.
fn declaration(given: &Repository) -> RepoCredentials {
    let secret = |text: &String| Secret::new(text.clone());
    RepoCredentials {
        url: given.repo.clone(),
        kind: given.r#type.clone(),
        name: given.name.clone(),
        project: given.project.clone(),
        username: given.username.clone(),
        password: secret(&given.password),
        bearer_token: secret(&given.bearer_token),
        ssh_private_key: secret(&given.ssh_private_key),
        tls_client_cert_data: given.tls_client_cert_data.clone(),
        tls_client_cert_key: secret(&given.tls_client_cert_key),
        github_app: GithubApp {
            id: u64::try_from(given.github_app_id).unwrap_or(0),
            installation_id: u64::try_from(given.github_app_installation_id).unwrap_or(0),
            private_key: secret(&given.github_app_private_key),
            enterprise_base_url: given.github_app_enterprise_base_url.clone(),
        },
        gcp_service_account_key: secret(&given.gcp_service_account_key),
        azure_service_principal: AzureServicePrincipal {
            client_id: given.azure_service_principal_client_id.clone(),
            client_secret: secret(&given.azure_service_principal_client_secret),
            tenant_id: given.azure_service_principal_tenant_id.clone(),
            directory_endpoint: given.azure_active_directory_endpoint.clone(),
        },
        use_azure_workload_identity: given.use_azure_workload_identity,
        proxy: secret(&given.proxy),
        no_proxy: given.no_proxy.clone(),
        insecure: given.insecure,
        insecure_ignore_host_key: given.insecure_ignore_host_key,
        enable_lfs: given.enable_lfs,
        enable_oci: given.enable_oci,
        insecure_oci_force_http: given.insecure_oci_force_http,
        force_http_basic_auth: given.force_http_basic_auth,
        ..RepoCredentials::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_trial_has_left_is_removed() {
        let data = tempfile::tempdir().unwrap();
        let left = new_folder(data.path()).unwrap().keep();
        std::fs::write(left.join("key"), "canary").unwrap();
        clear_trials(data.path());
        assert!(!left.exists() && data.path().exists());
        clear_trials(data.path());
        new_folder(data.path()).unwrap();
    }
}
