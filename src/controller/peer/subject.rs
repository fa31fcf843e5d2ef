//! Whom a question is about: an application with its project, its destination
//! and what is known of it.

use std::sync::Arc;
use std::time::Duration;

use argosy_cluster::Applier;
use argosy_model::AppKey;
use argosy_proto::peer::ApplicationRef;
use argosy_proto::v1alpha1::Application;
use tonic::Status;

use super::refusal;
use crate::application::{Grounds, View, acting_applier, find_grounds, server_of};
use crate::cluster::Target;
use crate::context::Shared;
use crate::views::Seen;

/// Longest wait for a first comparison or a first connection, whatever the
/// caller's own deadline.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether another replica works on it by now is looked at so often while it is waited for.
const LOOKED_AGAIN: Duration = Duration::from_secs(1);

/// An application that exists in a namespace that is served.
pub(super) struct Subject {
    pub(super) key: AppKey,
    pub(super) app: Arc<Application>,
}

// === impl Subject ===

impl Subject {
    /// The application of this name.
    pub(super) async fn find(shared: &Shared, named: Option<&ApplicationRef>) -> Result<Self, Status> {
        let named = named.filter(|n| !n.name.is_empty());
        let named = named.ok_or_else(|| Status::invalid_argument("application name is missing"))?;
        let namespace = if named.namespace.is_empty() { &shared.options.namespace } else { &named.namespace };
        let key = AppKey::new(namespace, &named.name);
        let app = shared
            .home
            .find_application(&key)
            .await
            .map_err(|error| Status::unavailable(format!("application {key} cannot be read: {error}")))?;
        let app =
            app.ok_or_else(|| Status::not_found(format!("applications.argoproj.io {:?} not found", named.name)))?;
        Ok(Self { key, app })
    }

    /// The application of this name, where this replica works on it.
    ///
    /// # Errors
    /// Where else it is to be asked for ([`refusal::unless_at_work`]).
    pub(super) async fn find_owned(shared: &Shared, named: Option<&ApplicationRef>) -> Result<Self, Status> {
        let subject = Self::find(shared, named).await?;
        refusal::unless_at_work(shared, &subject.key, &server_of(shared, &subject.app))?;
        Ok(subject)
    }

    /// Its project and destination, permitted as they are now.
    pub(super) fn grounds(&self, shared: &Shared) -> Result<Grounds, Status> {
        find_grounds(shared, &self.key, &self.app).map_err(|findings| {
            let words: Vec<String> = findings.iter().map(|f| format!("{}: {}", f.kind.as_str(), f.message)).collect();
            Status::invalid_argument(words.join(";"))
        })
    }

    /// The cluster it goes to.
    pub(super) async fn target(&self, shared: &Shared, grounds: &Grounds) -> Result<Arc<Target>, Status> {
        let server = &grounds.cluster.server;
        let target = tokio::time::timeout(PATIENCE, shared.directory.target(&self.key, server)).await;
        let target = target.unwrap_or_else(|_| Err("it has not been read completely yet".to_owned()));
        target.map_err(|reason| Status::unavailable(format!("failed to get cluster {server:?}: {reason}")))
    }

    /// The way to change the cluster on the application's behalf.
    pub(super) fn applier(&self, shared: &Shared, grounds: &Grounds, target: &Target) -> Result<Applier, Status> {
        acting_applier(shared, &self.app, grounds, target).map_err(Status::permission_denied)
    }

    /// Its last comparison, waiting for the first one.
    pub(super) async fn view(&self, shared: &Shared) -> Result<Arc<View>, Status> {
        let views = shared.directory.views();
        if let Seen::View(view) = views.look(&self.key) {
            return Ok(view);
        }
        let waiting = async {
            let mut signs = views.watch(&self.key);
            loop {
                match views.look(&self.key) {
                    Seen::View(view) => return Ok(view),
                    Seen::Failed => return Err(self.trouble(shared)),
                    Seen::NotYet => {}
                }
                match tokio::time::timeout(LOOKED_AGAIN, signs.changed()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(self.left(shared)),
                    // It may have found another owner, and would be waited for here in vain.
                    Err(_) => self.unless_elsewhere(shared)?,
                }
            }
        };
        let late = || Status::unavailable(format!("application {} has not been compared yet", self.key));
        tokio::time::timeout(PATIENCE, waiting).await.map_err(|_| late())?
    }

    /// Why this replica knows nothing of it any more.
    pub(super) fn left(&self, shared: &Shared) -> Status {
        if shared.home.apps().get(&self.key).is_none() {
            return Status::not_found(format!("application {} is gone", self.key));
        }
        let moving = || Status::unavailable(format!("application {} is moving to another replica", self.key));
        self.unless_elsewhere(shared).err().unwrap_or_else(moving)
    }

    fn unless_elsewhere(&self, shared: &Shared) -> Result<(), Status> {
        refusal::unless_at_work(shared, &self.key, &server_of(shared, &self.app))
    }

    /// Why there is no comparison, as the application's conditions say.
    fn trouble(&self, shared: &Shared) -> Status {
        let app = shared.home.apps().get(&self.key).unwrap_or_else(|| self.app.clone());
        let conditions = app.status.iter().flat_map(|s| &s.conditions);
        let errors: Vec<String> = conditions
            .filter(|c| matches!(c.r#type.as_str(), "ComparisonError" | "InvalidSpecError"))
            .map(|c| format!("{}: {}", c.r#type, c.message))
            .collect();
        match errors.is_empty() {
            true => Status::unavailable(format!("application {} has not been compared yet", self.key)),
            false => Status::invalid_argument(errors.join(";")),
        }
    }
}
