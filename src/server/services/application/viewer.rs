//! Permission for many applications at once: the policy, the caller's roles and
//! what each project adds to them are found out once.

use std::collections::HashMap;
use std::sync::Arc;

use argosy_auth::rbac::{Permissions, Policy, ProjectPermissions, ProjectPolicy, Subject};
use argosy_home::NamespacePatterns;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::Application;

use super::Service;
use crate::caller::Caller;
use crate::index::project;
use crate::permission::{action, resource, subject};

/// What decides about a caller at this moment.
pub(super) struct Grounds<'a> {
    service: &'a Service,
    namespaces: NamespacePatterns,
    policy: Arc<Policy>,
    /// Nobody where there is no identity.
    subject: Option<Subject>,
    projects: HashMap<String, Arc<ProjectPolicy>>,
    sees_everything: bool,
}

// === impl Grounds ===

impl<'a> Grounds<'a> {
    pub(super) fn new(service: &'a Service, caller: &Caller) -> Self {
        let policy = service.shared.authority.policy();
        let subject = caller.identity().map(|identity| subject(identity, policy.scopes()));
        let names = service.shared.home.projects().list().into_iter().map(|(key, _)| key.name.to_string());
        let projects = names.filter_map(|name| Some((name.clone(), service.shared.project_policy(&name)?)));
        Self {
            namespaces: service.shared.namespaces(),
            projects: projects.collect(),
            sees_everything: caller.is_everybody(),
            policy,
            subject,
            service,
        }
    }

    /// What the caller may do outside of projects' own policies.
    pub(super) fn permissions(&self) -> Option<Permissions<'_>> {
        self.subject.as_ref().map(|subject| self.policy.for_subject(subject))
    }

    /// Whether the caller may see an application. `permissions` are those of
    /// [`Self::permissions`].
    pub(super) fn viewer<'b>(
        &'b self,
        permissions: Option<&'b Permissions<'b>>,
    ) -> impl FnMut(&Application) -> bool + 'b {
        let mut inside: HashMap<&'b str, ProjectPermissions<'b>> = HashMap::new();
        move |app| {
            if !self.namespaces.admits(&app.metadata().namespace) {
                return false;
            }
            if self.sees_everything {
                return true;
            }
            let Some(permissions) = permissions else { return false };
            let name = project(app);
            let object = self.service.shared.application_object(name, &self.service.key_of(app));
            match self.projects.get_key_value(name) {
                Some((name, project)) => inside.entry(name).or_insert_with(|| permissions.within(project)).permits(
                    resource::APPLICATIONS,
                    action::GET,
                    &object,
                ),
                None => permissions.permits(resource::APPLICATIONS, action::GET, &object),
            }
        }
    }
}
