//! Making, changing and deleting ApplicationSets.

use std::sync::Arc;

use argosy_home::events::{Reason, Severity};
use argosy_home::{Deletion, Error, EventSubject};
use argosy_model::{AppKey, names};
use argosy_proto::applicationset::{
    ApplicationSetCreateRequest, ApplicationSetDeleteRequest, ApplicationSetGenerateRequest,
    ApplicationSetGenerateResponse, ApplicationSetResponse,
};
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{AppProject, ApplicationSet};
use tonic::Status;

use super::present::{restore, shown};
use super::{Service, check, project};
use crate::caller::Caller;
use crate::permission::action;
use crate::status::{Refusal, from_home};

const NO_PAYLOAD: &str = "error creating ApplicationSets: ApplicationSets is nil in request";
/// What is said to who wants to see what an ApplicationSet would make.
const NOT_GENERATED: &str = "this server does not generate the Applications of an ApplicationSet on request";

// === impl Service ===

impl Service {
    pub(super) async fn create_set(
        &self,
        caller: &Caller,
        request: ApplicationSetCreateRequest,
    ) -> Result<ApplicationSet, Status> {
        let mut set = request.applicationset.ok_or_else(|| Status::invalid_argument(NO_PAYLOAD))?;
        let key = self.may_create(caller, &set).await?;
        if request.dry_run {
            return Err(Status::unimplemented(NOT_GENERATED));
        }
        (*key.namespace).clone_into(&mut set.metadata_mut().namespace);
        match self.shared.home.create_application_set(&set).await {
            Ok(created) => {
                self.tell(caller, &created, Reason::ResourceCreated, "created ApplicationSet");
                Ok(shown(&created))
            }
            Err(Error::AlreadyExists(_)) => self.meet(caller, &key, set, request.upsert).await,
            Err(error) => Err(failed("creating ApplicationSet", &error)),
        }
    }

    /// Answers who asks what an ApplicationSet would make, as far as that can be
    /// answered: whether they may make it.
    pub(super) async fn generated(
        &self,
        caller: &Caller,
        request: ApplicationSetGenerateRequest,
    ) -> Result<ApplicationSetGenerateResponse, Status> {
        let set = request.application_set.ok_or_else(|| Status::invalid_argument(NO_PAYLOAD))?;
        self.may_create(caller, &set).await?;
        Err(Status::unimplemented(NOT_GENERATED))
    }

    pub(super) async fn delete_set(
        &self,
        caller: &Caller,
        request: &ApplicationSetDeleteRequest,
    ) -> Result<ApplicationSetResponse, Status> {
        let (key, set) = self.find(caller, action::DELETE, &request.appset_namespace, &request.name).await?;
        let deletion = Deletion { uid: Some(set.metadata().uid.clone()), ..Deletion::default() };
        let deleted = self.shared.home.delete_application_set(&key, &deletion).await;
        deleted.map_err(|error| failed("deleting ApplicationSets", &error))?;
        self.tell(caller, &set, Reason::ResourceDeleted, "deleted ApplicationSets");
        Ok(ApplicationSetResponse::default())
    }

    /// Whether the caller may make this one, where it is to be.
    async fn may_create(&self, caller: &Caller, set: &ApplicationSet) -> Result<AppKey, Status> {
        check::validate(set)?;
        let metadata = set.metadata();
        let key = self.shared.key(&metadata.namespace, &metadata.name);
        self.must_serve(&key)?;
        let within = |status: Status| {
            let message = status.message();
            let name = &metadata.name;
            Status::new(
                status.code(),
                format!("error checking create permissions for ApplicationSets {name} : {message}"),
            )
        };
        self.enforce(caller, action::CREATE, set).map_err(within)?;
        self.has_project(project(set)).await.map_err(within)?;
        Ok(key)
    }

    /// Whether there is such a project; one that this replica has not heard of yet
    /// counts.
    async fn has_project(&self, name: &str) -> Result<(), Status> {
        let home = &self.shared.home;
        if home.project(name).is_some() {
            return Ok(());
        }
        match home.get_raw::<AppProject>(&AppKey::new(home.namespace(), name)).await {
            Ok(_) => Ok(()),
            Err(Error::NotFound(_)) => {
                let message = format!("ApplicationSet references project {name} which does not exist");
                Err(Status::invalid_argument(message))
            }
            Err(error) => Err(failed(&format!("getting ApplicationSet's project {name:?}"), &error)),
        }
    }

    /// One exists: fine when it is the same, or may be changed.
    async fn meet(
        &self,
        caller: &Caller,
        key: &AppKey,
        mut wanted: ApplicationSet,
        upsert: bool,
    ) -> Result<ApplicationSet, Status> {
        let unable =
            |message: &str| Status::internal(format!("unable to check existing ApplicationSet details: {message}"));
        let raw = self.shared.home.get_raw::<ApplicationSet>(key).await.map_err(|e| unable(&e.to_string()))?;
        let existing: ApplicationSet = serde_json::from_value(raw).map_err(|_| unable("it is malformed"))?;
        // Only to somebody who sees the stored one may its secrets be put back.
        let sees = self.permits(caller, action::GET, &existing);
        if sees {
            restore(&mut wanted, &existing);
        }
        if same(&existing, &wanted) {
            return Ok(shown(&existing));
        }
        if !upsert {
            let message = "existing ApplicationSet spec is different, use upsert flag to force update";
            return Err(Status::invalid_argument(message));
        }
        self.enforce(caller, action::UPDATE, &wanted)?;
        let replace = |stored: &mut ApplicationSet| {
            if project(stored) != project(&wanted) {
                // Who moves one must be allowed to on both sides.
                self.enforce(caller, action::CREATE, &wanted)?;
                self.enforce(caller, action::UPDATE, stored)?;
            }
            let (from, to) = (wanted.metadata(), stored.metadata_mut());
            to.labels.extend(from.labels.clone());
            to.annotations.extend(from.annotations.clone());
            to.finalizers.clone_from(&from.finalizers);
            stored.spec.clone_from(&wanted.spec);
            Ok::<_, Refusal>(())
        };
        let updated = self.shared.home.update_application_set(key, None, replace).await;
        let updated: Arc<ApplicationSet> = updated.map_err(|refusal| match refusal {
            Refusal::Home(error) => failed("updating ApplicationSets", &error),
            Refusal::Status(status) => *status,
        })?;
        self.tell(caller, &updated, Reason::ResourceUpdated, "updated ApplicationSets spec");
        Ok(shown(&updated))
    }

    /// Tells what the caller did, as an event beside the ApplicationSet.
    fn tell(&self, caller: &Caller, set: &ApplicationSet, reason: Reason, action: &str) {
        let user = caller.username();
        let metadata = set.metadata();
        let subject = EventSubject {
            api_version: names::API_VERSION.to_owned(),
            kind: ApplicationSet::KIND.to_owned(),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            event_namespace: metadata.namespace.clone(),
            facts: (!user.is_empty()).then(|| ("user".to_owned(), user.to_owned())).into_iter().collect(),
        };
        let message = format!("{} {action}", if user.is_empty() { "Unknown user" } else { user });
        let settings = self.shared.home.settings();
        self.shared.events.write(&settings, subject, Default::default(), Severity::Normal, reason, &message);
    }
}

/// Whether nothing that can be asked for differs.
fn same(existing: &ApplicationSet, wanted: &ApplicationSet) -> bool {
    let (a, b) = (existing.metadata(), wanted.metadata());
    existing.spec == wanted.spec
        && a.labels == b.labels
        && a.annotations == b.annotations
        && a.finalizers == b.finalizers
}

fn failed(what: &str, error: &Error) -> Status {
    let status = from_home(error);
    Status::new(status.code(), format!("error {what}: {}", status.message()))
}
