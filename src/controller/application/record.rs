//! The application as it was read and as it shall be, and writing the
//! difference.

use std::sync::Arc;

use argosy_home::status_patch;
use argosy_model::AppKey;
use argosy_proto::v1alpha1::Application;
use serde_json::json;

use super::narrate;
use crate::context::Shared;

/// Changes gathered during a pass. Nothing is written before
/// [`Draft::persist`], and then in one patch.
pub(super) struct Draft {
    shared: Arc<Shared>,
    pub(super) key: AppKey,
    base: Arc<Application>,
    /// The application with the changes.
    pub(super) app: Application,
}

// === impl Draft ===

impl Draft {
    pub(super) fn new(shared: Arc<Shared>, key: AppKey, base: Arc<Application>) -> Self {
        Self { shared, key, app: Application::clone(&base), base }
    }

    /// The application as last read or written.
    pub(super) fn base(&self) -> &Application {
        &self.base
    }

    /// Writes what is new, if anything is, and tells about transitions. A patch
    /// that starts an operation is bound to the version that was read: somebody's
    /// own request must not be overwritten. So is one with finalizers, which are
    /// written as a whole.
    pub(super) async fn persist(&mut self) -> Result<(), argosy_home::Error> {
        let Some(mut patch) = status_patch(&self.base, &self.app) else { return Ok(()) };
        let starts = self.base.operation.is_none() && self.app.operation.is_some();
        let bound = starts || patch.pointer("/metadata/finalizers").is_some();
        let version = self.base.metadata.as_ref().map(|m| m.resource_version.as_str()).filter(|_| bound);
        let written = match self.shared.home.patch_application(&self.key, patch.clone(), version).await {
            Err(argosy_home::Error::TooLarge(reason)) => {
                tracing::warn!(application = %self.key, reason, "the status is too large to be stored");
                patch = self.too_large(&reason);
                self.shared.home.patch_application(&self.key, patch, None).await?
            }
            answer => answer?,
        };
        narrate::transitions(&self.shared, &self.base, &self.app);
        // What the API server returned is the truth: it knows of changes made meanwhile.
        self.app = Application::clone(&written);
        self.base = written;
        Ok(())
    }

    /// The old status with a condition that says why it is old.
    fn too_large(&self, reason: &str) -> serde_json::Value {
        use argosy_engine::condition::{Finding, Kind, merge_conditions};
        let conditions = self.base.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
        let finding = Finding::new(
            Kind::UnknownError,
            format!(
                "The application's status is too large to be stored: {reason}. Split the application into smaller ones."
            ),
        );
        let conditions = merge_conditions(&conditions, &[Kind::UnknownError], &[finding], (self.shared.clock)());
        json!({"status": {"conditions": conditions}})
    }
}
