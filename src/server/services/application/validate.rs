//! Whether an application may be stored as it is wanted.
//!
//! In this order: what can be said from the object alone, permission in the new
//! project where it changes, the destination, what the project permits, and only
//! then, if asked, whether its repositories can be read and rendered: nobody makes
//! a replica connect to a repository that their project does not permit.

use std::sync::Arc;

use argosy_auth::application::{ClusterName, Condition, ConditionKind, validate_application};
use argosy_model::AppKey;
use argosy_proto::peer::{AppDetailsRequest, RepositoryRequest};
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{AppProject, Application, ApplicationSource, ApplicationSpec, Repository};
use tonic::{Code, Status};

use super::Service;
use super::answer::{RENDERED, SOON, text, told, within};
use super::spec::{contradictory_types, normalize, rendered, repeated_source_name, sources};
use crate::caller::Caller;
use crate::index::project;
use crate::permission::action;
use crate::redact;

/// Says where else an application is managed.
const MANAGED_BY_URL: &str = "argocd.argoproj.io/managed-by-url";

// === impl Service ===

impl Service {
    /// Checks what is wanted and brings it into the form in which it is stored.
    /// `current` is the application as it is, if there is one; `permitting` its
    /// project, or the one a new application names.
    ///
    /// # Errors
    /// What is wrong, as clients read it.
    pub(super) async fn check(
        &self,
        caller: &Caller,
        wanted: &mut Application,
        current: Option<&Application>,
        permitting: Arc<AppProject>,
        repositories_too: bool,
    ) -> Result<(), Status> {
        let name = wanted.metadata().name.clone();
        let spec = wanted.spec.clone().unwrap_or_default();
        check_alone(&name, &spec)?;
        let key = self.key_of(wanted);
        let permitting = match current {
            Some(current) if project(current) != project(wanted) => self.check_move(caller, &key, wanted, current)?,
            _ => permitting,
        };
        let invalid = |conditions: Vec<Condition>| {
            let conditions: Vec<String> = conditions.iter().map(|c| format!("{}: {}", c.kind, c.message)).collect();
            let message = format!("application spec for {name} is invalid: {}", conditions.join(";"));
            Status::invalid_argument(message)
        };
        let found = self.check_permitted(&name, &spec, &permitting)?;
        if !found.is_empty() {
            return Err(invalid(found));
        }
        if repositories_too {
            let found = self.check_sources(&key, &spec, &permitting).await?;
            if !found.is_empty() {
                return Err(invalid(found));
            }
        }
        if let Some(condition) = check_managed_by(wanted) {
            return Err(invalid(vec![condition]));
        }
        normalize(wanted.spec.get_or_insert_default());
        Ok(())
    }

    /// Another project than before takes the right to make applications there and
    /// to change them here.
    fn check_move(
        &self,
        caller: &Caller,
        key: &AppKey,
        wanted: &Application,
        current: &Application,
    ) -> Result<Arc<AppProject>, Status> {
        self.enforce(caller, action::CREATE, key, wanted)?;
        self.enforce(caller, action::UPDATE, key, wanted)?;
        self.enforce(caller, action::UPDATE, key, current)?;
        self.project_of(key, wanted)
    }

    fn check_permitted(
        &self,
        name: &str,
        spec: &ApplicationSpec,
        project: &AppProject,
    ) -> Result<Vec<Condition>, Status> {
        let destination = spec.destination.clone().unwrap_or_default();
        let cluster = self.shared.home.clusters().resolve(&destination.server, &destination.name).map_err(|error| {
            Status::invalid_argument(format!("application destination spec for {name} is invalid: {error}"))
        })?;
        let cluster = ClusterName { server: cluster.server.clone(), name: cluster.name.clone() };
        Ok(validate_application(spec, &self.shared.home.rules(project), Ok(&cluster)))
    }

    /// Whether every source can be reached and rendered.
    async fn check_sources(
        &self,
        key: &AppKey,
        spec: &ApplicationSpec,
        project: &AppProject,
    ) -> Result<Vec<Condition>, Status> {
        let project = &project.metadata().name;
        for source in sources(spec) {
            if let Some(condition) = self.check_reachable(&source, project).await? {
                return Ok(vec![condition]);
            }
            if let Some(problem) = contradictory_types(&source) {
                let message = format!("error validating the repo: error verifying source type: {problem}");
                return Err(Status::invalid_argument(message));
            }
        }
        let mut found = Vec::new();
        for source in rendered(spec) {
            // Files for other sources alone: nothing is rendered from it.
            if !(source.path.is_empty() && source.chart.is_empty() && !source.r#ref.is_empty()) {
                found.extend(self.check_renders(key, source, project).await?);
            }
        }
        Ok(found)
    }

    async fn check_reachable(&self, source: &ApplicationSource, project: &str) -> Result<Option<Condition>, Status> {
        let url = &source.repo_url;
        let known = redact::repository(&self.shared.home.repositories().resolve(url, project));
        let kind = if source.chart.is_empty() { known.r#type.clone() } else { "helm".to_owned() };
        let repository = Repository { repo: url.clone(), r#type: kind, ..Repository::default() };
        let request = RepositoryRequest {
            repository: Some(repository),
            project: project.to_owned(),
            as_given: false,
            force: false,
        };
        let mut owner = self.shared.peers.of_repository(url)?;
        let Err(status) = owner.test_repository(within(SOON, request)).await else { return Ok(None) };
        let status = told(status);
        if status.code() == Code::Unavailable {
            return Err(status);
        }
        let repository = format!(
            "&Repository{{Repo: {:?}, Type: {:?}, Name: {:?}, Project: {:?}}}",
            redact::address(url),
            known.r#type,
            known.name,
            known.project
        );
        let problem = text(&status);
        Ok(Some(invalid(format!("repository not accessible: repositories not accessible: {repository}: {problem}"))))
    }

    async fn check_renders(
        &self,
        key: &AppKey,
        source: ApplicationSource,
        project: &str,
    ) -> Result<Option<Condition>, Status> {
        let mut owner = self.shared.peers.of_repository(&source.repo_url)?;
        let path = source.path.clone();
        let request = AppDetailsRequest {
            source: Some(source),
            project: project.to_owned(),
            app_name: key.instance_name(self.shared.home.namespace()),
            no_cache: false,
        };
        let Err(status) = owner.app_details(within(RENDERED, request)).await else { return Ok(None) };
        let status = told(status);
        match status.code() {
            Code::Unavailable => Err(status),
            // Files may come to be there later.
            Code::NotFound if status.message().contains("matched no files") => Ok(None),
            _ => Ok(Some(invalid(format!("Unable to generate manifests in {path}: {}", text(&status))))),
        }
    }
}

fn invalid(message: String) -> Condition {
    Condition { kind: ConditionKind::InvalidSpecError, message }
}

fn check_alone(name: &str, spec: &ApplicationSpec) -> Result<(), Status> {
    if name.is_empty() {
        return Err(Status::invalid_argument("resource name may not be empty"));
    }
    if let Some(repeated) = repeated_source_name(spec) {
        let message = format!("application {name} has duplicate source name: {repeated}");
        return Err(Status::invalid_argument(message));
    }
    Ok(())
}

fn check_managed_by(app: &Application) -> Option<Condition> {
    let given = app.metadata().annotations.get(MANAGED_BY_URL).filter(|given| !given.is_empty())?;
    let problem = match url::Url::parse(given) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => return None,
        Ok(_) | Err(url::ParseError::RelativeUrlWithoutBase) => "URL must include http or https protocol".to_owned(),
        Err(error) => format!("failed to parse URL: {error}"),
    };
    Some(invalid(format!("invalid managed-by URL: {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_manages_an_application_is_said_by_a_web_address() {
        let with = |url: &str| {
            let mut app = Application::default();
            app.metadata_mut().annotations.insert(MANAGED_BY_URL.to_owned(), url.to_owned());
            check_managed_by(&app).map(|condition| condition.message)
        };
        assert_eq!(with("https://other.example.com"), None);
        assert_eq!(with(""), None);
        let refused = Some("invalid managed-by URL: URL must include http or https protocol".to_owned());
        assert_eq!(with("javascript:alert(1)"), refused);
        assert_eq!(with("other"), refused);
    }
}
