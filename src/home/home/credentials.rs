//! Writing repositories and credential templates, in the Secrets that Argo CD
//! keeps them in. [`Home::repositories`] is up to date when a call returns.

use std::sync::Arc;

use argosy_model::{AppKey, git_url, names, object};
use argosy_proto::v1alpha1::{RepoCreds, Repository};
use serde_json::{Value, json};

use super::Home;
use super::maps::{Core, Data};
use crate::call::Call;
use crate::error::{Error, Result};
use crate::repositories::RepoCredentials;
use crate::repositories::written::{Kind, set_repository, set_template};

/// How often a deletion is tried while others change the Secret.
const TRIES: usize = 10;

/// What credentials are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading manifests.
    Read,
    /// Writing hydrated manifests.
    Write,
}

// === impl Access ===

impl Access {
    const fn repository(self) -> Kind {
        match self {
            Self::Read => Kind::Repository,
            Self::Write => Kind::WriteRepository,
        }
    }

    const fn template(self) -> Kind {
        match self {
            Self::Read => Kind::Template,
            Self::Write => Kind::WriteTemplate,
        }
    }
}

// === impl Home ===

impl Home {
    /// The declared repository of this address and for exactly this project (empty
    /// means all), whatever way the address is spelt.
    pub fn stored_repository(&self, url: &str, project: &str, access: Access) -> Option<Arc<RepoCredentials>> {
        let all = self.repositories();
        let declared = match access {
            Access::Read => all.declared(),
            Access::Write => all.declared_for_writing(),
        };
        declared.iter().find(|r| r.project == project && git_url::same(&r.url, url)).cloned()
    }

    /// The credential template of exactly this address, however it is spelt.
    pub fn stored_repo_creds(&self, url: &str, access: Access) -> Option<Arc<RepoCredentials>> {
        let all = self.repositories();
        let templates = match access {
            Access::Read => all.templates(),
            Access::Write => all.templates_for_writing(),
        };
        templates.iter().find(|t| git_url::same(&t.url, url)).cloned()
    }

    /// Declares a repository.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`]; [`Error::Rejected`] where a Secret of another kind
    /// has the name; or another.
    pub async fn create_repository(&self, repository: &Repository, access: Access) -> Result<()> {
        let (url, project) = (&repository.repo, &repository.project);
        let exists = || Error::AlreadyExists(format!("repository {url:?} already exists"));
        if self.stored_repository(url, project, access).is_some() {
            return Err(exists());
        }
        let kind = access.repository();
        let name = kind.secret_name(url, project);
        match self.create_credential(kind, &name, |data| set_repository(data, repository)).await {
            Err(Error::AlreadyExists(_)) => {
                let place = self.core_place(Core::Secret, &name);
                let there = self.ask(&Call::get(place.object())).await?;
                Err(match object::label(&there, names::LABEL_SECRET_TYPE) {
                    Some(_) => exists(),
                    None => Error::Rejected(format!(
                        "secret {name:?} doesn't have the proper {:?} label: please fix the secret or delete it",
                        names::LABEL_SECRET_TYPE
                    )),
                })
            }
            other => other,
        }
    }

    /// Changes a declared repository, or declares it where it is not.
    ///
    /// # Errors
    /// When it can be neither read nor written.
    pub async fn update_repository(&self, repository: &Repository, access: Access) -> Result<()> {
        let Some(stored) = self.stored_repository(&repository.repo, &repository.project, access) else {
            return self.create_repository(repository, access).await;
        };
        let set = |data: &mut Data| set_repository(data, repository);
        self.update_credential(access.repository(), &stored.secret_name, set).await
    }

    /// Takes a declared repository back. A Secret that somebody else made stays
    /// and stops being one of a repository.
    ///
    /// # Errors
    /// [`Error::NotFound`] or another.
    pub async fn delete_repository(&self, url: &str, project: &str, access: Access) -> Result<()> {
        let missing = || Error::NotFound(format!("repository {url:?} not found"));
        let stored = self.stored_repository(url, project, access).ok_or_else(missing)?;
        self.release_credential(&stored.secret_name, missing).await
    }

    /// Declares a credential template.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] or another.
    pub async fn create_repo_creds(&self, template: &RepoCreds, access: Access) -> Result<()> {
        let exists = || Error::AlreadyExists(format!("repository credentials {:?} already exists", template.url));
        if self.stored_repo_creds(&template.url, access).is_some() {
            return Err(exists());
        }
        let kind = access.template();
        let name = kind.secret_name(&template.url, "");
        match self.create_credential(kind, &name, |data| set_template(data, template)).await {
            Err(Error::AlreadyExists(_)) => Err(exists()),
            other => other,
        }
    }

    /// Changes a credential template, or declares it where it is not.
    ///
    /// # Errors
    /// When it can be neither read nor written.
    pub async fn update_repo_creds(&self, template: &RepoCreds, access: Access) -> Result<()> {
        let Some(stored) = self.stored_repo_creds(&template.url, access) else {
            return self.create_repo_creds(template, access).await;
        };
        let set = |data: &mut Data| set_template(data, template);
        self.update_credential(access.template(), &stored.secret_name, set).await
    }

    /// Takes a credential template back, as [`Self::delete_repository`].
    ///
    /// # Errors
    /// [`Error::NotFound`] or another.
    pub async fn delete_repo_creds(&self, url: &str, access: Access) -> Result<()> {
        let missing = || Error::NotFound(format!("repository credentials {url:?} not found"));
        let stored = self.stored_repo_creds(url, access).ok_or_else(missing)?;
        self.release_credential(&stored.secret_name, missing).await
    }

    async fn create_credential(&self, kind: Kind, name: &str, set: impl FnOnce(&mut Data)) -> Result<()> {
        let mut object = Core::Secret.bare(name);
        fill_in(&mut object, kind, set)?;
        let written = self.create_secret(&object).await?;
        self.keep_credential(written).await
    }

    async fn update_credential(&self, kind: Kind, name: &str, set: impl Fn(&mut Data)) -> Result<()> {
        let place = self.core_place(Core::Secret, name);
        let missing = Core::Secret.bare(name);
        let written = self.modify(&place, Some(&missing), None, |object| fill_in(object, kind, &set)).await?;
        self.keep_credential(written).await
    }

    /// Takes over a written credential Secret.
    pub(super) async fn keep_credential(&self, object: Value) -> Result<()> {
        self.keep_core(&self.shared.inputs.credentials, object).await?;
        self.shared.snapshots.catch_up(&self.shared.inputs).await;
        Ok(())
    }

    /// Deletes a credential Secret that a program made; one that a person made
    /// loses the label that makes it a credential.
    pub(super) async fn release_credential(&self, name: &str, missing: impl Fn() -> Error) -> Result<()> {
        let place = self.core_place(Core::Secret, name);
        let mut left = TRIES;
        let uid = loop {
            let mut object = match self.ask(&Call::get(place.object())).await {
                Err(Error::NotFound(_)) => return Err(missing()),
                other => other?,
            };
            let uid = object::uid(&object).to_owned();
            let version = object::resource_version(&object).to_owned();
            let ours = object::annotation(&object, names::ANNOTATION_MANAGED_BY) == Some(names::MANAGED_BY_VALUE);
            let call = if ours {
                // Only what was looked at is deleted.
                let options = json!({"preconditions": {"uid": uid, "resourceVersion": version}});
                Call::delete(place.object(), &options)
            } else {
                object::remove_label(&mut object, names::LABEL_SECRET_TYPE);
                Call::replace(place.object(), &object)
            };
            left -= 1;
            match self.ask(&call).await {
                Err(Error::Conflict(_)) if left > 0 => {}
                other => break other.map(|_| uid)?,
            }
        };
        self.shared.inputs.credentials.forget(&AppKey::new(self.namespace(), name), &uid).await;
        self.shared.snapshots.catch_up(&self.shared.inputs).await;
        Ok(())
    }
}

/// Writes values, label and mark into a Secret.
fn fill_in(object: &mut Value, kind: Kind, set: impl FnOnce(&mut Data)) -> Result<()> {
    Core::Secret.edit_data(object, |data| {
        set(data);
        Ok::<_, Error>(())
    })?;
    mark(object, kind.label());
    Ok(())
}

/// Makes a Secret a credential that programs may delete.
pub(super) fn mark(object: &mut Value, kind: &str) {
    object::set_annotation(object, names::ANNOTATION_MANAGED_BY, names::MANAGED_BY_VALUE);
    object::set_label(object, names::LABEL_SECRET_TYPE, kind);
}
