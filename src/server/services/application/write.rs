//! Making and changing applications.
//!
//! Of what a client sends, the specification, labels, annotations and finalizers
//! are taken, never an operation or a status: those have requests of their own.
//! What a change does not name is not touched, known to these types or not.

use std::sync::Arc;

use argosy_home::Error;
use argosy_home::events::Reason;
use argosy_model::AppKey;
use argosy_proto::application::{
    ApplicationCreateRequest, ApplicationPatchRequest, ApplicationUpdateRequest, ApplicationUpdateSpecRequest,
};
use argosy_proto::meta::ObjectMeta;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{Application, ApplicationSpec};
use tonic::{Code, Status};

use super::Service;
use super::answer::wrap;
use super::found::{Found, Named, Read};
use super::patch::patched;
use super::present::{restore, shown, shown_spec};
use super::spec;
use crate::caller::Caller;
use crate::permission::{action, permission_denied};
use crate::status::{Refusal, from_home};

// === impl Service ===

impl Service {
    pub(super) async fn create_application(
        &self,
        caller: &Caller,
        request: ApplicationCreateRequest,
    ) -> Result<Application, Status> {
        let (validate, upsert) = (request.validate.unwrap_or(true), request.upsert.unwrap_or(false));
        let mut wanted = wanted(request.application);
        let key = self.key_of(&wanted);
        self.enforce(caller, action::CREATE, &key, &wanted)?;
        let project = self.project_of(&key, &wanted)?;
        if !self.serves(&key.namespace) {
            return Err(Status::permission_denied(format!("namespace '{}' is not permitted", key.namespace)));
        }
        key.namespace.as_ref().clone_into(&mut wanted.metadata_mut().namespace);
        let existing = self.existing(&key).await?;
        if let Some(existing) = &existing {
            restore(&mut wanted, existing);
        }
        self.check(caller, &mut wanted, existing.as_deref(), project, validate)
            .await
            .map_err(|status| wrap("error while validating and normalizing app", &status))?;
        match self.shared.home.create_application(&wanted).await {
            Ok(created) => {
                self.shared.tell_application(caller, &created, Reason::ResourceCreated, "created application");
                self.settled(&key, &created).await;
                Ok(shown(&created))
            }
            Err(Error::AlreadyExists(_)) => self.upsert(caller, &key, &wanted, upsert).await,
            Err(error) => Err(doing("error creating application", &from_home(&error))),
        }
    }

    async fn existing(&self, key: &AppKey) -> Result<Option<Arc<Application>>, Status> {
        match self.shared.home.get_application(key).await {
            Ok(app) => Ok(Some(app)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(doing("error getting application by name", &from_home(&error))),
        }
    }

    /// Making what is there already: fine if it is the same, else a change for
    /// those who asked for one.
    async fn upsert(
        &self,
        caller: &Caller,
        key: &AppKey,
        wanted: &Application,
        upsert: bool,
    ) -> Result<Application, Status> {
        let existing = self.existing(key).await?.ok_or_else(|| {
            Status::internal(format!("unable to check existing application details ({}): it is gone", key.namespace))
        })?;
        if is_same(&existing, wanted) {
            self.enforce(caller, action::CREATE, key, &existing)?;
            return Ok(shown(&existing));
        }
        if !upsert {
            return Err(Status::invalid_argument(
                "existing application spec is different, use upsert flag to force update",
            ));
        }
        self.enforce(caller, action::UPDATE, key, wanted)?;
        // It may have come to be there, in whatever project, after the check.
        if !self.permits(caller, action::UPDATE, key, &existing) {
            return Err(permission_denied());
        }
        let updated = self.store(caller, &existing, wanted, true).await;
        updated.map(|app| shown(&app)).map_err(|status| wrap("error updating application", &status))
    }

    pub(super) async fn update_application(
        &self,
        caller: &Caller,
        request: ApplicationUpdateRequest,
    ) -> Result<Application, Status> {
        let wanted = wanted(request.application);
        let key = self.key_of(&wanted);
        self.enforce(caller, action::UPDATE, &key, &wanted)?;
        let named = Named::new(&key.name, &None, &request.project);
        let found =
            self.find(caller, action::UPDATE, Named { namespace: &key.namespace, ..named }, Read::Latest).await?;
        let updated = self.change(caller, &found, wanted, request.validate.unwrap_or(true)).await?;
        Ok(shown(&updated))
    }

    pub(super) async fn update_spec_of(
        &self,
        caller: &Caller,
        request: ApplicationUpdateSpecRequest,
    ) -> Result<ApplicationSpec, Status> {
        let named = Named::new(&request.name, &request.app_namespace, &request.project);
        let found = self.find(caller, action::UPDATE, named, Read::Latest).await?;
        let wanted = Application { spec: Some(request.spec), ..(*found.app).clone() };
        let updated = self
            .change(caller, &found, wanted, request.validate.unwrap_or(true))
            .await
            .map_err(|status| wrap("error validating and updating app", &status))?;
        Ok(updated.spec.as_ref().map(shown_spec).unwrap_or_default())
    }

    pub(super) async fn patch_application(
        &self,
        caller: &Caller,
        request: ApplicationPatchRequest,
    ) -> Result<Application, Status> {
        let named = Named::new(&request.name, &request.app_namespace, &request.project);
        let found = self.find(caller, action::GET, named, Read::Latest).await?;
        self.enforce(caller, action::UPDATE, &found.key, &found.app)?;
        // Of what the caller sees, lest a copy of a field shows what it hides.
        let mut changed = patched(&shown(&found.app), &request.patch, &request.patch_type)?;
        // It says what to change about this application, not which one.
        found.key.name.as_ref().clone_into(&mut changed.metadata_mut().name);
        found.key.namespace.as_ref().clone_into(&mut changed.metadata_mut().namespace);
        let updated = self.change(caller, &found, changed, true).await?;
        Ok(shown(&updated))
    }

    /// Checks a change of an application and makes it.
    async fn change(
        &self,
        caller: &Caller,
        found: &Found,
        mut wanted: Application,
        validate: bool,
    ) -> Result<Arc<Application>, Status> {
        restore(&mut wanted, &found.app);
        self.check(caller, &mut wanted, Some(&found.app), found.project.clone(), validate)
            .await
            .map_err(|status| wrap("error validating and normalizing app", &status))?;
        let stored = self.store(caller, &found.app, &wanted, false).await;
        stored.map_err(|status| wrap("error updating application", &status))
    }

    /// Stores what is wanted in place of what is there. That the project is still
    /// the one that was asked about is seen to at each try.
    async fn store(
        &self,
        caller: &Caller,
        known: &Application,
        wanted: &Application,
        merge: bool,
    ) -> Result<Arc<Application>, Status> {
        let key = self.key_of(known);
        let uid = &known.metadata().uid;
        let project = crate::index::project(known);
        let written = self
            .shared
            .home
            .update_application(&key, None, |app| {
                if app.metadata().uid != *uid || crate::index::project(app) != project {
                    return Err(Refusal::from(Status::aborted(format!(
                        "application {} was replaced or moved to another project meanwhile; please try again",
                        key.name
                    ))));
                }
                overwrite(app, wanted, merge);
                Ok(())
            })
            .await;
        let updated = written.map_err(|refusal| match refusal {
            Refusal::Home(Error::Conflict(_)) => Status::internal("Failed to update application. Too many conflicts"),
            other => Status::from(other),
        })?;
        self.shared.tell_application(caller, &updated, Reason::ResourceUpdated, "updated application spec");
        self.settled(&key, &updated).await;
        Ok(updated)
    }
}

/// What a client may say of an application.
fn wanted(app: Application) -> Application {
    let metadata = app.metadata.unwrap_or_default();
    Application {
        metadata: Some(ObjectMeta {
            name: metadata.name,
            namespace: metadata.namespace,
            labels: metadata.labels,
            annotations: metadata.annotations,
            finalizers: metadata.finalizers,
            owner_references: metadata.owner_references,
            ..ObjectMeta::default()
        }),
        spec: app.spec,
        status: None,
        operation: None,
    }
}

fn overwrite(app: &mut Application, wanted: &Application, merge: bool) {
    app.spec.clone_from(&wanted.spec);
    let (metadata, given) = (app.metadata_mut(), wanted.metadata());
    if merge {
        metadata.labels.extend(given.labels.clone());
        metadata.annotations.extend(given.annotations.clone());
    } else {
        metadata.labels.clone_from(&given.labels);
        metadata.annotations.clone_from(&given.annotations);
    }
    metadata.finalizers.clone_from(&given.finalizers);
}

/// Whether what is wanted is there already.
fn is_same(existing: &Application, wanted: &Application) -> bool {
    let (a, b) = (existing.metadata(), wanted.metadata());
    let specs = [existing, wanted].map(|app| app.spec.clone().unwrap_or_default());
    spec::same(&specs[0], &specs[1])
        && a.labels == b.labels
        && a.annotations == b.annotations
        && a.finalizers == b.finalizers
}

/// An error of the home cluster with what was being done before it.
fn doing(what: &str, status: &Status) -> Status {
    let code = if status.code() == Code::Unknown { Code::Internal } else { status.code() };
    Status::new(code, format!("{what}: {}", status.message()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app(json: serde_json::Value) -> Application {
        serde_json::from_value(json).expect("an application")
    }

    #[test]
    fn operations_and_status_of_clients_are_never_taken() {
        let sent = app(json!({
            "metadata": {"name": "a", "uid": "u", "resourceVersion": "7", "labels": {"l": "1"}},
            "spec": {"project": "p"},
            "operation": {"sync": {"manifests": ["{}"]}},
            "status": {"sync": {"status": "Synced"}},
        }));
        let taken = wanted(sent);
        assert_eq!((taken.operation.is_none(), taken.status.is_none()), (true, true));
        assert_eq!((taken.metadata().uid.as_str(), taken.metadata().resource_version.as_str()), ("", ""));
        assert_eq!(taken.metadata().labels["l"], "1");
    }

    #[test]
    fn an_upsert_merges_labels_and_an_update_replaces_them() {
        let existing = app(json!({"metadata": {"labels": {"a": "1", "b": "1"}}, "spec": {"project": "x"}}));
        let given = app(json!({"metadata": {"labels": {"b": "2"}}, "spec": {"project": "y"}}));
        let (mut merged, mut replaced) = (existing.clone(), existing);
        overwrite(&mut merged, &given, true);
        overwrite(&mut replaced, &given, false);
        assert_eq!(merged.metadata().labels.len(), 2);
        assert_eq!(merged.metadata().labels["b"], "2");
        assert_eq!(replaced.metadata().labels.len(), 1);
        assert_eq!(merged.spec, given.spec);
    }

    #[test]
    fn the_same_application_again_is_recognised() {
        let existing = app(json!({
            "metadata": {"uid": "u", "labels": {"a": "1"}},
            "spec": {"project": "default", "source": {"repoURL": "r", "helm": {}}}, "status": {"sync": {"status": "Synced"}},
        }));
        let again =
            app(json!({"metadata": {"labels": {"a": "1"}}, "spec": {"source": {"repoURL": "r"}, "destination": {}}}));
        assert!(is_same(&existing, &again));
        let other = app(json!({"metadata": {"labels": {"a": "2"}}, "spec": again.spec}));
        assert!(!is_same(&existing, &other));
    }
}
