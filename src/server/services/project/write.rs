//! Creating, changing and deleting projects.

use argosy_auth::project_token;
use argosy_home::events::Reason;
use argosy_home::{Deletion, DestinationError, Error};
use argosy_model::{AppKey, names};
use argosy_proto::project::{EmptyResponse, ProjectCreateRequest, ProjectUpdateRequest};
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{AppProject, Application};
use tonic::Status;

use super::Service;
use super::check::{additions, loss, name, normalize_policies, same_kinds, validate};
use super::tokens::mirror_tokens;
use crate::caller::Caller;
use crate::difference;
use crate::permission::{action, resource};
use crate::status::from_home;

// === impl Service ===

impl Service {
    pub(super) async fn create_project(
        &self,
        caller: &Caller,
        request: ProjectCreateRequest,
    ) -> Result<AppProject, Status> {
        let mut project = payload(request.project)?;
        let name = name(&project)?;
        self.shared.enforce(caller, resource::PROJECTS, action::CREATE, &name)?;
        normalize_policies(&mut project);
        validate(&project).map_err(|e| Status::new(e.code(), format!("error validating project: {}", e.message())))?;
        self.shared.home.namespace().clone_into(&mut project.metadata_mut().namespace);
        let stored = match self.shared.home.create_project(&project).await {
            Ok(stored) => stored,
            Err(Error::AlreadyExists(_)) => {
                let existing = self.stored(&name).await?;
                if !request.upsert {
                    return same_or_refused(existing, &project);
                }
                self.shared.enforce(caller, resource::PROJECTS, action::UPDATE, &name)?;
                let key = self.key(&name);
                let replace = |stored: &mut AppProject| {
                    stored.spec.clone_from(&project.spec);
                    Ok::<_, Error>(())
                };
                self.shared.home.update_project(&key, None, replace).await.map_err(|e| from_home(&e))?
            }
            Err(error) => return Err(from_home(&error)),
        };
        self.shared.tell_project(caller, &stored, Reason::ResourceCreated, "created project");
        Ok((*stored).clone())
    }

    pub(super) async fn update_project(
        &self,
        caller: &Caller,
        request: ProjectUpdateRequest,
    ) -> Result<AppProject, Status> {
        let mut project = payload(request.project)?;
        let name = name(&project)?;
        self.shared.enforce(caller, resource::PROJECTS, action::UPDATE, &name)?;
        normalize_policies(&mut project);
        mirror_tokens(&mut project);
        validate(&project)?;
        self.shared.home.namespace().clone_into(&mut project.metadata_mut().namespace);
        let old = self.stored(&name).await?;
        self.may_hand_out(caller, &old, &project)?;
        self.refuse_loss(&old, &project)?;
        let version = project.metadata().resource_version.clone();
        let at = (!version.is_empty()).then_some(version.as_str());
        let replace = |stored: &mut AppProject| {
            let mut wanted = project.clone();
            project_token::keep_issued(&mut wanted, stored);
            let (from, to) = (wanted.metadata(), stored.metadata_mut());
            to.labels.clone_from(&from.labels);
            to.annotations.clone_from(&from.annotations);
            to.finalizers.clone_from(&from.finalizers);
            stored.spec = wanted.spec;
            stored.status = wanted.status;
            Ok::<_, Error>(())
        };
        let stored = self.shared.home.update_project(&self.key(&name), at, replace).await.map_err(|e| from_home(&e))?;
        self.shared.tell_project(caller, &stored, Reason::ResourceUpdated, "updated project");
        Ok((*stored).clone())
    }

    pub(super) async fn delete_project(&self, caller: &Caller, name: &str) -> Result<EmptyResponse, Status> {
        if name == names::DEFAULT_PROJECT {
            return Err(Status::invalid_argument(format!("name '{name}' is reserved and cannot be deleted")));
        }
        self.shared.enforce(caller, resource::PROJECTS, action::DELETE, name)?;
        let project = self.stored(name).await?;
        let users = self.applications_of(name).len();
        if users > 0 {
            return Err(Status::invalid_argument(format!("project is referenced by {users} applications")));
        }
        let deletion = Deletion { uid: Some(project.metadata().uid.clone()), ..Default::default() };
        self.shared.home.delete_project(&self.key(name), &deletion).await.map_err(|e| from_home(&e))?;
        self.shared.tell_project(caller, &project, Reason::ResourceDeleted, "deleted project");
        Ok(EmptyResponse {})
    }

    pub(super) fn key(&self, name: &str) -> AppKey {
        AppKey::new(self.shared.home.namespace(), name)
    }

    fn applications_of(&self, project: &str) -> Vec<std::sync::Arc<Application>> {
        let of = |app: &Application| app.spec.as_ref().map_or("", |spec| &spec.project).to_owned();
        let matches = |app: &Application| match &*of(app) {
            "" => project == names::DEFAULT_PROJECT,
            own => own == project,
        };
        self.shared.home.apps().list().into_iter().map(|(_, app)| app).filter(|app| matches(app)).collect()
    }

    /// Who gives a project further clusters, repositories or kinds must be
    /// allowed to change those.
    fn may_hand_out(&self, caller: &Caller, old: &AppProject, new: &AppProject) -> Result<(), Status> {
        let (old, new) = (old.spec.clone().unwrap_or_default(), new.spec.clone().unwrap_or_default());
        let (clusters, repositories) = additions(&old, &new);
        for cluster in &clusters {
            self.shared.enforce(caller, resource::CLUSTERS, action::UPDATE, cluster)?;
        }
        for url in &repositories {
            self.shared.enforce(caller, resource::REPOSITORIES, action::UPDATE, url)?;
        }
        if !same_kinds(&old, &new) {
            for destination in &new.destinations {
                self.shared.enforce(caller, resource::CLUSTERS, action::UPDATE, &destination.server)?;
            }
        }
        Ok(())
    }

    /// A project must not take from its applications what they use.
    fn refuse_loss(&self, old: &AppProject, new: &AppProject) -> Result<(), Status> {
        let home = &self.shared.home;
        let (before, after) = (home.rules(old), home.rules(new));
        let clusters = home.clusters();
        let (mut sources, mut destinations) = (0, 0);
        for app in self.applications_of(&old.metadata().name) {
            let Some(spec) = &app.spec else { continue };
            let all = spec.source.iter().chain(&spec.sources);
            let permitted = |rules: &argosy_auth::project::Rules, url: &str| rules.permits_source(url).permitted;
            if all.into_iter().any(|s| permitted(&before, &s.repo_url) && !permitted(&after, &s.repo_url)) {
                sources += 1;
            }
            let Some(destination) = &spec.destination else { continue };
            let cluster = match clusters.resolve(&destination.server, &destination.name) {
                Ok(cluster) => cluster,
                Err(DestinationError::Missing) => {
                    destinations += 1;
                    continue;
                }
                // It is in error already, for its own reasons.
                Err(_) => continue,
            };
            let reaches = |rules: &argosy_auth::project::Rules| {
                rules.permits_destination(&cluster.server, &cluster.name, &destination.namespace).permitted
            };
            if reaches(&before) && !reaches(&after) {
                destinations += 1;
            }
        }
        loss(sources, destinations).map_or(Ok(()), |message| Err(Status::invalid_argument(message)))
    }
}

fn payload(project: Option<AppProject>) -> Result<AppProject, Status> {
    project.ok_or_else(|| Status::invalid_argument("missing payload 'project' in request"))
}

/// Creating what is there already is fine as long as it is the same.
fn same_or_refused(existing: AppProject, wanted: &AppProject) -> Result<AppProject, Status> {
    match difference::refusal("project", &existing.spec, &wanted.spec)? {
        None => Ok(existing),
        Some(message) => Err(Status::invalid_argument(message)),
    }
}
