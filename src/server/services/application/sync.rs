//! Syncs, rollbacks and their end.
//!
//! What may be synced is decided on one state of the application; the operation is
//! written only onto an application that still says the same. Who came first keeps
//! the application.

use std::sync::Arc;

use argosy_home::events::Reason;
use argosy_proto::application::{
    ApplicationRollbackRequest, ApplicationSyncRequest, OperationTerminateRequest, OperationTerminateResponse,
};
use argosy_proto::peer::{ResolveRequest, ResolvedRevision};
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{Application, Operation, OperationInitiator};
use tonic::{Code, Status};

use super::Service;
use super::answer::{RENDERED, told, within, wrap};
use super::found::{Found, Named, Read};
use super::operation::{Plan, Question, plan_rollback, plan_sync, revisions_to_resolve};
use super::present::shown;
use super::windows::permits_manual_sync;
use crate::caller::Caller;
use crate::peers::application_ref;
use crate::permission::action;
use crate::status::{Refusal, from_home};

/// How often a sync is decided anew while the application keeps changing.
const TRIES: usize = 5;

/// What becomes of a try to start an operation.
enum Start {
    Started(Arc<Application>),
    /// The application says something else than what was decided upon.
    Changed,
}

// === impl Service ===

impl Service {
    pub(super) async fn sync_application(
        &self,
        caller: &Caller,
        request: &ApplicationSyncRequest,
    ) -> Result<Application, Status> {
        let named = Named::new(&request.name, &request.app_namespace, &request.project);
        for _ in 0..TRIES {
            let found = self.find(caller, action::GET, named, Read::Latest).await?;
            let plan = self.plan_sync(caller, request, &found).await?;
            if let Some(app) = self.begin(caller, &found, plan).await? {
                return Ok(app);
            }
        }
        Err(too_many_changes())
    }

    async fn plan_sync(
        &self,
        caller: &Caller,
        request: &ApplicationSyncRequest,
        found: &Found,
    ) -> Result<Plan, Status> {
        let Found { key, app, project } = found;
        let rules = self.shared.home.rules(project);
        permits_manual_sync(app, rules.project(), (self.shared.clock)())?;
        self.enforce(caller, action::SYNC, key, app)?;
        let settings = self.shared.home.settings();
        let question = Question {
            app,
            project: rules.project(),
            request,
            replace_allowed: self.shared.options.sync_with_replace_allowed,
            by: OperationInitiator { username: caller.username().to_owned(), automated: false },
        };
        if question.is_local() {
            self.enforce(caller, action::OVERRIDE, key, app)?;
        }
        question.check()?;
        let wanted = revisions_to_resolve(app, request)?;
        if wanted.is_override && settings.general.require_override_privilege {
            self.enforce(caller, action::OVERRIDE, key, app)?;
        }
        question.check_revisions(&wanted)?;
        let resolved = if question.is_local() { Vec::new() } else { self.resolve(found, wanted.revisions).await? };
        Ok(plan_sync(&question, &resolved))
    }

    /// The commits that revisions mean now: nobody's memory of them counts.
    async fn resolve(&self, found: &Found, revisions: Vec<String>) -> Result<Vec<ResolvedRevision>, Status> {
        let mut owner = self.shared.peers.of_application(&found.key)?;
        let count = revisions.len();
        let request = ResolveRequest { application: Some(application_ref(&found.key)), revisions };
        let resolved = owner.resolve_revisions(within(RENDERED, request)).await.map_err(|status| {
            let status = told(status);
            match status.code() {
                Code::Unavailable => status,
                _ => Status::failed_precondition(wrap("error resolving repo revision", &status).message()),
            }
        })?;
        let items = resolved.into_inner().items;
        if items.len() == count {
            Ok(items)
        } else {
            Err(Status::aborted("the sources changed meanwhile; please try again"))
        }
    }

    pub(super) async fn rollback_application(
        &self,
        caller: &Caller,
        request: &ApplicationRollbackRequest,
    ) -> Result<Application, Status> {
        let named = Named::new(&request.name, &request.app_namespace, &request.project);
        for _ in 0..TRIES {
            let found = self.find(caller, action::SYNC, named, Read::Latest).await?;
            let by = OperationInitiator { username: caller.username().to_owned(), automated: false };
            let qualified = format!("{}/{}", found.key.namespace, found.key.name);
            let plan = plan_rollback(&found.app, &qualified, request, by)?;
            if let Some(app) = self.begin(caller, &found, plan).await? {
                return Ok(app);
            }
        }
        Err(too_many_changes())
    }

    /// Starts what was planned; `None` when the application has changed meanwhile.
    async fn begin(&self, caller: &Caller, found: &Found, plan: Plan) -> Result<Option<Application>, Status> {
        let started = self.start(found, &plan.operation).await.map_err(|s| wrap("error setting app operation", &s))?;
        let Start::Started(app) = started else { return Ok(None) };
        if let Some(announcement) = &plan.announcement {
            self.shared.tell_application(caller, &app, Reason::OperationStarted, announcement);
        }
        self.settled(&found.key, &app).await;
        Ok(Some(shown(&app)))
    }

    async fn start(&self, found: &Found, operation: &Operation) -> Result<Start, Status> {
        let mut changed = false;
        let written = self
            .shared
            .home
            .update_application(&found.key, None, |app| {
                changed = app.metadata().uid != found.app.metadata().uid || app.spec != found.app.spec;
                if changed {
                    return Err(Refusal::from(too_many_changes()));
                }
                if app.metadata().deletion_timestamp.is_some() {
                    return Err(Refusal::from(Status::failed_precondition("application is deleting")));
                }
                if app.operation.is_some() {
                    return Err(Refusal::from(Status::failed_precondition("another operation is already in progress")));
                }
                app.operation = Some(operation.clone());
                app.status.get_or_insert_default().operation_state = None;
                Ok(())
            })
            .await;
        match written {
            Ok(app) => Ok(Start::Started(app)),
            Err(_) if changed => Ok(Start::Changed),
            Err(refusal) => Err(Status::from(refusal)),
        }
    }

    pub(super) async fn terminate_operation_of(
        &self,
        caller: &Caller,
        request: &OperationTerminateRequest,
    ) -> Result<OperationTerminateResponse, Status> {
        let named = Named::new(&request.name, &request.app_namespace, &request.project);
        let found = self.find(caller, action::SYNC, named, Read::Latest).await?;
        let written = self
            .shared
            .home
            .update_application(&found.key, None, |app| {
                let state = app.status.as_mut().and_then(|status| status.operation_state.as_mut());
                let running = state.filter(|_| app.operation.is_some());
                let state = running.ok_or_else(|| {
                    let message = "Unable to terminate operation. No operation is in progress";
                    Refusal::from(Status::invalid_argument(message))
                })?;
                "Terminating".clone_into(&mut state.phase);
                Ok(())
            })
            .await;
        let app = written.map_err(|refusal| match refusal {
            Refusal::Home(argosy_home::Error::Conflict(_)) => {
                Status::internal("Failed to terminate app. Too many conflicts")
            }
            Refusal::Home(error) => {
                let status = from_home(&error);
                Status::new(status.code(), format!("error updating application: {}", status.message()))
            }
            refusal => Status::from(refusal),
        })?;
        self.shared.tell_application(caller, &app, Reason::ResourceUpdated, "terminated running operation");
        Ok(OperationTerminateResponse {})
    }
}

fn too_many_changes() -> Status {
    Status::aborted("the application keeps changing; please try again")
}
