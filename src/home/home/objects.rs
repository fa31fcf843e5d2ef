//! Writing Applications, AppProjects and ApplicationSets. Every answer is in the
//! store before the call returns.

use std::sync::Arc;

use argosy_model::{AppKey, names};
use argosy_proto::meta::ObjectMeta;
use argosy_proto::resource::{self, CustomResource};
use argosy_proto::v1alpha1::{AppProject, Application, ApplicationSet};
use serde_json::{Value, json};

use super::modify::Place;
use super::{Home, ROOT, path};
use crate::call::{Call, Path};
use crate::error::{Error, Result};
use crate::store::Store;
use crate::watch::Watched;

/// How an object is to be deleted. The default asks nothing of the object and
/// changes nothing in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deletion {
    /// What becomes of an application's resources.
    pub cascade: Cascade,
    /// Only the object with this uid.
    pub uid: Option<String>,
    /// Only in this version.
    pub resource_version: Option<String>,
    /// Who does it; kept on the object while its finalizers hold it. Empty where
    /// nobody is to be named.
    pub by: String,
}

/// What becomes of an application's resources when it is deleted. All but
/// [`Cascade::AsIs`] change its finalizers first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cascade {
    /// What its finalizers say now.
    #[default]
    AsIs,
    /// They stay.
    Orphan,
    /// They are deleted, in the order that the controller chooses.
    Delete,
    /// They are deleted, dependents first.
    Foreground,
    /// They are deleted, dependents later.
    Background,
}

// === impl Cascade ===

impl Cascade {
    fn finalizer(self) -> Option<&'static str> {
        match self {
            Self::AsIs | Self::Orphan => None,
            Self::Delete => Some(names::FINALIZER_RESOURCES),
            Self::Foreground => Some(names::FINALIZER_RESOURCES_FOREGROUND),
            Self::Background => Some(names::FINALIZER_RESOURCES_BACKGROUND),
        }
    }

    fn prepare(self, finalizers: &mut Vec<String>) {
        if self == Self::Orphan {
            finalizers.retain(|f| !f.starts_with(names::FINALIZER_RESOURCES));
        }
        if let Some(wanted) = self.finalizer()
            && !finalizers.iter().any(|f| f == wanted)
        {
            finalizers.push(wanted.to_owned());
        }
    }
}

// === impl Deletion ===

impl Deletion {
    fn options(&self) -> Value {
        let mut preconditions = json!({});
        if let Some(uid) = &self.uid {
            preconditions["uid"] = json!(uid);
        }
        if let Some(version) = &self.resource_version {
            preconditions["resourceVersion"] = json!(version);
        }
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions})
    }
}

// === impl Home ===

impl Home {
    /// Makes an Application, in the control plane's namespace where it names none.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] (after a lost answer perhaps by this very call),
    /// or another.
    pub async fn create_application(&self, app: &Application) -> Result<Arc<Application>> {
        self.create(self.apps(), app).await
    }

    /// Changes an Application and keeps whatever these types do not know of it.
    /// `edit` may run several times: others are not overwritten, it is done again
    /// with what they wrote. With a version (`at`) only that one is changed.
    ///
    /// # Errors
    /// `edit`'s own; [`Error::NotFound`]; [`Error::Conflict`], with `at` at once,
    /// without it when others were faster ten times; or another.
    pub async fn update_application<E: From<Error>>(
        &self,
        key: &AppKey,
        at: Option<&str>,
        edit: impl FnMut(&mut Application) -> Result<(), E>,
    ) -> Result<Arc<Application>, E> {
        self.update(self.apps(), key, at, edit).await
    }

    /// Deletes an Application. It is gone from the store, or there with the time
    /// of its deletion, before this returns.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`] where it is not the one that was
    /// meant, or another.
    pub async fn delete_application(&self, key: &AppKey, deletion: &Deletion) -> Result<()> {
        let mut deletion = deletion.clone();
        if deletion.cascade != Cascade::AsIs || !deletion.by.is_empty() {
            let (uid, at) = (deletion.uid.clone(), deletion.resource_version.clone());
            let prepared = self
                .update_application(key, at.as_deref(), |app| {
                    let metadata = app.metadata_mut();
                    if uid.as_ref().is_some_and(|uid| *uid != metadata.uid) {
                        return Err(Error::Conflict(format!("{key} is another application of the same name")));
                    }
                    deletion.cascade.prepare(&mut metadata.finalizers);
                    if !deletion.by.is_empty() {
                        metadata.annotations.insert(names::ANNOTATION_DELETED_BY.to_owned(), deletion.by.clone());
                    }
                    Ok(())
                })
                .await?;
            let metadata = CustomResource::metadata(&*prepared);
            deletion.uid = Some(metadata.uid.clone());
            if deletion.resource_version.is_some() {
                deletion.resource_version = Some(metadata.resource_version.clone());
            }
        }
        self.delete(self.apps(), key, &deletion).await
    }

    /// Makes an AppProject.
    ///
    /// # Errors
    /// As [`Self::create_application`].
    pub async fn create_project(&self, project: &AppProject) -> Result<Arc<AppProject>> {
        self.create(self.projects(), project).await
    }

    /// Changes an AppProject.
    ///
    /// # Errors
    /// As [`Self::update_application`].
    pub async fn update_project<E: From<Error>>(
        &self,
        key: &AppKey,
        at: Option<&str>,
        edit: impl FnMut(&mut AppProject) -> Result<(), E>,
    ) -> Result<Arc<AppProject>, E> {
        self.update(self.projects(), key, at, edit).await
    }

    /// Deletes an AppProject.
    ///
    /// # Errors
    /// As [`Self::delete_application`].
    pub async fn delete_project(&self, key: &AppKey, deletion: &Deletion) -> Result<()> {
        self.delete(self.projects(), key, deletion).await
    }

    /// Makes an ApplicationSet.
    ///
    /// # Errors
    /// As [`Self::create_application`].
    pub async fn create_application_set(&self, set: &ApplicationSet) -> Result<Arc<ApplicationSet>> {
        self.create(self.application_sets(), set).await
    }

    /// Changes an ApplicationSet.
    ///
    /// # Errors
    /// As [`Self::update_application`].
    pub async fn update_application_set<E: From<Error>>(
        &self,
        key: &AppKey,
        at: Option<&str>,
        edit: impl FnMut(&mut ApplicationSet) -> Result<(), E>,
    ) -> Result<Arc<ApplicationSet>, E> {
        self.update(self.application_sets(), key, at, edit).await
    }

    /// Deletes an ApplicationSet.
    ///
    /// # Errors
    /// As [`Self::delete_application`].
    pub async fn delete_application_set(&self, key: &AppKey, deletion: &Deletion) -> Result<()> {
        self.delete(self.application_sets(), key, deletion).await
    }

    /// Whether Applications can be read at this moment.
    ///
    /// # Errors
    /// Why not.
    pub async fn ping(&self) -> Result<()> {
        let one = collection::<Application>(self.namespace()).query("limit", "1");
        self.ask(&Call::get(one)).await.map(drop)
    }

    /// A custom resource as the API has it now, with every field.
    ///
    /// # Errors
    /// [`Error::NotFound`] or another.
    pub async fn get_raw<T: CustomResource>(&self, key: &AppKey) -> Result<Value> {
        self.ask(&Call::get(path::<T>(key))).await
    }

    async fn create<T: CustomResource + Watched>(&self, store: &Store<T>, object: &T) -> Result<Arc<T>> {
        let mut object = object.clone();
        let metadata: &mut ObjectMeta = object.metadata_mut();
        metadata.resource_version = String::new();
        if metadata.namespace.is_empty() {
            self.namespace().clone_into(&mut metadata.namespace);
        }
        let collection = collection::<T>(&metadata.namespace);
        let body = object.to_object().map_err(|source| Error::Encode { what: T::KIND, source })?;
        let collection = collection.query("fieldManager", names::MANAGER_API);
        let answer = self.ask(&Call::create(collection, &body)).await?;
        self.keep(store, answer).await
    }

    async fn update<T: CustomResource + Watched, E: From<Error>>(
        &self,
        store: &Store<T>,
        key: &AppKey,
        at: Option<&str>,
        mut edit: impl FnMut(&mut T) -> Result<(), E>,
    ) -> Result<Arc<T>, E> {
        let place = Place { collection: collection::<T>(&key.namespace), name: key.name.to_string() };
        let change = |object: &mut Value| {
            let mut outcome = Ok(());
            resource::edit::<T>(object, |typed| outcome = edit(typed))
                .map_err(|source| Error::Decode { what: T::KIND, source })?;
            outcome
        };
        let answer = self.modify(&place, None, at, change).await?;
        Ok(self.keep(store, answer).await?)
    }

    async fn delete<T: CustomResource + Watched>(
        &self,
        store: &Store<T>,
        key: &AppKey,
        deletion: &Deletion,
    ) -> Result<()> {
        let known = store.get(key).map(|object| CustomResource::metadata(&*object).uid.clone());
        let answer = self.ask(&Call::delete(path::<T>(key), &deletion.options())).await?;
        if answer["kind"] == "Status" {
            if let Some(uid) = known {
                store.forget(key, &uid).await;
            }
            return Ok(());
        }
        // Finalizers hold it: it is there until they are done.
        if argosy_model::object::finalizers(&answer).next().is_some() {
            self.keep(store, answer).await?;
        } else {
            store.forget(key, argosy_model::object::uid(&answer)).await;
        }
        Ok(())
    }

    async fn keep<T: CustomResource + Watched>(&self, store: &Store<T>, answer: Value) -> Result<Arc<T>> {
        let key = AppKey::new(argosy_model::object::namespace(&answer), argosy_model::object::name(&answer));
        let mut object: T = serde_json::from_value(answer).map_err(|source| Error::Decode { what: T::KIND, source })?;
        object.slim();
        Ok(store.keep(&key, object).await)
    }
}

fn collection<T: CustomResource>(namespace: &str) -> Path {
    Path::new(ROOT).segment("namespaces").segment(namespace).segment(T::PLURAL)
}
