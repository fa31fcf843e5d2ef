//! Client-side apply: kubectl's three-way merge.

use argosy_engine::merge;
use argosy_model::object;
use serde_json::{Value, json};

use super::{Done, Job, Known};
use crate::error::{Error, Result};

/// Attempts while somebody else keeps changing the object.
const ATTEMPTS: u32 = 5;

impl Job<'_> {
    pub(super) async fn client_side(&self) -> Result<Done> {
        let modified = merge::with_last_applied(self.task.target);
        // What is known may be old: a patch made from it is sent only for that version.
        let mut guarded = self.known().is_some();
        let mut current = match (&self.task.live, self.known()) {
            (_, Some(live)) => Some(Value::clone(live)),
            (Known::Absent, _) => None,
            _ => self.current().await?,
        };
        for attempt in 1.. {
            let result = match &current {
                None => self.create(&modified).await,
                Some(live) => match self.recreate_for_role(live, &modified).await? {
                    Some(done) => Ok(done),
                    None => self.merge(&modified, live, guarded).await,
                },
            };
            match result {
                // Created, changed or deleted by somebody meanwhile: look again.
                Err(error)
                    if attempt < ATTEMPTS
                        && (error.is_already_exists()
                            || error.is_conflict()
                            || super::is_absent(&error) && current.is_some()) =>
                {
                    current = self.current().await?;
                    guarded = false;
                }
                Err(error) if self.task.force && (error.is_invalid() || error.is_conflict()) => {
                    let Some(live) = &current else { return Err(error) };
                    return self.recreate(&modified, object::uid(live), "configured").await;
                }
                other => return other,
            }
        }
        unreachable!("the last attempt returns");
    }

    async fn merge(&self, modified: &Value, live: &Value, guarded: bool) -> Result<Done> {
        let schemas = self.applier.openapi.schemas([&self.gvk]).await?;
        let schema = schemas.get(&self.gvk);
        let last_applied = merge::last_applied(live);
        let patch = merge::three_way_patch(last_applied.as_ref(), modified, live, schema)
            .map_err(|e| Error::Patch(e.to_string()))?;
        if patch.is_empty() {
            return Ok(Done { verb: "unchanged", live: live.clone(), warnings: Vec::new() });
        }
        let mut body = patch.body;
        if guarded {
            body["metadata"]["resourceVersion"] = json!(object::resource_version(live));
        }
        self.patch(&body, patch.kind.content_type(), "configured").await
    }
}
