//! Who changed what, as Kubernetes events beside the object: every change
//! through the API leaves one.

use argosy_home::EventSubject;
use argosy_home::events::{Reason, Severity};
use argosy_proto::v1alpha1::{AppProject, Application};

use crate::caller::Caller;
use crate::shared::Shared;

/// What events call somebody without a name.
pub(crate) const NAMELESS: &str = "Unknown user";

// === impl Shared ===

impl Shared {
    /// Tells what the caller did to an application; `action` goes on after the
    /// name: `created application`.
    pub(crate) fn tell_application(&self, caller: &Caller, app: &Application, reason: Reason, action: &str) {
        let user = caller.username();
        let project = app.spec.as_ref().and_then(|spec| self.home.project(&spec.project));
        let message = sentence(user, action);
        let settings = self.home.settings();
        self.events.application(&settings, app, project.as_deref(), Severity::Normal, reason, &message, user);
    }

    /// The same of a project.
    pub(crate) fn tell_project(&self, caller: &Caller, project: &AppProject, reason: Reason, action: &str) {
        let user = caller.username();
        let subject = EventSubject::project(project, user);
        let settings = self.home.settings();
        self.events.write(&settings, subject, Default::default(), Severity::Normal, reason, &sentence(user, action));
    }
}

fn sentence(user: &str, action: &str) -> String {
    format!("{} {action}", if user.is_empty() { NAMELESS } else { user })
}
