//! Finding an application for a caller, without telling more than the caller may
//! know.
//!
//! Who names no project hears `permission denied` whether there is no such
//! application or one that is not for them. Who names a project they may use hears
//! that there is none, in both cases.

use std::sync::Arc;

use argosy_model::AppKey;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{AppProject, Application};
use tonic::{Code, Status};

use super::Service;
use super::answer::not_found;
use crate::caller::Caller;
use crate::index::project;
use crate::permission::{permission_denied, resource};
use crate::status::from_home;

/// How a request names an application; what is empty is not said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) project: &'a str,
}

/// Where an application is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// As this replica knows it.
    Known,
    /// As the API server has it: never older than anything a client has seen.
    Latest,
}

/// An application that the caller may do something with.
pub(super) struct Found {
    pub(super) key: AppKey,
    pub(super) app: Arc<Application>,
    pub(super) project: Arc<AppProject>,
}

// === impl Named ===

impl<'a> Named<'a> {
    pub(super) fn new(name: &'a str, namespace: &'a Option<String>, project: &'a Option<String>) -> Self {
        Self {
            name,
            namespace: namespace.as_deref().unwrap_or_default(),
            project: project.as_deref().unwrap_or_default(),
        }
    }
}

// === impl Service ===

impl Service {
    /// The application, if the caller may do `action` with it.
    ///
    /// # Errors
    /// See the module's page; `InvalidArgument` where its project does not let it be.
    pub(super) async fn find(
        &self,
        caller: &Caller,
        action: &str,
        named: Named<'_>,
        read: Read,
    ) -> Result<Found, Status> {
        let key = self.shared.key(named.namespace, named.name);
        if !named.project.is_empty() {
            let object = self.shared.application_object(named.project, &key);
            if !self.shared.permits(caller, resource::APPLICATIONS, action, &object) {
                // Read all the same: the time an answer takes must tell nothing.
                let _ = self.read(&key, read).await;
                return Err(permission_denied());
            }
        }
        let app = self.read(&key, read).await.map_err(|status| match status.code() {
            // That the home cluster is away says nothing about what is in it.
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => status,
            Code::NotFound if !named.project.is_empty() => not_found(named.name),
            _ => permission_denied(),
        })?;
        if !self.permits(caller, action, &key, &app) {
            tracing::warn!(application = %key, user = caller.username(), action, "not permitted");
            return Err(if named.project.is_empty() { permission_denied() } else { not_found(named.name) });
        }
        if !named.project.is_empty() && project(&app) != named.project {
            return Err(not_found(named.name));
        }
        let project = self.project_of(&key, &app)?;
        Ok(Found { key, app, project })
    }

    /// Whether the caller may do this with the application as it is.
    pub(super) fn permits(&self, caller: &Caller, action: &str, key: &AppKey, app: &Application) -> bool {
        let object = self.shared.application_object(project(app), key);
        self.shared.permits(caller, resource::APPLICATIONS, action, &object)
    }

    /// The same as an answer that names the question.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub(super) fn enforce(&self, caller: &Caller, action: &str, key: &AppKey, app: &Application) -> Result<(), Status> {
        let object = self.shared.application_object(project(app), key);
        self.shared.enforce(caller, resource::APPLICATIONS, action, &object)
    }

    /// The project of an application, if it lets the application be where it is.
    ///
    /// # Errors
    /// `InvalidArgument`, the same whether there is no such project or it does not
    /// permit the namespace.
    pub(super) fn project_of(&self, key: &AppKey, app: &Application) -> Result<Arc<AppProject>, Status> {
        let home = &self.shared.home;
        let permitted = home
            .project(project(app))
            .filter(|project| home.rules(project).permits_source_namespace(&key.namespace).permitted);
        permitted.ok_or_else(|| {
            let name = app.spec.as_ref().map_or("", |spec| spec.project.as_str());
            let message = format!("app is not allowed in project {name:?}, or the project does not exist");
            Status::invalid_argument(message)
        })
    }

    /// The key of an application's object, which may say no namespace.
    pub(super) fn key_of(&self, app: &Application) -> AppKey {
        let metadata = app.metadata();
        self.shared.key(&metadata.namespace, &metadata.name)
    }

    /// Whether applications in the namespace are served.
    pub(super) fn serves(&self, namespace: &str) -> bool {
        namespace == self.shared.home.namespace() || self.shared.namespaces().admits(namespace)
    }

    pub(super) async fn read(&self, key: &AppKey, read: Read) -> Result<Arc<Application>, Status> {
        if !self.serves(&key.namespace) {
            return Err(permission_denied());
        }
        match read {
            Read::Known => self.shared.home.apps().get(key).ok_or_else(|| not_found(&key.name)),
            Read::Latest => self.shared.home.get_application(key).await.map_err(|error| from_home(&error)),
        }
    }
}
