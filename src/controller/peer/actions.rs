//! Actions of live objects: which there are, and running one.
//!
//! A script says what shall change and changes nothing. Before anything is
//! written, everything it asks for is held against the project, and what shall
//! be created is tried out by the API server.

use std::sync::Arc;

use argosy_cluster::{ApplyTask, Known, Mode, PatchFormat};
use argosy_model::{Gvk, ResourceKey};
use argosy_proto::application::ResourceActionsListResponse;
use argosy_proto::peer::{Done, ResourceRef, RunActionRequest};
use argosy_proto::resource::merge_patch;
use argosy_script::{CustomActions, Impacted, Operation, ScriptError, Scripts};
use serde_json::{Value, json};
use tonic::Status;

use super::refusal;
use super::resource::Found;
use crate::context::Shared;

/// Parameters of one run.
const MOST_PARAMETERS: usize = 1000;

/// The actions an object has.
pub(super) async fn list(
    shared: &Arc<Shared>,
    scripts: &Arc<Scripts>,
    named: &ResourceRef,
) -> Result<ResourceActionsListResponse, Status> {
    let found = Found::find(shared, Some(named)).await?;
    let object = found.read().await?;
    let custom = custom(shared, &found.key)?;
    let (scripts, now) = (scripts.clone(), (shared.clock)());
    let work = tokio::task::spawn_blocking(move || scripts.discover(custom.as_ref(), &object, now));
    let actions = work.await.map_err(|error| Status::internal(format!("the script failed: {error}")))?;
    let actions = actions.map_err(|error| refused("error executing Lua discovery script", &error))?;
    Ok(ResourceActionsListResponse { actions })
}

/// Runs an action.
pub(super) async fn run(
    shared: &Arc<Shared>,
    scripts: &Arc<Scripts>,
    request: RunActionRequest,
) -> Result<Done, Status> {
    if request.parameters.len() > MOST_PARAMETERS {
        return Err(Status::invalid_argument(format!("more than {MOST_PARAMETERS} parameters")));
    }
    let found = Found::find(shared, request.resource.as_ref()).await?;
    let live = found.read().await?;
    let custom = custom(shared, &found.key)?;
    let parameters: Vec<(String, String)> = request.parameters.into_iter().map(|p| (p.name, p.value)).collect();
    let (scripts, now, object, action) = (scripts.clone(), (shared.clock)(), live.clone(), request.action);
    let work = tokio::task::spawn_blocking(move || scripts.run(custom.as_ref(), &action, &object, &parameters, now));
    let impacted = work.await.map_err(|error| Status::internal(format!("the script failed: {error}")))?;
    let impacted = impacted.map_err(|error| refused("error executing Lua resource action", &error))?;
    for change in &impacted {
        permit(&found, change)?;
    }
    let run = async {
        for change in impacted.iter().filter(|c| c.operation == Operation::Create) {
            create(&found, &change.object, true).await?;
        }
        for change in &impacted {
            match change.operation {
                Operation::Create => create(&found, &change.object, false).await?,
                Operation::Patch => patch(&found, &live, &change.object).await?,
            }
        }
        Ok(Done {})
    };
    found.change(run).await
}

/// What the user defined for a kind.
fn custom(shared: &Shared, key: &ResourceKey) -> Result<Option<CustomActions>, Status> {
    let name = if key.group.is_empty() { key.kind.to_string() } else { format!("{}/{}", key.group, key.kind) };
    let settings = shared.home.settings();
    let text = settings.overrides.get(&name).map_or("", |o| o.actions.as_str());
    CustomActions::parse(text).map_err(|error| refused("error getting Lua resource action", &error))
}

fn refused(doing: &str, error: &ScriptError) -> Status {
    match error {
        ScriptError::NoSuchAction => Status::not_found(format!("{doing}: {error}")),
        ScriptError::Sandbox(_) => Status::unavailable(format!("{doing}: {error}")),
        _ => Status::invalid_argument(format!("{doing}: {error}")),
    }
}

/// Whether the project lets the application have what an action makes.
fn permit(found: &Found, change: &Impacted) -> Result<(), Status> {
    let key = ResourceKey::of(&change.object);
    if change.operation == Operation::Patch && key != found.key {
        return Err(Status::invalid_argument(format!(
            "the action asks to patch {key}, and it may patch {} only",
            found.key
        )));
    }
    if found.tree.permits(&key) {
        return Ok(());
    }
    let ResourceKey { group, kind, namespace, name } = &key;
    Err(Status::permission_denied(format!(
        "application is not permitted to manage {group}/{kind}/{name} in {namespace}"
    )))
}

async fn create(found: &Found, object: &Value, dry_run: bool) -> Result<(), Status> {
    let task = ApplyTask { mode: Mode::Replace, live: Known::Absent, dry_run, ..ApplyTask::new(object) };
    let created = found.applier.apply(&task).await;
    // Errors of an apply are free of Secret values.
    created.map(|_| ()).map_err(|error| refusal::of_cluster("error creating resource", &error, None))
}

/// Brings the live object to look like another. A kind with a status apart gets
/// two patches.
async fn patch(found: &Found, live: &Value, wanted: &Value) -> Result<(), Status> {
    let Some(mut patch) = merge_patch(live, wanted) else { return Ok(()) };
    let gvk = Gvk::of(wanted);
    let failed = |error: argosy_cluster::Error| {
        refusal::of_cluster("error patching resource", &error, found.secret().as_deref())
    };
    let status = patch.as_object_mut().and_then(|fields| fields.remove("status"));
    if let Some(status) = status {
        let status = json!({ "status": status });
        match found.applier.patch(&gvk, &found.key, PatchFormat::Merge, &status, Some("status")).await {
            Ok(_) => {}
            // Its status is a field like any other.
            Err(error) if error.is_not_found() => patch["status"] = status["status"].clone(),
            Err(error) => return Err(failed(error)),
        }
    }
    if patch.as_object().is_some_and(|fields| !fields.is_empty()) {
        found.applier.patch(&gvk, &found.key, PatchFormat::Merge, &patch, None).await.map_err(failed)?;
    }
    Ok(())
}
