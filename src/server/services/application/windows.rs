//! Sync windows as the API shows and enforces them.

use argosy_engine::windows::{Subject, Window, Windows};
use argosy_proto::application::{ApplicationSyncWindow, ApplicationSyncWindowsQuery, ApplicationSyncWindowsResponse};
use argosy_proto::v1alpha1::{AppProject, Application};
use jiff::Timestamp;
use tonic::Status;

use super::Service;
use super::found::{Named, Read};
use crate::caller::Caller;
use crate::permission::action;

// === impl Service ===

impl Service {
    pub(super) async fn windows_of(
        &self,
        caller: &Caller,
        query: &ApplicationSyncWindowsQuery,
    ) -> Result<ApplicationSyncWindowsResponse, Status> {
        let named = Named::new(&query.name, &query.app_namespace, &query.project);
        let found = self.find(caller, action::GET, named, Read::Latest).await?;
        let rules = self.shared.home.rules(&found.project);
        let windows = windows(&found.app, rules.project());
        if let Some(problem) = windows.iter().find_map(Window::error) {
            return Err(Status::failed_precondition(format!("invalid sync windows: {problem}")));
        }
        let now = (self.shared.clock)();
        Ok(ApplicationSyncWindowsResponse {
            active_windows: windows.open(now).map(answer).collect(),
            assigned_windows: windows.iter().map(answer).collect(),
            can_sync: windows.can_sync(true, now, None).allowed,
        })
    }
}

/// Whether a person may sync the application now. `project` is its project with
/// what that inherits.
///
/// # Errors
/// `PermissionDenied`.
pub(super) fn permits_manual_sync(app: &Application, project: &AppProject, now: Timestamp) -> Result<(), Status> {
    let windows = windows(app, project);
    if let Some(problem) = windows.iter().find_map(Window::error) {
        return Err(Status::permission_denied(format!("cannot sync: invalid sync window: {problem}")));
    }
    if windows.can_sync(true, now, None).allowed {
        return Ok(());
    }
    Err(Status::permission_denied("cannot sync: blocked by sync window"))
}

/// The windows that apply to the application.
fn windows(app: &Application, project: &AppProject) -> Windows {
    let all = project.spec.as_ref().map(|spec| spec.sync_windows.as_slice()).unwrap_or_default();
    Windows::compile(all).matching(&Subject::of(app))
}

fn answer(window: &Window) -> ApplicationSyncWindow {
    let spec = window.spec();
    ApplicationSyncWindow {
        kind: spec.kind.clone(),
        schedule: spec.schedule.clone(),
        duration: spec.duration.clone(),
        manual_sync: spec.manual_sync,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_person_syncs_unless_a_window_forbids_even_that() {
        let app: Application = serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": {}})).expect("JSON");
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().expect("a time");
        let verdict = |window: serde_json::Value| {
            let project = json!({"spec": {"syncWindows": [window]}});
            let project: AppProject = serde_json::from_value(project).expect("a project");
            permits_manual_sync(&app, &project, now).map_err(|status| status.message().to_owned())
        };
        let deny = |manual: bool, applications: &str| {
            json!({"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": [applications],
                "manualSync": manual})
        };
        assert_eq!(verdict(deny(false, "a")), Err("cannot sync: blocked by sync window".to_owned()));
        assert_eq!(verdict(deny(true, "a")), Ok(()));
        assert_eq!(verdict(deny(false, "other")), Ok(()));
        let broken = json!({"kind": "deny", "schedule": "x", "duration": "1h", "applications": ["*"]});
        assert!(verdict(broken).is_err_and(|message| message.starts_with("cannot sync: invalid sync window: ")));
    }
}
