//! Deleting applications.

use argosy_home::events::Reason;
use argosy_home::{Cascade, Deletion};
use argosy_proto::application::{ApplicationDeleteRequest, ApplicationResponse};
use argosy_proto::resource::CustomResource as _;
use tonic::Status;

use super::Service;
use super::found::{Named, Read};
use crate::audit::NAMELESS;
use crate::caller::Caller;
use crate::permission::action;
use crate::status::from_home;

// === impl Service ===

impl Service {
    pub(super) async fn delete_application(
        &self,
        caller: &Caller,
        request: &ApplicationDeleteRequest,
    ) -> Result<ApplicationResponse, Status> {
        let named = Named::new(&request.name, &request.app_namespace, &request.project);
        let found = self.find(caller, action::GET, named, Read::Latest).await?;
        self.enforce(caller, action::DELETE, &found.key, &found.app)?;
        let policy = request.propagation_policy.as_deref().unwrap_or_default();
        let mut cascade = cascade(request.cascade, policy)?;
        let metadata = found.app.metadata();
        if metadata.deletion_timestamp.is_some() && cascade != Cascade::Orphan {
            // Nobody may add a finalizer to what is being deleted.
            cascade = Cascade::AsIs;
        }
        // What was made under this name since is not what was meant.
        let by = caller.username();
        let by = if by.is_empty() { NAMELESS } else { by }.to_owned();
        let deletion = Deletion { cascade, uid: Some(metadata.uid.clone()), resource_version: None, by };
        self.shared.home.delete_application(&found.key, &deletion).await.map_err(|error| {
            let status = from_home(&error);
            Status::new(status.code(), format!("error deleting application: {}", status.message()))
        })?;
        self.shared.tell_application(caller, &found.app, Reason::ResourceDeleted, "deleted application");
        self.gone(&found.key).await;
        Ok(ApplicationResponse {})
    }
}

/// What becomes of the application's resources.
fn cascade(asked: Option<bool>, policy: &str) -> Result<Cascade, Status> {
    if asked == Some(false) {
        return if policy.is_empty() {
            Ok(Cascade::Orphan)
        } else {
            Err(Status::invalid_argument("cannot set propagation policy when cascading is disabled"))
        };
    }
    match policy.to_lowercase().as_str() {
        "" => Ok(Cascade::Delete),
        "foreground" => Ok(Cascade::Foreground),
        "background" => Ok(Cascade::Background),
        _ => Err(Status::invalid_argument(format!("invalid propagation policy: {policy}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_cascades_unless_it_is_told_not_to() {
        let chosen = |asked, policy| cascade(asked, policy).map_err(|status| status.message().to_owned());
        assert_eq!(chosen(None, ""), Ok(Cascade::Delete));
        assert_eq!(chosen(Some(true), "Foreground"), Ok(Cascade::Foreground));
        assert_eq!(chosen(None, "background"), Ok(Cascade::Background));
        assert_eq!(chosen(Some(false), ""), Ok(Cascade::Orphan));
        assert_eq!(chosen(None, "orphan"), Err("invalid propagation policy: orphan".to_owned()));
        assert_eq!(
            chosen(Some(false), "foreground"),
            Err("cannot set propagation policy when cascading is disabled".to_owned())
        );
    }
}
