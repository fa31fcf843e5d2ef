//! Addresses of repositories as tenants write them, and what none of them may be:
//! one that reads as a repository of another project, or as a folder in which this
//! replica keeps what it read for others.

use std::path::Path;

use argosy_git::RepoUrl;

use crate::context::Shared;
use crate::repository::GenerateError;

/// Stands between address and project in the name of a repository that belongs to
/// one.
pub(super) const SCOPE: &str = "#project=";

/// Reads an address.
///
/// # Errors
/// [`GenerateError::Source`] where it is none, or not one for tenants.
pub(super) fn read(shared: &Shared, text: &str) -> Result<RepoUrl, GenerateError> {
    let url = RepoUrl::parse(text).map_err(|e| GenerateError::Source(argosy_model::report(&e)))?;
    if text.contains(SCOPE) || url.to_string().contains(SCOPE) {
        return Err(GenerateError::Source(format!("the address of a repository cannot contain '{SCOPE}'")));
    }
    if url.local_folder().is_some_and(|folder| is_within(folder, &shared.options.data_dir)) {
        return Err(GenerateError::Source("the folder is not a repository for applications".to_owned()));
    }
    Ok(url)
}

/// Whether a path leads into a folder, by whatever links. What does not exist leads
/// nowhere.
fn is_within(path: &Path, folder: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    real(path).zip(real(folder)).is_some_and(|(path, folder)| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_mirrors_is_reached_by_no_detour() {
        let own = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let mirror = own.path().join("git/aa");
        std::fs::create_dir_all(&mirror).unwrap();
        std::os::unix::fs::symlink(own.path(), other.path().join("link")).unwrap();
        assert!(is_within(&mirror, own.path()));
        assert!(is_within(&other.path().join("link/git/aa"), own.path()));
        assert!(is_within(&mirror.join("../../git"), own.path()));
        assert!(!is_within(other.path(), own.path()));
        assert!(!is_within(Path::new("/nowhere/at/all"), own.path()));
    }
}
