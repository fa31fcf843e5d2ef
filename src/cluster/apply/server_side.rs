//! Server-side apply.

use argosy_model::{names, object};
use http::Method;
use serde_json::Value;

use super::{Done, Job, KUBECTL_MANAGER, Known, migrate};
use crate::call::{APPLY_PATCH, JSON_PATCH};
use crate::error::Result;

/// Attempts at the migration while somebody else keeps changing the object.
const ATTEMPTS: u32 = 5;

impl Job<'_> {
    pub(super) async fn server_side(&self, manager: &str, migrate_from: Option<&str>) -> Result<Done> {
        let mut body = self.task.target.clone();
        if let Some(metadata) = object::metadata(&mut body) {
            // The API server refuses these in an apply.
            metadata.remove("managedFields");
            metadata.remove("resourceVersion");
        }
        if self.has_role()
            && let Some(live) = self.current().await?
            && let Some(done) = self.recreate_for_role(&live, &body).await?
        {
            return Ok(done);
        }
        if let Some(from) = migrate_from
            && !self.task.dry_run
        {
            self.migrate(from, manager).await?;
        }
        let path = self.resource.object(&self.key.namespace, &self.key.name);
        let path = self.parameters(path, manager).query("force", "true");
        self.send(Method::PATCH, path, APPLY_PATCH, &body, "serverside-applied").await
    }

    /// Hands the fields of `from` over to `manager`, so that leaving one out of
    /// the manifest removes it.
    async fn migrate(&self, from: &str, manager: &str) -> Result<()> {
        match &self.task.live {
            Known::Absent => return Ok(()),
            // kubectl's manager never goes without its annotation.
            Known::Present(live)
                if from == KUBECTL_MANAGER && object::annotation(live, names::ANNOTATION_LAST_APPLIED).is_none() =>
            {
                return Ok(());
            }
            _ => {}
        }
        for attempt in 1.. {
            let Some(live) = self.current().await? else { return Ok(()) };
            let Some(patch) = migrate::plan_migration(&live, from, manager) else { return Ok(()) };
            let path = self.resource.object(&self.key.namespace, &self.key.name);
            let path = path.query("fieldManager", manager);
            match self.send(Method::PATCH, path, JSON_PATCH, &Value::Array(patch), "configured").await {
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => {}
                other => return other.map(|_| ()),
            }
        }
        unreachable!("the last attempt returns");
    }
}
