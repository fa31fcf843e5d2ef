//! Finding an ApplicationSet for a caller, without telling more than the caller
//! may know.

use std::time::Duration;

use argosy_home::{Error, Store};
use argosy_model::{AppKey, names};
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::ApplicationSet;
use serde_json::Value;
use tokio::time::timeout;
use tonic::Status;

use super::{Service, project};
use crate::caller::Caller;
use crate::permission::{action, permission_denied, resource};
use crate::status::from_home;

/// How long a list waits for what this replica does not know yet.
const PATIENCE: Duration = Duration::from_secs(10);

// === impl Service ===

impl Service {
    /// The ApplicationSet as the API server has it, if the caller may do `action`
    /// with it.
    ///
    /// # Errors
    /// See the module's page.
    pub(super) async fn find(
        &self,
        caller: &Caller,
        action: &str,
        namespace: &str,
        name: &str,
    ) -> Result<(AppKey, ApplicationSet), Status> {
        let key = self.shared.key(namespace, name);
        self.must_serve(&key)?;
        let raw = match self.shared.home.get_raw::<ApplicationSet>(&key).await {
            Ok(raw) => Some(raw),
            Err(Error::NotFound(_)) => None,
            Err(error) => return Err(from_home(&error)),
        };
        let permitted = raw.filter(|raw| {
            let object = self.shared.application_object(raw_project(raw), &key);
            self.shared.permits(caller, resource::APPLICATION_SETS, action, &object)
        });
        let raw = permitted.ok_or_else(|| self.hidden(caller, action, &key))?;
        let set = serde_json::from_value(raw).map_err(|error| {
            tracing::warn!(set = %key, %error, "the ApplicationSet is malformed");
            Status::failed_precondition(format!("the ApplicationSet {name} is malformed"))
        })?;
        Ok((key, set))
    }

    /// What is said when there is none, or none for this caller.
    fn hidden(&self, caller: &Caller, action: &str, key: &AppKey) -> Status {
        let could = self.shared.home.projects().list().into_iter().any(|(project, _)| {
            let object = self.shared.application_object(&project.name, key);
            let may = |action| self.shared.permits(caller, resource::APPLICATION_SETS, action, &object);
            may(action) || may(action::GET) || may(action::CREATE)
        });
        let name = &key.name;
        match action {
            _ if !could => permission_denied(),
            action::GET => Status::not_found(format!(
                "error getting ApplicationSet: applicationset.argoproj.io \"{name}\" not found"
            )),
            _ => Status::not_found(format!(
                "error getting ApplicationSets: applicationsets.argoproj.io \"{name}\" not found"
            )),
        }
    }

    /// Whether the caller may do this with the ApplicationSet as it is.
    pub(super) fn permits(&self, caller: &Caller, action: &str, set: &ApplicationSet) -> bool {
        self.shared.permits(caller, resource::APPLICATION_SETS, action, &self.object(set))
    }

    /// The same as an answer that names the question.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub(super) fn enforce(&self, caller: &Caller, action: &str, set: &ApplicationSet) -> Result<(), Status> {
        self.shared.enforce(caller, resource::APPLICATION_SETS, action, &self.object(set))
    }

    /// The name of an ApplicationSet in the policy language.
    fn object(&self, set: &ApplicationSet) -> String {
        let metadata = set.metadata();
        self.shared.application_object(project(set), &self.shared.key(&metadata.namespace, &metadata.name))
    }

    /// # Errors
    /// `PermissionDenied` for a namespace that is not served.
    pub(super) fn must_serve(&self, key: &AppKey) -> Result<(), Status> {
        if self.shared.namespaces().admits(&key.namespace) {
            return Ok(());
        }
        Err(Status::permission_denied(format!("namespace '{}' is not permitted", key.namespace)))
    }

    /// All ApplicationSets, as soon as this replica knows them.
    ///
    /// # Errors
    /// `Unavailable` when that takes too long.
    pub(super) async fn known(&self) -> Result<&Store<ApplicationSet>, Status> {
        let store = self.shared.home.application_sets();
        let late = |_| Status::unavailable("the ApplicationSets are not known yet, try again");
        timeout(PATIENCE, store.synced()).await.map_err(late)?;
        Ok(store)
    }
}

/// The project of an ApplicationSet that may be malformed otherwise.
fn raw_project(raw: &Value) -> &str {
    let project = raw.pointer("/spec/template/spec/project").and_then(Value::as_str).unwrap_or_default();
    if project.is_empty() { names::DEFAULT_PROJECT } else { project }
}
